//! The folder of a set while it is filled: files from packages, and splits by group.

use super::Progress;
use super::archives::{self, Limits};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result, files};
use std::collections::BTreeSet;
use std::path::Path;

/// How many files are unpacked between two reports of progress.
const STEP: usize = 100;

/// The media files of a set. What no row has come to name is removed at the end.
pub(super) struct Folder<'a> {
    root: &'a Path,
    saved: BTreeSet<String>,
}

impl<'a> Folder<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self {
            root,
            saved: BTreeSet::new(),
        }
    }

    /// Writes a file at a path relative to the set, with `/` between its parts.
    pub fn save(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let target = self.root.join(path);
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        std::fs::write(&target, bytes).map_err(|error| DataError::io(&error, &target))?;
        self.saved.insert(path.to_string());
        Ok(())
    }

    pub fn holds(&self, path: &str) -> bool {
        self.saved.contains(path)
    }

    /// Removes all files but those in `used`, and the folders that this leaves empty.
    pub fn keep(self, used: &BTreeSet<&str>) -> Result<()> {
        for path in self.saved.iter().filter(|path| !used.contains(path.as_str())) {
            let target = self.root.join(path);
            std::fs::remove_file(&target).map_err(|error| DataError::io(&error, &target))?;
            let above = Path::new(path).ancestors().skip(1);
            for folder in above.filter(|folder| !folder.as_os_str().is_empty()) {
                // Refused by the first folder that holds something, and rightly so.
                if std::fs::remove_dir(self.root.join(folder)).is_err() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Calls `visit` with the path and the bytes of each file of a package.
pub(super) fn unpack(
    package: &Path,
    limits: Limits,
    progress: &mut dyn FnMut(Progress),
    visit: &mut dyn FnMut(&str, Vec<u8>) -> Result<()>,
) -> Result<()> {
    archives::each_file(package, limits, &mut |member| {
        if member.index % STEP == 0 {
            progress(Progress::new("unpacking", member.index + 1, member.count));
        }
        let path = member.path.to_str().ok_or_else(|| {
            let message = format!("expected paths in UTF-8, found `{}`", member.path.display());
            damaged(&message, "path")
        })?;
        visit(path, member.bytes)
    })
}

/// The use of a group of rows: nine tenths train, the rest validates and tests in equal parts.
pub(super) fn split(set: &str, group: &str) -> Result<Split> {
    Ok(Fractions::new(0.9, 0.05, 0.05)?.draw(&Key::new(0).with(set).with(group)))
}

/// A file of a package that is not what it should be.
pub(super) fn damaged(message: &str, file: &str) -> DataError {
    DataError::new(ErrorKind::Damaged, message).in_field(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_no_row_names_are_removed_with_their_folders() {
        let root = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(root.path());
        for path in ["images/a/1.png", "images/b/2.png", "images/b/3.png", "other/4.png"] {
            folder.save(path, b"x").unwrap();
        }
        assert!(folder.holds("images/a/1.png") && !folder.holds("images/a"));
        folder.keep(&["images/b/3.png"].into()).unwrap();
        let exists = |path: &str| root.path().join(path).exists();
        assert!(exists("images/b/3.png"));
        for gone in ["images/a", "images/b/2.png", "other"] {
            assert!(!exists(gone), "{gone}");
        }
    }

    #[test]
    fn a_group_is_drawn_by_its_set_and_name() {
        let groups: Vec<String> = (0..4000).map(|n| format!("group {n}")).collect();
        let count = |set: &str, wanted| {
            let drawn = groups.iter().map(|group| split(set, group).unwrap());
            drawn.filter(|split| *split == wanted).count()
        };
        for wanted in [Split::Validation, Split::Test] {
            assert!((150..250).contains(&count("a", wanted)));
        }
        assert!(
            groups
                .iter()
                .any(|group| split("a", group).unwrap() != split("b", group).unwrap())
        );
        assert_eq!(split("a", "x").unwrap(), split("a", "x").unwrap());
    }
}
