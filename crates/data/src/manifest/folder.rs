//! A folder as a manifest: a table inside it, or one sub-folder of pictures per class.
//!
//! The layouts are those of the Hugging Face `imagefolder` loader: a `metadata` table whose
//! `file_name` column names the pictures, or class folders, themselves in `train`, `validation`
//! and `test` folders or not.

use super::{Manifest, Records};
use crate::split::Split;
use crate::{DataError, ErrorKind, Result, Value};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const TABLES: [&str; 3] = ["rows.jsonl", "metadata.jsonl", "metadata.csv"];
const PICTURES: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];
/// Files that desktops leave in folders, beside those whose names start with a dot.
const DESKTOP: [&str; 2] = ["desktop.ini", "thumbs.db"];
/// Deeper folders are taken for a link that leads back to one of its parents.
const DEPTH: usize = 16;

pub(super) fn open(folder: &Path) -> Result<Manifest> {
    if let Some(table) = table_in(folder) {
        let mut manifest = Manifest::open_file(&table)?;
        name_images(&mut manifest);
        return Ok(manifest);
    }
    let mut listing = Listing {
        root: folder,
        records: Records::default(),
    };
    let entries = entries(folder)?;
    let splits = entries.folders.iter().map(split_of).collect::<Option<Vec<_>>>();
    match splits {
        Some(splits) if !splits.is_empty() => {
            listing.outside(Path::new(""), &entries.files);
            for (name, split) in entries.folders.iter().zip(splits) {
                listing.split(name, split)?;
            }
        }
        _ => listing.classes(Path::new(""), entries, None)?,
    }
    Ok(listing.records.into_manifest(folder, folder))
}

fn table_in(folder: &Path) -> Option<PathBuf> {
    let mut tables = TABLES.iter().map(|name| folder.join(name));
    tables.find(|path| path.is_file())
}

/// Adds the column `image` to a table that names its pictures in `file_name`.
fn name_images(manifest: &mut Manifest) {
    let has = |name: &str| manifest.columns.iter().any(|column| column == name);
    if !has("file_name") || has("image") {
        return;
    }
    manifest.columns.push("image".to_string());
    for sample in &mut manifest.samples {
        let file = sample.get("file_name").clone();
        sample.values.insert("image".to_string(), file);
    }
}

fn split_of(name: &OsString) -> Option<Split> {
    name.to_str()?.parse().ok()
}

/// The rows of a folder without a table, by sorted path.
struct Listing<'a> {
    root: &'a Path,
    records: Records,
}

impl Listing<'_> {
    fn split(&mut self, name: &OsString, split: Split) -> Result<()> {
        let folder = Path::new(name);
        if let Some(table) = table_in(&self.root.join(folder)) {
            let message = "expected the table of a data set in its outermost folder, found one per \
                split; join the tables, or name one of these folders as the manifest";
            return Err(DataError::new(ErrorKind::Unsupported, message).at_path(&table));
        }
        let entries = entries(&self.root.join(folder))?;
        self.classes(folder, entries, Some(split))
    }

    fn classes(&mut self, folder: &Path, entries: Entries, split: Option<Split>) -> Result<()> {
        self.outside(folder, &entries.files);
        for name in &entries.folders {
            let label = name.to_string_lossy().into_owned();
            self.pictures(&folder.join(name), &label, split, 0)?;
        }
        Ok(())
    }

    fn pictures(&mut self, folder: &Path, label: &str, split: Option<Split>, depth: usize) -> Result<()> {
        let full = self.root.join(folder);
        if depth > DEPTH {
            let message = format!("expected folders at most {DEPTH} deep; look for a looping link");
            return Err(DataError::new(ErrorKind::TooLarge, message).at_path(&full));
        }
        let entries = entries(&full)?;
        for name in &entries.files {
            let picture = picture(&folder.join(name)).map(|image| {
                let mut cells = vec![
                    ("image".to_string(), Value::Text(image)),
                    ("label".to_string(), Value::Text(label.to_string())),
                ];
                cells.extend(split.map(|s| ("split".to_string(), Value::Text(s.to_string()))));
                cells
            });
            self.push(&folder.join(name), picture);
        }
        for name in &entries.folders {
            self.pictures(&folder.join(name), label, split, depth + 1)?;
        }
        Ok(())
    }

    /// Pictures beside the class folders have no class; other files there are notes for people.
    fn outside(&mut self, folder: &Path, files: &[OsString]) {
        for file in files.iter().map(|name| folder.join(name)) {
            if is_picture(&file) {
                let message = "expected the picture in the folder of its class, found it beside \
                    the class folders; move it";
                self.push(&file, Err(DataError::new(ErrorKind::Invalid, message)));
            }
        }
    }

    fn push(&mut self, file: &Path, record: Result<Vec<(String, Value)>>) {
        let full = self.root.join(file);
        self.records
            .push(record.map_err(|error| error.at_path(&full).at_offset(0)));
    }
}

fn is_picture(file: &Path) -> bool {
    PICTURES.contains(&super::extension(file).as_str())
}

/// The path of a picture as a manifest would write it.
fn picture(file: &Path) -> Result<String> {
    let Some(text) = file.to_str() else {
        let message = "expected a file name in UTF-8, found other bytes; rename the file";
        return Err(DataError::new(ErrorKind::Invalid, message));
    };
    match is_picture(file) {
        true => Ok(text.to_string()),
        false => {
            let known = PICTURES.join(", ");
            let message = format!("expected a picture ({known}); convert the file or move it away");
            Err(DataError::new(ErrorKind::Unsupported, message))
        }
    }
}

/// The names in a folder, sorted, without those that only a desktop cares about.
struct Entries {
    files: Vec<OsString>,
    folders: Vec<OsString>,
}

fn entries(folder: &Path) -> Result<Entries> {
    let refused = |error: std::io::Error| DataError::io(&error, folder);
    let mut found = Entries {
        files: Vec::new(),
        folders: Vec::new(),
    };
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        let shown = name.to_string_lossy().to_lowercase();
        if shown.starts_with('.') || DESKTOP.contains(&shown.as_str()) {
            continue;
        }
        match folder.join(&name).is_dir() {
            true => found.folders.push(name),
            false => found.files.push(name),
        }
    }
    found.files.sort_unstable();
    found.folders.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_with(files: &[(&str, &str)]) -> Result<Manifest> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Manifest::open(folder.path())
    }

    fn check(files: &[(&str, &str)], columns: &[&str], expected: &[&[&str]], broken: &[usize]) {
        let manifest = open_with(files).unwrap();
        assert_eq!(manifest.columns, columns);
        let shown = |sample: &crate::Sample| -> Vec<String> {
            columns
                .iter()
                .map(|column| sample.get(column).label().unwrap_or_default())
                .collect()
        };
        let found: Vec<Vec<String>> = manifest.samples.iter().map(shown).collect();
        assert_eq!(found, expected);
        let rows: Vec<usize> = manifest.broken.iter().map(|error| error.row.unwrap()).collect();
        assert_eq!(rows, broken, "{:?}", manifest.broken);
    }

    #[test]
    fn a_table_in_the_folder_is_the_manifest() {
        check(
            &[("rows.jsonl", "{\"a\":1}"), ("metadata.csv", "b\n2")],
            &["a"],
            &[&["1"]],
            &[],
        );
        check(
            &[
                ("metadata.jsonl", "{\"file_name\":\"0.png\",\"text\":\"t\"}"),
                ("0.png", ""),
            ],
            &["file_name", "text", "image"],
            &[&["0.png", "t", "0.png"]],
            &[],
        );
        check(
            &[("metadata.csv", "file_name,image\n0.png,1.png\n")],
            &["file_name", "image"],
            &[&["0.png", "1.png"]],
            &[],
        );
    }

    #[test]
    fn sub_folders_are_classes_in_sorted_order() {
        check(
            &[
                ("dog/b.JPG", ""),
                ("dog/a.png", ""),
                ("cat/deep/z.gif", ""),
                ("cat/y.webp", ""),
                ("cat/.DS_Store", ""),
                ("cat/Thumbs.db", ""),
                ("README.md", ""),
            ],
            &["image", "label"],
            &[
                &["cat/y.webp", "cat"],
                &["cat/deep/z.gif", "cat"],
                &["dog/a.png", "dog"],
                &["dog/b.JPG", "dog"],
            ],
            &[],
        );
    }

    #[test]
    fn what_has_no_class_or_is_no_picture_is_a_broken_row() {
        check(
            &[("lost.png", ""), ("cat/a.png", ""), ("cat/notes.txt", "")],
            &["image", "label"],
            &[&["cat/a.png", "cat"]],
            &[0, 2],
        );
        assert_eq!(open_with(&[("notes.txt", "")]).unwrap_err().kind, ErrorKind::Invalid);
    }

    #[test]
    fn folders_named_after_splits_give_the_split_column() {
        check(
            &[("train/cat/a.png", ""), ("val/dog/b.png", ""), ("val/stray.png", "")],
            &["image", "label", "split"],
            &[
                &["train/cat/a.png", "cat", "train"],
                &["val/dog/b.png", "dog", "validation"],
            ],
            &[1],
        );
        let error = open_with(&[("train/metadata.csv", "file_name\na.png\n")]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }
}
