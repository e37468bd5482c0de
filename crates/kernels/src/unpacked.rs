//! Products with weights that lie in few bits: a few panels at a time become floats, which all rows are multiplied with.

use crate::columns::add_columns;
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, TASKS, Target, with_scratch};
use half::f16;
use half::slice::HalfFloatSliceExt;

/// A right matrix in panels of 16 columns.
pub trait Unpack: Sync {
    fn depth(&self) -> usize;

    fn columns(&self) -> usize;

    /// Writes the panel number `index` [depth, 16], zeros included.
    fn unpack(&self, index: usize, panel: &mut [f32]);
}

impl Unpack for Panels<f16> {
    fn depth(&self) -> usize {
        self.depth
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn unpack(&self, index: usize, panel: &mut [f32]) {
        self.panel(index, 0).convert_to_f32_slice(panel);
    }
}

/// One that is read as it lies for the sake of one row.
pub trait MultiplyOne: Unpack {
    /// The products of one row [depth] with some panels.
    fn multiply_one(&self, left: &[f32], panels: [usize; PANELS]) -> [[f32; COLUMNS]; PANELS];
}

/// Panels that one row is multiplied with at a time.
pub const PANELS: usize = 4;
/// Numbers of the right matrix that a task of one row reads at least.
const TASK: usize = 1 << 18;

/// left · right (+ `bias` on every row), row-major; then calls `finish(place, line)` for every part of a row of the
/// product, which starts at `place`.
pub fn multiply_unpacked(
    left: Matrix,
    right: &impl MultiplyOne,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    match left.rows {
        1 => multiply_one(left, right, bias, finish),
        _ => multiply_rows_unpacked(left, right, bias, finish),
    }
}

/// [`multiply_unpacked`] for several rows.
pub fn multiply_rows_unpacked(
    left: Matrix,
    right: &impl Unpack,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let (rows, columns) = (left.rows, right.columns());
    let depth = checked_depth(left, right);
    let panels = columns.div_ceil(COLUMNS);
    let (size, most) = (depth * COLUMNS, Tile::detect().panels);
    let together = panels.div_ceil(TASKS).next_multiple_of(most);
    let mut output = Vec::with_capacity(rows * columns);
    let target = Target::spare(&mut output, rows * columns);
    parallel::for_each(panels.div_ceil(together.max(1)), |task| {
        let last = panels.min((task + 1) * together);
        with_scratch(most * size, |scratch| {
            for (from, to) in Tile::detect().groups(task * together, last) {
                (from..to)
                    .zip(scratch.chunks_exact_mut(size.max(1)))
                    .for_each(|(panel, part)| right.unpack(panel, part));
                let span = [from * COLUMNS, columns.min(to * COLUMNS)];
                multiply_rows(left, scratch, bias, target, [span[0], span[1], columns]);
                for place in (0..rows).map(|row| row * columns + span[0]) {
                    // SAFETY: the columns belong to this task, which has just written them.
                    finish(place, unsafe { target.slice(place, span[1] - span[0]) });
                }
            }
        });
    });
    // SAFETY: the tasks cover all columns, and each writes all rows of its own.
    unsafe { output.set_len(rows * columns) };
    output
}

/// The depth of both sides of a product.
fn checked_depth(left: Matrix, right: &impl Unpack) -> usize {
    assert!(
        left.columns == right.depth() && left.column_stride == 1,
        "the depths of a product"
    );
    left.columns
}

/// [`multiply_unpacked`] for one row, which is bound by reading the right matrix.
fn multiply_one(
    left: Matrix,
    right: &impl MultiplyOne,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let left = &left.values[left.at(0, 0)..][..checked_depth(left, right)];
    let panels = right.columns().div_ceil(COLUMNS);
    let together = (TASK / (left.len() * COLUMNS).max(1)).max(PANELS).min(panels.max(1));
    parallel::fill(right.columns(), together * COLUMNS, |task, part| {
        let last = panels.min((task + 1) * together);
        let starts = (task * together..last).step_by(PANELS);
        for (panel, line) in starts.zip(part.chunks_mut(PANELS * COLUMNS)) {
            let sums = right.multiply_one(left, std::array::from_fn(|index| (panel + index).min(last - 1)));
            line.iter_mut()
                .zip(sums.as_flattened())
                .for_each(|(value, sum)| *value = *sum);
            let column = panel * COLUMNS;
            if let Some(bias) = bias {
                add_columns(&bias[column..column + line.len()], line);
            }
            finish(column, line);
        }
    })
}

/// All rows times the columns `from` to `to` of a product of `columns`, whose panels lie in `scratch`.
fn multiply_rows(left: Matrix, scratch: &[f32], bias: Option<&[f32]>, target: Target, [from, to, columns]: [usize; 3]) {
    let store = bias.map_or(Store::Set, |bias| Store::Bias(&bias[from..to]));
    let stride = left.columns * COLUMNS;
    assert!(
        scratch.len() >= (to - from).div_ceil(COLUMNS) * stride,
        "panels for all columns"
    );
    let right = Right {
        panel: scratch.as_ptr(),
        stride,
    };
    for row in (0..left.rows).step_by(Tile::detect().rows) {
        let count = Tile::detect().rows.min(left.rows - row);
        let place = |index: usize| row + index.min(count - 1);
        let starts = std::array::from_fn(|index| left.values[left.at(place(index), 0)..][..left.columns].as_ptr());
        let output = std::array::from_fn(|index| target.pointer(place(index) * columns + from, to - from));
        let path = Path::line(left.columns, 1);
        // SAFETY: rows and panels were checked above, and `pointer` checks the output, whose columns belong to one task.
        unsafe { tile(count, to - from, &starts, path, right, &output, store) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grouped::GroupedPanels;
    use crate::quantized::QuantizedPanels;
    use crate::testing::{close, same_bits, values};

    fn check([rows, columns, depth]: [usize; 3], right: impl MultiplyOne) {
        let left = values(1, rows * depth);
        let bias = values(3, columns);
        let column = |column: usize| {
            let mut panel = vec![7.0; depth * COLUMNS];
            right.unpack(column / COLUMNS, &mut panel);
            panel
                .into_iter()
                .skip(column % COLUMNS)
                .step_by(COLUMNS)
                .collect::<Vec<_>>()
        };
        let found: Vec<Vec<f32>> = (0..columns).map(column).collect();
        let product = |(row, column): (usize, usize)| {
            let terms = left[row * depth..].iter().zip(&found[column]);
            2.0 * (terms.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() + f64::from(bias[column]))
        };
        let places = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let expected: Vec<f64> = places.map(product).collect();
        let twice = |_: usize, line: &mut [f32]| line.iter_mut().for_each(|value| *value *= 2.0);
        let run = || multiply_unpacked(Matrix::new(&left, rows, depth), &right, Some(&bias), twice);
        close(
            &format!("{rows} × {depth} × {columns}"),
            &same_bits(run),
            &expected,
            1e-5,
        );
    }

    #[test]
    fn products_match_the_unpacked_numbers() {
        for shape in [[1, 1, 1], [1, 33, 70], [3, 17, 5], [9, 100, 301], [30, 900, 64]] {
            let [_, columns, depth] = shape;
            let weight = values(2, depth * columns);
            let matrix = Matrix::new(&weight, depth, columns);
            let pack = |index: usize, panel: &mut [f32]| Panels::pack(matrix, index * COLUMNS, panel);
            check(shape, GroupedPanels::from_fn(depth, columns, pack));
            check(shape, QuantizedPanels::from_fn(depth, columns, pack));
        }
    }
}
