//! Products with weights of 8 bits and activations of 32.

use crate::microkernel::COLUMNS;
use crate::panels::Matrix;
use crate::parallel::{self, Target, with_scratch};
use crate::simd::vectorized;

/// Rows of the left matrix that share one pass over a panel.
const ROWS: usize = 4;
/// Panels of a task at least, and the numbers of the right matrix that it reads at least.
const PANELS: usize = 4;
const TASK: usize = 1 << 18;

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

/// left · right (+ `bias` on every row), row-major; then calls `finish(place, line)` for every part of a row of the
/// product, which starts at `place`.
pub fn multiply_quantized(
    left: Matrix,
    right: &QuantizedPanels,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    assert!(
        left.columns == right.depth && left.column_stride == 1,
        "the depths of a product"
    );
    let (rows, columns) = (left.rows, right.columns);
    let panels = columns.div_ceil(COLUMNS);
    let together = (TASK / (right.depth * COLUMNS).max(1)).max(PANELS).min(panels.max(1));
    let mut output = Vec::with_capacity(rows * columns);
    let target = Target::spare(&mut output, rows * columns);
    parallel::for_each(panels.div_ceil(together), |task| {
        let last = panels.min((task + 1) * together);
        for first in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - first);
            for panel in (task * together..last).step_by(PANELS) {
                let mut sums = [[[0.0; COLUMNS]; PANELS]; ROWS];
                let lines: [&[i8]; PANELS] = std::array::from_fn(|index| right.panel((panel + index).min(last - 1)));
                let line = |index: usize| {
                    let start = left.at(first + index.min(count - 1), 0);
                    &left.values[start..start + left.columns]
                };
                if count == 1 {
                    add_one(line(0), lines, &mut sums[0]);
                } else {
                    add_rows(std::array::from_fn(line), lines, &mut sums);
                }
                let column = panel * COLUMNS;
                let width = (columns.min(last * COLUMNS) - column).min(PANELS * COLUMNS);
                for (row, sums) in sums.iter().take(count).enumerate() {
                    let place = (first + row) * columns + column;
                    // SAFETY: every part of a row belongs to one task.
                    let line = unsafe { target.slice(place, width) };
                    for (index, value) in line.iter_mut().enumerate() {
                        let sum = sums[index / COLUMNS][index % COLUMNS] * right.scales[column + index];
                        *value = sum + bias.map_or(0.0, |bias| bias[column + index]);
                    }
                    finish(place, line);
                }
            }
        }
    });
    // SAFETY: the tasks cover all columns, and each writes all rows of its own.
    unsafe { output.set_len(rows * columns) };
    output
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

vectorized! {
    fn add_rows(left: [&[f32]; ROWS], panels: [&[i8]; PANELS], sums: &mut [[[f32; COLUMNS]; PANELS]; ROWS]) {
        let left = left.map(|row| &row[..left[0].len()]);
        for (index, panel) in panels.into_iter().enumerate() {
            let panel = &panel.as_chunks::<COLUMNS>().0[..left[0].len()];
            let mut parts: [[f32; COLUMNS]; ROWS] = std::array::from_fn(|row| sums[row][index]);
            for (at, line) in panel.iter().enumerate() {
                let line: [f32; COLUMNS] = std::array::from_fn(|lane| f32::from(line[lane]));
                for row in 0..ROWS {
                    for lane in 0..COLUMNS {
                        parts[row][lane] += left[row][at] * line[lane];
                    }
                }
            }
            for row in 0..ROWS {
                sums[row][index] = parts[row];
            }
        }
    }
}
