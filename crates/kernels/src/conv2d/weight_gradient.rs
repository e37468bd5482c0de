//! The gradient of a convolution's filters: the product of all windows with all output gradients, where the sum over
//! pixels is the depth.

use super::geometry::{Bands, Frame, Geometry};
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::panels::{Matrix, Panels};
use crate::parallel::{self, TASKS, Target, with_scratch};

/// Pixels of a block: a panel of output gradients (16 KiB) stays in the first-level cache.
const PIXELS: usize = 256;

/// dw [output, input, kernel height, kernel width].
pub fn weight_gradient(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let &Geometry {
        batch,
        input,
        output,
        kernel,
        ..
    } = geometry;
    let bands = Bands::new(batch, geometry.out[0]);
    let units = bands.count(batch);
    let chunk = units.div_ceil(TASKS).max(1);
    let width = geometry.patch() * output;
    let sums = parallel::sum(units.div_ceil(chunk), width, |index, partial| {
        for unit in index * chunk..units.min((index + 1) * chunk) {
            let (picture, rows) = bands.at(unit);
            add_band(geometry, x, dy, picture, rows, partial);
        }
    });
    // From [tap, input, output] to PyTorch's order.
    let taps = kernel[0] * kernel[1];
    parallel::fill(width, geometry.patch().max(1), |o, filter| {
        for (channel, line) in filter.chunks_exact_mut(taps).enumerate() {
            for (tap, value) in line.iter_mut().enumerate() {
                *value = sums[(tap * input + channel) * output + o];
            }
        }
    })
}

/// Adds the part of a half-open range of output rows of one picture to `sums` [tap, input, output].
fn add_band(geometry: &Geometry, x: &[f32], dy: &[f32], picture: usize, rows: [usize; 2], sums: &mut [f32]) {
    let &Geometry {
        size,
        input,
        output,
        kernel,
        stride,
        padding,
        out,
        ..
    } = geometry;
    let frame = Frame {
        size,
        channels: input,
        before: padding,
        framed: [0, 1].map(|axis| (out[axis] - 1) * stride[axis] + kernel[axis]),
    };
    let needed = [rows[0] * stride[0], (rows[1] - 1) * stride[0] + kernel[0]];
    let picture_length = size[0] * size[1] * input;
    let x = &x[picture * picture_length..(picture + 1) * picture_length];
    let elements = (needed[1] - needed[0]) * frame.pitch();
    let block = (PIXELS / out[1]).clamp(1, rows[1] - rows[0]);
    with_scratch(if frame.is_bare() { 0 } else { elements }, |scratch| {
        let framed = if frame.is_bare() {
            &x[needed[0] * frame.pitch()..][..elements]
        } else {
            frame.copy(x, needed, scratch);
            scratch
        };
        for row in (rows[0]..rows[1]).step_by(block) {
            let count = block.min(rows[1] - row);
            let pixels = count * out[1];
            let first = (picture * out[0] + row) * out[1] * output;
            let gradients = Matrix::new(&dy[first..first + pixels * output], pixels, output);
            let source = &framed[(row - rows[0]) * stride[0] * frame.pitch()..];
            add_block(geometry, source, frame.pitch(), count, gradients, sums);
        }
    });
}

/// Adds `rows` output rows, whose windows start with `source`.
fn add_block(geometry: &Geometry, source: &[f32], pitch: usize, rows: usize, gradients: Matrix, sums: &mut [f32]) {
    let &Geometry {
        input,
        output,
        kernel,
        stride,
        out,
        ..
    } = geometry;
    let path = Path {
        segments: rows,
        length: out[1],
        step: stride[1] * input,
        stride: stride[0] * pitch,
    };
    // The numbers of a window lie in runs, one for each row of the kernel.
    let run = kernel[1] * input;
    let patch = geometry.patch();
    let target = Target::new(sums);
    let tile_rows = Tile::detect().rows;
    with_scratch(path.depth() * COLUMNS, |lines| {
        for panel in 0..output.div_ceil(COLUMNS) {
            let columns = COLUMNS.min(output - panel * COLUMNS);
            Panels::pack(gradients, panel * COLUMNS, lines);
            let right = Right {
                panel: lines.as_ptr(),
                stride: 0,
            };
            for start in (0..patch).step_by(tile_rows) {
                let numbers = tile_rows.min(patch - start);
                let left = std::array::from_fn(|index| {
                    let number = start + index.min(numbers - 1);
                    let offset = number / run * pitch + number % run;
                    source[offset..offset + path.reach()].as_ptr()
                });
                let places = std::array::from_fn(|index| {
                    let number = start + index.min(numbers - 1);
                    target.pointer(number * output + panel * COLUMNS, columns)
                });
                // SAFETY: the rows were sliced along the whole path, the panel holds its depth, and `sums` belongs to
                // this task and is initialised.
                unsafe { tile(numbers, columns, &left, path, right, &places, Store::Add) };
            }
        }
    });
}
