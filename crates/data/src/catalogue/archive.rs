//! Zip archives from elsewhere: confined paths, bounded sizes.

use crate::{DataError, ErrorKind, Result, archive};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::read::ZipFile;

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub files: usize,
    /// Bytes of one unpacked file.
    pub file_bytes: u64,
    /// Bytes of all unpacked files.
    pub total_bytes: u64,
}

/// A file of an archive.
pub(super) struct Member {
    /// Relative, and below the folder it is joined to.
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    /// The place of the file in the archive, and the number of places.
    pub index: usize,
    pub count: usize,
}

/// Calls `visit` with each file of a zip archive, in its order.
///
/// Fails with `Damaged` for a path that leads out of the archive, a link or a wrong checksum, and
/// with `TooLarge` beyond `limits`.
pub(super) fn each_file(archive: &Path, limits: Limits, visit: &mut dyn FnMut(Member) -> Result<()>) -> Result<()> {
    let file = File::open(archive).map_err(|error| DataError::io(&error, archive))?;
    let mut zip = ZipArchive::new(BufReader::new(file))
        .map_err(|error| damaged(format!("expected a zip archive, found: {error}")).at_path(archive))?;
    let count = zip.len();
    if count > limits.files {
        let message = format!("expected at most {} files, found {count}", limits.files);
        return Err(DataError::new(ErrorKind::TooLarge, message).at_path(archive));
    }
    let mut left = limits.total_bytes;
    for index in 0..count {
        let mut file = zip
            .by_index(index)
            .map_err(|error| damaged(format!("entry {index}: {error}")).at_path(archive))?;
        let path = confined(&file).map_err(|error| error.at_path(archive))?;
        if file.is_dir() {
            continue;
        }
        let bytes = read(&mut file, limits.file_bytes.min(left))
            .map_err(|error| error.in_field(&path.to_string_lossy()).at_path(archive))?;
        left -= bytes.len() as u64;
        visit(Member {
            path,
            bytes,
            index,
            count,
        })?;
    }
    Ok(())
}

/// The path of an entry, unless it would lead out of the folder it is unpacked into.
fn confined<R: Read>(file: &ZipFile<'_, R>) -> Result<PathBuf> {
    let is_link = file.is_symlink() || file.enclosed_name().is_none();
    match archive::confined(file.name()) {
        Ok(path) if !is_link => Ok(path),
        Ok(_) => Err(damaged(format!(
            "expected files, found the link `{}`; do not use this package",
            file.name()
        ))),
        Err(error) => Err(error),
    }
}

/// The content of an entry; its claimed size is not trusted.
fn read(file: &mut impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match file.take(limit + 1).read_to_end(&mut bytes) {
        Err(error) => Err(damaged(format!("expected a whole file, found: {error}"))),
        Ok(size) if size as u64 > limit => {
            let message = format!("expected at most {limit} unpacked bytes, found more");
            Err(DataError::new(ErrorKind::TooLarge, message))
        }
        Ok(_) => Ok(bytes),
    }
}

fn damaged(message: String) -> DataError {
    DataError::new(ErrorKind::Damaged, message)
}

/// Writes a zip archive for a test.
#[cfg(test)]
pub(super) fn write(path: &Path, files: &[(&str, &[u8])]) {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
    for (name, bytes) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        files: 3,
        file_bytes: 1000,
        total_bytes: 1500,
    };

    fn check(files: &[(&str, &[u8])], expected: Result<usize, ErrorKind>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        write(&path, files);
        let mut seen = 0;
        let result = each_file(&path, LIMITS, &mut |member| {
            assert!(files.contains(&(member.path.to_str().unwrap(), &member.bytes)));
            seen += 1;
            Ok(())
        });
        match result {
            Ok(()) => assert_eq!(Ok(seen), expected),
            Err(error) => {
                assert_eq!(error.path.as_ref(), Some(&path));
                assert_eq!(Err(error.kind), expected, "{error}");
            }
        }
    }

    #[test]
    fn files_come_with_their_paths_and_bytes() {
        check(&[("a", b"1"), ("b/c.txt", b"")], Ok(2));
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        for name in ["../a", "a/../../b", "a/../b", "/etc/a", "a\\..\\..\\b"] {
            check(&[(name, b"1")], Err(ErrorKind::Damaged));
        }
    }

    #[test]
    fn sizes_are_bounded_by_what_is_unpacked() {
        check(&[("a", &[0; 1000])], Ok(1));
        check(&[("a", &[0; 1001])], Err(ErrorKind::TooLarge));
        check(&[("a", &[0; 1000]), ("b", &[0; 501])], Err(ErrorKind::TooLarge));
        check(
            &[("a", b""), ("b", b""), ("c", b""), ("d", b"")],
            Err(ErrorKind::TooLarge),
        );
    }

    #[test]
    fn a_cut_or_altered_archive_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        write(&path, &[("a", &[7; 900])]);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = each_file(&path, LIMITS, &mut |_| Ok(())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Damaged, "cut at {cut}");
        }
        let mut altered = whole.clone();
        altered[32] ^= 0xff;
        std::fs::write(&path, &altered).unwrap();
        assert!(each_file(&path, LIMITS, &mut |_| Ok(())).is_err());
    }
}
