//! Products of whole numbers of 16 bits: half of the bytes of floats, twice the products at a time, and little less accuracy.
//!
//! Each column of the right matrix, and each row of the left one before it is multiplied, is rounded to multiples of a scale
//! of its own. The scale is as small as it may be: a number fills 16 bits at most, and the norm of a vector stays below √2³¹,
//! so that by Cauchy and Schwarz no sum of products leaves 32 bits. The sums are exact, in any order and on every machine.

#[cfg(test)]
mod tests;
mod tile;

use crate::gemm::Cut;
use crate::microkernel::{COLUMNS, ROWS};
use crate::panels::Matrix;
use crate::parallel::{self, Target};
use crate::simd::vectorized;
use tile::{PAIR, Sums, extents, tile};

/// The largest number of 16 bits.
const MOST: f32 = 32_767.0;
/// Numbers below this are zero: their scale would be no normal number.
const LEAST: f32 = f32::MIN_POSITIVE * MOST;
/// The norm of a rounded vector, below √2³¹, before rounding adds half a unit to each of its numbers.
const NORM: f32 = 46_330.0;

/// A right matrix [depth, columns] in panels of 16 columns, the last one filled up with zeros. A panel holds the first two
/// numbers of each column, then the next two, and so on.
#[derive(Clone, Debug)]
pub struct IntegerPanels {
    values: Vec<i16>,
    /// [panels · 16]
    scales: Vec<f32>,
    pub depth: usize,
    pub columns: usize,
}

impl IntegerPanels {
    /// Rounds the matrix whose column number `index` is written by `fill(index, column)`.
    pub fn from_columns(depth: usize, columns: usize, fill: impl Fn(usize, &mut [f32]) + Send + Sync) -> Self {
        let panels = columns.div_ceil(COLUMNS);
        let size = pairs(depth) * PAIR * COLUMNS;
        let mut values = vec![0; panels * size];
        let mut scales = vec![0.0; panels * COLUMNS];
        let parts: Vec<_> = values
            .chunks_mut(size.max(1))
            .zip(scales.chunks_mut(COLUMNS))
            .enumerate()
            .collect();
        parallel::for_each_of(parts, |(index, (values, scales))| {
            let (mut column, mut rounded) = (vec![0.0; depth], vec![0; pairs(depth) * PAIR]);
            for (lane, scale) in scales.iter_mut().enumerate().take(columns - index * COLUMNS) {
                fill(index * COLUMNS + lane, &mut column);
                *scale = round(&column, &mut rounded);
                let places = values.chunks_exact_mut(PAIR * COLUMNS);
                for (place, pair) in places.zip(rounded.chunks_exact(PAIR)) {
                    place[lane * PAIR..][..PAIR].copy_from_slice(pair);
                }
            }
        });
        Self {
            values,
            scales,
            depth,
            columns,
        }
    }

    /// The numbers of one column.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        let lane = column % COLUMNS * PAIR;
        let panel = column / COLUMNS;
        let pairs = self.panels((panel, panel + 1)).chunks_exact(PAIR * COLUMNS);
        let values = pairs.flat_map(move |pairs| &pairs[lane..lane + PAIR]).take(self.depth);
        values.map(move |&value| f32::from(value) * self.scales[column])
    }

    /// The half-open range of panels, one behind the other.
    fn panels(&self, (from, to): (usize, usize)) -> &[i16] {
        let size = pairs(self.depth) * PAIR * COLUMNS;
        &self.values[from * size..to * size]
    }
}

/// Pairs of numbers that a vector of `depth` is filled up to.
fn pairs(depth: usize) -> usize {
    depth.div_ceil(PAIR)
}

/// The rows of a left matrix, each in multiples of its own scale and filled up to pairs.
struct IntegerRows {
    values: Vec<i16>,
    scales: Vec<f32>,
    width: usize,
}

impl IntegerRows {
    fn new(matrix: Matrix) -> Self {
        let width = pairs(matrix.columns) * PAIR;
        let mut values = vec![0; matrix.rows * width];
        let mut scales = vec![0.0; matrix.rows];
        let together = parallel::ELEMENTS.div_ceil(width.max(1));
        let parts = values
            .chunks_mut((together * width).max(1))
            .zip(scales.chunks_mut(together));
        parallel::for_each_of(parts.enumerate().collect(), |(part, (values, scales))| {
            let rows = values.chunks_exact_mut(width.max(1)).zip(scales);
            for (row, (rounded, scale)) in (part * together..).zip(rows) {
                let start = matrix.at(row, 0);
                *scale = round(&matrix.values[start..start + matrix.columns], rounded);
            }
        });
        Self { values, scales, width }
    }

    /// The starts of `count` rows from `first` on, the last one once more in the places of those that a tile lacks.
    fn starts(&self, first: usize, count: usize) -> [*const i16; ROWS] {
        std::array::from_fn(|index| self.values[(first + index.min(count - 1)) * self.width..][..self.width].as_ptr())
    }
}

/// left · right (+ `bias` on every row), row-major; then calls `finish(place, line)` for every part of a row of the
/// product, which starts at `place`. A row or a column that holds no finite number makes what it is part of NaN.
pub fn multiply_integers(
    left: Matrix,
    right: &IntegerPanels,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    assert!(
        left.columns == right.depth && left.column_stride == 1,
        "the depths of a product"
    );
    let (rows, columns) = (left.rows, right.columns);
    let panels = columns.div_ceil(COLUMNS);
    let cut = Cut::new(rows, panels, right.depth).whole_depth(right.depth);
    let left = IntegerRows::new(left);
    let mut output = Vec::with_capacity(rows * columns);
    let target = Target::spare(&mut output, rows * columns);
    parallel::for_each(cut.tasks(), |task| {
        let (block, _) = cut.block(task, [rows, panels, right.depth]);
        for panels in extents().groups(block.panels.0, block.panels.1) {
            for first in (block.rows.0..block.rows.1).step_by(extents().rows) {
                let count = extents().rows.min(block.rows.1 - first);
                let sums = multiply_tile(&left, right, [first, count], panels);
                let column = panels.0 * COLUMNS;
                let last = columns.min(panels.1 * COLUMNS);
                for (row, sums) in (first..first + count).zip(&sums) {
                    // SAFETY: each part of a row belongs to one task.
                    let line = unsafe { target.slice(row * columns + column, last - column) };
                    let bias = bias.map(|bias| &bias[column..last]);
                    widen(sums, left.scales[row], &right.scales[column..last], bias, line);
                    finish(row * columns + column, line);
                }
            }
        }
    });
    // SAFETY: the blocks cover all rows and panels, and each writes its part of the output.
    unsafe { output.set_len(rows * columns) };
    output
}

fn multiply_tile(left: &IntegerRows, right: &IntegerPanels, rows: [usize; 2], panels: (usize, usize)) -> Sums {
    let lines = right.panels(panels);
    let count = panels.1 - panels.0;
    // SAFETY: `starts` slices the rows and `panels` the panels, each of `width / PAIR` pairs.
    unsafe {
        tile(
            [rows[1], count],
            left.width / PAIR,
            &left.starts(rows[0], rows[1]),
            lines.as_ptr(),
            lines.len() / count,
        )
    }
}

/// Rounds a vector to multiples of the scale that is returned: zero where all numbers are, NaN where one is not finite.
fn round(values: &[f32], rounded: &mut [i16]) -> f32 {
    let (most, norm) = extent(values);
    if most < LEAST || !norm.is_finite() {
        rounded.fill(0);
        return if norm.is_finite() { 0.0 } else { f32::NAN };
    }
    let room = NORM - (values.len() as f32).sqrt() / 2.0;
    let scale = (norm / room).max(most / MOST);
    to_integers(values, 1.0 / scale, &mut rounded[..values.len()]);
    scale
}

/// The size of the largest number, and the norm; where a number is not finite the norm is not either.
fn extent(values: &[f32]) -> (f32, f32) {
    let (most, sum) = largest_and_sum(values, 1.0);
    if sum.is_finite() && sum > f32::MIN_POSITIVE {
        return (most, sum.sqrt());
    }
    // Squares of very large or small numbers leave the range of floats.
    let factor = 1.0 / most.max(LEAST);
    (most, largest_and_sum(values, factor).1.sqrt() / factor)
}

vectorized! {
    /// The size of the largest of some values, and the sum of the squares of what they are times `factor`.
    fn largest_and_sum(values: &[f32], factor: f32) -> (f32, f32) {
        let (mut largest, mut sums) = ([0f32; COLUMNS], [0f32; COLUMNS]);
        let (chunks, rest) = values.as_chunks::<COLUMNS>();
        for chunk in chunks {
            for lane in 0..COLUMNS {
                let value = chunk[lane] * factor;
                largest[lane] = largest[lane].max(chunk[lane].abs());
                sums[lane] += value * value;
            }
        }
        let most = rest.iter().chain(&largest).fold(0.0, |most: f32, value| most.max(value.abs()));
        let squares = rest.iter().map(|value| value * factor * (value * factor));
        (most, squares.chain(sums).sum())
    }
}

vectorized! {
    fn to_integers(values: &[f32], factor: f32, rounded: &mut [i16]) {
        // Adding this constant rounds to an integer that stands in the low bits, those of a negative one as its complement.
        const ROUND: f32 = 12_582_912.0;
        for (rounded, value) in rounded.iter_mut().zip(values) {
            *rounded = (value * factor + ROUND).to_bits() as i16;
        }
    }
}

vectorized! {
    fn widen(sums: &[i32], scale: f32, scales: &[f32], bias: Option<&[f32]>, line: &mut [f32]) {
        for ((value, sum), other) in line.iter_mut().zip(sums).zip(scales) {
            *value = *sum as f32 * (scale * other);
        }
        for (value, bias) in line.iter_mut().zip(bias.unwrap_or_default()) {
            *value += bias;
        }
    }
}
