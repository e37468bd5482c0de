//! Pillow's filters, for pictures that are enlarged and for what must be exact: a pass across and a pass down, with weights of 22 bits below the
//! point and bytes between them. Both passes work on many values at once, which compilers turn into vector instructions.

use super::resize::Area;
use super::{CHANNELS, Interpolation, Picture};
use std::f64::consts::PI;

/// Bits of a weight below the point.
const PRECISION: u32 = 22;
/// Lines that are resampled together.
const LINES: usize = 4;
/// Numbers of one pixel in `LINES` lines; the fourth of each is not used.
const WIDE: usize = 4 * LINES;
/// Pixels to each side that Lanczos' filter reads.
const LANCZOS: f64 = 3.0;
/// Values of a line that are weighed together.
const CHUNK: usize = 32;

/// Resamples `area` to `height` × `width` pixels. Near the area's border the filter reads beyond it, so the result equals
/// resizing the whole picture and cutting the part out.
pub fn sample(
    picture: &Picture,
    area: Area,
    (height, width): (usize, usize),
    order: Order,
    filter: Interpolation,
) -> Picture {
    let columns = taps(filter, picture.width, area.left, area.width, width);
    let rows = taps(filter, picture.height, area.top, area.height, height);
    let across = |pixels: &[u8]| {
        pulp::Arch::new().dispatch(Across {
            pixels,
            width: picture.width,
            taps: &columns,
        })
    };
    let down = |lines: &[u8], width: usize| {
        pulp::Arch::new().dispatch(Down {
            lines,
            length: CHANNELS * width,
            taps: &rows,
        })
    };
    Picture {
        height,
        width,
        pixels: match order {
            Order::AcrossFirst => down(&across(&picture.pixels), width),
            Order::DownFirst => across(&down(&picture.pixels, picture.width)),
        },
    }
}

/// Which pass is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    AcrossFirst,
    DownFirst,
}

impl Order {
    /// What Pillow 13 does when it resizes a picture of one height and width to another: down first where the lines
    /// become fewer by more than twice as many as the columns do.
    pub fn of(from: (usize, usize), to: (usize, usize)) -> Self {
        match to.0 < from.0 && from.0 + 2 * to.1 > to.0 + 2 * from.1 {
            true => Self::DownFirst,
            false => Self::AcrossFirst,
        }
    }
}

/// What one result is made from: neighbouring values and their weights.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

/// The taps of every result along a side of `length` values, of which `kept` from `start` on become `target` ones.
fn taps(filter: Interpolation, length: usize, start: f64, kept: f64, target: usize) -> Vec<Taps> {
    let scale = kept / target as f64;
    let widened = scale.max(1.0);
    let reach = filter.support() * widened;
    let of = |index: usize| {
        let centre = start + (index as f64 + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(length);
        let weights: Vec<f64> = (first..end)
            .map(|at| filter.weight((at as f64 - centre + 0.5) / widened))
            .collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
        Taps {
            first,
            weights: weights.into_iter().map(fixed).collect(),
        }
    };
    (0..target).map(of).collect()
}

impl Interpolation {
    /// Pixels to each side that it reads.
    pub(super) fn support(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Bilinear => 1.0,
            Self::Lanczos => LANCZOS,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        match self {
            Self::Bicubic => cubic(distance),
            Self::Bilinear => (1.0 - distance.abs()).max(0.0),
            Self::Lanczos => lanczos(distance),
        }
    }
}

/// The sinc under the middle lobe of one that is `LANCZOS` times as wide (Duchon 1979).
fn lanczos(distance: f64) -> f64 {
    let sinc = |x: f64| match x == 0.0 {
        true => 1.0,
        false => (x * PI).sin() / (x * PI),
    };
    match distance.abs() < LANCZOS {
        true => sinc(distance) * sinc(distance / LANCZOS),
        false => 0.0,
    }
}

/// The cubic of Keys (1981) with a = −1/2.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    match x {
        0.0..1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        1.0..2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
        _ => 0.0,
    }
}

/// Half of the last place, so that cutting bits off rounds.
const HALF: i32 = 1 << (PRECISION - 1);

#[inline(always)]
fn byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// The pass along the lines.
struct Across<'a> {
    pixels: &'a [u8],
    width: usize,
    taps: &'a [Taps],
}

impl pulp::NullaryFnOnce for Across<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn call(self) -> Vec<u8> {
        let (length, narrow) = (CHANNELS * self.width, CHANNELS * self.taps.len());
        let mut result = vec![0; self.pixels.len() / length * narrow];
        let mut wide = vec![[0; WIDE]; self.width];
        let groups = self.pixels.chunks(LINES * length);
        for (lines, target) in groups.zip(result.chunks_mut(LINES * narrow)) {
            for (place, line) in lines.chunks_exact(length).enumerate() {
                widen(line, &mut wide, place);
            }
            let count = lines.len() / length;
            for (column, Taps { first, weights }) in self.taps.iter().enumerate() {
                let mut sums = [HALF; WIDE];
                for (pixel, &weight) in wide[*first..][..weights.len()].iter().zip(weights) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += value * weight;
                    }
                }
                let bytes = sums.map(byte);
                for place in 0..count {
                    let at = place * narrow + CHANNELS * column;
                    target[at..at + CHANNELS].copy_from_slice(&bytes[4 * place..4 * place + CHANNELS]);
                }
            }
        }
        result
    }
}

/// Puts the pixels of one line in its place among the others.
#[inline(always)]
fn widen(line: &[u8], wide: &mut [[i32; WIDE]], place: usize) {
    let last = wide.len() - 1;
    // Four bytes at a time, of which the last belongs to the next pixel.
    let fours = line.windows(4).step_by(CHANNELS);
    for (pixel, four) in wide[..last].iter_mut().zip(fours) {
        for (value, &byte) in pixel[4 * place..4 * place + 4].iter_mut().zip(four) {
            *value = i32::from(byte);
        }
    }
    for (value, &byte) in wide[last][4 * place..].iter_mut().zip(&line[CHANNELS * last..]) {
        *value = i32::from(byte);
    }
}

/// The pass across the lines, of `length` bytes each.
struct Down<'a> {
    lines: &'a [u8],
    length: usize,
    taps: &'a [Taps],
}

impl pulp::NullaryFnOnce for Down<'_> {
    type Output = Vec<u8>;

    #[inline(always)]
    fn call(self) -> Vec<u8> {
        let mut result = vec![0; self.taps.len() * self.length];
        for (target, Taps { first, weights }) in result.chunks_exact_mut(self.length).zip(self.taps) {
            let lines = &self.lines[first * self.length..];
            let (chunks, rest) = target.as_chunks_mut::<CHUNK>();
            let whole = CHUNK * chunks.len();
            for (index, chunk) in chunks.iter_mut().enumerate() {
                *chunk = weigh(lines, self.length, CHUNK * index, weights);
            }
            for (index, value) in rest.iter_mut().enumerate() {
                [*value] = weigh(lines, self.length, whole + index, weights);
            }
        }
        result
    }
}

/// Neighbouring values of one line from those of the lines that it is made from.
#[inline(always)]
fn weigh<const COUNT: usize>(lines: &[u8], length: usize, at: usize, weights: &[i32]) -> [u8; COUNT] {
    let mut sums = [HALF; COUNT];
    for (line, &weight) in lines.chunks_exact(length).zip(weights) {
        for (sum, &value) in sums.iter_mut().zip(&line[at..at + COUNT]) {
            *sum += i32::from(value) * weight;
        }
    }
    sums.map(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cubic_is_one_at_zero_and_nothing_at_other_whole_distances() {
        assert_eq!([0.0, 1.0, -1.0, 2.0, 2.5].map(cubic), [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!([0.5, 1.5].map(cubic), [0.5625, -0.0625]);
    }

    #[test]
    fn weights_add_up_to_one_and_stay_inside() {
        for (length, start, kept, target) in [
            (5, 0.0, 5.0, 12),
            (1, 0.0, 1.0, 7),
            (9, 2.5, 3.25, 4),
            (40, 0.0, 40.0, 3),
        ] {
            for filter in [Interpolation::Bicubic, Interpolation::Bilinear, Interpolation::Lanczos] {
                for Taps { first, weights } in taps(filter, length, start, kept, target) {
                    assert!(!weights.is_empty() && first + weights.len() <= length);
                    assert!((weights.iter().sum::<i32>() - (1 << PRECISION)).abs() < 8);
                }
            }
        }
    }
}
