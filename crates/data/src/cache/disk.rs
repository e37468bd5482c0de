//! Features in files, one each, named by the hashes of processor and content. A file is written beside its place and
//! renamed, and carries a checksum: one that a crash or a full disk has spoilt is prepared anew.

use super::entry;
use crate::{DataError, Feature, Processor, Result, files};
use blake3::Hash;
use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

#[derive(Debug)]
pub(super) struct DiskCache {
    folder: PathBuf,
    /// In bytes of files.
    limit: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// Files of earlier runs with their bytes, those used longest ago first.
    earlier: VecDeque<(PathBuf, u64)>,
    /// Those of them that this run has used.
    used: HashSet<PathBuf>,
}

/// The name of a feature's file, relative to the cache: a folder for each processor, and in it 256 more.
pub(super) fn key(processor: &Processor, content: &Hash) -> PathBuf {
    let content = content.to_hex();
    let (first, rest) = content.split_at(2);
    Path::new(&processor.hash()[..16]).join(first).join(rest)
}

impl DiskCache {
    pub fn open(folder: &Path, limit: u64) -> Result<Self> {
        files::create_folder(folder)?;
        let mut found = Vec::new();
        list(folder, 3, &mut found).map_err(|error| DataError::io(&error, folder))?;
        found.sort();
        let held = Held {
            bytes: found.iter().map(|(_, _, bytes)| bytes).sum(),
            earlier: found.into_iter().map(|(_, path, bytes)| (path, bytes)).collect(),
            used: HashSet::new(),
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            limit,
            held: Mutex::new(held),
        })
    }

    pub fn get(&self, key: &Path) -> Option<Feature> {
        let path = self.folder.join(key);
        let mut file = File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        let feature = entry::read(&bytes)?;
        // The time says which files are of use; one that cannot be set only makes room earlier.
        let _ = file.set_modified(SystemTime::now());
        self.held().used.insert(path);
        Some(feature)
    }

    /// Keeps the feature where there is room, or room can be made. A cache that cannot be written costs time, and
    /// nothing else.
    pub fn insert(&self, key: &Path, feature: &Feature) {
        let Some(bytes) = entry::write(feature) else {
            return;
        };
        if self.make_room(bytes.len() as u64) && self.write(&self.folder.join(key), &bytes).is_err() {
            self.held().bytes -= bytes.len() as u64;
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.persist(path)?;
        Ok(())
    }

    /// Reserves `bytes`, removing files of earlier runs that this one has not used; false where they do not suffice.
    fn make_room(&self, bytes: u64) -> bool {
        let mut held = self.held();
        while held.bytes + bytes > self.limit {
            let Some((path, size)) = held.earlier.pop_front() else {
                return false;
            };
            if !held.used.contains(&path) && fs::remove_file(&path).is_ok() {
                held.bytes -= size;
            }
        }
        held.bytes += bytes;
        true
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held
            .lock()
            .expect("nothing that is done while the lock is held can panic")
    }
}

/// Every file down to `depth` levels with the time of its last use and its bytes.
fn list(folder: &Path, depth: usize, found: &mut Vec<(SystemTime, PathBuf, u64)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Another process may have removed it since.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_file() {
            found.push((metadata.modified()?, entry.path(), metadata.len()));
        } else if metadata.is_dir() && depth > 1 {
            list(&entry.path(), depth - 1, found)?;
        }
    }
    Ok(())
}

#[cfg(test)]
impl DiskCache {
    pub fn files(&self) -> usize {
        self.held().earlier.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::tests::picture;
    use super::*;
    use std::time::Duration;

    fn feature(shade: u8) -> Feature {
        Feature::Image(picture(shade))
    }

    fn name(shade: u8) -> PathBuf {
        Path::new("processor").join("ab").join(shade.to_string())
    }

    /// Which of the first ten features are held.
    fn check(cache: &DiskCache, expected: &[u8]) {
        let held = (0..10).filter(|shade| cache.get(&name(*shade)) == Some(feature(*shade)));
        assert_eq!(held.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_cap_holds_and_what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let size = entry::write(&feature(0)).unwrap().len() as u64;
        let open = || DiskCache::open(folder.path(), 3 * size + 1).unwrap();
        let cache = open();
        (0..4).for_each(|shade| cache.insert(&name(shade), &feature(shade)));
        check(&cache, &[0, 1, 2]);
        for (shade, age) in [(0, 10), (1, 30), (2, 20)] {
            let file = File::open(folder.path().join(name(shade))).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
        }
        let cache = open();
        assert!(cache.get(&name(1)).is_some());
        cache.insert(&name(5), &feature(5));
        check(&cache, &[0, 1, 5]);
        let files = walk(folder.path());
        assert_eq!((files.len(), files.iter().sum::<u64>()), (3, 3 * size));
    }

    fn walk(folder: &Path) -> Vec<u64> {
        let mut found = Vec::new();
        list(folder, 3, &mut found).unwrap();
        found.into_iter().map(|(_, _, bytes)| bytes).collect()
    }

    #[test]
    fn a_spoilt_file_is_no_feature_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(folder.path(), 1 << 20).unwrap();
        cache.insert(&name(1), &feature(1));
        let path = folder.path().join(name(1));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        check(&cache, &[]);
        cache.insert(&name(1), &feature(1));
        check(&cache, &[1]);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(folder.path(), 1 << 20).unwrap();
        fs::write(folder.path().join("processor"), "a file where a folder should be").unwrap();
        cache.insert(&name(1), &feature(1));
        check(&cache, &[]);
        assert_eq!(cache.held().bytes, 0);
    }
}
