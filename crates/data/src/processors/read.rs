//! The bytes of a medium's file, within a limit, and clear words for what is not a readable file.

use super::invalid;
use crate::{DataError, ErrorKind, Result};
use std::fs::File;
use std::io::{ErrorKind as IoKind, Read};
use std::path::Path;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Reads the whole file at `path`, which should be `what`: "a picture".
///
/// # Errors
/// [`ErrorKind::Missing`], [`ErrorKind::Invalid`] for a folder or a device,
/// [`ErrorKind::TooLarge`], and [`ErrorKind::Io`] for what the operating system refuses.
pub fn read(path: &Path, what: &str) -> Result<Vec<u8>> {
    // Asked before opening: to open a named pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(|error| refused(&error, path, what))?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a folder"
        } else {
            "a device, pipe or socket"
        };
        return Err(invalid(format!("expected {what}, found {found}; name a file")).at_path(path));
    }
    if metadata.len() > MAX_BYTES {
        return Err(too_large(metadata.len(), what).at_path(path));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    let file = File::open(path).map_err(|error| refused(&error, path, what))?;
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| refused(&error, path, what))?;
    Ok(bytes)
}

/// Refuses nothing at all and more than the largest size, wherever the bytes of `what` came from.
pub fn check_length(bytes: &[u8], what: &str) -> Result<()> {
    match bytes.len() as u64 {
        0 => Err(DataError::new(
            ErrorKind::Damaged,
            format!("expected {what}, found an empty file of 0 bytes; replace or remove it"),
        )),
        length if length > MAX_BYTES => Err(too_large(length, what)),
        _ => Ok(()),
    }
}

fn too_large(length: u64, what: &str) -> DataError {
    let message = format!("expected {what} of at most {MAX_BYTES} bytes, found {length}; make it smaller");
    DataError::new(ErrorKind::TooLarge, message)
}

fn refused(error: &std::io::Error, path: &Path, what: &str) -> DataError {
    match error.kind() {
        IoKind::NotFound => DataError::new(
            ErrorKind::Missing,
            format!("expected {what}, found no such file; check the path, which is relative to the manifest"),
        )
        .at_path(path),
        IoKind::InvalidInput => invalid("expected a path, found one with a zero byte").at_path(path),
        _ => DataError::io(error, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &Path, kind: ErrorKind, words: &str) {
        let error = read(path, "a picture").unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.path.as_deref(), Some(path));
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn what_is_not_a_readable_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        check(folder.path(), ErrorKind::Invalid, "found a folder");
        check(&folder.path().join("none.png"), ErrorKind::Missing, "no such file");
        check(Path::new("a\0b"), ErrorKind::Invalid, "zero byte");
        let large = folder.path().join("large.png");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        check(&large, ErrorKind::TooLarge, "at most 268435456 bytes, found 268435457");
        #[cfg(unix)]
        check(Path::new("/dev/zero"), ErrorKind::Invalid, "found a device");
    }

    #[test]
    fn bytes_have_the_same_limits() {
        assert_eq!(check_length(&[], "a picture").unwrap_err().kind, ErrorKind::Damaged);
        assert!(check_length(&[0], "a picture").is_ok());
    }
}
