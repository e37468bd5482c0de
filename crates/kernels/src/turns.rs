//! The angles of rotary positions: along a line, or along each axis of a plane or a volume.

use std::ops::Range;
use std::sync::Arc;

use crate::parallel::{self, ELEMENTS};

/// By how much [`rotary_by`](crate::rotary_by) turns each pair of columns at each place of a sequence.
#[derive(Clone, Debug)]
pub struct Turns {
    /// For each place the cosines of the angles of its pairs, then their sines, [length, 2 · pairs].
    values: Arc<Vec<f32>>,
    pairs: usize,
}

/// One coordinate of the places, and the pairs of columns that it turns.
#[derive(Clone, Debug)]
pub struct TurnAxis {
    /// Of each place of the sequence.
    pub coordinates: Vec<usize>,
    pub pairs: usize,
}

impl Turns {
    /// Pair i of an axis with n pairs turns by the angle coordinate · `base`^(−i/n): on one axis that is RoPE (Su et
    /// al. 2021), on several axial RoPE (Heo et al. 2024). The pairs of the first axis come first.
    ///
    /// # Panics
    /// If the axes have no coordinates, or differ in their number.
    pub fn new(axes: &[TurnAxis], base: f64) -> Self {
        let frequency = |axis: &TurnAxis, pair: usize| base.powf(-(pair as f64) / axis.pairs as f64);
        let of_axis = |axis: &TurnAxis| (0..axis.pairs).map(|pair| frequency(axis, pair)).collect();
        Self::by(axes, &axes.iter().map(of_axis).collect::<Vec<_>>())
    }

    /// Pair i of an axis turns by the angle coordinate · the i-th of the axis' `frequencies`.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn by(axes: &[TurnAxis], frequencies: &[Vec<f64>]) -> Self {
        let length = axes.first().expect("at least one axis").coordinates.len();
        let same = axes.iter().all(|axis| axis.coordinates.len() == length);
        assert!(same, "every axis has a coordinate for each place");
        let pairs: usize = axes.iter().map(|axis| axis.pairs).sum();
        let width = 2 * pairs;
        // A sine costs as much as many sums, so tasks are smaller than elsewhere.
        let rows = (ELEMENTS / 16).div_ceil(width.max(1));
        let values = parallel::fill(length * width, rows * width.max(1), |index, part| {
            for (row, line) in part.chunks_exact_mut(width).enumerate() {
                let place = index * rows + row;
                let along = axes.iter().zip(frequencies);
                let angles = along.flat_map(|(axis, own)| own.iter().map(|rate| axis.coordinates[place] as f64 * rate));
                write(angles, line);
            }
        });
        Self {
            values: Arc::new(values),
            pairs,
        }
    }

    /// The turns of neighbouring places on a line.
    pub fn line(places: Range<usize>, pairs: usize, base: f64) -> Self {
        let coordinates = places.collect();
        Self::new(&[TurnAxis { coordinates, pairs }], base)
    }

    /// The turns of neighbouring places on a line by any frequencies, one for each pair: what it turns by from one place to
    /// the next.
    pub fn at_frequencies(places: Range<usize>, frequencies: &[f64]) -> Self {
        let axis = TurnAxis {
            coordinates: places.collect(),
            pairs: frequencies.len(),
        };
        Self::by(&[axis], &[frequencies.to_vec()])
    }

    /// Those of several sequences that follow one another.
    ///
    /// # Panics
    /// If there is no part, or the parts differ in their number of pairs.
    pub fn join(parts: &[Self]) -> Self {
        let pairs = parts.first().expect("at least one part").pairs;
        assert!(
            parts.iter().all(|part| part.pairs == pairs),
            "parts have the same pairs"
        );
        let values = parts.iter().flat_map(|part| part.values.iter().copied()).collect();
        Self {
            values: Arc::new(values),
            pairs,
        }
    }

    /// [length, width] of the rows that these turns are for.
    pub fn shape(&self) -> [usize; 2] {
        let width = 2 * self.pairs;
        [self.values.len() / width.max(1), width]
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }
}

/// Cosines into the first half of `line`, sines into the second.
fn write(angles: impl Iterator<Item = f64>, line: &mut [f32]) {
    let (cosines, sines) = line.split_at_mut(line.len() / 2);
    for ((cosine, sine), angle) in cosines.iter_mut().zip(sines).zip(angles) {
        let (sine_of, cosine_of) = angle.sin_cos();
        (*cosine, *sine) = (cosine_of as f32, sine_of as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::close;

    fn check(axes: &[(&[usize], usize)], expected_angles: &[&[f64]]) {
        let axis = |&(coordinates, pairs): &(&[usize], usize)| TurnAxis {
            coordinates: coordinates.to_vec(),
            pairs,
        };
        let axes: Vec<TurnAxis> = axes.iter().map(axis).collect();
        let turns = Turns::new(&axes, 100.0);
        let row = |angles: &&[f64]| {
            angles
                .iter()
                .map(|angle| angle.cos())
                .chain(angles.iter().map(|angle| angle.sin()))
                .collect::<Vec<_>>()
        };
        let expected: Vec<f64> = expected_angles.iter().flat_map(row).collect();
        assert_eq!(turns.shape(), [expected_angles.len(), 2 * expected_angles[0].len()]);
        close("turns", turns.values(), &expected, 1e-6);
        let twice = Turns::join(&[turns.clone(), turns.clone()]);
        assert_eq!(twice.values(), [turns.values(), turns.values()].concat());
    }

    #[test]
    fn each_axis_turns_its_own_pairs() {
        check(&[(&[0, 3], 2)], &[&[0.0, 0.0], &[3.0, 0.3]]);
        check(&[(&[5, 2], 1), (&[7, 4], 2)], &[&[5.0, 7.0, 0.7], &[2.0, 4.0, 0.4]]);
        check(&[(&[5], 0), (&[7], 1)], &[&[7.0]]);
    }

    #[test]
    fn any_frequencies_turn_the_places_of_a_line() {
        let turns = Turns::at_frequencies(3..5, &[0.5, 0.1]);
        let expected = [1.5f64, 0.3, 2.0, 0.4].map(|angle| [angle.cos(), angle.sin()]);
        let [a, b, c, d] = expected;
        let expected = [a[0], b[0], a[1], b[1], c[0], d[0], c[1], d[1]];
        close("turns", turns.values(), &expected, 1e-6);
        let plain = Turns::line(3..5, 2, 100.0);
        assert_eq!(Turns::at_frequencies(3..5, &[1.0, 0.1]).values(), plain.values());
    }
}
