//! The sample table of an MP4 track: sizes, chunks, offsets and durations of its packets.

use super::{Walk, damaged};
use crate::Result;

const NAME: &str = "MP4";

/// The boxes of the table, unread.
#[derive(Default)]
pub struct Samples<'a> {
    durations: Option<Walk<'a>>,
    sizes: Option<Walk<'a>>,
    chunks: Option<Walk<'a>>,
    offsets: Option<Walk<'a>>,
    wide_offsets: Option<Walk<'a>>,
}

impl<'a> Samples<'a> {
    /// Keeps a box of the table; others are nothing to it.
    pub fn read(&mut self, kind: &[u8; 4], mut content: Walk<'a>) -> Result<()> {
        let place = match kind {
            b"stts" => &mut self.durations,
            b"stsz" => &mut self.sizes,
            b"stsc" => &mut self.chunks,
            b"stco" => &mut self.offsets,
            b"co64" => &mut self.wide_offsets,
            _ => return Ok(()),
        };
        // Version and flags.
        content.skip(4)?;
        *place = Some(content);
        Ok(())
    }

    /// Checks that every packet lies within `length` bytes; gives the duration in ticks.
    pub fn check(&self, length: usize, place: usize) -> Result<Option<u64>> {
        let (Some(durations), Some(sizes), Some(chunks)) = (&self.durations, &self.sizes, &self.chunks) else {
            return Err(damaged(NAME, place, "no table of its packets"));
        };
        let sizes = sizes_of(sizes.clone(), length)?;
        let (count, ticks) = durations_of(durations.clone())?;
        let offsets = self.chunk_offsets(place)?;
        let packets = packets_of(chunks.clone(), &offsets, &sizes, length)?;
        if count != sizes.count || packets != sizes.count {
            return Err(damaged(NAME, place, "tables of its packets that contradict each other"));
        }
        Ok(Some(ticks))
    }

    fn chunk_offsets(&self, place: usize) -> Result<Vec<u64>> {
        let (walk, wide) = match (&self.offsets, &self.wide_offsets) {
            (Some(walk), _) => (walk, false),
            (None, Some(walk)) => (walk, true),
            _ => return Err(damaged(NAME, place, "no table of its packets")),
        };
        let mut walk = walk.clone();
        let count = entries(&mut walk, if wide { 8 } else { 4 })?;
        let read = |_| if wide { walk.u64() } else { walk.u32().map(u64::from) };
        (0..count).map(read).collect()
    }
}

/// Sizes of packets: one for all, or one each.
struct Sizes<'a> {
    count: u64,
    all: u64,
    each: Walk<'a>,
}

impl Sizes<'_> {
    /// The bytes of the next `count` packets.
    fn next(&mut self, count: u64) -> Result<u64> {
        if self.all > 0 {
            return Ok(count * self.all);
        }
        let mut sum = 0;
        for _ in 0..count {
            sum += u64::from(self.each.u32()?);
        }
        Ok(sum)
    }
}

/// The number of entries, when that many of `width` bytes are there.
fn entries(walk: &mut Walk, width: usize) -> Result<u64> {
    let count = walk.u32()?;
    match (count as usize).checked_mul(width) {
        Some(bytes) if bytes <= walk.left() => Ok(u64::from(count)),
        _ => Err(walk.fault("a table that is longer than its box")),
    }
}

fn sizes_of(mut walk: Walk, length: usize) -> Result<Sizes> {
    let all = u64::from(walk.u32()?);
    let count = match all {
        0 => entries(&mut walk, 4)?,
        _ => u64::from(walk.u32()?),
    };
    match count * all > length as u64 {
        true => Err(walk.fault("more packets than the file has bytes")),
        false => Ok(Sizes { count, all, each: walk }),
    }
}

/// The number of packets and their duration together.
fn durations_of(mut walk: Walk) -> Result<(u64, u64)> {
    let (mut packets, mut ticks) = (0, 0_u64);
    for _ in 0..entries(&mut walk, 8)? {
        let (count, each) = (u64::from(walk.u32()?), u64::from(walk.u32()?));
        packets += count;
        ticks = ticks.saturating_add(count * each);
    }
    Ok((packets, ticks))
}

/// Lays the packets into their chunks; gives their number.
fn packets_of(mut walk: Walk, offsets: &[u64], sizes: &Sizes, length: usize) -> Result<u64> {
    let mut sizes = Sizes {
        each: sizes.each.clone(),
        ..*sizes
    };
    let runs = entries(&mut walk, 12)?;
    let mut runs = (0..runs)
        .map(|_| Ok((walk.u32()?, walk.u32()?, walk.u32()?)))
        .collect::<Result<Vec<_>>>()?;
    runs.push((u32::try_from(offsets.len()).unwrap_or(u32::MAX).saturating_add(1), 0, 0));
    let mut packets = 0;
    for pair in runs.windows(2) {
        let ((first, each, _), (next, ..)) = (pair[0], pair[1]);
        let chunks = (first as usize).checked_sub(1).zip((next as usize).checked_sub(1));
        let chunks = chunks.and_then(|(first, next)| offsets.get(first..next));
        for &offset in chunks.ok_or_else(|| walk.fault("chunks in the wrong order"))? {
            packets += u64::from(each);
            if packets > sizes.count {
                return Err(walk.fault("more packets in chunks than have a size"));
            }
            let bytes = sizes.next(u64::from(each))?;
            if offset.saturating_add(bytes) > length as u64 {
                return Err(damaged(NAME, length, "packets that lie behind the end of the file"));
            }
        }
    }
    Ok(packets)
}
