//! Near copies of media: a small picture of each, candidates by a grid, and a close comparison.
//!
//! A perceptual hash of few bits calls every circle on white the same picture, and to flip no bit
//! by chance it must be compared in many ways. Here the thumbnail itself is kept. The means of its
//! [`BLOCKS`] parts, its lowest frequencies, place it in a grid in which near copies are neighbours,
//! so that no pair of near copies is missed and few others are compared.

use super::sets::DisjointSets;
use std::collections::HashMap;

/// The number of values in a fingerprint.
pub(super) const VALUES: usize = 768;
/// The parts of a fingerprint whose means place it in the grid: 64 values that belong together.
pub(super) const BLOCKS: usize = 12;
/// Near copies differ in a part's mean by no more than this, in 255ths.
const TOLERANCE: f32 = 3.0;
/// The side of a cell of the grid: eight times the tolerance, so that few neighbours are searched.
const CELL: f32 = 24.0;
/// The largest difference of one value between near copies, in 255ths.
const LARGEST: u8 = 24;
/// The root-mean-square difference between near copies: what compression adds, and a part of the
/// contrast, so that pages of faint print are not copies of each other.
const NOISE: f32 = 1.5;
const PART_OF_CONTRAST: f32 = 0.05;
/// The extents (aspect ratios, durations) of near copies differ by at most this ratio.
const EXTENT: f64 = 1.04;
/// A cell keeps no more than this many fingerprints that already belong to a set: what is near to
/// them is as near to those that are kept.
const KEPT: usize = 256;

/// What a medium looks or sounds like, whatever its size and encoding.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fingerprint {
    /// A positive number in which copies agree: the aspect ratio, or the duration.
    extent: f64,
    values: Vec<u8>,
    means: [f32; BLOCKS],
    contrast: f32,
}

type Cell = [i8; BLOCKS];

impl Fingerprint {
    /// `values` holds [`BLOCKS`] parts one behind the other.
    pub fn new(extent: f64, values: Vec<u8>) -> Self {
        debug_assert_eq!(values.len(), VALUES);
        let size = VALUES / BLOCKS;
        let mean = |part: &[u8]| part.iter().map(|&value| f32::from(value)).sum::<f32>() / part.len() as f32;
        let all = mean(&values);
        let variance = values
            .iter()
            .map(|&value| (f32::from(value) - all).powi(2))
            .sum::<f32>()
            / VALUES as f32;
        Self {
            extent,
            means: std::array::from_fn(|part| mean(&values[part * size..(part + 1) * size])),
            contrast: variance.sqrt(),
            values,
        }
    }

    /// Whether both are the same picture or sound but for size and compression.
    pub fn is_near(&self, other: &Self) -> bool {
        let ratio = self.extent / other.extent;
        if !(1.0 / EXTENT..=EXTENT).contains(&ratio) {
            return false;
        }
        if self
            .means
            .iter()
            .zip(&other.means)
            .any(|(one, other)| (one - other).abs() > TOLERANCE)
        {
            return false;
        }
        let mut sum = 0u32;
        for (one, other) in self.values.iter().zip(&other.values) {
            let difference = one.abs_diff(*other);
            if difference > LARGEST {
                return false;
            }
            sum += u32::from(difference).pow(2);
        }
        let limit = NOISE + PART_OF_CONTRAST * self.contrast.min(other.contrast);
        (sum as f32 / VALUES as f32).sqrt() <= limit
    }

    fn cell(&self) -> Cell {
        self.means.map(|mean| (mean / CELL) as i8)
    }

    /// Every cell in which a near copy may lie.
    fn neighbours(&self) -> Vec<Cell> {
        let mut cells = vec![self.cell()];
        for (part, mean) in self.means.iter().enumerate() {
            let bounds = [mean - TOLERANCE, mean + TOLERANCE].map(|bound| (bound / CELL).floor() as i8);
            let other = bounds.into_iter().find(|bound| *bound != cells[0][part]);
            let moved: Vec<Cell> = other
                .into_iter()
                .flat_map(|other| {
                    cells.iter().map(move |cell| {
                        let mut cell = *cell;
                        cell[part] = other;
                        cell
                    })
                })
                .collect();
            cells.extend(moved);
        }
        cells
    }
}

/// Joins the numbers of near copies in `sets`. Compares in the order given, so equal input gives
/// equal sets.
pub(super) fn join_near<'a>(fingerprints: impl Iterator<Item = (usize, &'a Fingerprint)>, sets: &mut DisjointSets) {
    let mut grid: HashMap<Cell, Vec<(usize, &Fingerprint)>> = HashMap::new();
    for (number, fingerprint) in fingerprints {
        let mut joined = false;
        for cell in fingerprint.neighbours() {
            for (other, candidate) in grid.get(&cell).into_iter().flatten() {
                let together = sets.find(number) == sets.find(*other);
                if together || fingerprint.is_near(candidate) {
                    sets.join(number, *other);
                    joined = true;
                }
            }
        }
        let place = grid.entry(fingerprint.cell()).or_default();
        if !joined || place.len() < KEPT {
            place.push((number, fingerprint));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn varied(seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; VALUES];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn the_grid_finds_every_pair_that_a_full_search_finds(
            seeds in proptest::collection::vec((0u64..6, 0u8..5), 2..24),
        ) {
            let make = |(seed, shift): &(u64, u8)| {
                // Blocks of one shade lie anywhere within their cells, at the borders too.
                let base: Vec<u8> = varied(*seed)[..BLOCKS].iter().flat_map(|&shade| [shade; VALUES / BLOCKS]).collect();
                Fingerprint::new(1.0, base.iter().map(|value| value.saturating_add(*shift)).collect())
            };
            let all: Vec<Fingerprint> = seeds.iter().map(make).collect();
            let (mut by_grid, mut by_search) = (DisjointSets::new(all.len()), DisjointSets::new(all.len()));
            join_near(all.iter().enumerate(), &mut by_grid);
            for (one, first) in all.iter().enumerate() {
                for (other, second) in all.iter().enumerate() {
                    if first.is_near(second) {
                        by_search.join(one, other);
                    }
                }
            }
            for number in 0..all.len() {
                prop_assert_eq!(by_grid.find(number), by_search.find(number));
            }
        }
    }

    #[test]
    fn faint_prints_are_compared_by_their_contrast() {
        let faint = |seed| Fingerprint::new(1.0, varied(seed).iter().map(|value| 240 + value / 16).collect());
        let (one, other) = (faint(1), faint(2));
        assert!(one.is_near(&faint(1)) && !one.is_near(&other));
        let blank = |shade| Fingerprint::new(1.0, vec![shade; VALUES]);
        assert!(blank(255).is_near(&blank(254)) && !blank(255).is_near(&blank(250)));
    }

    #[test]
    fn a_crowd_of_copies_is_joined_without_comparing_all_pairs() {
        let all: Vec<Fingerprint> = (0..20_000).map(|_| Fingerprint::new(1.0, vec![255; VALUES])).collect();
        let mut sets = DisjointSets::new(all.len());
        join_near(all.iter().enumerate(), &mut sets);
        assert!((0..all.len()).all(|number| sets.find(number) == 0));
    }

    #[test]
    fn another_extent_is_another_medium() {
        let shaped = |extent| Fingerprint::new(extent, vec![128; VALUES]);
        assert!(shaped(1.0).is_near(&shaped(1.03)) && !shaped(1.0).is_near(&shaped(1.05)));
    }
}
