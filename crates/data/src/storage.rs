//! Bytes by position: what archives, shards and tables are read through, and media that lie in them.

#[cfg(feature = "object-storage")]
mod object;

use crate::{DataError, ErrorKind, Result};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// The largest medium that is read from inside of a larger file, in bytes.
const MAX_MEDIUM: u64 = 1 << 30;

/// Something whose bytes can be read from any position. Another kind of storage is another
/// implementation of this trait.
pub trait ReadAt: Send + Sync + fmt::Debug {
    /// Where the bytes come from, for messages and for the identity of what lies in them.
    fn path(&self) -> &Path;

    /// The position behind the last byte.
    fn length(&self) -> u64;

    /// Fills `buffer` with the bytes from `offset` on; fewer are an error.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// When the bytes were last changed, in nanoseconds since 1970; 0 where that is not known.
    fn modified(&self) -> u128 {
        0
    }
}

/// Opens what a manifest or a set names: a file, or with the feature `object-storage` what lies
/// behind a URL. Only what a user names himself comes here, never what a row says.
///
/// Fails as [`LocalFile::new`], and with `Fetch` and `Unsupported` for URLs.
pub fn open(path: &Path) -> Result<Arc<dyn ReadAt>> {
    match url(path) {
        Some(url) => object(url),
        None => Ok(Arc::new(LocalFile::new(path)?)),
    }
}

/// The path as the URL of an object, if it is one of a kind that can be read.
pub fn url(path: &Path) -> Option<&str> {
    const SCHEMES: [&str; 5] = ["s3://", "gs://", "az://", "http://", "https://"];
    let text = path.to_str()?;
    SCHEMES.iter().any(|scheme| text.starts_with(scheme)).then_some(text)
}

/// A URL as messages may give it: without a user name, a password and a query.
pub(crate) fn without_secrets(url: &str) -> PathBuf {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (server, path) = rest.split_once('/').unwrap_or((rest, ""));
    let server = server.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{server}/{path}").into()
}

#[cfg(feature = "object-storage")]
fn object(url: &str) -> Result<Arc<dyn ReadAt>> {
    Ok(Arc::new(object::Object::open(url)?))
}

#[cfg(not(feature = "object-storage"))]
fn object(url: &str) -> Result<Arc<dyn ReadAt>> {
    let message = "expected a path, found a URL, which this program was built without; fetch the file, or build with \
                   the feature `object-storage`";
    Err(DataError::new(ErrorKind::Unsupported, message).at_path(&without_secrets(url)))
}

/// A file on disk. It is opened for each read, so that any number of shards needs no open files.
#[derive(Debug)]
pub struct LocalFile {
    path: PathBuf,
    length: u64,
}

impl LocalFile {
    /// Fails with `Missing` where there is nothing and `Invalid` for what is no file.
    pub fn new(path: &Path) -> Result<Self> {
        // Asked before opening: to open a named pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(|error| DataError::io(&error, path))?;
        if !metadata.is_file() {
            let message = "expected a file, found a folder, device, pipe or socket; name a file";
            return Err(DataError::new(ErrorKind::Invalid, message).at_path(path));
        }
        Ok(Self {
            path: path.to_path_buf(),
            length: metadata.len(),
        })
    }
}

impl ReadAt for LocalFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn length(&self) -> u64 {
        self.length
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        File::open(&self.path)?.read_exact_at(buffer, offset)
    }

    fn modified(&self) -> u128 {
        let modified = std::fs::metadata(&self.path)
            .and_then(|metadata| metadata.modified())
            .ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        since.map_or(0, |time| time.as_nanos())
    }
}

/// What was unpacked from a file, in a file without a name that ends with its last user.
#[derive(Debug)]
pub struct Unpacked {
    /// The file that it came from.
    pub path: PathBuf,
    pub file: File,
}

impl ReadAt for Unpacked {
    fn path(&self) -> &Path {
        &self.path
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// A part of a larger file that is held in memory, its positions those of that file.
pub struct Part {
    pub path: PathBuf,
    pub start: u64,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Part {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, start) = (self.path.display(), self.start);
        write!(out, "Part({path}, {} bytes from {start} on)", self.bytes.len())
    }
}

impl ReadAt for Part {
    fn path(&self) -> &Path {
        &self.path
    }

    fn length(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = offset.checked_sub(self.start).map(|start| start as usize);
        let held = start.and_then(|start| self.bytes.get(start..)?.get(..buffer.len()));
        buffer.copy_from_slice(held.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Reads `length` bytes from `offset` on; the claim is checked before memory is taken.
///
/// Fails with `Damaged` where there are fewer, and `TooLarge` beyond `limit`.
pub fn read(source: &dyn ReadAt, offset: u64, length: u64, limit: u64) -> Result<Vec<u8>> {
    let refused = |error: DataError| error.at_path(source.path()).at_offset(offset);
    if offset.checked_add(length).is_none_or(|end| end > source.length()) {
        return Err(refused(cut(length, source.length().saturating_sub(offset))));
    }
    if length > limit {
        let message = format!("expected at most {limit} bytes, found {length}; make it smaller");
        return Err(refused(DataError::new(ErrorKind::TooLarge, message)));
    }
    let mut bytes = vec![0; length as usize];
    match source.read_exact_at(&mut bytes, offset) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(refused(cut(length, 0))),
        Err(error) => Err(refused(explained(error, source.path()))),
    }
}

/// The error as its source explained it, or in the words of the operating system.
fn explained(error: io::Error, path: &Path) -> DataError {
    error
        .downcast::<DataError>()
        .unwrap_or_else(|error| DataError::io(&error, path))
}

fn cut(expected: u64, found: u64) -> DataError {
    let message = format!("expected {expected} more bytes, found {found}: the file is cut or was changed; replace it");
    DataError::new(ErrorKind::Damaged, message)
}

/// An encoded medium inside of a larger file, read when it is needed.
#[derive(Debug, Clone)]
pub struct Stored {
    pub source: Arc<dyn ReadAt>,
    pub offset: u64,
    /// In the source, in bytes.
    pub length: u64,
    pub packing: Packing,
}

/// How the bytes of a medium lie in its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    Plain,
    /// Deflated, as in a zip archive.
    Deflated {
        /// The unpacked length in bytes.
        length: u64,
        /// The CRC-32 of the unpacked bytes.
        checksum: u32,
    },
}

impl Stored {
    /// The encoded medium.
    ///
    /// Fails with `Damaged` for a cut file or a wrong checksum, and with `TooLarge` beyond 1 GiB.
    pub fn read(&self) -> Result<Arc<[u8]>> {
        let bytes = read(&*self.source, self.offset, self.length, MAX_MEDIUM)?;
        match self.packing {
            Packing::Plain => Ok(bytes.into()),
            Packing::Deflated { length, checksum } => {
                let unpacked = inflate(&bytes, length, checksum);
                unpacked.map_err(|error| error.at_path(self.source.path()).at_offset(self.offset))
            }
        }
    }

    /// A name that no other medium has: file and position.
    pub fn place(&self) -> String {
        format!("{}:{}+{}", self.source.path().display(), self.offset, self.length)
    }
}

impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        let place = |stored: &Self| (stored.offset, stored.length, stored.packing);
        self.source.path() == other.source.path() && place(self) == place(other)
    }
}

fn inflate(bytes: &[u8], length: u64, checksum: u32) -> Result<Arc<[u8]>> {
    if length > MAX_MEDIUM {
        let message = format!("expected at most {MAX_MEDIUM} unpacked bytes, found {length}; make it smaller");
        return Err(DataError::new(ErrorKind::TooLarge, message));
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::CrcReader::new(flate2::read::DeflateDecoder::new(bytes)).take(length + 1);
    let read = reader.read_to_end(&mut unpacked);
    let whole = read.is_ok() && unpacked.len() as u64 == length && reader.into_inner().crc().sum() == checksum;
    match whole {
        true => Ok(unpacked.into()),
        false => Err(DataError::new(
            ErrorKind::Damaged,
            "expected a whole member of the archive, found one that is cut or altered; replace the archive",
        )),
    }
}

/// A source as a stream, for readers that seek.
#[derive(Debug, Clone)]
pub struct Cursor {
    source: Arc<dyn ReadAt>,
    at: u64,
}

impl Cursor {
    pub fn new(source: Arc<dyn ReadAt>, at: u64) -> Self {
        Self { source, at }
    }
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.length().saturating_sub(self.at);
        let count = left.min(buffer.len() as u64) as usize;
        self.source.read_exact_at(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.length().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bytes: &[u8]) -> Arc<dyn ReadAt> {
        Arc::new(Part {
            path: "a.tar".into(),
            start: 10,
            bytes: bytes.to_vec(),
        })
    }

    fn check(offset: u64, length: u64, expected: Result<&[u8], ErrorKind>) {
        let found = read(&*part(b"abcdef"), offset, length, 4);
        assert_eq!(found.map_err(|error| error.kind), expected.map(<[u8]>::to_vec));
    }

    #[test]
    fn a_claim_is_checked_against_the_file_and_the_limit() {
        check(10, 2, Ok(b"ab"));
        check(16, 0, Ok(b""));
        check(12, 5, Err(ErrorKind::Damaged));
        check(u64::MAX, 2, Err(ErrorKind::Damaged));
        check(10, u64::MAX, Err(ErrorKind::Damaged));
        check(10, 5, Err(ErrorKind::TooLarge));
        check(9, 1, Err(ErrorKind::Damaged));
    }

    #[test]
    fn a_deflated_medium_is_checked_by_length_and_checksum() {
        let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &[7; 900]).unwrap();
        let packed = packed.finish().unwrap();
        let mut crc = flate2::Crc::new();
        crc.update(&[7; 900]);
        let read = |length: u64, checksum: u32| {
            let packing = Packing::Deflated { length, checksum };
            let stored = Stored {
                source: part(&packed),
                offset: 10,
                length: packed.len() as u64,
                packing,
            };
            stored.read().map_err(|error| (error.kind, error.offset))
        };
        assert_eq!(read(900, crc.sum()).unwrap()[..], [7; 900]);
        assert_eq!(read(899, crc.sum()), Err((ErrorKind::Damaged, Some(10))));
        assert_eq!(read(901, crc.sum()), Err((ErrorKind::Damaged, Some(10))));
        assert_eq!(read(900, crc.sum() ^ 1), Err((ErrorKind::Damaged, Some(10))));
        assert_eq!(read(1 << 40, crc.sum()), Err((ErrorKind::TooLarge, Some(10))));
    }

    #[test]
    fn secrets_of_a_url_are_left_out() {
        for (url, expected) in [
            ("s3://bucket/a.tar", "s3://bucket/a.tar"),
            ("https://me:secret@host:1/a@b.tar?sig=c#d", "https://host:1/a@b.tar"),
            ("http://me@host?a=http://b/", "http://host/"),
        ] {
            assert_eq!(without_secrets(url), Path::new(expected), "{url}");
        }
    }

    #[test]
    fn a_file_that_was_cut_after_it_was_listed_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"abcd").unwrap();
        let file = LocalFile::new(&path).unwrap();
        std::fs::write(&path, b"ab").unwrap();
        assert_eq!(read(&file, 0, 4, 9).unwrap_err().kind, ErrorKind::Damaged);
        assert_eq!(LocalFile::new(folder.path()).unwrap_err().kind, ErrorKind::Invalid);
    }
}
