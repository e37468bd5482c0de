//! Whether a container is there to its end. ffmpeg plays what it finds; a cut file is an error.

use super::format::{Container, START, packet_length};
use crate::{DataError, ErrorKind, Result};
use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// The most parts that are walked over: beyond what the largest files have.
const MAX_PARTS: u64 = 1 << 26;

/// Walks over the parts of a container of `length` bytes, without decoding, to the place where it
/// says that it ends. Ogg pages also carry checksums, which are checked.
///
/// Transport and program streams and fragmented MP4 do not say where they end: one that is cut between
/// two packets or fragments cannot be told from a whole one.
///
/// # Errors
/// [`ErrorKind::Damaged`] with the offset of the part that does not fit.
pub fn check(container: Container, source: impl Read + Seek, length: u64) -> Result<()> {
    let mut walk = Walk {
        source: BufReader::with_capacity(64 << 10, source),
        at: 0,
        length,
        parts: 0,
    };
    let end = match container {
        _ if length == 0 => altered(),
        Container::Mp4 => walk.mp4(),
        Container::Matroska => walk.matroska(),
        Container::Avi => walk.avi(),
        Container::Ogg => walk.ogg(),
        Container::TransportStream => walk.transport_stream(),
        Container::ProgramStream => walk.program_stream(),
    };
    end.map_err(|error| explain(container, &error).at_offset(walk.at.min(length)))
}

fn explain(container: Container, error: &io::Error) -> DataError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            let message = format!(
                "expected a whole {} file, found one that is cut or altered; replace the file",
                container.name()
            );
            DataError::new(ErrorKind::Damaged, message)
        }
        _ => DataError::new(
            ErrorKind::Io,
            format!("expected to read the file, found: {error}; try again"),
        ),
    }
}

fn altered<T>() -> io::Result<T> {
    Err(io::ErrorKind::InvalidData.into())
}

/// A place in the file; every step fails beyond its end.
struct Walk<R> {
    source: BufReader<R>,
    at: u64,
    length: u64,
    parts: u64,
}

impl<R: Read + Seek> Walk<R> {
    /// Whether another part follows.
    fn more(&mut self) -> io::Result<bool> {
        self.parts += 1;
        match self.parts {
            ..MAX_PARTS => Ok(self.at < self.length),
            _ => altered(),
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<()> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.length);
        let Some(end) = end else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match i64::try_from(count) {
            Ok(count) => self.source.seek_relative(count)?,
            Err(_) => self.source.seek(SeekFrom::Start(end)).map(|_| ())?,
        }
        self.at = end;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.source.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Boxes of length and type (ISO 14496-12, section 4.2), among them the index and the media.
    fn mp4(&mut self) -> io::Result<()> {
        let (mut index, mut media) = (false, false);
        while self.more()? {
            let size = u64::from(u32::from_be_bytes(self.take()?));
            let kind: [u8; 4] = self.take()?;
            index |= &kind == b"moov";
            media |= &kind == b"mdat";
            // A fragment's index comes before its media.
            media &= &kind != b"moof";
            let (size, header) = match size {
                0 if &kind == b"mdat" => (self.length - self.at + 8, 8),
                1 => (u64::from_be_bytes(self.take()?), 16),
                size => (size, 8),
            };
            let Some(rest) = size.checked_sub(header) else {
                return altered();
            };
            self.skip(rest)?;
        }
        if index && media { Ok(()) } else { altered() }
    }

    /// Elements of identifier and length (RFC 8794); a segment or cluster of unknown length is
    /// entered.
    fn matroska(&mut self) -> io::Result<()> {
        const SEGMENT: u64 = 0x1853_8067;
        const CLUSTER: u64 = 0x1f43_b675;
        let mut segment = false;
        while self.more()? {
            let (identifier, _) = self.variable_number(true)?;
            segment |= identifier == SEGMENT;
            match self.variable_number(false)? {
                (_, true) if identifier == SEGMENT || identifier == CLUSTER => {}
                (_, true) => return altered(),
                (size, false) => self.skip(size)?,
            }
        }
        if segment { Ok(()) } else { altered() }
    }

    /// A number whose leading zero bits tell its length, and whether all of its bits are ones.
    fn variable_number(&mut self, with_marker: bool) -> io::Result<(u64, bool)> {
        let [first] = self.take()?;
        let more = first.leading_zeros();
        if more > 7 {
            return altered();
        }
        let mask = 0x7f_u8.checked_shr(more).unwrap_or(0);
        let mut number = u64::from(if with_marker { first } else { first & mask });
        let mut ones = first & mask == mask;
        for _ in 0..more {
            let [byte] = self.take()?;
            ones &= byte == 0xff;
            number = number << 8 | u64::from(byte);
        }
        Ok((number, ones))
    }

    /// One RIFF chunk, and in large files more behind it (OpenDML).
    fn avi(&mut self) -> io::Result<()> {
        while self.more()? {
            let kind: [u8; 4] = self.take()?;
            if &kind != b"RIFF" {
                return if self.at > 4 { Ok(()) } else { altered() };
            }
            let size = u64::from(u32::from_le_bytes(self.take()?));
            if size < 4 {
                return altered();
            }
            self.skip(size)?;
            if self.at % 2 == 1 && self.at < self.length {
                self.skip(1)?;
            }
        }
        Ok(())
    }

    /// Pages with checksums (RFC 3533, section 6); every stream that begins has to end.
    fn ogg(&mut self) -> io::Result<()> {
        let mut open = std::collections::BTreeSet::new();
        while self.more()? {
            let mut page = self.take::<27>()?.to_vec();
            let (flags, segments) = (page[5], page[26]);
            if !page.starts_with(b"OggS") {
                return altered();
            }
            self.extend(&mut page, usize::from(segments))?;
            let body = page[27..].iter().map(|&length| usize::from(length)).sum();
            self.extend(&mut page, body)?;
            let expected: [u8; 4] = page[22..26].try_into().expect("four bytes");
            page[22..26].fill(0);
            if ogg_checksum(&page) != u32::from_le_bytes(expected) {
                return altered();
            }
            let stream: [u8; 4] = page[14..18].try_into().expect("four bytes");
            if flags & 2 != 0 {
                open.insert(stream);
            }
            if flags & 4 != 0 {
                open.remove(&stream);
            }
        }
        if open.is_empty() { Ok(()) } else { altered() }
    }

    fn extend(&mut self, page: &mut Vec<u8>, count: usize) -> io::Result<()> {
        let start = page.len();
        page.resize(start + count, 0);
        self.source.read_exact(&mut page[start..])?;
        self.at += count as u64;
        Ok(())
    }

    /// Packets of one length, each with its sync byte (ISO 13818-1, section 2.4.3).
    fn transport_stream(&mut self) -> io::Result<()> {
        let mut start = Vec::new();
        self.source.by_ref().take(START as u64).read_to_end(&mut start)?;
        self.source.seek(SeekFrom::Start(0))?;
        let Some((length, offset)) = packet_length(&start) else {
            return altered();
        };
        while self.more()? {
            self.skip(offset as u64)?;
            if self.take()? != [0x47] {
                return altered();
            }
            self.skip((length - offset - 1) as u64)?;
        }
        Ok(())
    }

    /// Packs and packets behind start codes (ISO 13818-1, section 2.5.3) up to the end code or the
    /// end of the file.
    fn program_stream(&mut self) -> io::Result<()> {
        while self.more()? {
            let [zero, none, one, code] = self.take()?;
            if [zero, none, one] != [0, 0, 1] {
                return altered();
            }
            match code {
                0xb9 => return Ok(()),
                0xba => self.pack_header()?,
                0xbb.. => {
                    let length = u16::from_be_bytes(self.take()?);
                    self.skip(u64::from(length))?;
                }
                _ => return altered(),
            }
        }
        Ok(())
    }

    fn pack_header(&mut self) -> io::Result<()> {
        let [first] = self.take()?;
        if first >> 6 != 1 {
            // MPEG-1.
            return self.skip(7);
        }
        self.skip(8)?;
        let [stuffing] = self.take()?;
        self.skip(u64::from(stuffing & 7))
    }
}

/// The checksum of an Ogg page: CRC-32 of polynomial 0x04c11db7, neither reflected nor inverted.
fn ogg_checksum(page: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let mut sum = (index as u32) << 24;
            let mut bit = 0;
            while bit < 8 {
                sum = (sum << 1) ^ (0x04c1_1db7 * (sum >> 31));
                bit += 1;
            }
            table[index] = sum;
            index += 1;
        }
        table
    };
    page.iter()
        .fold(0, |sum, &byte| (sum << 8) ^ TABLE[((sum >> 24) as u8 ^ byte) as usize])
}

#[cfg(test)]
mod tests {
    use super::super::samples::{CONTAINERS, golden};
    use super::*;
    use std::io::Cursor;

    fn walk(container: Container, bytes: &[u8]) -> Result<()> {
        check(container, Cursor::new(bytes), bytes.len() as u64)
    }

    #[test]
    fn whole_files_are_whole_and_every_cut_is_noticed() {
        for (name, container) in CONTAINERS {
            let bytes = golden(name);
            walk(container, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            let unnoticed = (0..bytes.len()).filter(|&length| match walk(container, &bytes[..length]) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(
                        (error.kind, error.offset.is_some()),
                        (ErrorKind::Damaged, true),
                        "{name}"
                    );
                    false
                }
            });
            // A stream may end between any two packets or fragments.
            let expected = match container {
                Container::Mp4 => bytes.windows(4).filter(|it| it == b"moof").count(),
                // Two packets are needed to know such a stream.
                Container::TransportStream => bytes.len() / 188 - 2,
                Container::ProgramStream => 3,
                _ => 0,
            };
            assert_eq!(unnoticed.count(), expected, "{name}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_an_ogg_file_is_noticed() {
        let bytes = golden("theora.ogv");
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(walk(Container::Ogg, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_not_followed() {
        let huge = b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff";
        assert!(walk(Container::Mp4, huge).is_err());
        assert!(walk(Container::Matroska, b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe").is_err());
        assert!(walk(Container::Matroska, b"\x1a\x45\xdf\xa3\x00").is_err());
        assert!(walk(Container::Avi, b"RIFF\xff\xff\xff\xffAVI ").is_err());
        assert!(walk(Container::Mp4, b"\0\0\0\x04ftyp").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_end_the_walk(which in 0usize..6, bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            use Container::*;
            let container = [Mp4, Matroska, Avi, Ogg, TransportStream, ProgramStream][which];
            if let Err(error) = walk(container, &bytes) {
                assert_eq!(error.kind, ErrorKind::Damaged);
            }
        }
    }
}
