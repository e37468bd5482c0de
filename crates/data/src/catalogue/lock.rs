//! A lock between processes: a file that one of them holds.

use super::Progress;
use crate::{DataError, Result};
use std::fs::{File, TryLockError};
use std::path::Path;

/// Keeps other processes from getting the same lock until the file is dropped. Whoever has to wait
/// reports the stage `waiting`.
pub(super) fn lock(path: &Path, waiting: &str, progress: &mut dyn FnMut(Progress)) -> Result<File> {
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let file = File::create(path).map_err(refused)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            progress(Progress::new(waiting, 0, None));
            file.lock().map_err(refused)?;
            Ok(file)
        }
        // Some network file systems know no locks; what the lock protects ends in an atomic rename.
        Err(TryLockError::Error(error)) if error.kind() == std::io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(error)) => Err(refused(error)),
    }
}
