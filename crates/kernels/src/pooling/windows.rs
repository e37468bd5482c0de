//! The windows of a pooling over planes, and sums and maxima over them with channels side by side.

use std::ops::Range;

use super::PoolOptions;
use crate::columns::row_chunk;
use crate::parallel::{self, Target};
use crate::simd::vectorized;

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Max,
    Average { count_padding: bool },
}

/// Extents of a pooling; pairs are [vertical, horizontal].
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    batch: usize,
    size: [usize; 2],
    channels: usize,
    out: [usize; 2],
    options: PoolOptions<2>,
}

impl Windows {
    /// For `shape` [batch, length, channels] or [batch, height, width, channels].
    pub fn new(shape: &[usize], options: PoolOptions<2>) -> Self {
        let rank = shape.len();
        let size = [if rank == 4 { shape[1] } else { 1 }, shape[rank - 2]];
        let PoolOptions {
            kernel,
            stride,
            padding,
        } = options;
        let out = [0, 1].map(|axis| {
            assert!(
                kernel[axis] >= 1 && stride[axis] >= 1 && 2 * padding[axis] <= kernel[axis],
                "pooling: kernel {kernel:?} and stride {stride:?} must be positive, and padding {padding:?} at most half \
                 of the kernel"
            );
            let padded = size[axis] + 2 * padding[axis];
            assert!(
                padded >= kernel[axis],
                "pooling: a kernel of {} does not fit a padded side of {padded}: use a smaller kernel",
                kernel[axis]
            );
            (padded - kernel[axis]) / stride[axis] + 1
        });
        Self {
            batch: shape[0],
            size,
            channels: shape[rank - 1],
            out,
            options,
        }
    }

    /// The output's shape, with as many axes as the input has.
    pub fn output_shape(&self, rank: usize) -> Vec<usize> {
        let mut shape = vec![self.batch];
        shape.extend_from_slice(&self.out[4 - rank..]);
        shape.push(self.channels);
        shape
    }

    /// The taps of an output place that lie within the input.
    fn taps(&self, axis: usize, out: usize) -> Range<usize> {
        let PoolOptions {
            kernel,
            stride,
            padding,
        } = self.options;
        let start = out * stride[axis];
        let first = padding[axis].saturating_sub(start);
        first
            ..kernel[axis]
                .min((self.size[axis] + padding[axis]).saturating_sub(start))
                .max(first)
    }

    /// The output places whose windows hold an input place.
    fn holders(&self, axis: usize, place: usize) -> Range<usize> {
        let padded = place + self.options.padding[axis];
        let stride = self.options.stride[axis];
        let first = (padded + 1).saturating_sub(self.options.kernel[axis]).div_ceil(stride);
        first..self.out[axis].min(padded / stride + 1).max(first)
    }

    /// Calls `body(tap, offset in the input)` for the taps of an output place.
    fn each_tap(&self, place: usize, mut body: impl FnMut(usize, usize)) {
        let (picture, [row, column]) = split(place, self.out);
        let PoolOptions {
            kernel,
            stride,
            padding,
        } = self.options;
        for tap_row in self.taps(0, row) {
            let y = row * stride[0] + tap_row - padding[0];
            for tap in self.taps(1, column) {
                let x = column * stride[1] + tap - padding[1];
                let at = (picture * self.size[0] + y) * self.size[1] + x;
                body(tap_row * kernel[1] + tap, at * self.channels);
            }
        }
    }

    /// Calls `body(tap, output place)` for the windows that hold an input place.
    fn each_holder(&self, place: usize, mut body: impl FnMut(usize, usize)) {
        let (picture, [row, column]) = split(place, self.size);
        let PoolOptions {
            kernel,
            stride,
            padding,
        } = self.options;
        for y in self.holders(0, row) {
            let tap_row = row + padding[0] - y * stride[0];
            for x in self.holders(1, column) {
                let tap = tap_row * kernel[1] + column + padding[1] - x * stride[1];
                body(tap, (picture * self.out[0] + y) * self.out[1] + x);
            }
        }
    }

    /// A vector of `count` places, of which `body(place, numbers)` writes the channels of each.
    fn fill(&self, count: usize, body: impl Fn(usize, &mut [f32]) + Send + Sync) -> Vec<f32> {
        let channels = self.channels;
        let chunk = row_chunk(channels);
        parallel::fill(count * channels, chunk, |index, part| {
            for (offset, numbers) in part.chunks_exact_mut(channels).enumerate() {
                body(index * chunk / channels + offset, numbers);
            }
        })
    }

    fn outputs(&self) -> usize {
        self.batch * self.out[0] * self.out[1]
    }

    fn inputs(&self) -> usize {
        self.batch * self.size[0] * self.size[1]
    }

    /// The largest numbers of all windows and, if `with_taps`, the taps where they lie (−1 for none).
    pub fn largest(&self, x: &[f32], with_taps: bool) -> (Vec<f32>, Vec<f32>) {
        let channels = self.channels;
        let mut taps = vec![-1.0; if with_taps { self.outputs() * channels } else { 0 }];
        let target = Target::new(&mut taps);
        let y = self.fill(self.outputs(), |place, largest| {
            largest.fill(f32::NEG_INFINITY);
            let mut first = true;
            // SAFETY: the taps of a place belong to the task that writes it.
            let mut taps = with_taps.then(|| unsafe { target.slice(place * channels, channels) });
            self.each_tap(place, |tap, start| {
                let numbers = &x[start..start + channels];
                match &mut taps {
                    Some(taps) if first => {
                        largest.copy_from_slice(numbers);
                        taps.fill(tap as f32);
                    }
                    Some(taps) => raise_with_taps(numbers, tap as f32, largest, taps),
                    None => raise(numbers, largest),
                }
                first = false;
            });
        });
        (y, taps)
    }

    /// The input's gradient of [`Windows::largest`].
    pub fn return_to(&self, taps: &[f32], dy: &[f32]) -> Vec<f32> {
        let channels = self.channels;
        self.fill(self.inputs(), |place, dx| {
            dx.fill(0.0);
            self.each_holder(place, |tap, window| {
                let range = window * channels..(window + 1) * channels;
                add_where(&taps[range.clone()], tap as f32, &dy[range], dx);
            });
        })
    }

    /// What the sum over the window of an output place is multiplied by.
    fn weight(&self, place: usize, count_padding: bool) -> f32 {
        let taps = |axis: usize, at: usize| match count_padding {
            true => self.options.kernel[axis],
            false => self.taps(axis, at).len(),
        };
        let [rows, columns] = self.out;
        1.0 / (taps(0, place / columns % rows) * taps(1, place % columns)) as f32
    }

    /// The means of all windows.
    pub fn mean(&self, x: &[f32], count_padding: bool) -> Vec<f32> {
        self.fill(self.outputs(), |place, mean| {
            mean.fill(0.0);
            let weight = self.weight(place, count_padding);
            self.each_tap(place, |_, start| {
                add_multiple(&x[start..start + mean.len()], weight, mean)
            });
        })
    }

    /// The input's gradient of [`Windows::mean`].
    pub fn spread(&self, dy: &[f32], count_padding: bool) -> Vec<f32> {
        let channels = self.channels;
        self.fill(self.inputs(), |place, dx| {
            dx.fill(0.0);
            self.each_holder(place, |_, window| {
                let gradients = &dy[window * channels..(window + 1) * channels];
                add_multiple(gradients, self.weight(window, count_padding), dx);
            });
        })
    }
}

/// The picture of a place, and its [row, column] there, in pictures of [rows, columns].
fn split(place: usize, [rows, columns]: [usize; 2]) -> (usize, [usize; 2]) {
    (place / columns / rows, [place / columns % rows, place % columns])
}

vectorized! {
    fn raise(numbers: &[f32], largest: &mut [f32]) {
        for (largest, &number) in largest.iter_mut().zip(numbers) {
            *largest = if number > *largest || number.is_nan() { number } else { *largest };
        }
    }
}

vectorized! {
    fn raise_with_taps(numbers: &[f32], tap: f32, largest: &mut [f32], taps: &mut [f32]) {
        for ((largest, taps), &number) in largest.iter_mut().zip(taps).zip(numbers) {
            let raised = number > *largest || number.is_nan();
            *largest = if raised { number } else { *largest };
            *taps = if raised { tap } else { *taps };
        }
    }
}

vectorized! {
    /// Adds the values whose tap is `tap` to `sums`.
    fn add_where(taps: &[f32], tap: f32, values: &[f32], sums: &mut [f32]) {
        for ((sum, value), at) in sums.iter_mut().zip(values).zip(taps) {
            *sum += if *at == tap { *value } else { 0.0 };
        }
    }
}

vectorized! {
    fn add_multiple(values: &[f32], factor: f32, sums: &mut [f32]) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += factor * value;
        }
    }
}
