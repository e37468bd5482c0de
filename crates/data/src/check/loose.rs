//! A folder of files that no table lists: every file is a row.

use super::columns::kind_of_path;
use super::{MediaKind, sniff};
use crate::{DataError, ErrorKind, Manifest, Result, Sample, Value};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Deeper folders are refused.
const DEPTH: usize = 16;
/// The largest text that becomes a row, in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// As much of a file as tells its kind.
const START: usize = 4096;
/// The tables that make a folder a data set of its own.
const TABLES: [&str; 3] = ["rows.jsonl", "metadata.jsonl", "metadata.csv"];
const TEXTS: [&str; 3] = ["txt", "text", "md"];

/// Opens what is to be checked: a manifest, or a folder of files where every file is a row.
///
/// A folder is read as loose files where `loose_files` asks for it, and where it holds files but
/// neither a table nor a folder: pictures that lie side by side have no classes. Each file, also in
/// sub-folders, is then one row in the order of the paths, with its path in the column `image`,
/// `audio` or `video`, as its extension says and else its first bytes, or with its content in the
/// column `text`. Files that start with a dot and links to folders are left out; all else is a row, and one
/// that is neither medium nor text is a bad one.
///
/// # Errors
/// What [`Manifest::open`] refuses; [`ErrorKind::Invalid`] for a folder without files.
pub fn open(path: &Path, loose_files: bool) -> Result<Manifest> {
    match path.is_dir() && (loose_files || is_plain(path)?) {
        true => loose(path),
        false => Manifest::open(path),
    }
}

/// Whether a folder holds files, and neither a table nor a folder.
fn is_plain(folder: &Path) -> Result<bool> {
    let entries = entries(folder)?;
    let kept_in_files = |path: &PathBuf| path.extension().is_some_and(|it| it == "tar" || it == "parquet");
    let table = TABLES.iter().any(|name| folder.join(name).is_file()) || entries.iter().any(kept_in_files);
    Ok(!table && !entries.is_empty() && !entries.iter().any(|path| path.is_dir()))
}

fn loose(folder: &Path) -> Result<Manifest> {
    let mut files = Vec::new();
    list(folder, 0, &mut files)?;
    let mut manifest = Manifest {
        path: folder.to_path_buf(),
        root: folder.to_path_buf(),
        columns: Vec::new(),
        samples: Vec::new(),
        broken: Vec::new(),
    };
    for (row, path) in files.iter().enumerate() {
        match cell(folder, path) {
            Ok((column, value)) => {
                if !manifest.columns.iter().any(|known| known == column) {
                    manifest.columns.push(column.to_string());
                }
                let values = [(column.to_string(), value)].into();
                manifest.samples.push(Sample { row, values });
            }
            Err(error) => manifest.broken.push(error.at_path(path).at_row(row)),
        }
    }
    match files.is_empty() {
        true => Err(DataError::new(ErrorKind::Invalid, "expected at least one file, found none").at_path(folder)),
        false => Ok(manifest),
    }
}

/// All files in and below `folder`, by sorted path.
fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    if depth > DEPTH {
        let message = format!("expected folders at most {DEPTH} deep; name one of the inner folders");
        return Err(DataError::new(ErrorKind::TooLarge, message).at_path(folder));
    }
    for path in entries(folder)? {
        match (path.is_dir(), path.is_symlink()) {
            (true, false) => list(&path, depth + 1, files)?,
            // A link to a folder may lead back to one of its parents.
            (true, true) => {}
            (false, _) => files.push(path),
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let refused = |error: std::io::Error| DataError::io(&error, folder);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let entry = entry.map_err(refused)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The column and the value of a file.
fn cell(folder: &Path, path: &Path) -> Result<(&'static str, Value)> {
    let relative = path.strip_prefix(folder).unwrap_or(path);
    let Some(name) = relative.to_str() else {
        let message = "expected a file name in UTF-8, found other bytes; rename the file";
        return Err(DataError::new(ErrorKind::Invalid, message));
    };
    if let Some(kind) = kind_of_path(name) {
        return Ok((column(kind), Value::Text(name.to_string())));
    }
    let start = start(path)?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    match sniff::kind(&start) {
        _ if TEXTS.contains(&extension.as_str()) => text(path),
        Some(kind) => Ok((column(kind), Value::Text(name.to_string()))),
        None => text(path),
    }
}

fn column(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

fn start(path: &Path) -> Result<Vec<u8>> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    // Asked before opening: to open a named pipe would wait for its writer.
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        let message = "expected a file, found a device, a pipe or a socket; move it away";
        return Err(DataError::new(ErrorKind::Invalid, message));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(START as u64).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

/// The content of a text; a zero byte tells that a file is none.
fn text(path: &Path) -> Result<(&'static str, Value)> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(refused)?;
    file.take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > MAX_TEXT {
        let message = format!("expected a text of at most {MAX_TEXT} bytes, found more; split the file");
        return Err(DataError::new(ErrorKind::TooLarge, message));
    }
    let not_text = |offset: usize| {
        let message = "expected a picture, a sound, a video or a text in UTF-8, found other bytes; convert the file \
            or move it away";
        DataError::new(ErrorKind::Unsupported, message).at_offset(offset as u64)
    };
    if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
        return Err(not_text(offset));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(("text", Value::Text(text))),
        Err(error) => Err(not_text(error.utf8_error().valid_up_to())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{png, shape};

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        folder
    }

    #[test]
    fn every_file_is_a_row_by_its_extension_or_its_content() {
        let picture = png(&shape(1));
        let folder = folder(&[
            ("a.JPG", b"whatever"),
            ("b.bin", b"\xff\x00\xfe"),
            ("c", &picture),
            ("d.txt", "caf\u{e9}".as_bytes()),
            ("deep/er/e.flac", b"x"),
            ("f.mp4", b"x"),
            (".hidden", b"x"),
        ]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nowhere"), folder.path().join("z")).unwrap();
        let manifest = open(folder.path(), true).unwrap();
        let found: Vec<_> = manifest
            .samples
            .iter()
            .map(|sample| (sample.row, sample.values.clone()))
            .collect();
        let text = |column: &str, value: &str| [(column.to_string(), Value::Text(value.to_string()))].into();
        let expected = [
            (0, text("image", "a.JPG")),
            (2, text("image", "c")),
            (3, text("text", "caf\u{e9}")),
            (4, text("audio", "deep/er/e.flac")),
            (5, text("video", "f.mp4")),
        ];
        assert_eq!(found, expected);
        let broken: Vec<_> = manifest
            .broken
            .iter()
            .map(|error| (error.row.unwrap(), error.kind))
            .collect();
        assert_eq!(broken, [(1, ErrorKind::Unsupported), (6, ErrorKind::Missing)]);
    }

    /// Whether a folder is read as loose files without being asked to.
    fn check(files: &[(&str, &[u8])], expected: bool) {
        let folder = folder(files);
        assert_eq!(is_plain(folder.path()).unwrap(), expected, "{files:?}");
        let manifest = open(folder.path(), false).unwrap();
        assert_eq!(manifest.broken.len(), 0);
    }

    #[test]
    fn a_folder_of_files_alone_needs_no_classes_and_others_stay_as_they_are() {
        check(&[("a.png", b"x"), ("b.wav", b"x")], true);
        check(&[("cat/a.png", b"x"), ("dog/b.png", b"x")], false);
        check(&[("a.png", b"x"), ("rows.jsonl", b"{\"image\":\"a.png\"}")], false);
        assert_eq!(open(folder(&[]).path(), true).unwrap_err().kind, ErrorKind::Invalid);
    }
}
