//! A folder as a manifest: a table inside it, several tables or shards, or one sub-folder of media
//! per class.
//!
//! The layouts are those of the Hugging Face `imagefolder`, `audiofolder` and `videofolder` loaders:
//! a `metadata` table whose `file_name` column names the media, or class folders; either of them in
//! folders named after splits or not.

use super::described::describe;
use super::records::{Cells, Records};
use super::spill::Spill;
use super::tree::{Entries, Tree};
use super::{Manifest, media, several};
use crate::split::Split;
use crate::{DataError, ErrorKind, Result, Value};
use std::ffi::OsString;
use std::path::Path;

/// Deeper folders are taken for a link that leads back to one of its parents.
const DEPTH: usize = 16;

pub(super) fn open(tree: &Tree) -> Result<Manifest> {
    let mut listing = Listing {
        tree,
        records: Records::default(),
        spill: Spill::new(tree.path()),
    };
    let top = Path::new("");
    if let Some(table) = tree.table_in(top) {
        listing.table(&table, None)?;
        let mut manifest = listing.records.into_manifest(&tree.full(&table), tree.path());
        manifest.path = tree.full(&table);
        return Ok(manifest);
    }
    let entries = tree.entries(top)?;
    if let Some(manifest) = together(tree, &entries)? {
        return Ok(manifest);
    }
    let splits = entries.folders.iter().map(split_of).collect::<Option<Vec<_>>>();
    match splits {
        Some(splits) if !splits.is_empty() => {
            listing.outside(top, &entries.files);
            for (name, split) in entries.folders.iter().zip(splits) {
                listing.split(name, split)?;
            }
        }
        _ => listing.classes(top, entries, None)?,
    }
    Ok(listing.records.into_manifest(tree.path(), tree.path()))
}

/// Tables or shards that are one set, beside each other or in the folder `data`.
fn together(tree: &Tree, entries: &Entries) -> Result<Option<Manifest>> {
    let Tree::Folder(root) = tree else {
        return Ok(None);
    };
    let mut files = several::of_folder(root, &entries.files);
    if files.is_empty() && entries.folders.iter().any(|name| name == "data") {
        files = several::of_folder(&root.join("data"), &tree.entries(Path::new("data"))?.files);
    }
    match files.is_empty() {
        true => Ok(None),
        false => several::open(&files, root, root).map(Some),
    }
}

fn split_of(name: &OsString) -> Option<Split> {
    name.to_str()?.parse().ok()
}

/// The rows of a folder, by sorted path.
struct Listing<'a> {
    tree: &'a Tree,
    records: Records,
    spill: Spill,
}

impl Listing<'_> {
    /// The rows that a table in some folder describes.
    fn table(&mut self, table: &Path, split: Option<Split>) -> Result<()> {
        let full = self.tree.full(table);
        let source = self.tree.source(table)?;
        let records = Records::read(&source, table, &mut self.spill).map_err(|error| error.at_path(&full))?;
        let folder = table.parent().unwrap_or(Path::new(""));
        let mut records = describe(records, self.tree, folder)?;
        if let Some(split) = split {
            records.fill("split", &Value::Text(split.to_string()));
        }
        self.records.extend(records, &full);
        Ok(())
    }

    fn split(&mut self, name: &OsString, split: Split) -> Result<()> {
        let folder = Path::new(name);
        if let Some(table) = self.tree.table_in(folder) {
            return self.table(&table, Some(split));
        }
        let entries = self.tree.entries(folder)?;
        self.classes(folder, entries, Some(split))
    }

    fn classes(&mut self, folder: &Path, entries: Entries, split: Option<Split>) -> Result<()> {
        self.outside(folder, &entries.files);
        for name in &entries.folders {
            let label = name.to_string_lossy().into_owned();
            self.media(&folder.join(name), &label, split, 0)?;
        }
        Ok(())
    }

    fn media(&mut self, folder: &Path, label: &str, split: Option<Split>, depth: usize) -> Result<()> {
        if depth > DEPTH {
            let message = format!("expected folders at most {DEPTH} deep; look for a looping link");
            return Err(DataError::new(ErrorKind::TooLarge, message).at_path(&self.tree.full(folder)));
        }
        let entries = self.tree.entries(folder)?;
        for name in &entries.files {
            let medium = self.medium(&folder.join(name)).map(|medium| {
                let mut cells = vec![medium, ("label".to_string(), Value::Text(label.to_string()))];
                cells.extend(split.map(|s| ("split".to_string(), Value::Text(s.to_string()))));
                cells
            });
            self.push(&folder.join(name), medium);
        }
        for name in &entries.folders {
            self.media(&folder.join(name), label, split, depth + 1)?;
        }
        Ok(())
    }

    /// Media beside the class folders have no class; other files there are notes for people.
    fn outside(&mut self, folder: &Path, files: &[OsString]) {
        for file in files.iter().map(|name| folder.join(name)) {
            if let Some(kind) = media::column_of_file(&file) {
                let message = format!(
                    "expected the {kind} in the folder of its class, found it beside the class folders; move it"
                );
                self.push(&file, Err(DataError::new(ErrorKind::Invalid, message)));
            }
        }
    }

    /// The column and the value of a medium.
    fn medium(&self, file: &Path) -> Result<(String, Value)> {
        let Some(text) = file.to_str() else {
            let message = "expected a file name in UTF-8, found other bytes; rename the file";
            return Err(DataError::new(ErrorKind::Invalid, message));
        };
        let Some(column) = media::column_of_file(file) else {
            let known = media::known();
            let message = format!("expected a picture, sound or video ({known}); convert the file or move it away");
            return Err(DataError::new(ErrorKind::Unsupported, message));
        };
        Ok((column.to_string(), self.tree.medium(text)?))
    }

    fn push(&mut self, file: &Path, record: Result<Cells>) {
        let full = self.tree.full(file);
        self.records
            .push(record.map_err(|error| error.at_path(&full).at_offset(0)));
    }
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
    }

    #[test]
    fn each_kind_of_medium_has_its_column() {
        check(
            &[("cat/a.svg", ""), ("cat/b.flac", ""), ("dog/c.MP4", "")],
            &["image", "label", "audio", "video"],
            &[
                &["cat/a.svg", "cat", "", ""],
                &["", "cat", "cat/b.flac", ""],
                &["", "dog", "", "dog/c.MP4"],
            ],
            &[],
        );
    }

    #[test]
    fn each_split_may_have_its_own_table() {
        check(
            &[
                (
                    "test/metadata.jsonl",
                    "{\"file_name\":\"deep/b.wav\",\"text\":\"t\"}\n[]\n",
                ),
                ("train/metadata.csv", "file_name,text\na.wav,u\n"),
                ("validation/cat/c.wav", ""),
            ],
            &["file_name", "text", "audio", "split", "label"],
            &[
                &["deep/b.wav", "t", "test/deep/b.wav", "test", ""],
                &["a.wav", "u", "train/a.wav", "train", ""],
                &["", "", "validation/cat/c.wav", "validation", "cat"],
            ],
            &[1],
        );
    }

    #[test]
    fn tables_named_after_splits_are_one_set() {
        check(
            &[
                ("test.csv", "a\n1\n"),
                ("train-0.csv", "a\n2\n"),
                ("notes.csv", "b\n3\n"),
            ],
            &["a", "split"],
            &[&["1", "test"], &["2", "train"]],
            &[],
        );
        check(&[("data/train.jsonl", "{\"a\":1}\n[]")], &["a"], &[&["1"]], &[1]);
    }
}
