//! Where a set's files are: a folder on disk, or an archive, which is read in place.

use crate::archive::Members;
use crate::storage::{LocalFile, Part, ReadAt};
use crate::{DataError, ErrorKind, Result, Value};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The tables that describe a folder, the first one found counting.
const TABLES: [&str; 4] = ["rows.jsonl", "metadata.jsonl", "metadata.csv", "metadata.parquet"];
/// Files and folders that desktops leave behind, beside those whose names start with a dot.
const DESKTOP: [&str; 3] = ["__macosx", "desktop.ini", "thumbs.db"];
/// The largest table inside of an archive, in bytes.
const MAX_TABLE: u64 = 1 << 30;

/// A folder and what is below it.
pub(super) enum Tree {
    Folder(PathBuf),
    Archive {
        path: PathBuf,
        members: Members,
        /// The folder inside that holds everything, as archives often have one.
        top: PathBuf,
    },
}

/// The names in a folder, sorted, without those that only a desktop cares about.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub files: Vec<OsString>,
    pub folders: Vec<OsString>,
}

/// Whether a file of this name describes its folder.
pub(super) fn is_table(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| TABLES.iter().any(|table| name == *table))
}

impl Tree {
    pub fn archive(path: &Path, members: Members) -> Self {
        let mut tree = Self::Archive {
            path: path.to_path_buf(),
            members,
            top: PathBuf::new(),
        };
        tree.descend();
        tree
    }

    /// The folder or the archive.
    pub fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive { path, .. } => path,
        }
    }

    /// The full name of a file, for messages.
    pub fn full(&self, file: &Path) -> PathBuf {
        match self {
            Self::Folder(path) => path.join(file),
            Self::Archive { path, top, .. } => path.join(top).join(file),
        }
    }

    /// The table that describes a folder.
    pub fn table_in(&self, folder: &Path) -> Option<PathBuf> {
        let mut tables = TABLES.iter().map(|name| folder.join(name));
        tables.find(|file| match self {
            Self::Folder(root) => root.join(file).is_file(),
            Self::Archive { members, top, .. } => members.contains_key(&top.join(file)),
        })
    }

    /// A table for reading.
    pub fn source(&self, file: &Path) -> Result<Arc<dyn ReadAt>> {
        match self {
            Self::Folder(root) => Ok(Arc::new(LocalFile::new(&root.join(file))?)),
            Self::Archive { members, top, .. } => {
                let missing = || DataError::new(ErrorKind::Missing, "no such member").at_path(&self.full(file));
                let stored = members.get(&top.join(file)).ok_or_else(missing)?;
                if stored.length > MAX_TABLE {
                    let message = "expected a table of at most 1 GiB in an archive; unpack the archive";
                    return Err(DataError::new(ErrorKind::TooLarge, message).at_path(&self.full(file)));
                }
                let bytes = stored.read()?.to_vec();
                let path = self.full(file);
                Ok(Arc::new(Part { path, start: 0, bytes }))
            }
        }
    }

    /// The value that stands for a medium: its path on disk, or its place in the archive.
    ///
    /// Fails with `Missing` where the archive has no such member.
    pub fn medium(&self, file: &str) -> Result<Value> {
        match self {
            Self::Folder(_) => Ok(Value::Text(file.to_string())),
            Self::Archive { members, top, .. } => {
                let name = crate::archive::confined(file)?;
                let missing = || {
                    let message = "expected a member of the archive, found none of this name; correct the path";
                    DataError::new(ErrorKind::Missing, message).at_path(&self.full(&name))
                };
                let stored = members.get(&top.join(&name)).ok_or_else(missing)?;
                Ok(Value::Stored(Arc::new(stored.clone())))
            }
        }
    }

    pub fn entries(&self, folder: &Path) -> Result<Entries> {
        let mut found = match self {
            Self::Folder(root) => on_disk(&root.join(folder))?,
            Self::Archive { members, top, .. } => in_archive(members, &top.join(folder)),
        };
        for names in [&mut found.files, &mut found.folders] {
            names.retain(|name| !is_desktop(name));
            names.sort_unstable();
        }
        Ok(found)
    }

    /// Goes into the one folder of an archive that holds nothing else, if it has the form of a set.
    fn descend(&mut self) {
        loop {
            let outer = self.entries(Path::new("")).unwrap_or_default();
            let [folder] = &outer.folders[..] else {
                return;
            };
            let folder = Path::new(folder);
            let is_split = folder
                .to_str()
                .is_some_and(|name| name.parse::<crate::split::Split>().is_ok());
            let inner = self.entries(folder).unwrap_or_default();
            let is_set = self.table_in(folder).is_some() || !inner.folders.is_empty();
            if is_split || !outer.files.is_empty() || !is_set {
                return;
            }
            if let Self::Archive { top, .. } = self {
                top.push(folder);
            }
        }
    }
}

fn is_desktop(name: &OsString) -> bool {
    let shown = name.to_string_lossy().to_lowercase();
    shown.starts_with('.') || DESKTOP.contains(&shown.as_str())
}

fn on_disk(folder: &Path) -> Result<Entries> {
    let refused = |error: std::io::Error| DataError::io(&error, folder);
    let mut found = Entries::default();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let name = entry.map_err(refused)?.file_name();
        match folder.join(&name).is_dir() {
            true => found.folders.push(name),
            false => found.files.push(name),
        }
    }
    Ok(found)
}

/// Members are sorted by path, so that a folder's are neighbours.
fn in_archive(members: &Members, folder: &Path) -> Entries {
    let mut found = Entries::default();
    let below = members.range(folder.to_path_buf()..).map(|(path, _)| path);
    for path in below.take_while(|path| path.starts_with(folder)) {
        let Ok(rest) = path.strip_prefix(folder) else {
            continue;
        };
        let mut parts = rest.iter();
        match (parts.next(), parts.next()) {
            (Some(name), None) => found.files.push(name.to_os_string()),
            (Some(name), Some(_)) if found.folders.last().is_none_or(|last| last != name) => {
                found.folders.push(name.to_os_string());
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Packing, Stored};

    fn tree(names: &[&str]) -> Tree {
        let source: Arc<dyn ReadAt> = Arc::new(Part {
            path: "a.zip".into(),
            start: 0,
            bytes: Vec::new(),
        });
        let stored = Stored {
            source,
            offset: 0,
            length: 0,
            packing: Packing::Plain,
        };
        let members = names.iter().map(|name| (PathBuf::from(name), stored.clone())).collect();
        Tree::archive(Path::new("a.zip"), members)
    }

    fn check(names: &[&str], files: &[&str], folders: &[&str]) {
        let found = tree(names).entries(Path::new("")).unwrap();
        assert_eq!(
            (found.files, found.folders),
            (
                files.iter().map(OsString::from).collect(),
                folders.iter().map(OsString::from).collect()
            )
        );
    }

    #[test]
    fn a_single_outer_folder_is_passed_through() {
        check(&["b", "a/x", "a/y/z", "a-b/c", "__MACOSX/b"], &["b"], &["a", "a-b"]);
        check(&["set/cat/a", "set/dog/b", "set/notes"], &["notes"], &["cat", "dog"]);
        check(&["set/rows.jsonl", "set/a.png"], &["a.png", "rows.jsonl"], &[]);
        check(&["cat/a.png"], &[], &["cat"]);
        check(&["train/cat/a.png"], &[], &["train"]);
    }
}
