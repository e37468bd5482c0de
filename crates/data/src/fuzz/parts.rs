//! The parts that files are made of, so that mutations reach what lies in them.

use std::ops::Range;

/// One part of a file: a chunk, a page, a box, a frame, a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub start: usize,
    /// Where its content starts, and its parts where it has some.
    pub body: usize,
    pub end: usize,
    /// Where its length is written, and whether the highest byte comes first.
    pub length: Option<(Range<usize>, bool)>,
    /// Whether its content is made of parts.
    pub holds_parts: bool,
}

/// Tells the part that starts at a position; it may end beyond the bytes.
pub type Grammar = fn(&[u8], usize) -> Option<Part>;

/// More parts than these are left alone.
const MOST: usize = 2000;

/// All parts in the order of their starts, as far as the bytes follow the grammar.
pub fn parts(grammar: Grammar, bytes: &[u8]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while at < bytes.len() && parts.len() < MOST {
        let part = grammar(bytes, at).filter(|part| part.end > at && part.body > at && part.end <= bytes.len());
        let Some(part) = part else {
            break;
        };
        at = if part.holds_parts { part.body } else { part.end };
        parts.push(part);
    }
    parts
}

fn plain(start: usize, body: usize, end: usize) -> Option<Part> {
    Some(Part {
        start,
        body,
        end,
        length: None,
        holds_parts: false,
    })
}

/// A number of up to eight bytes.
fn number(bytes: &[u8], range: Range<usize>, highest_first: bool) -> Option<usize> {
    let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
    let bytes = bytes.get(range)?.iter();
    Some(match highest_first {
        true => bytes.fold(0, add),
        false => bytes.rev().fold(0, add),
    })
}

/// Pieces of one length.
pub fn every<const LENGTH: usize>(bytes: &[u8], at: usize) -> Option<Part> {
    let end = bytes.len().min(at + LENGTH);
    plain(at, (at + LENGTH / 4).max(at + 1).min(end), end)
}

/// Pieces that begin with two bytes that `is_start` knows.
fn marked(bytes: &[u8], at: usize, is_start: fn(u8, u8) -> bool) -> Option<Part> {
    let rest = bytes.get(at + 1..)?;
    let next = rest.windows(2).position(|pair| is_start(pair[0], pair[1]));
    let end = next.map_or(bytes.len(), |next| at + 1 + next);
    plain(at, (at + 4).min(end), end)
}

pub fn lines(bytes: &[u8], at: usize) -> Option<Part> {
    let rest = bytes.get(at..)?;
    let end = rest
        .iter()
        .position(|&byte| byte == b'\n')
        .map_or(bytes.len(), |line| at + line + 1);
    plain(at, at + 1, end)
}

/// The records of a zip archive.
pub fn zip(bytes: &[u8], at: usize) -> Option<Part> {
    marked(bytes, at, |first, second| (first, second) == (b'P', b'K'))
}

/// The frames of MP3 and of AAC in ADTS.
pub fn frames(bytes: &[u8], at: usize) -> Option<Part> {
    marked(bytes, at, |first, second| first == 0xff && second & 0xe0 == 0xe0)
}

/// Packs and packets of an MPEG program stream.
pub fn start_codes(bytes: &[u8], at: usize) -> Option<Part> {
    let next = bytes.get(at + 1..)?.windows(3).position(|code| code == [0, 0, 1]);
    let end = next.map_or(bytes.len(), |next| at + 1 + next);
    plain(at, (at + 6).min(end), end)
}

/// The blocks of metadata and the frames of FLAC.
pub fn flac(bytes: &[u8], at: usize) -> Option<Part> {
    match bytes[at] {
        _ if at == 0 => plain(0, 4, 4),
        0xff => marked(bytes, at, |first, second| first == 0xff && second & 0xfe == 0xf8),
        _ => Some(Part {
            length: Some((at + 1..at + 4, true)),
            ..plain(at, at + 4, at + 4 + number(bytes, at + 1..at + 4, true)?)?
        }),
    }
}

pub fn png(bytes: &[u8], at: usize) -> Option<Part> {
    if at == 0 {
        return plain(0, 8, 8);
    }
    Some(Part {
        length: Some((at..at + 4, true)),
        ..plain(at, at + 8, at + 12 + number(bytes, at..at + 4, true)?)?
    })
}

/// WAV, AVI and WebP.
pub fn riff(bytes: &[u8], at: usize) -> Option<Part> {
    let length = number(bytes, at + 4..at + 8, false)?;
    let holds_parts = at == 0 || bytes[at..].starts_with(b"LIST");
    Some(Part {
        length: Some((at + 4..at + 8, false)),
        holds_parts,
        ..plain(
            at,
            at + if holds_parts { 12 } else { 8 },
            (at + 8 + length + length % 2).min(bytes.len()),
        )?
    })
}

pub fn ogg(bytes: &[u8], at: usize) -> Option<Part> {
    let segments = usize::from(*bytes.get(at + 26).filter(|_| bytes[at..].starts_with(b"OggS"))?);
    let lengths = bytes.get(at + 27..at + 27 + segments)?.iter();
    let body = at + 27 + segments;
    plain(
        at,
        body,
        body + lengths.map(|&length| usize::from(length)).sum::<usize>(),
    )
}

/// MP4: boxes in boxes.
pub fn boxes(bytes: &[u8], at: usize) -> Option<Part> {
    const HOLDERS: [&[u8]; 12] = [
        b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta", b"moof", b"traf", b"edts", b"dinf", b"mvex", b"ilst",
    ];
    Some(Part {
        length: Some((at..at + 4, true)),
        holds_parts: HOLDERS.contains(&bytes.get(at + 4..at + 8)?),
        ..plain(at, at + 8, at + number(bytes, at..at + 4, true)?)?
    })
}

/// Matroska and WebM: elements in elements.
pub fn elements(bytes: &[u8], at: usize) -> Option<Part> {
    const HOLDERS: [&[u8]; 8] = [
        b"\x1a\x45\xdf\xa3",
        b"\x18\x53\x80\x67",
        b"\x16\x54\xae\x6b",
        b"\xae",
        b"\xe1",
        b"\x1f\x43\xb6\x75",
        b"\xa0",
        b"\x1c\x53\xbb\x6b",
    ];
    let width = |at: usize| bytes.get(at).map(|byte| byte.leading_zeros() as usize + 1);
    let length = at + width(at)?..at + width(at)? + width(at + width(at)?)?;
    let marker = 1usize.checked_shl(7 * length.len() as u32)?;
    let content = number(bytes, length.clone(), true)? & (marker - 1);
    let holds_parts = HOLDERS.contains(&&bytes[at..length.start]);
    let end = length.end.saturating_add(content).min(bytes.len());
    Some(Part {
        length: Some((length.clone(), true)),
        holds_parts,
        ..plain(at, length.end, end)?
    })
}

/// Segments behind markers, and entropy-coded data between two of them.
pub fn jpeg(bytes: &[u8], at: usize) -> Option<Part> {
    if bytes[at] != 0xff {
        return marked(bytes, at, |first, second| first == 0xff && second != 0);
    }
    match bytes.get(at + 1)? {
        0xd0..=0xd9 => plain(at, at + 2, at + 2),
        _ => Some(Part {
            length: Some((at + 2..at + 4, true)),
            ..plain(at, at + 4, at + 2 + number(bytes, at + 2..at + 4, true)?)?
        }),
    }
}

/// Header, extensions and pictures, each with its blocks.
pub fn gif(bytes: &[u8], at: usize) -> Option<Part> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 6 << (flags & 7) };
    let body = match bytes[at] {
        b'G' if at == 0 => {
            let end = 13 + table(*bytes.get(10)?);
            return plain(0, end, end);
        }
        0x21 => at + 2,
        0x2c => at + 11 + table(*bytes.get(at + 9)?),
        _ => return plain(at, at + 1, at + 1),
    };
    let mut end = body;
    while let length @ 1.. = usize::from(*bytes.get(end)?) {
        end += length + 1;
    }
    plain(at, body, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The golden file is parts from its first byte to its last.
    fn check(name: &str, grammar: Grammar, fewest: usize) {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference");
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let parts = parts(grammar, &bytes);
        assert!(parts.len() >= fewest, "{name}: {} parts", parts.len());
        assert_eq!(parts.last().unwrap().end, bytes.len(), "{name}");
    }

    #[test]
    fn golden_files_are_parts_to_their_ends() {
        check("pictures/palette.png", png, 5);
        check("video/animated.gif", gif, 60);
        check("pictures/animated.webp", riff, 5);
        check("pictures/progressive.jpg", jpeg, 10);
        check("audio/s16.wav", riff, 3);
        check("audio/s16.flac", flac, 5);
        check("audio/stereo.mp3", frames, 3);
        check("audio/mono.ogg", ogg, 3);
        check("audio/stereo.m4a", boxes, 20);
        check("audio/opus.webm", elements, 20);
        check("video/mpeg2.mpg", start_codes, 3);
        check("video/mpeg2.ts", every::<188>, 50);
    }
}
