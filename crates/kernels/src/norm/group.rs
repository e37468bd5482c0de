//! Group normalisation.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::channels::{combine_rows, products, scale_rows, statistics};
use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel::{self, Target, add_rows};

/// Normalises each of `groups` equal runs of channels over all places of a sample: channels-last `x` [batch, ..,
/// channels], `weight` and `bias` [channels] (Wu and He 2018).
///
/// # Panics
/// If the channels do not divide into the groups.
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    groups: usize,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let shape = x.dims();
    let channels = shape[D - 1];
    assert!(
        D > 1 && groups > 0 && channels.is_multiple_of(groups),
        "group_norm: {channels} channels do not divide into {groups} groups"
    );
    let x = x.reshape([shape[0], shape[1..D - 1].iter().product::<usize>(), channels]);
    if !(fused(&x) && fused(&weight)) {
        return plain(x, groups, weight, bias, epsilon).reshape(shape);
    }
    Tensor::<3>::from_dispatch(<Dispatch as Fused>::group_normalisation(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        groups,
        epsilon,
    ))
    .reshape(shape)
}

fn plain(x: Tensor<3>, groups: usize, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<3> {
    let [batch, places, channels] = x.dims();
    let width = channels / groups;
    let x = x.reshape([batch, places, groups, width]).swap_dims(1, 2);
    let (variance, mean) = x.clone().reshape([batch, groups, places * width]).var_mean_bias(2);
    let column = [batch, groups, 1, 1];
    let normal = (x - mean.reshape(column)) / (variance.reshape(column) + epsilon).sqrt();
    let normal = normal.swap_dims(1, 2).reshape([batch, places, channels]);
    normal * weight.unsqueeze() + bias.unsqueeze()
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn group_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn group_normalisation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        groups: usize,
        epsilon: f64,
    ) -> FlexTensor {
        forward([x, weight, bias], groups, epsilon).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn group_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        groups: usize,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs, groups, epsilon))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    groups: usize,
    /// For each sample the mean of each channel's group, then the inverse of its deviation, [batch, 2, channels].
    moments: Vec<f32>,
}

fn forward([x, weight, bias]: [FlexTensor; 3], groups: usize, epsilon: f64) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let [batch, places, channels] = extents(&x);
    let values = floats(&x);
    let moments = parallel::fill(batch * 2 * channels, 2 * channels, |sample, part| {
        let values = &values[sample * places * channels..][..places * channels];
        group_moments(values, places, groups, epsilon, part);
    });
    let scale: Vec<f32> = moments
        .chunks_exact((2 * channels).max(1))
        .flat_map(|part| {
            part[channels..]
                .iter()
                .zip(floats(&weight))
                .map(|(inverse, weight)| inverse * weight)
        })
        .collect();
    let y = map_samples([batch, places, channels], |sample, range, part| {
        let mean = &moments[2 * sample * channels..][..channels];
        let scale = &scale[sample * channels..][..channels];
        scale_rows(&values[range], mean, scale, floats(&bias), part);
    });
    let saved = Saved {
        x,
        weight,
        groups,
        moments,
    };
    (tensor(y, [batch, places, channels]), saved)
}

/// Writes the mean of each channel's group, then the inverse of its deviation.
fn group_moments(values: &[f32], places: usize, groups: usize, epsilon: f64, output: &mut [f32]) {
    let channels = output.len() / 2;
    let width = channels / groups;
    let [means, variances] = statistics(values, places, channels);
    let (mean_part, inverse_part) = output.split_at_mut(channels);
    for start in (0..channels).step_by(width) {
        let group = start..start + width;
        let mean = means[group.clone()].iter().sum::<f64>() / width as f64;
        // The variance of a group is that within its channels and that between them.
        let spread = |c: usize| variances[c] + (means[c] - mean).powi(2);
        let variance = group.clone().map(spread).sum::<f64>() / width as f64;
        mean_part[group.clone()].fill(mean as f32);
        inverse_part[group].fill((1.0 / (variance + epsilon).sqrt()) as f32);
    }
}

/// A new buffer [batch, places, channels] that `body(sample, range, part)` writes in parts that each lie within one
/// sample, at the given range.
fn map_samples(
    [batch, places, channels]: [usize; 3],
    body: impl Fn(usize, std::ops::Range<usize>, &mut [f32]) + Send + Sync,
) -> Vec<f32> {
    let (size, chunk) = (places * channels, row_chunk(channels));
    let mut output = Vec::with_capacity(batch * size);
    let target = Target::spare(&mut output, batch * size);
    let parts = size.div_ceil(chunk.max(1));
    parallel::for_each(batch * parts, |task| {
        let (sample, part) = (task / parts, task % parts);
        let range = sample * size + part * chunk..sample * size + size.min((part + 1) * chunk);
        // SAFETY: parts of a sample are disjoint, and so are samples; `body` writes before it reads.
        body(sample, range.clone(), unsafe { target.slice(range.start, range.len()) });
    });
    // SAFETY: the parts of all samples cover the buffer.
    unsafe { output.set_len(batch * size) };
    output
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [batch, places, channels] = extents(&self.x);
        let dy = contiguous(&dy);
        let (x, dy, weight) = (floats(&self.x), floats(&dy), floats(&self.weight));
        let (size, pair) = (places * channels, 2 * channels);
        let sample_range = |sample: usize| sample * size..(sample + 1) * size;
        // The sums of dy and of dy·(x − μ) for each channel of each sample.
        let sums = parallel::fill(batch * pair, pair, |sample, part| {
            let mean = &self.moments[sample * pair..][..channels];
            part.copy_from_slice(&products(&x[sample_range(sample)], mean, &dy[sample_range(sample)]));
        });
        let dx = wanted[0].then(|| {
            let coefficients = parallel::fill(batch * 3 * channels, 3 * channels, |sample, part| {
                let moments = &self.moments[sample * pair..][..pair];
                coefficients(
                    &sums[sample * pair..][..pair],
                    moments,
                    weight,
                    places,
                    self.groups,
                    part,
                );
            });
            let dx = map_samples([batch, places, channels], |sample, range, part| {
                let mean = &self.moments[sample * pair..][..channels];
                let coefficients = &coefficients[sample * 3 * channels..][..3 * channels];
                let (a, rest) = coefficients.split_at(channels);
                let (b, offset) = rest.split_at(channels);
                combine_rows(&x[range.clone()], &dy[range], mean, a, b, offset, part);
            });
            tensor(dx, [batch, places, channels])
        });
        // Of each sample, the gradients of the bias and of the weight.
        let mut rows = sums;
        for (row, moments) in rows
            .chunks_exact_mut(pair.max(1))
            .zip(self.moments.chunks_exact(pair.max(1)))
        {
            for (product, inverse) in row[channels..].iter_mut().zip(&moments[channels..]) {
                *product *= inverse;
            }
        }
        let totals = add_rows(rows, pair);
        [
            dx,
            wanted[1].then(|| tensor(totals[channels..].to_vec(), [channels])),
            wanted[2].then(|| tensor(totals[..channels].to_vec(), [channels])),
        ]
    }
}

/// dx = (t − mean(t) − x̂ · mean(t·x̂)) / σ with t = dy·w and means over a group, as a·dy + b·(x − μ) + offset: writes
/// a, b and the offset of each channel.
fn coefficients(sums: &[f32], moments: &[f32], weight: &[f32], places: usize, groups: usize, output: &mut [f32]) {
    let channels = weight.len();
    let width = channels / groups;
    let count = (places * width) as f64;
    for start in (0..channels).step_by(width) {
        let group = start..start + width;
        let inverse = f64::from(moments[channels + start]);
        let weighted = |part: usize| {
            let term = |c: usize| f64::from(weight[c]) * f64::from(sums[part * channels + c]);
            group.clone().map(term).sum::<f64>() / count
        };
        let (mean, product) = (weighted(0), weighted(1));
        for c in group.clone() {
            output[c] = (f64::from(weight[c]) * inverse) as f32;
            output[channels + c] = (-product * inverse.powi(3)) as f32;
            output[2 * channels + c] = (-mean * inverse) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, close, elements, same_bits, values};
    use burn::tensor::Device;

    const EPSILON: f64 = 1e-5;

    /// Shapes as [batch, places, channels].
    fn check_group_norm([batch, places, channels]: [usize; 3], groups: usize, strided: bool) {
        let leaves = [
            values(1, batch * places * channels),
            values(2, channels),
            values(3, channels),
        ];
        let run = |leaves: &[Tensor<1>], fused: bool| {
            let x = leaves[0].clone();
            let x = if strided {
                x.reshape([batch, channels, places]).swap_dims(1, 2)
            } else {
                x.reshape([batch, places, channels])
            };
            let (weight, bias) = (leaves[1].clone(), leaves[2].clone());
            let layer = if fused { group_norm } else { plain };
            layer(x, groups, weight, bias, EPSILON).reshape([-1])
        };
        check(
            &leaves,
            |leaves| run(leaves, true),
            |leaves| run(leaves, false),
            |leaves| {
                let at = |sample: usize, place: usize, c: usize| {
                    let start = sample * places * channels;
                    leaves[0][start
                        + if strided {
                            c * places + place
                        } else {
                            place * channels + c
                        }]
                };
                let width = channels / groups;
                let value = |index: usize| {
                    let (sample, place, c) = (index / channels / places, index / channels % places, index % channels);
                    let start = c / width * width;
                    let group = || (0..places * width).map(|n| at(sample, n / width, start + n % width));
                    let mean = group().sum::<f64>() / (places * width) as f64;
                    let square = group().map(|x| (x - mean).powi(2)).sum::<f64>() / (places * width) as f64;
                    (at(sample, place, c) - mean) / (square + EPSILON).sqrt() * leaves[1][c] + leaves[2][c]
                };
                (0..batch * places * channels).map(value).collect()
            },
        );
    }

    #[test]
    fn group_norm_matches_its_reference() {
        for (shape, groups) in [
            ([1, 2, 1], 1),
            ([2, 5, 6], 3),
            ([3, 4, 18], 2),
            ([2, 1, 8], 2),
            ([1, 7, 21], 1),
            ([2, 9, 4], 4),
        ] {
            check_group_norm(shape, groups, false);
            check_group_norm(shape, groups, true);
        }
    }

    #[test]
    fn large_samples_are_cut_and_keep_their_precision() {
        let (places, channels) = (3000, 20);
        let x: Vec<f32> = values(1, 2 * places * channels).iter().map(|x| x + 100.0).collect();
        let y = same_bits(|| {
            let device = Device::flex();
            let input = Tensor::<1>::from_floats(x.as_slice(), &device).reshape([2, 50, 60, channels]);
            elements(group_norm(
                input,
                4,
                Tensor::ones([channels], &device),
                Tensor::zeros([channels], &device),
                EPSILON,
            ))
        });
        let sample = &x[places * channels..];
        let group: Vec<f64> = sample
            .chunks(channels)
            .flat_map(|row| row[5..10].iter().map(|&x| x.into()))
            .collect();
        let mean = group.iter().sum::<f64>() / group.len() as f64;
        let variance = group.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / group.len() as f64;
        let expected: Vec<f64> = group.iter().map(|x| (x - mean) / (variance + EPSILON).sqrt()).collect();
        let got: Vec<f32> = y[places * channels..]
            .chunks(channels)
            .flat_map(|row| row[5..10].to_vec())
            .collect();
        close("group", &got, &expected, 1e-5);
    }

    #[test]
    fn empty_inputs_give_empty_outputs() {
        for shape in [[0, 3, 2, 4], [2, 0, 3, 4]] {
            let device = Device::flex().autodiff();
            let x = Tensor::<4>::ones(shape, &device).require_grad();
            let one = Tensor::<1>::ones([4], &device);
            let y = group_norm(x.clone(), 2, one.clone(), one, EPSILON);
            assert_eq!(x.grad(&y.sum().backward()).unwrap().dims(), shape);
        }
    }

    #[test]
    #[should_panic(expected = "5 channels do not divide into 2 groups")]
    fn uneven_groups_are_refused() {
        let device = Device::flex();
        let one = Tensor::<1>::ones([5], &device);
        group_norm(Tensor::<2>::ones([1, 5], &device), 2, one.clone(), one, EPSILON);
    }
}
