//! TensorBoard event files: scalars as hand-encoded `Event` messages in checksummed records.
//!
//! A record is `length: u64, masked_crc(length): u32, data: [u8; length], masked_crc(data): u32`,
//! all little-endian, with CRC-32C (TensorFlow `core/lib/io/record_writer.h`); the data is one
//! protocol buffer message of TensorFlow's `core/util/event.proto`.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The first record of every event file holds this.
const FILE_VERSION: &str = "brain.Event:2";

/// Fields of `Event`, `Summary` and `Summary.Value`: number and wire type as one byte.
mod field {
    pub const EVENT_WALL_TIME: u8 = 1 << 3 | DOUBLE;
    pub const EVENT_STEP: u8 = 2 << 3 | VARINT;
    pub const EVENT_FILE_VERSION: u8 = 3 << 3 | BYTES;
    pub const EVENT_SUMMARY: u8 = 5 << 3 | BYTES;
    pub const SUMMARY_VALUE: u8 = 1 << 3 | BYTES;
    pub const VALUE_TAG: u8 = 1 << 3 | BYTES;
    pub const VALUE_SIMPLE: u8 = 2 << 3 | FLOAT;
    const VARINT: u8 = 0;
    const DOUBLE: u8 = 1;
    const BYTES: u8 = 2;
    const FLOAT: u8 = 5;
}

/// Appends scalars to one event file, which TensorBoard reads while it grows.
///
/// What is written reaches the disk on [`EventWriter::flush`] and when the writer is dropped.
#[derive(Debug)]
pub struct EventWriter {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventWriter {
    /// Opens a new file `events.out.tfevents.SECONDS.sensorium` in `folder`, which is created if
    /// absent. An existing file is never appended to: a resumed run gets a file of its own, and
    /// TensorBoard joins the files of a folder.
    ///
    /// # Errors
    /// When the folder or the file cannot be created or written; the message names the path.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder).map_err(|error| explain(error, "create the folder", folder))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (path, file) = open_first_free(folder, now.as_secs())?;
        let mut writer = Self {
            file: BufWriter::new(file),
            path,
        };
        let mut event = Vec::new();
        put_double(&mut event, field::EVENT_WALL_TIME, now.as_secs_f64());
        put_bytes(&mut event, field::EVENT_FILE_VERSION, FILE_VERSION.as_bytes());
        writer.record(&event)?;
        writer.flush()?;
        Ok(writer)
    }

    /// Writes one scalar. `wall_time` is in seconds since 1970; the format stores `value` in
    /// single precision. Values that are not finite are kept, and TensorBoard marks them.
    ///
    /// # Errors
    /// When the file cannot be written; the message names the path.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64, wall_time: f64) -> io::Result<()> {
        self.record(&scalar_event(tag, step, value, wall_time))
    }

    /// Hands what is buffered to the operating system, so that TensorBoard sees it.
    ///
    /// # Errors
    /// When the file cannot be written; the message names the path.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush().map_err(|error| explain(error, "write", &self.path))
    }

    /// Frames one message as a record.
    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(data.len() + 16);
        frame.extend(length);
        frame.extend(masked_crc(&length).to_le_bytes());
        frame.extend(data);
        frame.extend(masked_crc(data).to_le_bytes());
        self.file
            .write_all(&frame)
            .map_err(|error| explain(error, "write", &self.path))
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // There is nobody to tell here; callers who must know call `flush` first.
        let _ = self.flush();
    }
}

/// Two runs that start within one second must not share a file, so the later takes the next second.
fn open_first_free(folder: &Path, from: u64) -> io::Result<(PathBuf, File)> {
    let mut seconds = from;
    loop {
        let path = folder.join(format!("events.out.tfevents.{seconds:010}.sensorium"));
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => seconds += 1,
            Err(error) => return Err(explain(error, "create", &path)),
        }
    }
}

fn explain(error: io::Error, action: &str, path: &Path) -> io::Error {
    let place = path.display();
    let advice = "check that the folder is writable and the disk is not full";
    io::Error::new(error.kind(), format!("cannot {action} {place}: {error}; {advice}"))
}

fn scalar_event(tag: &str, step: u64, value: f64, wall_time: f64) -> Vec<u8> {
    let mut entry = Vec::new();
    put_bytes(&mut entry, field::VALUE_TAG, tag.as_bytes());
    entry.push(field::VALUE_SIMPLE);
    entry.extend((value as f32).to_le_bytes());
    let mut summary = Vec::new();
    put_bytes(&mut summary, field::SUMMARY_VALUE, &entry);
    let mut event = Vec::new();
    put_double(&mut event, field::EVENT_WALL_TIME, wall_time);
    event.push(field::EVENT_STEP);
    put_varint(&mut event, step);
    put_bytes(&mut event, field::EVENT_SUMMARY, &summary);
    event
}

fn put_double(out: &mut Vec<u8>, key: u8, value: f64) {
    out.push(key);
    out.extend(value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, key: u8, bytes: &[u8]) {
    out.push(key);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A checksum stored beside data that holds checksums is rotated and offset (TensorFlow
/// `core/lib/hash/crc32c.h`).
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One value of a decoded message: its bytes, or a number as raw bits.
    #[derive(Debug, Clone, PartialEq)]
    enum Wire {
        Bits(u64),
        Bytes(Vec<u8>),
    }

    #[derive(Debug, PartialEq)]
    struct Scalar {
        tag: String,
        step: u64,
        value: f32,
        wall_time: f64,
    }

    fn varint(bytes: &[u8], at: &mut usize) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[*at];
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn message(bytes: &[u8]) -> Vec<(u64, Wire)> {
        let (mut at, mut fields) = (0, Vec::new());
        while at < bytes.len() {
            let key = varint(bytes, &mut at);
            let size = match key & 7 {
                0 => {
                    fields.push((key >> 3, Wire::Bits(varint(bytes, &mut at))));
                    continue;
                }
                1 => 8,
                2 => varint(bytes, &mut at) as usize,
                5 => 4,
                other => panic!("wire type {other} at byte {at}"),
            };
            let part = bytes[at..at + size].to_vec();
            at += size;
            let mut bits = [0; 8];
            fields.push((
                key >> 3,
                match key & 7 {
                    2 => Wire::Bytes(part),
                    _ => {
                        bits[..size].copy_from_slice(&part);
                        Wire::Bits(u64::from_le_bytes(bits))
                    }
                },
            ));
        }
        fields
    }

    /// A bit-by-bit CRC-32C, so that the framing is checked against something other than itself.
    fn slow_masked_crc(data: &[u8]) -> u32 {
        let crc = !data.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 }
            })
        });
        crc.rotate_left(17).wrapping_add(0xa282_ead8)
    }

    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let crc = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            assert_eq!(crc, slow_masked_crc(&bytes[..8]));
            let data = &bytes[12..12 + length];
            let crc = u32::from_le_bytes(bytes[12 + length..16 + length].try_into().unwrap());
            assert_eq!(crc, slow_masked_crc(data));
            records.push(data.to_vec());
            bytes = &bytes[16 + length..];
        }
        records
    }

    fn bytes(fields: &[(u64, Wire)], number: u64) -> Vec<u8> {
        match fields.iter().find(|one| one.0 == number) {
            Some((_, Wire::Bytes(bytes))) => bytes.clone(),
            other => panic!("field {number}: {other:?}"),
        }
    }

    fn bits(fields: &[(u64, Wire)], number: u64) -> u64 {
        match fields.iter().find(|one| one.0 == number) {
            Some((_, Wire::Bits(bits))) => *bits,
            other => panic!("field {number}: {other:?}"),
        }
    }

    fn scalar(event: &[u8]) -> Scalar {
        let event = message(event);
        let entry = message(&bytes(&message(&bytes(&event, 5)), 1));
        Scalar {
            tag: String::from_utf8(bytes(&entry, 1)).unwrap(),
            step: bits(&event, 2),
            value: f32::from_bits(bits(&entry, 2) as u32),
            wall_time: f64::from_bits(bits(&event, 1)),
        }
    }

    #[test]
    fn scalars_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            ("training/loss", 0, 2.5, 1.0e9),
            ("validation/answer/accuracy", 127, 0.125, 1.7e9),
            ("größe", 128, -0.1, 1_700_000_000.25),
            ("far", 1 << 40, f64::INFINITY, 0.0),
        ];
        let mut writer = EventWriter::create(&folder.path().join("a/b")).unwrap();
        for (tag, step, value, wall_time) in rows {
            writer.scalar(tag, step, value, wall_time).unwrap();
        }
        let path = writer.path.clone();
        drop(writer);

        let records = records(&fs::read(path).unwrap());
        assert_eq!(bytes(&message(&records[0]), 3), FILE_VERSION.as_bytes());
        assert!(f64::from_bits(bits(&message(&records[0]), 1)) > 1.6e9);
        assert_eq!(records.len(), 1 + rows.len());
        for (record, (tag, step, value, wall_time)) in records[1..].iter().zip(rows) {
            let expected = Scalar {
                tag: tag.into(),
                step,
                value: value as f32,
                wall_time,
            };
            assert_eq!(scalar(record), expected);
        }
    }

    #[test]
    fn known_checksum() {
        // RFC 3720, appendix B.4: 32 bytes of zeros.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked_crc(&[0; 32]), slow_masked_crc(&[0; 32]));
    }

    #[test]
    fn writers_of_the_same_second_get_files_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let writers = [(); 3].map(|()| EventWriter::create(folder.path()).unwrap());
        let names: std::collections::BTreeSet<_> = writers.iter().map(|writer| writer.path.as_path()).collect();
        assert_eq!(names.len(), 3);
        for name in names {
            let name = name.file_name().unwrap().to_str().unwrap();
            let seconds = name.strip_prefix("events.out.tfevents.").unwrap();
            let seconds = seconds.strip_suffix(".sensorium").unwrap();
            assert!(seconds.len() == 10 && seconds.parse::<u64>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = EventWriter::create(&file.path().join("inside")).unwrap_err();
        assert!(
            error.to_string().contains(&file.path().display().to_string()),
            "{error}"
        );
    }
}
