//! Matroska and WebM (RFC 9559): elements within elements, to the end of the segment.

use super::{Promise, Walk, damaged};
use crate::{DataError, ErrorKind, Result};

const NAME: &str = "Matroska";
const SEGMENT: u32 = 0x1853_8067;
const CLUSTER: u32 = 0x1f43_b675;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK: u32 = 0xae;
const BLOCK_GROUP: u32 = 0xa0;
/// Elements that lie directly in a segment, and so end a cluster of unknown size.
const TOP: [u32; 8] = [
    CLUSTER,
    TRACKS,
    0x114d_9b74,
    0x1549_a966,
    0x1c53_bb6b,
    0x1941_a469,
    0x1043_a770,
    0x1254_c367,
];
/// Elements that may lie in a cluster: time, position, size, blocks, groups, sums, padding.
const IN_CLUSTER: [u32; 8] = [0xe7, 0xa7, 0xab, 0xa3, BLOCK_GROUP, 0xbf, 0xec, 0x5854];

/// The first track of sound, as far as it is needed.
#[derive(Default, Clone, Copy)]
struct Track {
    number: u64,
    sound: bool,
    opus: bool,
    sample_rate: f64,
    /// Nanoseconds to drop at the start.
    delay: u64,
}

#[derive(Default)]
struct Found {
    segment: bool,
    track: Option<Track>,
    blocks: usize,
    /// Nanoseconds to drop at the end.
    discard: u64,
}

/// Follows all elements to the end of the file.
pub fn check(bytes: &[u8], start: usize) -> Result<Promise> {
    let range = start..bytes.len();
    let mut walk = Walk::new(NAME, bytes, range.clone());
    let mut found = Found::default();
    while walk.left() > 0 {
        let (kind, mut content) = element(&mut walk)?;
        if kind == SEGMENT {
            segment(&mut content, &mut found)?;
            found.segment = true;
        }
    }
    if !found.segment {
        return Err(walk.cut());
    }
    let track = found.track.ok_or_else(|| {
        let message = "expected audio, found a Matroska file without a sound track; leave the audio out of this row";
        DataError::new(ErrorKind::Unsupported, message)
    })?;
    if found.blocks == 0 {
        return Err(damaged(NAME, bytes.len(), "a sound track without sound"));
    }
    let samples = |nanoseconds: u64| (nanoseconds as f64 * 1e-9 * track.sample_rate).round() as u64;
    Ok(Promise {
        range,
        track: u32::try_from(track.number).ok(),
        skip: samples(track.delay),
        padding: samples(found.discard),
        ..Promise::default()
    })
}

fn segment(walk: &mut Walk, found: &mut Found) -> Result<()> {
    while walk.left() > 0 {
        match element(walk)? {
            (TRACKS, content) => tracks(content, found)?,
            (CLUSTER, mut content) => {
                cluster(&mut content, found)?;
                // A cluster of unknown size took all that was left, and ends where it stopped.
                walk.at = walk.at.min(content.at);
            }
            _ => {}
        }
    }
    Ok(())
}

fn cluster(walk: &mut Walk, found: &mut Found) -> Result<()> {
    while walk.left() > 0 {
        let place = walk.at;
        let (kind, mut content) = element(walk)?;
        match kind {
            0xa3 => block(&mut content, found)?,
            BLOCK_GROUP => group(content, found)?,
            _ if TOP.contains(&kind) => {
                walk.at = place;
                return Ok(());
            }
            _ if IN_CLUSTER.contains(&kind) => {}
            _ => return Err(damaged(NAME, place, "bytes that are no element")),
        }
    }
    Ok(())
}

fn group(mut walk: Walk, found: &mut Found) -> Result<()> {
    while walk.left() > 0 {
        match element(&mut walk)? {
            (0xa1, mut content) => block(&mut content, found)?,
            (0x75a2, content) => found.discard = signed(&content).unsigned_abs(),
            _ => {}
        }
    }
    Ok(())
}

fn block(content: &mut Walk, found: &mut Found) -> Result<()> {
    let track = number(content)?.0;
    found.blocks += usize::from(found.track.is_some_and(|found| found.number == track));
    Ok(())
}

fn tracks(mut walk: Walk, found: &mut Found) -> Result<()> {
    while walk.left() > 0 {
        if let (TRACK, content) = element(&mut walk)? {
            let track = read_track(content)?;
            found.track = found.track.or(Some(track).filter(|track| track.sound));
        }
    }
    Ok(())
}

fn read_track(mut walk: Walk) -> Result<Track> {
    let mut track = Track {
        sample_rate: 8000.0,
        ..Track::default()
    };
    while walk.left() > 0 {
        match element(&mut walk)? {
            (0xd7, content) => track.number = unsigned(&content),
            (0x83, content) => track.sound = unsigned(&content) == 2,
            (0x86, content) => track.opus = content.rest().starts_with(b"A_OPUS"),
            (0x56aa, content) => track.delay = unsigned(&content),
            (0xe1, mut audio) => {
                while audio.left() > 0 {
                    if let (0xb5, content) = element(&mut audio)? {
                        track.sample_rate = float(&content);
                    }
                }
            }
            _ => {}
        }
    }
    if track.opus {
        track.sample_rate = 48_000.0;
    }
    Ok(track)
}

/// The next element: its identifier and its content. An unknown size takes all that is left.
fn element<'a>(walk: &mut Walk<'a>) -> Result<(u32, Walk<'a>)> {
    let place = walk.clone();
    let first = walk.rest().first().map_or(0, |byte| byte.leading_zeros());
    if first > 3 {
        return Err(place.fault("bytes that are no element"));
    }
    let cut = |_| place.cut();
    let mut kind = 0;
    for _ in 0..=first {
        kind = kind << 8 | u32::from(walk.byte().map_err(cut)?);
    }
    let (size, known) = number(walk).map_err(cut)?;
    let length = if known { size } else { walk.left() as u64 };
    Ok((kind, walk.inner(length).map_err(cut)?))
}

/// A number of variable length, and whether it is one: all ones mean unknown.
fn number(walk: &mut Walk) -> Result<(u64, bool)> {
    let first = walk.byte()?;
    let extra = first.leading_zeros();
    if extra > 7 {
        return Err(walk.fault("a number that is too long"));
    }
    let mut value = u64::from(first) & (0x7f >> extra);
    for _ in 0..extra {
        value = value << 8 | u64::from(walk.byte()?);
    }
    Ok((value, value != (1 << (7 * (extra + 1))) - 1))
}

fn unsigned(content: &Walk) -> u64 {
    content
        .rest()
        .iter()
        .take(8)
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn signed(content: &Walk) -> i64 {
    let shift = 64 - 8 * content.rest().len().clamp(1, 8);
    (unsigned(content) << shift) as i64 >> shift
}

fn float(content: &Walk) -> f64 {
    match content.rest().len() {
        4 => f64::from(f32::from_bits(unsigned(content) as u32)),
        _ => f64::from_bits(unsigned(content)),
    }
}
