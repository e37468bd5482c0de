//! Strided views of matrices, and right matrices packed for the microkernel.

use crate::microkernel::{COLUMNS, Element, Right};
use crate::parallel::{self, with_scratch};
use half::f16;
use half::slice::HalfFloatSliceExt;
use half::vec::HalfBitsVecExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A strided view of a matrix.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    pub columns: usize,
    pub row_stride: usize,
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix that fills `values`.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(
            values.len(),
            rows * columns,
            "a matrix of {rows} × {columns} must fill its buffer"
        );
        Self {
            values,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// The first `columns` numbers of every `row_stride` in `values`.
    pub fn strided(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            columns <= row_stride && values.len() == rows * row_stride,
            "a strided matrix"
        );
        Self {
            values,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The place of an element in `values`.
    pub fn at(&self, row: usize, column: usize) -> usize {
        row * self.row_stride + column * self.column_stride
    }
}

/// A right matrix [depth, columns], packed into panels of 16 columns, the last one filled up with zeros. A panel holds
/// the 16 numbers of depth 0, then those of depth 1, and so on.
#[derive(Clone, Debug)]
pub struct Panels<E = f32> {
    values: Vec<E>,
    pub depth: usize,
    pub columns: usize,
}

impl Panels {
    /// Packs the matrix whose panel number `index` is written by `pack(index, panel)`, zeros included.
    pub fn from_fn(depth: usize, columns: usize, pack: impl Fn(usize, &mut [f32]) + Send + Sync) -> Self {
        let panel = (depth * COLUMNS).max(1);
        let together = parallel::ELEMENTS.div_ceil(panel);
        let length = columns.div_ceil(COLUMNS) * depth * COLUMNS;
        let values = parallel::fill(length, together * panel, |task, part| {
            for (index, part) in part.chunks_exact_mut(panel).enumerate() {
                pack(task * together + index, part);
            }
        });
        Self { values, depth, columns }
    }

    pub fn new(matrix: Matrix) -> Self {
        Self::from_fn(matrix.rows, matrix.columns, |index, panel| {
            Self::pack(matrix, index * COLUMNS, panel);
        })
    }

    /// Packs the panel of `matrix` whose first column is `first`.
    pub fn pack(matrix: Matrix, first: usize, panel: &mut [f32]) {
        let width = (matrix.columns - first).min(COLUMNS);
        if width < COLUMNS {
            panel.fill(0.0);
        }
        if matrix.column_stride == 1 {
            for (depth, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
                let start = matrix.at(depth, first);
                line[..width].copy_from_slice(&matrix.values[start..start + width]);
            }
        } else if matrix.row_stride == 1 && width == COLUMNS {
            let start = |column: usize| &matrix.values[matrix.at(0, first + column)..];
            transpose(std::array::from_fn(start), panel);
        } else {
            for (depth, line) in panel.chunks_exact_mut(COLUMNS).enumerate() {
                for (column, value) in line[..width].iter_mut().enumerate() {
                    *value = matrix.values[matrix.at(depth, first + column)];
                }
            }
        }
    }
}

impl Panels<f16> {
    /// As [`Panels::from_fn`], where all numbers are the same in 16 bits; nothing where one is not.
    pub fn exact(depth: usize, columns: usize, pack: impl Fn(usize, &mut [f32]) + Send + Sync) -> Option<Self> {
        let size = depth * COLUMNS;
        let mut values = zeros(columns.div_ceil(COLUMNS) * size);
        let exact = AtomicBool::new(true);
        let panels: Vec<_> = values.chunks_mut(size.max(1)).enumerate().collect();
        parallel::for_each_of(panels, |(index, panel)| {
            // One panel of a matrix that does not fit shows it.
            if exact.load(Ordering::Relaxed) {
                with_scratch(2 * size, |scratch| {
                    let (wide, back) = scratch.split_at_mut(size);
                    pack(index, wide);
                    panel.convert_from_f32_slice(wide);
                    panel.convert_to_f32_slice(back);
                    // Every pair is looked at: a loop that may end early is not vectorised.
                    let differ = wide.iter().zip(back).fold(false, |differ, (a, b)| differ | (a != b));
                    exact.fetch_and(!differ, Ordering::Relaxed);
                });
            }
        });
        exact.into_inner().then_some(Self { values, depth, columns })
    }

    /// Packs a matrix [depth, columns] of which `values` holds one column after the other.
    pub fn from_columns(values: &[f16], depth: usize, columns: usize) -> Self {
        assert_eq!(values.len(), depth * columns, "columns that fill their buffer");
        let size = depth * COLUMNS;
        let mut packed = zeros(columns.div_ceil(COLUMNS) * size);
        let panels = packed.chunks_mut(size.max(1)).zip(values.chunks(size.max(1))).collect();
        parallel::for_each_of(panels, |(panel, values): (&mut [f16], &[f16])| {
            transpose_halves(values.reinterpret_cast(), panel.reinterpret_cast_mut());
        });
        Self {
            values: packed,
            depth,
            columns,
        }
    }
}

impl<E: Element> Panels<E> {
    /// The number of panels.
    pub fn count(&self) -> usize {
        self.columns.div_ceil(COLUMNS)
    }

    /// Panel `index` from depth `from`.
    pub fn panel(&self, index: usize, from: usize) -> &[E] {
        &self.values[(index * self.depth + from) * COLUMNS..(index + 1) * self.depth * COLUMNS]
    }

    /// The half-open range `panels`, of at least one, from depth `from` for `depth` steps.
    pub fn group(&self, panels: (usize, usize), from: usize, depth: usize) -> Right<E> {
        assert!(
            panels.0 < panels.1 && panels.1 <= self.count() && from + depth <= self.depth,
            "panels {panels:?} from {from} for {depth} of {} × {}",
            self.count(),
            self.depth
        );
        Right {
            panel: self.panel(panels.0, from).as_ptr(),
            stride: self.depth * COLUMNS,
        }
    }
}

/// Memory that the system hands out as zeros, so that it is first touched by the threads that write it.
fn zeros(count: usize) -> Vec<f16> {
    vec![0u16; count].reinterpret_into()
}

/// Writes one number of each column in turn to `lines`.
fn transpose(columns: [&[f32]; COLUMNS], lines: &mut [f32]) {
    let depth = lines.len() / COLUMNS;
    let columns = columns.map(|column| &column[..depth]);
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_avx2() {
        done = depth / BLOCK * BLOCK;
        // SAFETY: the features were detected on the line above.
        unsafe { transpose_blocks(columns, lines) };
    }
    for (at, line) in lines.chunks_exact_mut(COLUMNS).enumerate().skip(done) {
        for (value, column) in line.iter_mut().zip(columns) {
            *value = column[at];
        }
    }
}

/// Numbers of a register.
#[cfg(target_arch = "x86_64")]
const BLOCK: usize = 8;

/// The full blocks of [`transpose`]: 8 × 8 numbers at a time pass through registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn transpose_blocks(columns: [&[f32]; COLUMNS], lines: &mut [f32]) {
    use std::arch::x86_64::*;
    for (index, block) in lines.chunks_exact_mut(BLOCK * COLUMNS).enumerate() {
        for half in 0..COLUMNS / BLOCK {
            let rows: [__m256; BLOCK] = std::array::from_fn(|column| {
                let source = &columns[half * BLOCK + column][index * BLOCK..][..BLOCK];
                // SAFETY: the slice above holds eight numbers.
                unsafe { _mm256_loadu_ps(source.as_ptr()) }
            });
            let pairs: [__m256; BLOCK] = std::array::from_fn(|index| {
                let (a, b) = (rows[index / 2 * 2], rows[index / 2 * 2 + 1]);
                if index % 2 == 0 {
                    _mm256_unpacklo_ps(a, b)
                } else {
                    _mm256_unpackhi_ps(a, b)
                }
            });
            let quads: [__m256; BLOCK] = std::array::from_fn(|index| {
                let (a, b) = (index / 4 * 4 + index % 4 / 2, index / 4 * 4 + index % 4 / 2 + 2);
                let (a, b) = (pairs[a], pairs[b]);
                if index % 2 == 0 {
                    _mm256_shuffle_ps::<0x44>(a, b)
                } else {
                    _mm256_shuffle_ps::<0xEE>(a, b)
                }
            });
            for at in 0..BLOCK {
                let (a, b) = (quads[at % 4], quads[at % 4 + 4]);
                let row = if at < 4 {
                    _mm256_permute2f128_ps::<0x20>(a, b)
                } else {
                    _mm256_permute2f128_ps::<0x31>(a, b)
                };
                let target = &mut block[at * COLUMNS + half * BLOCK..][..BLOCK];
                // SAFETY: the slice above holds eight numbers.
                unsafe { _mm256_storeu_ps(target.as_mut_ptr(), row) };
            }
        }
    }
}

/// Writes one number of each column in turn to `lines`, zeros in the place of columns that are missing.
fn transpose_halves(columns: &[u16], lines: &mut [u16]) {
    let depth = lines.len() / COLUMNS;
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if columns.len() == lines.len() {
        done = depth / BLOCK * BLOCK;
        // SAFETY: SSE2 is a part of every x86-64.
        unsafe { transpose_half_blocks(columns, lines) };
    }
    for (at, line) in lines.chunks_exact_mut(COLUMNS).enumerate().skip(done) {
        for (value, column) in line.iter_mut().zip(columns.chunks_exact(depth)) {
            *value = column[at];
        }
    }
}

/// The full blocks of [`transpose_halves`]: 8 × 8 numbers at a time pass through registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
fn transpose_half_blocks(columns: &[u16], lines: &mut [u16]) {
    use std::arch::x86_64::*;
    let depth = lines.len() / COLUMNS;
    // The place of a number in eight registers has six bits, three of them of the register. This turns them by one.
    let turn = |rows: [__m128i; BLOCK]| -> [__m128i; BLOCK] {
        std::array::from_fn(|index| {
            let (a, b) = (rows[index / 2], rows[index / 2 + BLOCK / 2]);
            match index % 2 {
                0 => _mm_unpacklo_epi16(a, b),
                _ => _mm_unpackhi_epi16(a, b),
            }
        })
    };
    for (index, block) in lines.chunks_exact_mut(BLOCK * COLUMNS).enumerate() {
        for half in 0..COLUMNS / BLOCK {
            let rows = std::array::from_fn(|column| {
                let source = &columns[(half * BLOCK + column) * depth + index * BLOCK..][..BLOCK];
                // SAFETY: the slice above holds eight numbers.
                unsafe { _mm_loadu_si128(source.as_ptr().cast()) }
            });
            for (at, row) in turn(turn(turn(rows))).into_iter().enumerate() {
                let target = &mut block[at * COLUMNS + half * BLOCK..][..BLOCK];
                // SAFETY: the slice above holds eight numbers.
                unsafe { _mm_storeu_si128(target.as_mut_ptr().cast(), row) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    fn check(matrix: Matrix) {
        let panels = Panels::new(matrix);
        for index in 0..panels.count() {
            for (depth, line) in panels.panel(index, 0).chunks(COLUMNS).enumerate() {
                for (lane, &value) in line.iter().enumerate() {
                    let column = index * COLUMNS + lane;
                    let inside = column < matrix.columns;
                    let expected = if inside {
                        matrix.values[matrix.at(depth, column)]
                    } else {
                        0.0
                    };
                    assert_eq!(value, expected, "depth {depth}, column {column}");
                }
            }
        }
    }

    #[test]
    fn panels_hold_the_matrix() {
        for (rows, columns) in [(1, 1), (3, 16), (16, 33), (37, 20), (8, 32), (0, 5)] {
            let values = values(1, rows * columns);
            check(Matrix::new(&values, rows, columns));
            check(Matrix::new(&values, columns, rows).transposed());
            if rows % 2 == 0 {
                check(Matrix::strided(&values, rows / 2, columns, 2 * columns));
            }
        }
    }
}
