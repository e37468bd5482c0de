//! The extents of a convolution, and how its work is cut into tasks.

use super::Conv2dOptions;
use crate::parallel::TASKS;

/// Extents of a convolution; pairs are [vertical, horizontal].
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub batch: usize,
    pub size: [usize; 2],
    pub input: usize,
    pub output: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub out: [usize; 2],
}

impl Geometry {
    /// From the shapes of `x` [batch, height, width, input] and `weight` [output, input, kernel height, kernel width].
    pub fn new(x: [usize; 4], weight: [usize; 4], options: Conv2dOptions) -> Self {
        let [batch, height, width, input] = x;
        let [output, weight_input, kernel_height, kernel_width] = weight;
        assert_eq!(
            input, weight_input,
            "conv2d: the weight expects {weight_input} channels, the input has {input}: \
             pass channels-last planes [batch, height, width, channels]"
        );
        let (size, kernel) = ([height, width], [kernel_height, kernel_width]);
        let Conv2dOptions { stride, padding } = options;
        let out = [0, 1].map(|axis| {
            let padded = size[axis] + 2 * padding[axis];
            assert!(
                kernel[axis] >= 1 && stride[axis] >= 1 && padded >= kernel[axis],
                "conv2d: a kernel of {} with stride {} does not fit a padded side of {padded}: \
                 use a smaller kernel or more padding",
                kernel[axis],
                stride[axis],
            );
            (padded - kernel[axis]) / stride[axis] + 1
        });
        Self {
            batch,
            size,
            input,
            output,
            kernel,
            stride,
            padding,
            out,
        }
    }

    pub fn output_shape(&self) -> [usize; 4] {
        [self.batch, self.out[0], self.out[1], self.output]
    }

    /// Numbers in one filter.
    pub fn patch(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.input
    }
}

/// Tasks of one picture each, or of a band of its rows where there are few pictures.
#[derive(Clone, Copy, Debug)]
pub struct Bands {
    rows: usize,
    band: usize,
    bands: usize,
}

impl Bands {
    pub fn new(batch: usize, rows: usize) -> Self {
        let wanted = TASKS.div_ceil(batch.max(1)).min(rows.max(1));
        let band = rows.div_ceil(wanted).max(1);
        Self {
            rows,
            band,
            bands: rows.div_ceil(band),
        }
    }

    /// The number of tasks.
    pub fn count(&self, batch: usize) -> usize {
        batch * self.bands
    }

    /// The picture and the half-open range of rows of a task.
    pub fn at(&self, task: usize) -> (usize, [usize; 2]) {
        let first = task % self.bands * self.band;
        (task / self.bands, [first, self.rows.min(first + self.band)])
    }
}

/// A part of a picture framed by zeros, so that windows never leave it.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Extent of the picture.
    pub size: [usize; 2],
    pub channels: usize,
    /// Zero rows above and zero columns to the left.
    pub before: [usize; 2],
    /// Extent with the frame.
    pub framed: [usize; 2],
}

impl Frame {
    /// Elements in one framed row.
    pub fn pitch(&self) -> usize {
        self.framed[1] * self.channels
    }

    /// Whether the framed rows are those of the picture itself.
    pub fn is_bare(&self) -> bool {
        self.framed == self.size && self.before == [0, 0]
    }

    /// Copies the framed rows of the half-open range `rows` of `picture` to `target`.
    pub fn copy(&self, picture: &[f32], rows: [usize; 2], target: &mut [f32]) {
        let row_length = self.size[1] * self.channels;
        let left = (self.before[1] * self.channels).min(self.pitch());
        // A frame may be narrower than the picture where no window reaches its last columns.
        let length = row_length.min(self.pitch() - left);
        for (row, line) in (rows[0]..rows[1]).zip(target.chunks_exact_mut(self.pitch())) {
            match row.checked_sub(self.before[0]).filter(|row| *row < self.size[0]) {
                Some(row) => {
                    line[..left].fill(0.0);
                    let source = &picture[row * row_length..row * row_length + length];
                    line[left..left + length].copy_from_slice(source);
                    line[left + length..].fill(0.0);
                }
                None => line.fill(0.0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_row_once() {
        for (batch, rows) in [(1, 1), (1, 5), (1, 64), (3, 7), (16, 9), (50, 32)] {
            let bands = Bands::new(batch, rows);
            let mut seen = vec![0; batch * rows];
            for task in 0..bands.count(batch) {
                let (picture, [first, last]) = bands.at(task);
                (first..last).for_each(|row| seen[picture * rows + row] += 1);
            }
            assert!(seen.iter().all(|&count| count == 1), "{batch} pictures of {rows} rows");
        }
    }

    #[test]
    fn frames_surround_a_picture_with_zeros() {
        let frame = Frame {
            size: [2, 2],
            channels: 1,
            before: [1, 1],
            framed: [4, 3],
        };
        let mut target = [9.0; 9];
        frame.copy(&[1.0, 2.0, 3.0, 4.0], [1, 4], &mut target);
        assert_eq!(target, [0.0, 1.0, 2.0, 0.0, 3.0, 4.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "does not fit a padded side of 2")]
    fn a_kernel_larger_than_the_picture_is_refused() {
        Geometry::new(
            [1, 2, 2, 1],
            [1, 1, 3, 3],
            Conv2dOptions {
                stride: [1, 1],
                padding: [0, 0],
            },
        );
    }
}
