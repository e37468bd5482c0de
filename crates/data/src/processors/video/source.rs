//! Where a video comes from: a file, a folder, or bytes, with clear words for what is not readable.

use super::super::invalid;
use super::format::START;
use crate::{DataError, ErrorKind, Result};
use std::fs::{File, Metadata};
use std::io::{ErrorKind as IoKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// The largest animation that is read into memory, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// What `path` names, asked without opening it: to open a named pipe would wait for its writer.
pub fn metadata(path: &Path) -> Result<Metadata> {
    let metadata = std::fs::metadata(path).map_err(|error| refused(&error, path))?;
    if !metadata.is_file() && !metadata.is_dir() {
        let found = "expected a video, found a device, pipe or socket; name a file";
        return Err(invalid(found).at_path(path));
    }
    Ok(metadata)
}

/// Opens a file and reads the start that tells its format.
pub fn open(path: &Path) -> Result<(File, Vec<u8>)> {
    let mut file = File::open(path).map_err(|error| refused(&error, path))?;
    let mut start = Vec::new();
    let read = Read::take(&mut file, START as u64).read_to_end(&mut start);
    let result = read.and_then(|_| file.rewind());
    result.map_err(|error| refused(&error, path))?;
    Ok((file, start))
}

/// The bytes of an animation's file.
pub fn read(file: File, length: u64) -> Result<Vec<u8>> {
    check_length(length)?;
    let mut bytes = Vec::with_capacity(length as usize + 1);
    let read = file.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(|error| DataError::new(ErrorKind::Io, error.to_string()))?;
    check_length(bytes.len() as u64)?;
    Ok(bytes)
}

/// Refuses an animation of more than the largest size, wherever its bytes came from.
pub fn check_length(length: u64) -> Result<()> {
    if length <= MAX_BYTES {
        return Ok(());
    }
    let message =
        format!("expected an animation of at most {MAX_BYTES} bytes, found {length}; convert it to MP4 or WebM");
    Err(DataError::new(ErrorKind::TooLarge, message))
}

/// Puts bytes into a file that vanishes with the returned value: containers need seeking.
pub fn temporary(bytes: &[u8]) -> Result<tempfile::NamedTempFile> {
    let write = || {
        let mut file = tempfile::NamedTempFile::with_prefix("sensorium-video-")?;
        file.write_all(bytes)?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| {
        let message = format!(
            "expected room for {} bytes in the temporary folder, found: {error}; free some or set TMPDIR",
            bytes.len()
        );
        DataError::new(ErrorKind::Io, message)
    })
}

/// The pictures of a folder by their names, with numbers in the names in numerical order. Hidden
/// files and files of other kinds are left out.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif"];
    let refused = |error: std::io::Error| refused(&error, folder);
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let extension = path.extension().map(|it| it.to_string_lossy().to_ascii_lowercase());
        if !hidden && extension.is_some_and(|it| EXTENSIONS.contains(&&*it)) {
            pictures.push(path);
        }
    }
    if pictures.is_empty() {
        let found = "expected a folder of pictures, found none in it; name a video or such a folder";
        return Err(invalid(found).at_path(folder));
    }
    pictures.sort_by_cached_key(|path| natural(&path.file_name().unwrap_or_default().to_string_lossy()));
    Ok(pictures)
}

/// A key that sorts "frame2" before "frame10": text, then a number by its count of digits and its
/// digits, in turn. The name itself decides between "1" and "01".
fn natural(name: &str) -> (Vec<(String, usize, String)>, String) {
    let mut parts = vec![(String::new(), 0, String::new())];
    for letter in name.chars() {
        let (text, length, digits) = parts.last_mut().expect("there is a part from the start");
        if letter.is_ascii_digit() {
            if digits != "0" {
                digits.push(letter);
            } else {
                *digits = letter.to_string();
            }
            *length = digits.len();
        } else if digits.is_empty() {
            text.push(letter);
        } else {
            parts.push((letter.to_string(), 0, String::new()));
        }
    }
    (parts, name.to_string())
}

fn refused(error: &std::io::Error, path: &Path) -> DataError {
    match error.kind() {
        IoKind::NotFound => DataError::new(
            ErrorKind::Missing,
            "expected a video, found no such file; check the path, which is relative to the manifest",
        )
        .at_path(path),
        IoKind::InvalidInput => invalid("expected a path, found one with a zero byte").at_path(path),
        _ => DataError::io(error, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_in_the_order_of_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let names = [
            "f1.png", "f2.jpg", "f02.jpg", "f9.PNG", "f10.png", "f10b.png", "g1.png", "g007.png", "g08.png",
        ];
        for name in names.iter().rev().chain(&["notes.txt", ".hidden.png", "f3"]) {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let found = pictures(folder.path()).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|path| path.file_name().unwrap().to_str().unwrap())
            .collect();
        let expected = [
            "f1.png", "f02.jpg", "f2.jpg", "f9.PNG", "f10.png", "f10b.png", "g1.png", "g007.png", "g08.png",
        ];
        assert_eq!(found, expected);
    }

    fn check(result: Result<impl Sized>, kind: ErrorKind, words: &str) {
        let Err(error) = result else {
            panic!("no error: {words}")
        };
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn what_is_not_a_readable_file_is_said() {
        let folder = tempfile::tempdir().unwrap();
        check(pictures(folder.path()), ErrorKind::Invalid, "found none in it");
        check(
            metadata(&folder.path().join("none.mp4")),
            ErrorKind::Missing,
            "no such file",
        );
        check(metadata(Path::new("a\0b")), ErrorKind::Invalid, "zero byte");
        #[cfg(unix)]
        check(metadata(Path::new("/dev/zero")), ErrorKind::Invalid, "found a device");
        check(check_length(MAX_BYTES + 1), ErrorKind::TooLarge, "found 268435457");
    }

    #[test]
    fn bytes_lie_in_a_file_until_it_is_dropped() {
        let file = temporary(b"abc").unwrap();
        let path = file.path().to_path_buf();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        drop(file);
        assert!(!path.exists());
    }
}
