//! Weights of 8 bits.

use crate::microkernel::COLUMNS;
use crate::parallel::{self, with_scratch};
use crate::simd::vectorized;
use crate::unpacked::{MultiplyOne, PANELS, Unpack};

/// A right matrix [depth, columns] in panels of 16 columns, as [`Panels`](crate::panels::Panels), each column in whole
/// multiples of its own scale.
#[derive(Clone, Debug)]
pub struct QuantizedPanels {
    values: Vec<i8>,
    /// [panels · 16]
    scales: Vec<f32>,
    depth: usize,
    columns: usize,
}

impl QuantizedPanels {
    /// Rounds the matrix whose panel number `index` is written by `pack(index, panel)`, zeros included.
    pub fn from_fn(depth: usize, columns: usize, pack: impl Fn(usize, &mut [f32]) + Send + Sync) -> Self {
        let panels = columns.div_ceil(COLUMNS);
        let size = depth * COLUMNS;
        let mut values = vec![0; panels * size];
        let mut scales = vec![0.0; panels * COLUMNS];
        let parts: Vec<_> = values
            .chunks_mut(size.max(1))
            .zip(scales.chunks_mut(COLUMNS))
            .enumerate()
            .collect();
        parallel::for_each_of(parts, |(index, (values, scales))| {
            with_scratch(size, |panel| {
                pack(index, panel);
                round(panel, values, scales);
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
    pub fn column(&self, panel: usize, lane: usize) -> impl Iterator<Item = f32> {
        let scale = self.scales[panel * COLUMNS + lane];
        let values = self.panel(panel).iter().skip(lane).step_by(COLUMNS);
        values.map(move |&value| f32::from(value) * scale)
    }

    fn panel(&self, index: usize) -> &[i8] {
        &self.values[index * self.depth * COLUMNS..(index + 1) * self.depth * COLUMNS]
    }
}

impl Unpack for QuantizedPanels {
    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn unpack(&self, index: usize, panel: &mut [f32]) {
        widen(self.panel(index), &self.scales[index * COLUMNS..][..COLUMNS], panel);
    }
}

impl MultiplyOne for QuantizedPanels {
    fn multiply_one(&self, left: &[f32], panels: [usize; PANELS]) -> [[f32; COLUMNS]; PANELS] {
        let mut sums = [[0.0; COLUMNS]; PANELS];
        add_one(left, panels.map(|panel| self.panel(panel)), &mut sums);
        for (sums, panel) in sums.iter_mut().zip(panels) {
            let scales = &self.scales[panel * COLUMNS..][..COLUMNS];
            sums.iter_mut().zip(scales).for_each(|(sum, scale)| *sum *= scale);
        }
        sums
    }
}

/// Scales each column by its largest number, to multiples from −127 to 127.
fn round(panel: &[f32], values: &mut [i8], scales: &mut [f32]) {
    for line in panel.chunks_exact(COLUMNS) {
        for (scale, value) in scales.iter_mut().zip(line) {
            *scale = scale.max(value.abs());
        }
    }
    for scale in scales.iter_mut() {
        *scale /= 127.0;
    }
    let inverse: [f32; COLUMNS] = std::array::from_fn(|lane| if scales[lane] > 0.0 { 1.0 / scales[lane] } else { 0.0 });
    for (line, values) in panel.chunks_exact(COLUMNS).zip(values.chunks_exact_mut(COLUMNS)) {
        for lane in 0..COLUMNS {
            values[lane] = (line[lane] * inverse[lane]).round() as i8;
        }
    }
}

vectorized! {
    fn widen(values: &[i8], scales: &[f32], panel: &mut [f32]) {
        for (line, values) in panel.chunks_exact_mut(COLUMNS).zip(values.as_chunks::<COLUMNS>().0) {
            for lane in 0..COLUMNS {
                line[lane] = f32::from(values[lane]) * scales[lane];
            }
        }
    }
}

vectorized! {
    fn add_one(left: &[f32], panels: [&[i8]; PANELS], sums: &mut [[f32; COLUMNS]; PANELS]) {
        let panels = panels.map(|panel| panel.as_chunks::<COLUMNS>().0);
        let panels = panels.map(|panel| &panel[..left.len()]);
        let mut parts = *sums;
        for (at, &value) in left.iter().enumerate() {
            for (part, panel) in parts.iter_mut().zip(panels) {
                for lane in 0..COLUMNS {
                    part[lane] += value * f32::from(panel[at][lane]);
                }
            }
        }
        *sums = parts;
    }
}
