//! Planes cut into tiles of 2 × 2 outputs, and their transformed windows.

use std::ops::Range;

use super::transforms::{POINTS, Places, Source, from_window};
use crate::convolution::geometry::Geometry;
use crate::microkernel::COLUMNS;
use crate::parallel::{TASKS, Target};

/// Transformed numbers of a block of tiles: they stay in the second-level cache.
const BLOCK: usize = 1 << 17;

/// Elements from one point to the next of `tiles` tiles of `width` numbers: a cache line more than they fill, so that
/// the points of a tile do not compete for the same few lines of the cache.
pub fn spacing(tiles: usize, width: usize) -> usize {
    tiles * width + COLUMNS
}

/// The planes of one convolution, cut into tiles of 2 × 2 outputs that are numbered through the batch.
#[derive(Clone, Copy, Debug)]
pub struct Planes {
    pub batch: usize,
    size: [usize; 2],
    padding: [usize; 2],
    pub out: [usize; 2],
    /// Channels of the source.
    pub channels: usize,
    /// Channels of the output.
    pub columns: usize,
}

impl Planes {
    pub fn forward(geometry: &Geometry) -> Self {
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

    pub fn backward(geometry: &Geometry) -> Self {
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

    pub fn tiles(&self) -> usize {
        self.batch * self.out[0].div_ceil(2) * self.out[1].div_ceil(2)
    }

    /// Tiles of a task: few enough for the cache and many enough to use each filter often.
    pub fn block(&self) -> usize {
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
    pub fn window<'a>(&self, x: &'a [f32], zeros: &'a [f32], tile: usize) -> [&'a [f32]; POINTS] {
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
    pub fn outputs(&self, tile: usize) -> (usize, [usize; 2]) {
        let (picture, corner) = self.corner(tile);
        let place = (picture * self.out[0] + corner[0]) * self.out[1] + corner[1];
        (place, [0, 1].map(|axis| (self.out[axis] - corner[axis]).min(2)))
    }

    /// Writes the transformed windows of `tiles` to their part of `windows` [point, tile of `all`, channel].
    pub fn transform(&self, x: &[f32], zeros: &[f32], all: Range<usize>, tiles: Range<usize>, windows: Target) {
        for tile in tiles {
            let place = (tile - all.start) * self.channels;
            let stride = spacing(all.len(), self.channels);
            let target = windows.pointer(place, (POINTS - 1) * stride + self.channels);
            // SAFETY: each tile has its own places, and the last of them was checked above.
            let target = unsafe { Places::new(target, stride, self.channels) };
            from_window(Source::new(self.window(x, zeros, tile)), target);
        }
    }
}
