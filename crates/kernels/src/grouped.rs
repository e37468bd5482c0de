//! Weights of 4 bits: each output's in groups of 32 that share a scale.

use crate::microkernel::COLUMNS;
use crate::parallel::{self, with_scratch};
use crate::simd::vectorized;
use crate::unpacked::{MultiplyOne, PANELS, Unpack};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Neighbours along the depth that share a scale.
const GROUP: usize = 32;
/// What is added to a number, so that it is not negative.
const HALF: i8 = 8;
/// Numbers of a word.
const EIGHT: usize = 8;
/// The words of a group of 16 columns.
const WORDS: usize = GROUP / EIGHT * COLUMNS;

/// A right matrix [depth, columns] in panels of 16 columns, as [`Panels`](crate::panels::Panels), filled up with zeros to whole
/// panels and groups. A number is a whole multiple from −8 to 7 of its group's scale, and 8 is added to it.
#[derive(Clone, Debug)]
pub struct GroupedPanels {
    /// [panels, groups, 4, 16 columns]: a word holds eight depths, the first in its low bits, so that a line of words gives a line of
    /// numbers by one shift.
    values: Vec<u32>,
    /// [panels, groups, 16 columns]
    scales: Vec<f16>,
    depth: usize,
    columns: usize,
}

impl GroupedPanels {
    /// Rounds the matrix whose panel number `index` is written by `pack(index, panel)`, zeros included.
    pub fn from_fn(depth: usize, columns: usize, pack: impl Fn(usize, &mut [f32]) + Send + Sync) -> Self {
        let (panels, groups) = (columns.div_ceil(COLUMNS), depth.div_ceil(GROUP));
        let mut values = vec![0; panels * groups * WORDS];
        let mut scales = vec![f16::ZERO; panels * groups * COLUMNS];
        let parts: Vec<_> = values
            .chunks_mut((groups * WORDS).max(1))
            .zip(scales.chunks_mut((groups * COLUMNS).max(1)))
            .enumerate()
            .collect();
        parallel::for_each_of(parts, |(index, (values, scales))| {
            with_scratch(groups * GROUP * COLUMNS, |panel| {
                let (written, rest) = panel.split_at_mut(depth * COLUMNS);
                pack(index, written);
                rest.fill(0.0);
                let groups = panel.chunks_exact(GROUP * COLUMNS).zip(values.chunks_exact_mut(WORDS));
                for ((group, values), scales) in groups.zip(scales.chunks_exact_mut(COLUMNS)) {
                    round(group, values, scales);
                }
            });
        });
        Self {
            values,
            scales,
            depth,
            columns,
        }
    }

    /// The numbers of one column.
    pub fn column(&self, column: usize) -> Vec<f32> {
        let mut panel = vec![0.0; self.depth * COLUMNS];
        self.unpack(column / COLUMNS, &mut panel);
        panel.into_iter().skip(column % COLUMNS).step_by(COLUMNS).collect()
    }
}

impl Unpack for GroupedPanels {
    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn unpack(&self, index: usize, panel: &mut [f32]) {
        let groups = self.depth.div_ceil(GROUP);
        let values = &self.values[index * groups * WORDS..(index + 1) * groups * WORDS];
        let scales = &self.scales[index * groups * COLUMNS..(index + 1) * groups * COLUMNS];
        let parts = panel.chunks_mut(GROUP * COLUMNS).zip(values.chunks_exact(WORDS));
        for ((part, values), scales) in parts.zip(scales.chunks_exact(COLUMNS)) {
            widen(values, &floats(scales), part);
        }
    }
}

impl MultiplyOne for GroupedPanels {
    fn multiply_one(&self, left: &[f32], panels: [usize; PANELS]) -> [[f32; COLUMNS]; PANELS] {
        let groups = self.depth.div_ceil(GROUP);
        let mut sums = [[0.0; COLUMNS]; PANELS];
        for (group, left) in left.chunks(GROUP).enumerate() {
            let place = panels.map(|panel| panel * groups + group);
            let values = place.map(|place| &self.values[place * WORDS..(place + 1) * WORDS]);
            let scales = place.map(|place| floats(&self.scales[place * COLUMNS..(place + 1) * COLUMNS]));
            let mut filled = [0.0; GROUP];
            filled[..left.len()].copy_from_slice(left);
            add_one(&filled, values, &scales, &mut sums);
        }
        sums
    }
}

/// The scales of a group; one by one they would take as long to convert as their group to multiply.
fn floats(scales: &[f16]) -> [f32; COLUMNS] {
    let mut floats = [0.0; COLUMNS];
    scales.convert_to_f32_slice(&mut floats);
    floats
}

/// Scales each column of a group so that its largest number is −8 times the scale.
fn round(group: &[f32], values: &mut [u32], scales: &mut [f16]) {
    for (lane, scale) in scales.iter_mut().enumerate() {
        let column = || group.iter().skip(lane).step_by(COLUMNS);
        let largest = column().fold(0f32, |most, value| if value.abs() > most.abs() { *value } else { most });
        *scale = f16::from_f32(largest / -8.0);
        let inverse = if scale.to_f32() == 0.0 {
            0.0
        } else {
            1.0 / scale.to_f32()
        };
        for (depth, value) in column().enumerate() {
            let rounded = (value * inverse).round().clamp(-8.0, 7.0) as i8;
            values[depth / EIGHT * COLUMNS + lane] |= ((rounded + HALF) as u32) << (depth % EIGHT * 4);
        }
    }
}

vectorized! {
    fn widen(values: &[u32], scales: &[f32; COLUMNS], panel: &mut [f32]) {
        let eights = panel.chunks_mut(EIGHT * COLUMNS).zip(values.as_chunks::<COLUMNS>().0);
        for (lines, words) in eights {
            for (depth, line) in lines.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
                for lane in 0..COLUMNS {
                    let bits = (words[lane] >> (4 * depth) & 15) as i32;
                    line[lane] = (bits - i32::from(HALF)) as f32 * scales[lane];
                }
            }
        }
    }
}

vectorized! {
    /// Adds the products of a row with one group of some panels.
    fn add_one(
        left: &[f32; GROUP],
        values: [&[u32]; PANELS],
        scales: &[[f32; COLUMNS]; PANELS],
        sums: &mut [[f32; COLUMNS]; PANELS],
    ) {
        // What was added to the numbers is taken off all of them at once.
        let added = left.iter().sum::<f32>() * f32::from(HALF);
        let lines = values.map(|values| values.as_chunks::<COLUMNS>().0);
        let mut parts = [[0.0; COLUMNS]; PANELS];
        for (eight, left) in left.as_chunks::<EIGHT>().0.iter().enumerate() {
            let mut words = lines.map(|lines| lines[eight]);
            for &factor in left {
                for index in 0..PANELS {
                    for lane in 0..COLUMNS {
                        parts[index][lane] += factor * (words[index][lane] & 15) as i32 as f32;
                        words[index][lane] >>= 4;
                    }
                }
            }
        }
        for index in 0..PANELS {
            for lane in 0..COLUMNS {
                sums[index][lane] += (parts[index][lane] - added) * scales[index][lane];
            }
        }
    }
}
