//! Whether a sound's container is there to its end. Decoders give fewer samples for a cut file
//! without a word; a cut file is an error.
//!
//! Each walk follows one container from its first byte to its last, without decoding and without
//! taking memory in proportion to what a header claims.

pub mod adts;
pub mod flac;
pub mod matroska;
pub mod mp4;
mod mp4_samples;
pub mod mpeg;
pub mod ogg;

use super::probe::tag_length;
use crate::{DataError, ErrorKind, Result};
use std::ops::Range;

/// What a container says of its sound; all numbers are samples per channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Promise {
    /// What the reader gets before that part: a plain header in place of the file's own.
    pub head: Vec<u8>,
    /// The part of the file that holds the container, without tags around it.
    pub range: Range<usize>,
    /// The track to decode, where there are several.
    pub track: Option<u32>,
    /// What the decoder must give before anything is trimmed.
    pub decoded: Option<u64>,
    /// Encoder delay to drop at the start.
    pub skip: u64,
    /// Encoder padding to drop at the end.
    pub padding: u64,
    /// What must remain; in place of `padding`.
    pub length: Option<u64>,
    /// Whether the packets fill the range without gaps.
    pub dense: bool,
}

/// One frame of a chain: a format without a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Length with its header.
    pub bytes: usize,
    pub samples: u64,
    pub sample_rate: u32,
    pub channels: u8,
}

/// The error for bytes that are cut or altered at `at`.
pub fn damaged(name: &str, at: usize, found: &str) -> DataError {
    let message = format!("expected whole {name} audio, found {found}; replace the file");
    DataError::new(ErrorKind::Damaged, message).at_offset(at as u64)
}

/// A place in a part of the bytes; every step beyond its end is an error that names the place.
#[derive(Clone)]
pub struct Walk<'a> {
    name: &'static str,
    bytes: &'a [u8],
    pub at: usize,
    pub end: usize,
}

impl<'a> Walk<'a> {
    pub fn new(name: &'static str, bytes: &'a [u8], range: Range<usize>) -> Self {
        Self {
            name,
            bytes,
            at: range.start,
            end: range.end.min(bytes.len()),
        }
    }

    pub fn left(&self) -> usize {
        self.end - self.at
    }

    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    pub fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = *self.rest().first_chunk().ok_or_else(|| self.cut())?;
        self.at += N;
        Ok(taken)
    }

    pub fn byte(&mut self) -> Result<u8> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    pub fn skip(&mut self, count: usize) -> Result<()> {
        if count > self.left() {
            return Err(self.cut());
        }
        self.at += count;
        Ok(())
    }

    /// The next `count` bytes as a walk of their own.
    pub fn inner(&mut self, count: u64) -> Result<Self> {
        let start = self.at;
        self.skip(usize::try_from(count).unwrap_or(usize::MAX))?;
        Ok(Self::new(self.name, self.bytes, start..self.at))
    }

    /// The error for an end that comes too early.
    pub fn cut(&self) -> DataError {
        self.fault("one whose end is missing or whose lengths are wrong")
    }

    /// The error for something else that is wrong here.
    pub fn fault(&self, found: &str) -> DataError {
        damaged(self.name, self.at, found)
    }
}

/// Follows a chain of frames through `range`, over ID3 tags between joined files; `count` sees each
/// frame's bytes. Gives the end of the last frame.
pub fn chain(
    name: &'static str,
    bytes: &[u8],
    range: Range<usize>,
    frame: fn(&[u8]) -> Option<Frame>,
    mut count: impl FnMut(Frame, &[u8]),
) -> Result<usize> {
    let mut walk = Walk::new(name, bytes, range);
    let first = frame(walk.rest());
    let mut end = walk.at;
    while walk.left() > 0 {
        if let Some(length) = tag_length(walk.rest()) {
            walk.skip(length)?;
            continue;
        }
        let next = frame(walk.rest()).filter(|next| {
            first.is_some_and(|first| (first.sample_rate, first.channels) == (next.sample_rate, next.channels))
        });
        let next = next.ok_or_else(|| walk.fault("bytes that are no frame"))?;
        let place = walk.clone();
        walk.skip(next.bytes).map_err(|_| place.fault("a frame that is cut"))?;
        count(next, &place.rest()[..next.bytes]);
        end = walk.at;
    }
    Ok(end)
}

/// The end of the sound before the tags that may follow it: ID3v1, APEv2 and Lyrics3.
pub fn before_tags(bytes: &[u8], start: usize) -> usize {
    let mut end = bytes.len();
    while let Some(length) = trailing_tag(&bytes[start..end]) {
        end -= length;
    }
    end
}

fn trailing_tag(bytes: &[u8]) -> Option<usize> {
    let last = |count: usize| Some(&bytes[bytes.len().checked_sub(count)?..]);
    let length = if last(128).is_some_and(|tag| tag.starts_with(b"TAG")) {
        128
    } else if let Some(footer) = last(32).filter(|footer| footer.starts_with(b"APETAGEX")) {
        let word = |at: usize| u32::from_le_bytes([footer[at], footer[at + 1], footer[at + 2], footer[at + 3]]);
        let header = if word(20) & 0x8000_0000 != 0 { 32 } else { 0 };
        (word(12) as usize).max(32) + header
    } else {
        let footer = last(15).filter(|footer| footer.ends_with(b"LYRICS200"))?;
        let size: usize = std::str::from_utf8(&footer[..6]).ok()?.parse().ok()?;
        size + 15
    };
    (length <= bytes.len()).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_tags(tags: &[&[u8]], expected: usize) {
        let bytes = [&b"0123456789"[..], &tags.concat()].concat();
        assert_eq!(before_tags(&bytes, 2), expected, "{tags:02x?}");
    }

    #[test]
    fn tags_behind_a_sound_are_not_sound() {
        let id3: &[u8] = &[&b"TAG"[..], &[0; 125]].concat();
        let ape: &[u8] = b"itemAPETAGEX\xd0\x07\0\0\x24\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let lyrics: &[u8] = b"LYRICSBEGINxyz000014LYRICS200";
        check_tags(&[], 10);
        check_tags(&[id3], 10);
        check_tags(&[ape, id3], 10);
        check_tags(&[ape, lyrics, id3], 10);
        check_tags(&[b"TAG"], 13);
        check_tags(&[&ape[4..]], 6);
    }

    #[test]
    fn a_walk_never_leaves_its_part() {
        let mut walk = Walk::new("test", b"\0\0\0\x05abcdefgh", 0..9);
        assert_eq!(walk.u32().unwrap(), 5);
        let mut inner = walk.inner(3).unwrap();
        assert_eq!(inner.rest(), b"abc");
        assert_eq!(inner.take::<4>().unwrap_err().offset, Some(4));
        assert_eq!(walk.inner(u64::MAX).err().unwrap().offset, Some(7));
        assert_eq!(walk.rest(), b"de");
    }
}
