//! Batch normalisation in training mode.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::channels::{combine_rows, products, scale_rows, statistics};
use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel;

/// What training-mode batch normalisation computes.
pub struct BatchNormOutput<const D: usize> {
    pub output: Tensor<D>,
    /// Per-channel mean of this batch, [channels], detached.
    pub mean: Tensor<1>,
    /// Per-channel biased variance of this batch, [channels], detached.
    pub variance: Tensor<1>,
}

/// Batch normalisation of channels-last `x` [.., channels] with the batch's own statistics (Ioffe and Szegedy 2015).
pub fn batch_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
) -> BatchNormOutput<D> {
    let shape = x.dims();
    let channels = shape[D - 1];
    let rows = x.reshape([shape[..D - 1].iter().product::<usize>(), channels]);
    if !(fused(&rows) && fused(&weight)) {
        return plain(rows, weight, bias, epsilon, shape);
    }
    let (output, mean, variance) = <Dispatch as Fused>::batch_normalisation(
        rows.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
    );
    BatchNormOutput {
        output: Tensor::<2>::from_dispatch(output).reshape(shape),
        mean: Tensor::from_dispatch(mean),
        variance: Tensor::from_dispatch(variance),
    }
}

fn plain<const D: usize>(
    rows: Tensor<2>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    shape: [usize; D],
) -> BatchNormOutput<D> {
    let channels = shape[D - 1];
    let (variance, mean) = rows.clone().var_mean_bias(0);
    let normal = (rows - mean.clone()) / (variance.clone() + epsilon).sqrt();
    BatchNormOutput {
        output: (normal * weight.unsqueeze() + bias.unsqueeze()).reshape(shape),
        mean: mean.reshape([channels]).detach(),
        variance: variance.reshape([channels]).detach(),
    }
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn batch_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl Fused for Flex {
    fn batch_normalisation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        epsilon: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (output, saved) = forward([x, weight, bias], epsilon);
        (output, saved.mean, saved.variance)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn batch_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let mut statistics = Vec::new();
        let output = record::<C, Saved, 3>([x, weight, bias], |inputs, _| {
            let (output, saved) = forward(inputs, epsilon);
            statistics = vec![saved.mean.clone(), saved.variance.clone()];
            (output, saved)
        });
        let mut next = || Self::from_inner(statistics.remove(0));
        (output, next(), next())
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    mean: FlexTensor,
    variance: FlexTensor,
    epsilon: f64,
}

fn forward([x, weight, bias]: [FlexTensor; 3], epsilon: f64) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let [rows, channels] = extents(&x);
    let values = floats(&x);
    let [mean, variance] = statistics(values, rows, channels);
    let mean: Vec<f32> = mean.iter().map(|&value| value as f32).collect();
    let scale: Vec<f32> = (0..channels)
        .map(|c| (f64::from(floats(&weight)[c]) / (variance[c] + epsilon).sqrt()) as f32)
        .collect();
    let chunk = row_chunk(channels);
    let y = parallel::fill(values.len(), chunk, |index, part| {
        let x = &values[index * chunk..][..part.len()];
        scale_rows(x, &mean, &scale, floats(&bias), part);
    });
    let variance = variance.iter().map(|&value| value as f32).collect();
    let saved = Saved {
        mean: tensor(mean, [channels]),
        variance: tensor(variance, [channels]),
        x,
        weight,
        epsilon,
    };
    (tensor(y, [rows, channels]), saved)
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [rows, channels] = extents(&self.x);
        let dy = contiguous(&dy);
        let (x, dy) = (floats(&self.x), floats(&dy));
        let (mean, weight) = (floats(&self.mean), floats(&self.weight));
        let chunk = row_chunk(channels);
        let sums = products(x, mean, dy);
        let (sums, products) = sums.split_at(channels);
        let deviation: Vec<f64> = floats(&self.variance)
            .iter()
            .map(|&variance| (f64::from(variance) + self.epsilon).sqrt())
            .collect();
        let dw = (0..channels)
            .map(|c| (f64::from(products[c]) / deviation[c]) as f32)
            .collect();
        let dx = wanted[0].then(|| {
            // dx = w/σ · (dy − mean(dy) − (x − μ)/σ² · mean(dy·(x − μ))), by channel a·dy + b·(x − μ) + c.
            let scale = |c: usize| f64::from(weight[c]) / deviation[c];
            let mean_of = |sum: f32| f64::from(sum) / rows as f64;
            let a: Vec<f32> = (0..channels).map(|c| scale(c) as f32).collect();
            let slope = |c: usize| -scale(c) * mean_of(products[c]) / deviation[c].powi(2);
            let b: Vec<f32> = (0..channels).map(|c| slope(c) as f32).collect();
            let offset: Vec<f32> = (0..channels).map(|c| (-scale(c) * mean_of(sums[c])) as f32).collect();
            let dx = parallel::fill(x.len(), chunk, |index, part| {
                let range = index * chunk..index * chunk + part.len();
                combine_rows(&x[range.clone()], &dy[range], mean, &a, &b, &offset, part);
            });
            tensor(dx, [rows, channels])
        });
        [
            dx,
            wanted[1].then(|| tensor(dw, [channels])),
            wanted[2].then(|| tensor(sums.to_vec(), [channels])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, close, elements, values};
    use burn::tensor::Device;

    const EPSILON: f64 = 1e-5;

    fn check_batch_norm(rows: usize, channels: usize, strided: bool) {
        let leaves = [values(1, rows * channels), values(2, channels), values(3, channels)];
        let x = move |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            if strided {
                x.reshape([1, channels, rows]).permute([0, 2, 1])
            } else {
                x.reshape([1, rows, channels])
            }
        };
        check(
            &leaves,
            |leaves| {
                let [_, w, b] = leaves else { unreachable!() };
                batch_norm(x(leaves), w.clone(), b.clone(), EPSILON)
                    .output
                    .reshape([-1])
            },
            |leaves| {
                let [_, w, b] = leaves else { unreachable!() };
                let x = x(leaves).reshape([rows, channels]);
                plain(x, w.clone(), b.clone(), EPSILON, [rows, channels])
                    .output
                    .reshape([-1])
            },
            |leaves| {
                let at = |row: usize, c: usize| leaves[0][if strided { c * rows + row } else { row * channels + c }];
                let column = |c: usize| (0..rows).map(move |row| at(row, c));
                let value = |index: usize| {
                    let (row, c) = (index / channels, index % channels);
                    let mean = column(c).sum::<f64>() / rows as f64;
                    let square = column(c).map(|x| (x - mean).powi(2)).sum::<f64>();
                    let deviation = (square / rows as f64 + EPSILON).sqrt();
                    (at(row, c) - mean) / deviation * leaves[1][c] + leaves[2][c]
                };
                (0..rows * channels).map(value).collect()
            },
        );
    }

    #[test]
    fn batch_norm_matches_its_reference() {
        for (rows, channels) in [(2, 1), (9, 3), (5, 16), (30, 21)] {
            check_batch_norm(rows, channels, false);
            check_batch_norm(rows, channels, true);
        }
    }

    #[test]
    fn statistics_survive_a_large_mean_and_many_rows() {
        let (rows, channels) = (6000, 5);
        let x: Vec<f32> = values(1, rows * channels).iter().map(|x| x + 1000.0).collect();
        let column = |c: usize| x[c..].iter().step_by(channels).map(|&value| f64::from(value));
        let mean: Vec<f64> = (0..channels).map(|c| column(c).sum::<f64>() / rows as f64).collect();
        let squares = |c: usize| column(c).map(|x| (x - mean[c]).powi(2)).sum::<f64>();
        let variance: Vec<f64> = (0..channels).map(|c| squares(c) / rows as f64).collect();
        let device = Device::flex();
        let ones = Tensor::<1>::ones([channels], &device);
        let rows = Tensor::<1>::from_floats(x.as_slice(), &device).reshape([rows, channels]);
        let result = batch_norm(rows, ones.clone(), ones, EPSILON);
        close("mean", &elements(result.mean), &mean, 1e-6);
        close("variance", &elements(result.variance), &variance, 1e-4);
    }

    #[test]
    fn statistics_are_detached() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::ones([4, 2], &device).require_grad();
        let ones = Tensor::<1>::ones([2], &device);
        let result = batch_norm(x, ones.clone(), ones, EPSILON);
        assert!(result.output.is_tracked());
        assert!(!result.mean.is_tracked() && !result.variance.is_tracked());
    }
}
