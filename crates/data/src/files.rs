//! Writing files so that a crash leaves the old content or the new, never a part.

use crate::{DataError, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to a `.partial` file beside `path`, makes it durable, and puts it in the place of `path`.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = partial_path(path);
    let result = write_durably(&partial, bytes).and_then(|()| fs::rename(&partial, path));
    if let Err(error) = result {
        // What is left of a failed write is of no use; the error that caused it is the one to report.
        let _ = fs::remove_file(&partial);
        return Err(DataError::io(&error, path));
    }
    sync_folder(path)
}

/// Creates a folder and those above it.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| DataError::io(&error, path))
}

/// Reads a whole file; the error names it.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| DataError::io(&error, path))
}

fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    path.with_file_name(name)
}

fn write_durably(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A rename is durable once its folder is.
fn sync_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let sync = File::open(folder).and_then(|folder| folder.sync_all());
    sync.map_err(|error| DataError::io(&error, folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_write_leaves_the_old_content_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_atomically(&path, b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("file.partial")).unwrap();
        let error = write_atomically(&path, b"new").unwrap_err();
        assert_eq!(error.kind, crate::ErrorKind::Io);
        assert!(error.to_string().contains("No space left"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
