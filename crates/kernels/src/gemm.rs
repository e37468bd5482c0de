//! Matrix products over a partition that depends on the shapes only.

use crate::microkernel::{COLUMNS, Element, Path, ROWS, Store, Tile, tile};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, TASKS, Target, with_scratch};
use crate::simd::{dot, vectorized};

/// Most depth of a block: its rows of a tile (16 KiB) stay in the first-level cache while the panels pass.
const DEPTH: usize = 512;
/// Rows of a block, a multiple of every tile's: a packed block of it (384 KiB) stays in the second-level cache.
const BLOCK: usize = 192;
/// Multiplications up to which a product takes less time than waking another thread would, and numbers of the right
/// matrix up to which reading them does.
const SMALL: usize = 1 << 20;
const SMALL_RIGHT: usize = 1 << 16;
/// Rows up to which the right matrix is read once as it is, instead of being packed.
const THIN: usize = 4;
/// Numbers of the right matrix that a task of such a product reads.
const THIN_TASK: usize = 1 << 16;

/// left · right (+ `bias` on every row), row-major.
pub fn multiply(left: Matrix, right: Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    assert_eq!(left.columns, right.rows, "the depths of a product");
    assert!(bias.is_none_or(|bias| bias.len() == right.columns), "one bias a column");
    if left.rows <= THIN && left.column_stride == 1 && right.row_stride.min(right.column_stride) <= 1 {
        return multiply_thin(left, right, bias);
    }
    multiply_packed(left, &Panels::new(right), bias)
}

/// left · right (+ `bias` on every row) for a right matrix that is already packed.
pub fn multiply_packed(left: Matrix, right: &Panels, bias: Option<&[f32]>) -> Vec<f32> {
    let cut = Cut::new(left.rows, right.count(), left.columns);
    let size = left.rows * right.columns;
    let mut output = Vec::with_capacity(cut.depths * size);
    let target = Target::spare(&mut output, cut.depths * size);
    parallel::for_each(cut.tasks(), |task| {
        let (block, depth) = cut.block(task, [left.rows, right.count(), left.columns]);
        let first = bias.filter(|_| depth == 0).map_or(Store::Set, Store::Bias);
        multiply_block(left, right, block, target, depth * size, first);
    });
    // SAFETY: the blocks cover all depths, rows and panels, and each writes its part of the output.
    unsafe { output.set_len(cut.depths * size) };
    parallel::add_rows(output, size)
}

/// As [`multiply_packed`]; then calls `finish(place, line)` for every part of a row of the product, which starts at
/// `place` of the output, while it is still in the cache of the thread that made it.
pub fn multiply_and_finish<E: Element>(
    left: Matrix,
    right: &Panels<E>,
    bias: Option<&[f32]>,
    finish: impl Fn(usize, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let cut = Cut::new(left.rows, right.count(), left.columns).whole_depth(left.columns);
    let size = left.rows * right.columns;
    let mut output = Vec::with_capacity(size);
    let target = Target::spare(&mut output, size);
    parallel::for_each(cut.tasks(), |task| {
        let (block, _) = cut.block(task, [left.rows, right.count(), left.columns]);
        let columns = (block.panels.0 * COLUMNS, right.columns.min(block.panels.1 * COLUMNS));
        let rows = block.rows;
        multiply_block(left, right, block, target, 0, bias.map_or(Store::Set, Store::Bias));
        for row in rows.0..rows.1 {
            let place = row * right.columns + columns.0;
            // SAFETY: the block is this task's, and was written above.
            finish(place, unsafe { target.slice(place, columns.1 - columns.0) });
        }
    });
    // SAFETY: the blocks cover all rows and panels, and each writes its part of the output.
    unsafe { output.set_len(size) };
    output
}

/// Adds left · right to `output`, row-major, on the calling thread: for small products inside a task.
pub fn add_product(left: Matrix, right: &Panels, output: &mut [f32]) {
    store_product(left, right, output, Store::Add);
}

/// Overwrites `output` with left · right, row-major, on the calling thread.
pub fn set_product(left: Matrix, right: &Panels, output: &mut [f32]) {
    store_product(left, right, output, Store::Set);
}

fn store_product(left: Matrix, right: &Panels, output: &mut [f32], store: Store) {
    assert_eq!(left.columns, right.depth, "the depths of a product");
    let block = Block {
        rows: (0, left.rows),
        panels: (0, right.count()),
        depth: (0, left.columns),
    };
    multiply_block(left, right, block, Target::new(output), 0, store);
}

/// How a product is cut into tasks: numbers of parts and their extents.
pub struct Cut {
    rows: usize,
    panels: usize,
    depths: usize,
    block_rows: usize,
    block_panels: usize,
    block_depth: usize,
}

impl Cut {
    pub fn new(rows: usize, panels: usize, depth: usize) -> Self {
        let right = panels * COLUMNS * depth;
        let small = rows * right <= SMALL && right <= SMALL_RIGHT;
        let tasks = if small { 1 } else { TASKS };
        // Every part of the rows reads the right matrix, every part of the columns the left one: in this proportion both
        // together read the least.
        let parts = (tasks * rows / (panels * COLUMNS).max(1)).isqrt().clamp(1, tasks);
        let block_rows = rows.div_ceil(parts).next_multiple_of(Tile::detect().rows).min(BLOCK);
        let row_parts = rows.div_ceil(block_rows);
        let wanted = (tasks / row_parts.max(1)).max(1);
        // Only the last tile of the last part is thin.
        let block_panels = panels.div_ceil(wanted).max(3).next_multiple_of(Tile::detect().panels);
        let panel_parts = panels.div_ceil(block_panels);
        // A deep product with few outputs, such as a weight's gradient, is cut along its depth as well.
        let wanted = (tasks / (row_parts * panel_parts).max(1)).max(1);
        let block_depth = depth.div_ceil(wanted).next_multiple_of(DEPTH).max(DEPTH);
        Self {
            rows: row_parts,
            panels: panel_parts,
            depths: depth.div_ceil(block_depth).max(1),
            block_rows,
            block_panels,
            block_depth,
        }
    }

    /// The same without a cut of the depth.
    pub fn whole_depth(self, depth: usize) -> Self {
        Self {
            depths: 1,
            block_depth: depth.max(1),
            ..self
        }
    }

    pub fn tasks(&self) -> usize {
        self.rows * self.panels * self.depths
    }

    /// The block of a task in a product of `rows`, `panels` and `depth`, and which part of the depth it is.
    pub fn block(&self, task: usize, [rows, panels, depths]: [usize; 3]) -> (Block, usize) {
        let row = task % self.rows * self.block_rows;
        let panel = task / self.rows % self.panels * self.block_panels;
        let depth = task / self.rows / self.panels;
        let from = depth * self.block_depth;
        let block = Block {
            rows: (row, rows.min(row + self.block_rows)),
            panels: (panel, panels.min(panel + self.block_panels)),
            depth: (from, depths.min(from + self.block_depth)),
        };
        (block, depth)
    }
}

/// Half-open ranges of a task.
pub struct Block {
    pub rows: (usize, usize),
    pub panels: (usize, usize),
    pub depth: (usize, usize),
}

/// Multiplies one block into `target` from `offset`, as `first` says for the first part of the depth.
fn multiply_block<E: Element>(
    left: Matrix,
    right: &Panels<E>,
    block: Block,
    target: Target,
    offset: usize,
    first: Store,
) {
    let tile = Tile::detect();
    let length = block.depth.1 - block.depth.0;
    let most = length.div_ceil(length.div_ceil(DEPTH).max(1));
    let mut from = block.depth.0;
    loop {
        let depth = most.min(block.depth.1 - from);
        let store = if from == block.depth.0 { first } else { Store::Add };
        with_scratch(block_scratch(left, &block, depth, tile), |scratch| {
            let source = pack_rows(left, &block, from, depth, tile, scratch);
            for panels in tile.groups(block.panels.0, block.panels.1) {
                let rows = block.rows;
                multiply_panels(&source, right, from, panels, rows, target, offset, store);
            }
        });
        from += depth;
        if from >= block.depth.1 {
            break;
        }
    }
}

/// Multiplies the rows of a block with one group of panels, tile by tile.
#[expect(clippy::too_many_arguments, reason = "the extents of one loop of a nest")]
fn multiply_panels<E: Element>(
    source: &Source,
    right: &Panels<E>,
    from: usize,
    panels: (usize, usize),
    block_rows: (usize, usize),
    target: Target,
    offset: usize,
    store: Store,
) {
    let column = panels.0 * COLUMNS;
    let columns = right.columns.min(panels.1 * COLUMNS) - column;
    let store = match store {
        Store::Bias(bias) => Store::Bias(&bias[column..]),
        other => other,
    };
    let lines = right.group(panels, from, source.path.depth());
    let count = block_rows.1 - block_rows.0;
    source.check(count);
    let length = count.saturating_sub(1) * right.columns + columns;
    let first = target.pointer(offset + block_rows.0 * right.columns + column, length);
    for row in (0..count).step_by(source.tile_rows) {
        let rows = source.tile_rows.min(count - row);
        let starts = source.starts(row, rows);
        let output = std::array::from_fn(|index| first.wrapping_add((row + index.min(rows - 1)) * right.columns));
        // SAFETY: `check` saw the rows, `group` the panels, `pointer` the output, which belongs to this block alone;
        // `Add` follows a store into the same place.
        unsafe { tile(rows, columns, &starts, source.path, lines, &output, store) };
    }
}

/// The rows of a block as the microkernel reads them.
struct Source<'a> {
    values: &'a [f32],
    tile_rows: usize,
    /// Elements between the starts of tiles, and of rows within a tile.
    tile_stride: usize,
    row_stride: usize,
    path: Path,
}

impl Source<'_> {
    /// Makes sure that the first `count` rows can be read.
    ///
    /// # Panics
    /// When there are fewer.
    fn check(&self, count: usize) {
        if let Some(last) = count.checked_sub(1) {
            let start = last / self.tile_rows * self.tile_stride + last % self.tile_rows * self.row_stride;
            // The last row of a tile ends behind all of the others.
            assert!(
                start + self.path.reach() <= self.values.len(),
                "{count} rows of a block"
            );
        }
    }

    /// Where `rows` rows of a tile begin, the last of them as often as others are missing.
    fn starts(&self, row: usize, rows: usize) -> [*const f32; ROWS] {
        let tile = self
            .values
            .as_ptr()
            .wrapping_add(row / self.tile_rows * self.tile_stride);
        std::array::from_fn(|index| tile.wrapping_add(index.min(rows - 1) * self.row_stride))
    }
}

fn block_scratch(left: Matrix, block: &Block, depth: usize, tile: Tile) -> usize {
    if left.column_stride == 1 {
        return 0;
    }
    (block.rows.1 - block.rows.0).next_multiple_of(tile.rows) * depth
}

/// Rows that are contiguous along the depth are read in place; others are interleaved, a tile's rows together.
fn pack_rows<'a>(
    left: Matrix<'a>,
    block: &Block,
    from: usize,
    depth: usize,
    tile: Tile,
    scratch: &'a mut [f32],
) -> Source<'a> {
    if left.column_stride == 1 {
        return Source {
            values: &left.values[left.at(block.rows.0, from).min(left.values.len())..],
            tile_rows: tile.rows,
            tile_stride: tile.rows * left.row_stride,
            row_stride: left.row_stride,
            path: Path::line(depth, 1),
        };
    }
    let count = block.rows.1 - block.rows.0;
    for step in 0..depth {
        for (row, place) in (0..count).step_by(tile.rows).zip((0..).step_by(tile.rows * depth)) {
            let line = &mut scratch[place + step * tile.rows..][..tile.rows];
            interleave(left, block.rows.0 + row, from + step, tile.rows.min(count - row), line);
        }
    }
    Source {
        values: scratch,
        tile_rows: tile.rows,
        tile_stride: tile.rows * depth,
        row_stride: 1,
        path: Path::line(depth, tile.rows),
    }
}

/// Copies one column of the rows of a tile.
#[inline(always)]
fn interleave(left: Matrix, row: usize, column: usize, rows: usize, line: &mut [f32]) {
    let start = left.at(row, column);
    if left.row_stride == 1 {
        // Copies of a fixed length are single instructions.
        match line.len() {
            ROWS if rows == ROWS => line.copy_from_slice(&left.values[start..start + ROWS]),
            _ => line[..rows].copy_from_slice(&left.values[start..start + rows]),
        }
        return;
    }
    for (index, value) in line[..rows].iter_mut().enumerate() {
        *value = left.values[start + index * left.row_stride];
    }
}

/// A product of few rows, bound by reading the right matrix: every number of it is read once, where it lies.
fn multiply_thin(left: Matrix, right: Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let (rows, columns, depth) = (left.rows, right.columns, right.rows);
    let chunk = (THIN_TASK / depth.max(1)).clamp(4 * COLUMNS, 4096);
    let mut output = Vec::with_capacity(rows * columns);
    let target = Target::spare(&mut output, rows * columns);
    parallel::for_each(columns.div_ceil(chunk), |task| {
        let first = task * chunk;
        let count = chunk.min(columns - first);
        for row in 0..rows {
            let start = left.at(row, 0);
            let factors = &left.values[start..start + depth];
            // SAFETY: every element belongs to one task.
            let part = unsafe { target.slice(row * columns + first, count) };
            match bias {
                Some(bias) => part.copy_from_slice(&bias[first..first + count]),
                None => part.fill(0.0),
            }
            for (at, factor) in factors.iter().enumerate().filter(|_| right.column_stride == 1) {
                let start = right.at(at, first);
                add_multiple(*factor, &right.values[start..start + count], part);
            }
            for (column, value) in part.iter_mut().enumerate().filter(|_| right.column_stride != 1) {
                let start = right.at(0, first + column);
                *value += dot(factors, &right.values[start..start + depth]);
            }
        }
    });
    // SAFETY: the tasks cover all columns, and each writes all rows of its own.
    unsafe { output.set_len(rows * columns) };
    output
}

vectorized! {
    fn add_multiple(factor: f32, values: &[f32], sums: &mut [f32]) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, same_bits, values};

    fn check([rows, columns, depth]: [usize; 3], with_bias: bool) {
        let (a, b) = (values(1, rows * depth), values(2, depth * columns));
        let bias = with_bias.then(|| values(3, columns));
        for (left_turned, right_turned) in [(false, false), (false, true), (true, false), (true, true)] {
            let left = if left_turned {
                Matrix::new(&a, depth, rows).transposed()
            } else {
                Matrix::new(&a, rows, depth)
            };
            let right = if right_turned {
                Matrix::new(&b, columns, depth).transposed()
            } else {
                Matrix::new(&b, depth, columns)
            };
            let got = same_bits(|| multiply(left, right, bias.as_deref()));
            let expected: Vec<f64> = (0..rows * columns)
                .map(|index| {
                    let (row, column) = (index / columns, index % columns);
                    let product = (0..depth).map(|at| {
                        f64::from(left.values[left.at(row, at)]) * f64::from(right.values[right.at(at, column)])
                    });
                    product.sum::<f64>() + bias.as_ref().map_or(0.0, |bias| bias[column].into())
                })
                .collect();
            close(&format!("{rows} × {depth} × {columns}"), &got, &expected, 1e-5);
        }
    }

    #[test]
    fn products_match_their_definition() {
        for shape in [
            [1, 1, 1],
            [1, 33, 70],
            [3, 17, 5],
            [4, 100, 300],
            [5, 16, 1],
            [6, 32, 256],
            [7, 15, 257],
            [97, 65, 40],
            [13, 9, 5000],
            [130, 200, 600],
        ] {
            check(shape, false);
            check(shape, true);
        }
    }

    #[test]
    fn products_of_strided_rows_are_added() {
        let left = [1.0, 2.0, 9.0, 3.0, 4.0, 9.0];
        let right = Panels::new(Matrix::new(&[1.0, 0.0, 0.0, 10.0], 2, 2));
        let mut output = [100.0, 200.0, 300.0, 400.0];
        add_product(Matrix::strided(&left, 2, 2, 3), &right, &mut output);
        assert_eq!(output, [101.0, 220.0, 303.0, 440.0]);
    }

    #[test]
    fn an_empty_depth_gives_the_bias() {
        let product = multiply(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 3), Some(&[1.0, 2.0, 3.0]));
        assert_eq!(product, [1.0, 2.0, 3.0, 1.0, 2.0, 3.0]);
    }
}
