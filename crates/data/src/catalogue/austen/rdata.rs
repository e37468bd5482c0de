//! Character vectors from a data base of R, which packages keep their data in.
//!
//! Each value is the size of its serialisation (four bytes, the highest first) and the serialisation
//! as a zlib stream; see "Serialization Formats" in the manual "R Internals".

use crate::{DataError, ErrorKind, Result};
use flate2::bufread::ZlibDecoder;
use std::io::Read;

/// The largest serialisation that is read, in bytes.
const LARGEST: u32 = 16 << 20;
/// The types of values that are read; the lowest byte of an item's flags.
const CHARACTERS: u32 = 9;
const CHARACTER_VECTOR: u32 = 16;

/// Every value of a data base, in order; each must be a character vector.
///
/// Fails with `Damaged` for another content and with `TooLarge` for a value of more than 16 MiB.
pub(super) fn character_vectors(mut bytes: &[u8]) -> Result<Vec<Vec<String>>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let size = Reader(&mut bytes).number()?;
        if size > LARGEST {
            let message = format!("expected at most {LARGEST} bytes in a value, found {size}");
            return Err(DataError::new(ErrorKind::TooLarge, message));
        }
        let mut value = Vec::new();
        let mut stream = ZlibDecoder::new(bytes).take(u64::from(size) + 1);
        let read = stream.read_to_end(&mut value);
        if read.is_err() || value.len() != size as usize {
            return Err(damaged(format!("a zlib stream of {size} bytes"), "another"));
        }
        bytes = stream.into_inner().into_inner();
        values.push(character_vector(&value)?);
    }
    Ok(values)
}

/// Reads a serialisation of version 2 or 3 in the portable binary format.
fn character_vector(mut bytes: &[u8]) -> Result<Vec<String>> {
    let mut reader = Reader(&mut bytes);
    if reader.bytes(2)? != b"X\n" {
        return Err(damaged("a portable binary serialisation".to_string(), "another"));
    }
    let version = reader.number()?;
    // The versions of R that wrote it and that it needs at least.
    reader.bytes(8)?;
    match version {
        2 => {}
        3 => {
            let encoding = reader.number()?;
            reader.bytes(encoding)?;
        }
        _ => return Err(damaged("version 2 or 3".to_string(), &version.to_string())),
    }
    reader.item(CHARACTER_VECTOR)?;
    let count = reader.number()?;
    let mut texts = Vec::new();
    for _ in 0..count {
        reader.item(CHARACTERS)?;
        let length = reader.number()?;
        let text = std::str::from_utf8(reader.bytes(length)?);
        let text = text.map_err(|error| damaged("text in UTF-8".to_string(), &error.to_string()))?;
        texts.push(text.to_string());
    }
    match bytes.is_empty() {
        true => Ok(texts),
        // Attributes such as names follow.
        false => Err(damaged("a plain character vector".to_string(), "more behind it")),
    }
}

/// Takes parts from the front of bytes.
struct Reader<'a, 'b>(&'b mut &'a [u8]);

impl<'a> Reader<'a, '_> {
    fn bytes(&mut self, count: u32) -> Result<&'a [u8]> {
        let (part, rest) = self
            .0
            .split_at_checked(count as usize)
            .ok_or_else(|| damaged(format!("{count} more bytes"), &self.0.len().to_string()))?;
        *self.0 = rest;
        Ok(part)
    }

    fn number(&mut self) -> Result<u32> {
        let mut number = [0; 4];
        number.copy_from_slice(self.bytes(4)?);
        Ok(u32::from_be_bytes(number))
    }

    /// The flags of an item, of which the lowest byte is its type.
    fn item(&mut self, expected: u32) -> Result<()> {
        match self.number()? & 0xff {
            found if found == expected => Ok(()),
            found => Err(damaged(format!("an item of type {expected}"), &format!("type {found}"))),
        }
    }
}

fn damaged(expected: String, found: &str) -> DataError {
    let message = format!("expected {expected} in the data base of R, found {found}");
    DataError::new(ErrorKind::Damaged, message)
}

/// The serialisation of a character vector, for tests.
#[cfg(test)]
fn serialise(texts: &[&str]) -> Vec<u8> {
    let mut bytes = b"X\n".to_vec();
    let numbers = |bytes: &mut Vec<u8>, numbers: &[u32]| {
        numbers.iter().for_each(|number| bytes.extend(number.to_be_bytes()));
    };
    numbers(&mut bytes, &[3, 0x04_02_01, 0x03_05_00, 5]);
    bytes.extend(b"UTF-8");
    numbers(&mut bytes, &[CHARACTER_VECTOR, texts.len() as u32]);
    for text in texts {
        numbers(&mut bytes, &[0x4_0000 | CHARACTERS, text.len() as u32]);
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A data base, for tests.
#[cfg(test)]
pub(super) fn write(values: &[&[&str]]) -> Vec<u8> {
    let packed = values.iter().flat_map(|texts| pack(&serialise(texts)));
    packed.collect()
}

#[cfg(test)]
fn pack(value: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(value).unwrap();
    let mut bytes = (value.len() as u32).to_be_bytes().to_vec();
    bytes.extend(packed.finish().unwrap());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(values: &[&[&str]]) {
        assert_eq!(character_vectors(&write(values)).unwrap(), values);
    }

    #[test]
    fn vectors_come_back() {
        check(&[]);
        check(&[&["EMMA", "", "By Jane Austen"], &[], &["caf\u{e9}"]]);
    }

    fn check_damaged(bytes: &[u8], part: &str) {
        let error = character_vectors(bytes).unwrap_err();
        assert!(error.message.contains(part), "{error}");
    }

    #[test]
    fn other_contents_are_refused() {
        let whole = write(&[&["some text", "more"]]);
        (1..whole.len()).for_each(|cut| check_damaged(&whole[..cut], "expected"));
        let changed = |place: usize, byte: u8| {
            let mut value = serialise(&["some text"]);
            value[place] = byte;
            pack(&value)
        };
        check_damaged(&changed(0, b'A'), "portable binary");
        check_damaged(&changed(5, 4), "version 2 or 3");
        check_damaged(&changed(26, 19), "type 19");
        // A count and a length that the bytes do not hold.
        check_damaged(&changed(27, 255), "4 more bytes");
        check_damaged(&changed(35, 255), "more bytes");
        let mut attributes = serialise(&["a"]);
        attributes.extend([0, 0, 4, 2]);
        check_damaged(&pack(&attributes), "more behind it");
        check_damaged(&[255, 0, 0, 0, 1], "at most");
        let mut longer = pack(&serialise(&["a"]));
        longer[3] -= 1;
        check_damaged(&longer, "a zlib stream of");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(place in 0_usize..60, byte: u8, tail in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut value = serialise(&["some text", "more"]);
            if let Some(known) = value.get_mut(place) {
                *known = byte;
            }
            value.extend(tail);
            let _ = character_vectors(&pack(&value));
            let _ = character_vectors(&value);
        }
    }
}
