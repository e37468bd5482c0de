//! The coefficients of one block from its bits: sequential (ITU-T T.81, F.2.2) and progressive (G.1.2 and G.2).

use super::bits::Bits;
use super::header::ZIGZAG;
use super::huffman::Table;
use super::transform::{Group, LANES};

/// Where a block's coefficients go; nothing when they are passed over.
pub type Slot<'a> = Option<(&'a mut Group, usize)>;

/// What a progressive scan gives: the coefficients `first` to `last` on the zigzag path, their bits from `low` up.
#[derive(Debug, Clone, Copy)]
pub struct Band {
    pub first: usize,
    pub last: usize,
    pub low: u8,
}

/// The place of a coefficient on the zigzag path, within its group.
#[inline(always)]
fn at(group: &mut Group, lane: usize, place: usize) -> &mut i16 {
    &mut group[usize::from(ZIGZAG[place % 64]) % 64][lane % LANES]
}

/// A whole block. Nothing when its bits are no code, or give more than 64 coefficients.
#[inline(always)]
pub fn sequential(bits: &mut Bits, dc: &Table, ac: &Table, mean: &mut i32, slot: Slot) -> Option<()> {
    mean_first(bits, dc, mean)?;
    match slot {
        Some((group, lane)) => {
            group[0][lane % LANES] = *mean as i16;
            coefficients(
                bits,
                ac,
                #[inline(always)]
                |place, value| *at(group, lane, place) = value as i16,
            )
        }
        None => coefficients(
            bits,
            ac,
            #[inline(always)]
            |_, _| {},
        ),
    }
}

#[inline(always)]
fn mean_first(bits: &mut Bits, dc: &Table, mean: &mut i32) -> Option<()> {
    bits.fill();
    let code = dc.find(bits.buffer())?;
    *mean = mean.wrapping_add(bits.number(code));
    Some(())
}

#[inline(always)]
fn coefficients(bits: &mut Bits, ac: &Table, mut keep: impl FnMut(usize, i32)) -> Option<()> {
    let mut place = 1;
    while place < 64 {
        bits.fill();
        let code = ac.find(bits.buffer())?;
        if code.size() == 0 {
            bits.skip(code.bits());
            if code.run() < 15 {
                return Some(());
            }
            place += 16;
            continue;
        }
        place += code.run() as usize;
        keep(place, bits.number(code));
        place += 1;
    }
    (place == 64).then_some(())
}

/// The upper bits of a block's mean.
#[inline(always)]
pub fn progressive_mean(bits: &mut Bits, dc: &Table, mean: &mut i32, low: u8, slot: Slot) -> Option<()> {
    mean_first(bits, dc, mean)?;
    if let Some((group, lane)) = slot {
        *at(group, lane, 0) = (*mean << low) as i16;
    }
    Some(())
}

/// One more bit of a block's mean.
#[inline(always)]
pub fn refine_mean(bits: &mut Bits, low: u8, slot: Slot) -> Option<()> {
    let bit = bits.take(1) as i16;
    if let Some((group, lane)) = slot {
        *at(group, lane, 0) |= bit << low;
    }
    Some(())
}

/// The upper bits of a band. `ended` counts the blocks that have no more of them.
#[inline(always)]
pub fn progressive_band(bits: &mut Bits, ac: &Table, band: Band, ended: &mut u32, slot: Slot) -> Option<()> {
    if *ended > 0 {
        *ended -= 1;
        return Some(());
    }
    let (group, lane) = slot?;
    let mut place = band.first;
    while place <= band.last {
        bits.fill();
        let code = ac.find(bits.buffer())?;
        if code.size() == 0 {
            bits.skip(code.bits());
            if code.run() < 15 {
                *ended = (1 << code.run()) - 1 + bits.take(code.run());
                return Some(());
            }
            place += 16;
            continue;
        }
        place += code.run() as usize;
        *at(group, lane, place) = (bits.number(code) << band.low) as i16;
        place += 1;
    }
    (place == band.last + 1).then_some(())
}

/// One more bit of a band.
#[inline(always)]
pub fn refine_band(bits: &mut Bits, ac: &Table, band: Band, ended: &mut u32, slot: Slot) -> Option<()> {
    let (group, lane) = slot?;
    let mut place = band.first;
    while *ended == 0 && place <= band.last {
        bits.fill();
        let code = ac.find(bits.buffer())?;
        bits.skip(code.length());
        let value = match code.size() {
            0 if code.run() < 15 => {
                *ended = (1 << code.run()) + bits.take(code.run());
                break;
            }
            0 => 0,
            1 => 2 * bits.take(1) as i16 - 1,
            _ => return None,
        };
        place = refine(bits, group, lane, band, place, Some(code.run()));
        if place <= band.last {
            *at(group, lane, place) = value << band.low;
        } else if value != 0 {
            return None;
        }
        place += 1;
    }
    if *ended > 0 {
        refine(bits, group, lane, band, place, None);
        *ended -= 1;
    }
    Some(())
}

/// Gives the coefficients that are not zero their next bit, up to the zero behind a run of zeros, or to the end.
/// Returns where that is.
#[inline(always)]
fn refine(bits: &mut Bits, group: &mut Group, lane: usize, band: Band, from: usize, run: Option<u32>) -> usize {
    let mut zeros = run;
    for place in from..=band.last {
        let value = at(group, lane, place);
        if *value == 0 {
            match &mut zeros {
                Some(0) => return place,
                Some(zeros) => *zeros -= 1,
                None => {}
            }
        } else if bits.take(1) == 1 && *value & (1 << band.low) == 0 {
            *value += value.signum() << band.low;
        }
    }
    band.last + 1
}
