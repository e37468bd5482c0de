//! Ogg (RFC 3533): pages with sums, numbers and a mark on the last page of each stream.

use super::{Promise, Walk, damaged};
use crate::{DataError, ErrorKind, Result};
use std::ops::Range;

const NAME: &str = "Ogg";
/// Streams in one file; each costs a search for every page.
const MAX_STREAMS: usize = 64;

/// One stream of pages, as far as it has been followed.
struct Stream {
    serial: u32,
    codec: Codec,
    /// The number of the next page.
    next: u32,
    ended: bool,
    /// Samples up to the end of the last page that ends a packet.
    granule: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Vorbis,
    Flac,
    /// With the samples to drop at the start.
    Opus(u16),
    Other,
}

/// Follows all pages to the end of the file.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let range = start..bytes.len();
    let mut walk = Walk::new(NAME, bytes, range.clone());
    let mut streams: Vec<Stream> = Vec::new();
    while walk.left() > 0 {
        let place = walk.at;
        let page = Page::read(&mut walk, bytes)?;
        follow(&mut streams, &page, place)?;
    }
    if streams
        .iter()
        .any(|stream| stream.codec != Codec::Other && !stream.ended)
    {
        return Err(walk.fault("a stream without its last page"));
    }
    let stream = streams
        .iter()
        .find(|stream| stream.codec != Codec::Other)
        .ok_or_else(|| {
            let message = "expected Ogg audio in Vorbis, Opus or FLAC, found none of them; convert it to FLAC";
            DataError::new(ErrorKind::Unsupported, message)
        })?;
    promise(stream, range)
}

fn promise(stream: &Stream, range: Range<usize>) -> Result<Promise> {
    let skip = match stream.codec {
        Codec::Opus(skip) => u64::from(skip),
        _ => 0,
    };
    Ok(Promise {
        range,
        track: Some(stream.serial),
        skip,
        length: stream
            .granule
            .filter(|_| matches!(stream.codec, Codec::Opus(_)))
            .map(|granule| granule.saturating_sub(skip)),
        ..Promise::default()
    })
}

/// Takes the page into its stream.
fn follow(streams: &mut Vec<Stream>, page: &Page, place: usize) -> Result<()> {
    if page.flags & 2 != 0 {
        if streams
            .iter()
            .any(|stream| stream.ended || stream.serial == page.serial)
            || streams.len() == MAX_STREAMS
        {
            let message = "expected one Ogg stream, found several one after another; split the file";
            return Err(DataError::new(ErrorKind::Unsupported, message).at_offset(place as u64));
        }
        streams.push(Stream {
            serial: page.serial,
            codec: codec(page.content),
            next: page.number,
            ended: false,
            granule: None,
        });
    }
    let stream = streams.iter_mut().find(|stream| stream.serial == page.serial);
    let stream = stream.ok_or_else(|| damaged(NAME, place, "a page of a stream without a beginning"))?;
    if page.number != stream.next || stream.ended {
        return Err(damaged(NAME, place, "a stream that lacks pages"));
    }
    stream.next = stream.next.wrapping_add(1);
    stream.ended = page.flags & 4 != 0;
    if page.granule != u64::MAX {
        stream.granule = Some(page.granule);
    }
    Ok(())
}

fn codec(content: &[u8]) -> Codec {
    match content {
        _ if content.starts_with(b"\x01vorbis") => Codec::Vorbis,
        _ if content.starts_with(b"\x7fFLAC") => Codec::Flac,
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', _, _, low, high, ..] => {
            Codec::Opus(u16::from_le_bytes([*low, *high]))
        }
        _ => Codec::Other,
    }
}

struct Page<'a> {
    flags: u8,
    granule: u64,
    serial: u32,
    number: u32,
    content: &'a [u8],
}

impl<'a> Page<'a> {
    /// Reads the page and compares its sum.
    fn read(walk: &mut Walk<'a>, bytes: &'a [u8]) -> Result<Self> {
        let start = walk.clone();
        if walk.take()? != *b"OggS\0" {
            return Err(start.fault("bytes between its pages"));
        }
        let flags = walk.byte()?;
        let granule = u64::from_le_bytes(walk.take()?);
        let serial = u32::from_le_bytes(walk.take()?);
        let number = u32::from_le_bytes(walk.take()?);
        let sum = u32::from_le_bytes(walk.take()?);
        let segments = usize::from(walk.byte()?);
        let lengths = walk.inner(segments as u64)?;
        let length: usize = lengths.rest().iter().map(|&length| usize::from(length)).sum();
        let content = walk
            .inner(length as u64)
            .map_err(|_| start.fault("a page that is cut"))?;
        // The sum is taken with zeros in its own place.
        let parts = [&bytes[start.at..start.at + 22], &[0; 4], &bytes[start.at + 26..walk.at]];
        if parts.iter().fold(0, |sum, part| crc32(sum, part)) != sum {
            return Err(start.fault("a page whose checksum is wrong"));
        }
        Ok(Self {
            flags,
            granule,
            serial,
            number,
            content: content.rest(),
        })
    }
}

/// The sum of Ogg: polynomial 0x04c11db7, not reflected, from zero.
fn crc32(sum: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(sum, |sum, &byte| {
        sum << 8 ^ TABLE[usize::from((sum >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut sum, mut bit) = ((index as u32) << 24, 0);
        while bit < 8 {
            sum = sum << 1 ^ (if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 });
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

/// Writes the sum of the page at the start of `bytes`, so that tests can alter what lies below it.
#[cfg(test)]
pub fn seal(page: &mut [u8]) {
    page[22..26].fill(0);
    let sum = crc32(0, page);
    page[22..26].copy_from_slice(&sum.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_standard() {
        assert_eq!(crc32(0, b"123456789"), 0x89a1_897f);
        assert_eq!(crc32(crc32(0, b"1234"), b"56789"), 0x89a1_897f);
    }
}
