//! 3 × 3 convolutions of stride 1 by minimal filtering, F(2×2, 3×3) (Winograd 1980; Lavin and Gray 2016): each 2 × 2
//! outputs take 16 products of transformed numbers instead of 36, for each pair of channels.
//!
//! y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for the 4 × 4 numbers d of a window and the filter g, so the sums over channels are 16
//! matrix products, one for each point of the transformed window. The filter's gradient is the adjoint of the same sums.

mod planes;
mod transforms;
mod weight_gradient;

use std::array::from_fn;
use std::ops::Range;

use super::geometry::Geometry;
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::parallel::{self, Target, with_scratch};
use planes::{Planes, spacing};
use transforms::{POINTS, Places, Source, from_filter, from_sums};
pub use weight_gradient::weight_gradient;

/// Places from which on transformed filters are used often enough to be worth their time.
const PLACES: usize = 32;

/// Whether these functions are the way to compute a convolution: they need full registers of channels on both sides.
pub fn applies(geometry: &Geometry) -> bool {
    geometry.kernel == [1, 3, 3]
        && geometry.stride == [1; 3]
        && geometry.dilation == [1; 3]
        && geometry.groups == 1
        && geometry.batch * geometry.out.iter().product::<usize>() >= PLACES
        && geometry.size[0] == 1
        && geometry.padding[0] == 0
        && geometry.padding.iter().all(|&padding| padding <= 2)
        && geometry.input.is_multiple_of(COLUMNS)
        && geometry.output.is_multiple_of(COLUMNS)
}

/// y [batch, 1, height', width', output].
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], bias: &[f32]) -> Vec<f32> {
    let taps = geometry.taps();
    let filters = filters(geometry.input, geometry.output, weight, |channel, column, tap| {
        (column * geometry.input + channel) * taps + tap
    });
    Planes::forward(geometry).convolve(x, &filters, Some(bias))
}

/// dx [batch, 1, height, width, input]: a convolution of dy with the flipped filters.
pub fn input_gradient(geometry: &Geometry, dy: &[f32], weight: &[f32]) -> Vec<f32> {
    let taps = geometry.taps();
    let filters = filters(geometry.output, geometry.input, weight, |channel, column, tap| {
        (channel * geometry.input + column) * taps + taps - 1 - tap
    });
    Planes::backward(geometry).convolve(dy, &filters, None)
}

/// Transformed filters [panel, point, channel, 16 columns] of `weight`, where `place(channel, column, tap)` is.
fn filters(
    channels: usize,
    columns: usize,
    weight: &[f32],
    place: impl Fn(usize, usize, usize) -> usize + Send + Sync,
) -> Vec<f32> {
    let line = channels * COLUMNS;
    parallel::fill(POINTS * channels * columns, POINTS * line, |panel, part| {
        for channel in 0..channels {
            let mut taps = [[0.0; COLUMNS]; 9];
            for lane in 0..COLUMNS {
                let column = panel * COLUMNS + lane;
                for (tap, line) in taps.iter_mut().enumerate() {
                    line[lane] = weight[place(channel, column, tap)];
                }
            }
            let mut points = [[0.0; COLUMNS]; POINTS];
            from_filter(&taps, &mut points);
            for (point, numbers) in points.iter().enumerate() {
                part[point * line + channel * COLUMNS..][..COLUMNS].copy_from_slice(numbers);
            }
        }
    })
}

impl Planes {
    fn convolve(&self, x: &[f32], filters: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (tiles, block) = (self.tiles(), self.block());
        let size = self.batch * self.out[0] * self.out[1] * self.columns;
        let mut output = Vec::with_capacity(size);
        let target = Target::spare(&mut output, size);
        let zeros = vec![0.0; self.channels.max(self.columns)];
        parallel::for_each(tiles.div_ceil(block), |index| {
            let tiles = index * block..tiles.min((index + 1) * block);
            let [windows, sums] = [self.channels, self.columns].map(|width| POINTS * spacing(tiles.len(), width));
            with_scratch(windows + sums, |scratch| {
                let (windows, sums) = scratch.split_at_mut(windows);
                self.transform(x, &zeros, tiles.clone(), tiles.clone(), Target::new(windows));
                self.multiply(windows, filters, tiles.len(), sums);
                self.store(sums, bias.unwrap_or(&zeros), tiles, target);
            });
        });
        // SAFETY: the tiles cover every place of the output.
        unsafe { output.set_len(size) };
        output
    }

    /// Overwrites `sums` [point, tile, column] with the product of windows and filters at each point.
    fn multiply(&self, windows: &[f32], filters: &[f32], tiles: usize, sums: &mut [f32]) {
        let shape = Tile::detect();
        let path = Path::line(self.channels, 1);
        let line = self.channels * COLUMNS;
        let target = Target::new(sums);
        let [window, sum] = [self.channels, self.columns].map(|width| spacing(tiles, width));
        for point in 0..POINTS {
            let windows = &windows[point * window..];
            for panels in shape.groups(0, self.columns / COLUMNS) {
                let start = (panels.0 * POINTS + point) * line;
                let right = Right {
                    panel: filters[start..start + (panels.1 - panels.0 - 1) * POINTS * line + line].as_ptr(),
                    stride: POINTS * line,
                };
                let (column, columns) = (panels.0 * COLUMNS, (panels.1 - panels.0) * COLUMNS);
                for first in (0..tiles).step_by(shape.rows) {
                    let rows = shape.rows.min(tiles - first);
                    let row = |index: usize| first + index.min(rows - 1);
                    let left = from_fn(|index| windows[row(index) * self.channels..][..self.channels].as_ptr());
                    let output =
                        from_fn(|index| target.pointer(point * sum + row(index) * self.columns + column, columns));
                    // SAFETY: rows and panels were sliced as deep as the path, and the sums belong to this task.
                    unsafe { tile(rows, columns, &left, path, right, &output, Store::Set) };
                }
            }
        }
    }

    /// Writes the outputs of `tiles` from their `sums` [point, tile, column].
    fn store(&self, sums: &[f32], bias: &[f32], tiles: Range<usize>, target: Target) {
        let columns = self.columns;
        with_scratch(4 * columns, |spare| {
            for (index, tile) in tiles.clone().enumerate() {
                let mut source = [&sums[..0]; POINTS];
                for (point, source) in source.iter_mut().enumerate() {
                    *source = &sums[point * spacing(tiles.len(), columns) + index * columns..][..columns];
                }
                // SAFETY: the scratch slice has four places.
                let outputs = unsafe { Places::new(spare.as_mut_ptr(), columns, columns) };
                from_sums(Source::new(source), &bias[..columns], outputs);
                let (first, [height, width]) = self.outputs(tile);
                for row in 0..height {
                    // SAFETY: each place of the output belongs to one tile.
                    let places = unsafe { target.slice((first + row * self.out[1]) * columns, width * columns) };
                    places.copy_from_slice(&spare[row * 2 * columns..][..width * columns]);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ConvOptions, gather, weight_gradient as direct};
    use super::*;
    use crate::testing::{close, same_bits, values};

    fn check(batch: usize, size: [usize; 2], channels: [usize; 2], padding: usize) {
        let options = ConvOptions {
            padding: [0, padding, padding],
            ..ConvOptions::default()
        };
        let [input, output] = channels;
        let shape = [batch, 1, size[0], size[1], input];
        let geometry = Geometry::new(&shape, &[output, input, 1, 3, 3], options);
        let x = values(1, shape.iter().product());
        let (weight, bias) = (values(2, output * input * 9), values(3, output));
        let dy = values(4, geometry.output_shape(5).iter().product());
        let expected = |values: Vec<f32>| values.into_iter().map(f64::from).collect::<Vec<_>>();
        let y = same_bits(|| forward(&geometry, &x, &weight, &bias));
        close("y", &y, &expected(gather::forward(&geometry, &x, &weight, &bias)), 1e-5);
        let dx = same_bits(|| input_gradient(&geometry, &dy, &weight));
        close(
            "dx",
            &dx,
            &expected(gather::input_gradient(&geometry, &dy, &weight)),
            1e-5,
        );
        let dw = same_bits(|| weight_gradient(&geometry, &x, &dy));
        close("dw", &dw, &expected(direct::weight_gradient(&geometry, &x, &dy)), 1e-5);
    }

    #[test]
    fn only_planes_with_full_registers_are_filtered_this_way() {
        let applies = |x: [usize; 4], weight: [usize; 4], stride| {
            let options = ConvOptions {
                stride: [1, stride, stride],
                padding: [0, 1, 1],
                ..ConvOptions::default()
            };
            super::applies(&Geometry::new(&x, &weight, options))
        };
        assert!(applies([2, 4, 4, 16], [32, 16, 3, 3], 1));
        assert!(!applies([2, 4, 4, 16], [32, 16, 3, 3], 2));
        assert!(!applies([2, 4, 4, 17], [32, 17, 3, 3], 1));
        assert!(!applies([2, 4, 4, 16], [32, 16, 3, 1], 1));
        assert!(!applies([0, 4, 4, 16], [32, 16, 3, 3], 1));
    }

    #[test]
    fn minimal_filtering_gives_what_windows_give() {
        check(1, [3, 3], [16, 16], 0);
        check(1, [1, 1], [16, 32], 1);
        check(2, [7, 4], [32, 16], 2);
        check(3, [8, 9], [16, 80], 1);
        check(9, [16, 17], [32, 32], 1);
        check(2, [20, 31], [64, 48], 0);
    }
}
