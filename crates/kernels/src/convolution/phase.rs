//! The classes of input places along one axis that meet the same taps of a kernel.

use super::geometry::Geometry;

/// The places of one axis that lie `place` after a multiple of the stride. Each meets the same `taps` taps, at places
/// of dy that move along with it.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    pub place: usize,
    /// How many such places there are.
    pub count: usize,
    /// How many taps reach them.
    pub taps: usize,
    /// The first tap, and the way to the next.
    tap: usize,
    tap_step: usize,
    /// Places of dy between taps that follow each other.
    pub spacing: usize,
    /// The place of dy that meets the last tap, and with it the start of the window, at the first of these places.
    start: isize,
}

impl Phase {
    /// Every phase of an axis. Tap k meets input place p at place (p + padding − k·dilation) / stride of dy, where the
    /// stride divides this.
    pub fn all(geometry: &Geometry, axis: usize) -> Vec<Self> {
        let (size, stride) = (geometry.size[axis], geometry.stride[axis]);
        let (kernel, dilation) = (geometry.kernel[axis], geometry.dilation[axis]);
        let common = greatest_common_divisor(stride, dilation);
        let (tap_step, spacing) = (stride / common, dilation / common);
        let phase = |place: usize| {
            let padded = place + geometry.padding[axis];
            let met = |tap: &usize| padded % stride == tap * dilation % stride;
            let tap = (0..kernel.min(tap_step)).find(met).unwrap_or(kernel);
            let taps = (kernel - tap).div_ceil(tap_step);
            let last = tap + taps.saturating_sub(1) * tap_step;
            Self {
                place,
                count: (size - place).div_ceil(stride),
                taps,
                tap,
                tap_step,
                spacing,
                start: if taps == 0 {
                    0
                } else {
                    (padded as isize - (last * dilation) as isize) / stride as isize
                },
            }
        };
        (0..stride.min(size)).map(phase).collect()
    }

    /// The taps in the order of their places in dy.
    pub fn taps_backwards(&self) -> Vec<usize> {
        (0..self.taps)
            .rev()
            .map(|index| self.tap + index * self.tap_step)
            .collect()
    }

    /// How far its first window reaches before dy.
    pub fn before(&self) -> usize {
        self.start.min(0).unsigned_abs()
    }

    /// One past the place of dy that its last window reaches.
    pub fn end(&self) -> usize {
        if self.taps == 0 {
            return 0;
        }
        let last = self.start + (self.count - 1 + (self.taps - 1) * self.spacing) as isize;
        (last + 1).max(0) as usize
    }

    /// The start of its first window in a frame with `before` places before dy.
    pub fn origin(&self, before: usize) -> usize {
        (before as isize + self.start).max(0) as usize
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::super::ConvOptions;
    use super::*;

    #[test]
    fn phases_meet_each_pair_of_place_and_tap_once() {
        for (size, kernel, stride, padding, dilation) in [
            (1, 1, 1, 0, 1),
            (7, 3, 1, 1, 1),
            (8, 3, 2, 1, 1),
            (9, 2, 3, 0, 1),
            (11, 3, 2, 2, 3),
            (12, 3, 2, 4, 4),
            (13, 4, 4, 5, 6),
        ] {
            let options = ConvOptions {
                stride: [1, 1, stride],
                padding: [0, 0, padding],
                dilation: [1, 1, dilation],
                groups: 1,
            };
            let geometry = Geometry::new(&[1, size, 1], &[1, 1, kernel], options);
            let out = geometry.out[2];
            let mut expected = Vec::new();
            for (y, tap) in (0..out).flat_map(|y| (0..kernel).map(move |tap| (y, tap))) {
                let place = (y * stride + tap * dilation).checked_sub(padding);
                expected.extend(place.filter(|&place| place < size).map(|place| (place, tap, y)));
            }
            let mut seen = Vec::new();
            for phase in Phase::all(&geometry, 2) {
                for index in 0..phase.count {
                    for (position, tap) in phase.taps_backwards().into_iter().enumerate() {
                        let y = phase.start + (index + position * phase.spacing) as isize;
                        let y = usize::try_from(y).ok().filter(|&y| y < out);
                        seen.extend(y.map(|y| (phase.place + index * stride, tap, y)));
                    }
                }
            }
            expected.sort_unstable();
            seen.sort_unstable();
            assert_eq!(seen, expected);
        }
    }
}
