//! The filters' gradient by minimal filtering.

use std::array::from_fn;
use std::ops::Range;

use super::planes::{Planes, spacing};
use super::transforms::{POINTS, Places, Source, from_gradients, to_filter};
use crate::convolution::geometry::Geometry;
use crate::microkernel::{COLUMNS, Path, Right, Store, Tile, tile};
use crate::parallel::{self, TASKS, Target, with_scratch};

/// Transformed numbers of a round (16 MiB) where all tiles are transformed before they are multiplied.
const ROUND: usize = 1 << 22;

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
                self.sum_point(windows, gradients, tiles.len(), point, sums, Store::Add);
            }
        });
    }

    /// The sums [point, channel, column] with each point a task of its own, over rounds of many tiles.
    fn sum_by_points(&self, x: &[f32], dy: &[f32], zeros: &[f32]) -> Vec<f32> {
        let width = self.channels * self.columns;
        let round = (ROUND / POINTS / (self.channels + self.columns)).max(TASKS);
        let mut sums = Vec::with_capacity(POINTS * width);
        let target = Target::spare(&mut sums, POINTS * width);
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
                let store = if first == 0 { Store::Set } else { Store::Add };
                parallel::for_each(POINTS, |point| {
                    // SAFETY: each point is one task, and the first round overwrites it.
                    let sums = unsafe { target.slice(point * width, width) };
                    self.sum_point(windows, gradients, count, point, sums, store);
                });
            });
        }
        // SAFETY: there is a round, as there are tiles, and it wrote the sums of every point.
        unsafe { sums.set_len(POINTS * width) };
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

    /// The product of windows and gradients over the tiles at one point, into `sums` [channel, column].
    fn sum_point(
        &self,
        windows: &[f32],
        gradients: &[f32],
        tiles: usize,
        point: usize,
        sums: &mut [f32],
        store: Store,
    ) {
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
                // SAFETY: the slices hold all tiles of the point; the sums belong to this task, initialised for `Add`.
                unsafe { tile(rows, columns, &left, path, right, &output, store) };
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
