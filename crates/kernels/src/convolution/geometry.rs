//! The extents of a convolution over up to three axes, and how its work is cut into tasks.

use std::array::from_fn;
use std::ops::Range;

use super::ConvOptions;
use crate::parallel::TASKS;

/// One number for each of [depth, height, width]; axes that a tensor lacks have one place.
pub type Extent = [usize; 3];

/// A range of places along each axis.
pub type Region = [Range<usize>; 3];

/// Framed numbers up to which a task copies its part of a picture: it stays in the second-level cache.
const COPIED: usize = 1 << 17;

/// Extents of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub batch: usize,
    pub size: Extent,
    pub input: usize,
    pub output: usize,
    pub groups: usize,
    pub kernel: Extent,
    pub stride: Extent,
    pub padding: Extent,
    pub dilation: Extent,
    pub out: Extent,
}

impl Geometry {
    /// From the shapes of `x` [batch, .., input] and `weight` [output, input / groups, ..] with the same one to three
    /// axes in place of the dots.
    pub fn new(x: &[usize], weight: &[usize], options: ConvOptions<3>) -> Self {
        let axes = x.len() - 2;
        let (batch, input, output) = (x[0], x[axes + 1], weight[0]);
        let ConvOptions {
            stride,
            padding,
            dilation,
            groups,
        } = options;
        assert!(
            groups >= 1 && input >= 1 && output.is_multiple_of(groups) && input == weight[1] * groups,
            "convolution: a weight of {output} × {} channels in {groups} groups does not fit an input of {input} \
             channels: pass channels-last planes [batch, .., channels] and a weight [output, input / groups, ..]",
            weight[1],
        );
        let extent = |sizes: &[usize]| from_fn(|axis| (axis + axes).checked_sub(3).map_or(1, |at| sizes[at]));
        let (size, kernel): (Extent, Extent) = (extent(&x[1..]), extent(&weight[2..]));
        let out = from_fn(|axis| {
            let padded = size[axis] + 2 * padding[axis];
            assert!(
                kernel[axis] >= 1 && stride[axis] >= 1 && dilation[axis] >= 1,
                "convolution: kernel {kernel:?}, stride {stride:?} and dilation {dilation:?} must be positive"
            );
            let reach = reach(kernel[axis], dilation[axis]);
            assert!(
                padded >= reach,
                "convolution: a kernel that reaches over {reach} places does not fit a padded side of {padded}: \
                 use a smaller kernel, less dilation or more padding"
            );
            (padded - reach) / stride[axis] + 1
        });
        Self {
            batch,
            size,
            input,
            output,
            groups,
            kernel,
            stride,
            padding,
            dilation,
            out,
        }
    }

    /// The shape of the output, with as many axes as the input has.
    pub fn output_shape(&self, rank: usize) -> Vec<usize> {
        let mut shape = vec![self.batch];
        shape.extend_from_slice(&self.out[5 - rank..]);
        shape.push(self.output);
        shape
    }

    /// Taps of the kernel.
    pub fn taps(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Input channels that one filter reads.
    pub fn group_input(&self) -> usize {
        self.input / self.groups
    }

    /// Filters of one group.
    pub fn group_output(&self) -> usize {
        self.output / self.groups
    }

    /// Numbers in one filter.
    pub fn patch(&self) -> usize {
        self.taps() * self.group_input()
    }

    /// Whether each filter reads one channel, so that channels and not sums of them fill the registers.
    pub fn is_depthwise(&self) -> bool {
        self.group_input() == 1 && self.groups > 1
    }

    /// How far the windows of `out` places reach along an axis, in padded places.
    pub fn reach(&self, axis: usize, out: usize) -> usize {
        (out - 1) * self.stride[axis] + reach(self.kernel[axis], self.dilation[axis])
    }

    /// The padded places that the windows of some outputs read.
    pub fn windows(&self, outputs: &Region) -> Region {
        from_fn(|axis| {
            let first = outputs[axis].start * self.stride[axis];
            first..first + self.reach(axis, outputs[axis].len())
        })
    }
}

/// How many places `kernel` taps that are `dilation` apart reach over.
pub fn reach(kernel: usize, dilation: usize) -> usize {
    (kernel - 1) * dilation + 1
}

/// A task: some whole pictures, or a band across one.
#[derive(Clone, Debug)]
pub struct Part {
    pub pictures: Range<usize>,
    pub region: Region,
}

/// Tasks of a few pictures each, or of bands across the longest axis of one where pictures are few or large.
#[derive(Clone, Copy, Debug)]
pub struct Bands {
    batch: usize,
    extent: Extent,
    axis: usize,
    pictures: usize,
    band: usize,
    bands: usize,
}

impl Bands {
    /// For `batch` pictures of `extent` places that read `numbers` numbers each.
    pub fn new(batch: usize, extent: Extent, numbers: usize) -> Self {
        let longest = extent.into_iter().max().unwrap_or(0).max(1);
        let axis = extent.iter().position(|&length| length == longest).unwrap_or(0);
        let wanted = TASKS.div_ceil(batch.max(1)).max(numbers / COPIED).min(longest);
        let band = longest.div_ceil(wanted);
        let bands = longest.div_ceil(band);
        Self {
            batch,
            extent,
            axis,
            pictures: if bands == 1 { (batch / TASKS).max(1) } else { 1 },
            band,
            bands,
        }
    }

    /// The number of tasks.
    pub fn count(&self) -> usize {
        self.batch.div_ceil(self.pictures) * self.bands
    }

    pub fn at(&self, task: usize) -> Part {
        let picture = task / self.bands * self.pictures;
        let first = task % self.bands * self.band;
        let mut region = self.extent.map(|length| 0..length);
        region[self.axis] = first..self.extent[self.axis].min(first + self.band);
        Part {
            pictures: picture..self.batch.min(picture + self.pictures),
            region,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_cover_every_place_once() {
        for (batch, extent) in [
            (1, [1, 1, 1]),
            (1, [1, 5, 3]),
            (1, [1, 64, 64]),
            (3, [7, 2, 9]),
            (16, [9, 1, 1]),
            (50, [1, 3, 32]),
        ] {
            for numbers in [10, 10 * COPIED] {
                let bands = Bands::new(batch, extent, numbers);
                let places = extent.iter().product::<usize>();
                let mut seen = vec![0; batch * places];
                for task in 0..bands.count() {
                    let Part { pictures, region } = bands.at(task);
                    for (picture, place) in pictures.flat_map(|p| (0..places).map(move |place| (p, place))) {
                        let at = [
                            place / (extent[1] * extent[2]),
                            place / extent[2] % extent[1],
                            place % extent[2],
                        ];
                        let inside = (0..3).all(|axis| region[axis].contains(&at[axis]));
                        seen[picture * places + place] += usize::from(inside);
                    }
                }
                assert!(seen.iter().all(|&count| count == 1), "{batch} pictures of {extent:?}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "does not fit a padded side of 2")]
    fn a_kernel_larger_than_the_picture_is_refused() {
        Geometry::new(&[1, 2, 2, 1], &[1, 1, 3, 3], ConvOptions::default());
    }

    #[test]
    #[should_panic(expected = "in 2 groups does not fit an input of 3 channels")]
    fn groups_that_do_not_divide_the_channels_are_refused() {
        let options = ConvOptions {
            groups: 2,
            ..ConvOptions::default()
        };
        Geometry::new(&[1, 2, 3], &[2, 1, 1], options);
    }
}
