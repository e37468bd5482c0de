//! 3 × 3 convolutions of stride 1 by minimal filtering, F(2×2, 3×3) (Winograd 1980; Lavin and Gray 2016): each 2 × 2
//! outputs take 16 products of transformed numbers instead of 36, for each pair of channels.
//!
//! y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A for the 4 × 4 numbers d of a window and the filter g, so the sums over channels are 16
//! matrix products, one for each point of the transformed window. The filter's gradient is the adjoint of the same sums.

use std::array::from_fn;
use std::ops::Range;

use super::geometry::Geometry;
use super::transforms::{POINTS, Places, Source, from_filter, from_gradients, from_sums, from_window, to_filter};
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::parallel::{self, TASKS, Target, with_scratch};

/// Transformed numbers of a block of tiles: they stay in the second-level cache.
const BLOCK: usize = 1 << 17;

/// Transformed numbers of a round (16 MiB) where all tiles are transformed before they are multiplied.
const ROUND: usize = 1 << 22;

/// Elements from one point to the next of `tiles` tiles of `width` numbers: a cache line more than they fill, so that
/// the points of a tile do not compete for the same few lines of the cache.
fn spacing(tiles: usize, width: usize) -> usize {
    tiles * width + COLUMNS
}

/// Whether these functions compute a convolution: full registers of channels on both sides.
pub fn applies(geometry: &Geometry) -> bool {
    let plane = |values: [usize; 3], expected: [usize; 3]| values == expected;
    plane(geometry.kernel, [1, 3, 3])
        && plane(geometry.stride, [1; 3])
        && plane(geometry.dilation, [1; 3])
        && geometry.groups == 1
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

/// The planes of one convolution, cut into tiles of 2 × 2 outputs that are numbered through the batch.
#[derive(Clone, Copy, Debug)]
struct Planes {
    batch: usize,
    size: [usize; 2],
    padding: [usize; 2],
    out: [usize; 2],
    channels: usize,
    columns: usize,
}

impl Planes {
    fn forward(geometry: &Geometry) -> Self {
        let pair = |values: [usize; 3]| [values[1], values[2]];
        Self {
            batch: geometry.batch,
            size: pair(geometry.size),
            padding: pair(geometry.padding),
            out: pair(geometry.out),
            channels: geometry.input,
            columns: geometry.output,
        }
    }

    fn backward(geometry: &Geometry) -> Self {
        let planes = Self::forward(geometry);
        Self {
            size: planes.out,
            padding: planes.padding.map(|padding| 2 - padding),
            out: planes.size,
            channels: planes.columns,
            columns: planes.channels,
            ..planes
        }
    }

    fn tiles(&self) -> usize {
        self.batch * self.out[0].div_ceil(2) * self.out[1].div_ceil(2)
    }

    /// Tiles of a task: few enough for the cache and many enough to use each filter often.
    fn block(&self) -> usize {
        let most = BLOCK / POINTS / (self.channels + self.columns);
        let wanted = self.tiles().div_ceil(TASKS / 4).next_multiple_of(8);
        wanted.clamp(8, most.clamp(32, 128) / 8 * 8)
    }

    /// The picture of a tile, and the output place in its upper left corner.
    fn corner(&self, tile: usize) -> (usize, [usize; 2]) {
        let [rows, columns] = self.out.map(|side| side.div_ceil(2));
        (tile / columns / rows, [tile / columns % rows * 2, tile % columns * 2])
    }

    /// The 4 × 4 places that a tile reads, zeros where they lie outside of the picture.
    fn window<'a>(&self, x: &'a [f32], zeros: &'a [f32], tile: usize) -> [&'a [f32]; POINTS] {
        let (picture, corner) = self.corner(tile);
        let picture = &x[picture * self.size[0] * self.size[1] * self.channels..];
        let mut window = [&zeros[..self.channels]; POINTS];
        for (row, places) in window.chunks_exact_mut(4).enumerate() {
            let row = (corner[0] + row).wrapping_sub(self.padding[0]);
            if row < self.size[0] {
                for (column, place) in places.iter_mut().enumerate() {
                    let column = (corner[1] + column).wrapping_sub(self.padding[1]);
                    if column < self.size[1] {
                        *place = &picture[(row * self.size[1] + column) * self.channels..][..self.channels];
                    }
                }
            }
        }
        window
    }

    /// The first of the 2 × 2 output places of a tile, and how many rows and columns of them lie within the picture.
    fn outputs(&self, tile: usize) -> (usize, [usize; 2]) {
        let (picture, corner) = self.corner(tile);
        let place = (picture * self.out[0] + corner[0]) * self.out[1] + corner[1];
        (place, [0, 1].map(|axis| (self.out[axis] - corner[axis]).min(2)))
    }

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

    /// Writes the transformed windows of `tiles` to their part of `windows` [point, tile of `all`, channel].
    fn transform(&self, x: &[f32], zeros: &[f32], all: Range<usize>, tiles: Range<usize>, windows: Target) {
        for tile in tiles {
            let place = (tile - all.start) * self.channels;
            let stride = spacing(all.len(), self.channels);
            let target = windows.pointer(place, (POINTS - 1) * stride + self.channels);
            // SAFETY: each tile has its own places, and the last of them was checked above.
            let target = unsafe { Places::new(target, stride, self.channels) };
            from_window(Source::new(self.window(x, zeros, tile)), target);
        }
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

/// dw [output, input, 1, 3, 3].
pub fn weight_gradient(geometry: &Geometry, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let planes = Planes::forward(geometry);
    let (channels, columns) = (planes.channels, planes.columns);
    let zeros = vec![0.0; channels.max(columns)];
    let width = POINTS * channels * columns;
    let tiles = planes.tiles();
    // Partial sums of many filters over few tiles would cost more to add up than to compute.
    let sums = if channels * columns * POINTS > tiles * (channels + columns) {
        planes.sum_by_points(x, dy, &zeros)
    } else {
        let block = planes.block();
        let blocks = tiles.div_ceil(block);
        let chunk = blocks.div_ceil(TASKS).max(1);
        parallel::sum(blocks.div_ceil(chunk), width, |index, sums| {
            for block in (index * chunk..blocks.min((index + 1) * chunk))
                .map(|index| index * block..tiles.min((index + 1) * block))
            {
                planes.add_block(x, dy, &zeros, block, sums);
            }
        })
    };
    to_filters(channels, columns, &sums)
}

impl Planes {
    /// Adds the products of a block of tiles to `sums` [point, channel, column].
    fn add_block(&self, x: &[f32], dy: &[f32], zeros: &[f32], tiles: Range<usize>, sums: &mut [f32]) {
        let [windows, gradients] = [self.channels, self.columns].map(|width| POINTS * spacing(tiles.len(), width));
        with_scratch(windows + gradients, |scratch| {
            let (windows, gradients) = scratch.split_at_mut(windows);
            self.transform(x, zeros, tiles.clone(), tiles.clone(), Target::new(windows));
            self.transform_gradients(dy, zeros, tiles.clone(), tiles.clone(), Target::new(gradients));
            for (point, sums) in sums.chunks_exact_mut(self.channels * self.columns).enumerate() {
                self.add_point(windows, gradients, tiles.len(), point, sums);
            }
        });
    }

    /// The sums [point, channel, column] with each point a task of its own, over rounds of many tiles.
    fn sum_by_points(&self, x: &[f32], dy: &[f32], zeros: &[f32]) -> Vec<f32> {
        let width = self.channels * self.columns;
        let round = (ROUND / POINTS / (self.channels + self.columns)).max(TASKS);
        let mut sums = vec![0.0; POINTS * width];
        for first in (0..self.tiles()).step_by(round) {
            let tiles = first..self.tiles().min(first + round);
            let count = tiles.len();
            let [windows, gradients] = [self.channels, self.columns].map(|width| POINTS * spacing(count, width));
            with_scratch(windows + gradients, |scratch| {
                let (windows, gradients) = scratch.split_at_mut(windows);
                let (all_windows, all_gradients) = (Target::new(windows), Target::new(gradients));
                let chunk = count.div_ceil(TASKS);
                parallel::for_each(count.div_ceil(chunk), |index| {
                    let start = tiles.start + index * chunk;
                    let part = start..tiles.end.min(start + chunk);
                    self.transform(x, zeros, tiles.clone(), part.clone(), all_windows);
                    self.transform_gradients(dy, zeros, tiles.clone(), part, all_gradients);
                });
                let target = Target::new(&mut sums);
                parallel::for_each(POINTS, |point| {
                    // SAFETY: each point is one task.
                    let sums = unsafe { target.slice(point * width, width) };
                    self.add_point(windows, gradients, count, point, sums);
                });
            });
        }
        sums
    }

    /// Writes the transformed gradients of `tiles` to their part of `gradients` [point, panel, tile of `all`, 16].
    fn transform_gradients(
        &self,
        dy: &[f32],
        zeros: &[f32],
        all: Range<usize>,
        tiles: Range<usize>,
        gradients: Target,
    ) {
        let panels = self.columns / COLUMNS;
        for tile in tiles {
            let (first, [height, width]) = self.outputs(tile);
            let stride = spacing(all.len(), self.columns);
            for panel in 0..panels {
                let mut source = [&zeros[..COLUMNS]; 4];
                for (index, source) in source.iter_mut().enumerate() {
                    if index / 2 < height && index % 2 < width {
                        let place = first + index / 2 * self.out[1] + index % 2;
                        *source = &dy[place * self.columns + panel * COLUMNS..][..COLUMNS];
                    }
                }
                let place = (panel * all.len() + tile - all.start) * COLUMNS;
                let target = gradients.pointer(place, (POINTS - 1) * stride + COLUMNS);
                // SAFETY: each tile has its own places, and the last of them was checked above.
                let target = unsafe { Places::new(target, stride, COLUMNS) };
                from_gradients(Source::new(source), target);
            }
        }
    }

    /// Adds the product of windows and gradients over the tiles at one point to `sums` [channel, column].
    fn add_point(&self, windows: &[f32], gradients: &[f32], tiles: usize, point: usize, sums: &mut [f32]) {
        let shape = Tile::detect();
        let path = Path::line(tiles, self.channels);
        let windows = &windows[point * spacing(tiles, self.channels)..][..tiles * self.channels];
        let count = self.columns / COLUMNS;
        let gradients = &gradients[point * spacing(tiles, self.columns)..][..tiles * self.columns];
        let target = Target::new(sums);
        for panels in shape.groups(0, count) {
            let right = Right {
                panel: gradients[panels.0 * tiles * COLUMNS..].as_ptr(),
                stride: tiles * COLUMNS,
            };
            let (column, columns) = (panels.0 * COLUMNS, (panels.1 - panels.0) * COLUMNS);
            for first in (0..self.channels).step_by(shape.rows) {
                let rows = shape.rows.min(self.channels - first);
                let channel = |index: usize| first + index.min(rows - 1);
                let left = from_fn(|index| windows.as_ptr().wrapping_add(channel(index)));
                let output = from_fn(|index| target.pointer(channel(index) * self.columns + column, columns));
                // SAFETY: the slices hold all tiles of the point, and the sums belong to this task.
                unsafe { tile(rows, columns, &left, path, right, &output, Store::Add) };
            }
        }
    }
}

/// Filters' gradients in PyTorch's order [column, channel, tap] from `sums` [point, channel, column].
fn to_filters(channels: usize, columns: usize, sums: &[f32]) -> Vec<f32> {
    let filter = channels * 9;
    parallel::fill(columns * filter, COLUMNS * filter, |panel, part| {
        let (mut points, mut taps) = ([[0.0; COLUMNS]; POINTS], [[0.0; COLUMNS]; 9]);
        for channel in 0..channels {
            for (point, line) in points.iter_mut().enumerate() {
                let start = (point * channels + channel) * columns + panel * COLUMNS;
                line.copy_from_slice(&sums[start..start + COLUMNS]);
            }
            to_filter(&points, &mut taps);
            for (lane, filter) in part.chunks_exact_mut(filter).enumerate() {
                for (value, line) in filter[channel * 9..][..9].iter_mut().zip(&taps) {
                    *value = line[lane];
                }
            }
        }
    })
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
        assert!(applies(&geometry));
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
    fn minimal_filtering_gives_what_windows_give() {
        check(1, [3, 3], [16, 16], 0);
        check(1, [1, 1], [16, 32], 1);
        check(2, [7, 4], [32, 16], 2);
        check(3, [8, 9], [16, 80], 1);
        check(9, [16, 17], [32, 32], 1);
        check(2, [20, 31], [64, 48], 0);
    }
}
