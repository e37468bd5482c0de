//! Batch normalisation in evaluation mode.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use super::channels::{products, scale_rows};
use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel;

/// (x − mean) / √(variance + ε) · weight + bias of channels-last `x` [.., channels] with running statistics
/// [channels], which get no gradient (Ioffe and Szegedy 2015).
pub fn batch_norm_evaluation<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let (shape, mean, variance) = (x.dims(), mean.detach(), variance.detach());
    if !(fused(&x) && fused(&weight) && fused(&mean)) {
        return plain(x, weight, bias, mean, variance, epsilon);
    }
    let channels = shape[D - 1];
    Tensor::<2>::from_dispatch(<Dispatch as Fused>::fixed_normalisation(
        x.reshape([shape[..D - 1].iter().product::<usize>(), channels])
            .into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mean.into_dispatch(),
        variance.into_dispatch(),
        epsilon,
    ))
    .reshape(shape)
}

fn plain<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    mean: Tensor<1>,
    variance: Tensor<1>,
    epsilon: f64,
) -> Tensor<D> {
    let scale = weight / (variance + epsilon).sqrt();
    (x - mean.unsqueeze()) * scale.unsqueeze() + bias.unsqueeze()
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn fixed_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn fixed_normalisation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
    ) -> FlexTensor {
        forward([x, weight, bias], [mean, variance], epsilon).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn fixed_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        let statistics = [Self::inner(mean), Self::inner(variance)];
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs, statistics, epsilon))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    mean: FlexTensor,
    /// 1/σ of each channel.
    inverse: Vec<f32>,
    /// weight/σ of each channel.
    scale: Vec<f32>,
}

fn forward([x, weight, bias]: [FlexTensor; 3], [mean, variance]: [FlexTensor; 2], epsilon: f64) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let (mean, variance) = (contiguous(&mean), contiguous(&variance));
    let [rows, channels] = extents(&x);
    let inverse = |variance: &f32| 1.0 / (f64::from(*variance) + epsilon).sqrt();
    let inverse: Vec<f64> = floats(&variance).iter().map(inverse).collect();
    let scale = inverse.iter().zip(floats(&weight));
    let scale: Vec<f32> = scale
        .map(|(inverse, &weight)| (inverse * f64::from(weight)) as f32)
        .collect();
    let y = scaled(floats(&x), floats(&mean), &scale, floats(&bias));
    let saved = Saved {
        x,
        mean,
        inverse: inverse.iter().map(|&inverse| inverse as f32).collect(),
        scale,
    };
    (tensor(y, [rows, channels]), saved)
}

/// (x − mean) · scale + bias on every row.
fn scaled(x: &[f32], mean: &[f32], scale: &[f32], bias: &[f32]) -> Vec<f32> {
    let chunk = row_chunk(mean.len());
    parallel::fill(x.len(), chunk, |index, part| {
        scale_rows(&x[index * chunk..][..part.len()], mean, scale, bias, part);
    })
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [rows, channels] = extents(&self.x);
        let dy = contiguous(&dy);
        let dx = wanted[0].then(|| {
            let zeros = vec![0.0; channels];
            tensor(scaled(floats(&dy), &zeros, &self.scale, &zeros), [rows, channels])
        });
        if !(wanted[1] || wanted[2]) {
            return [dx, None, None];
        }
        let sums = products(floats(&self.x), floats(&self.mean), floats(&dy));
        let (sums, products) = sums.split_at(channels);
        let weight = products
            .iter()
            .zip(&self.inverse)
            .map(|(sum, inverse)| sum * inverse)
            .collect();
        [
            dx,
            wanted[1].then(|| tensor(weight, [channels])),
            wanted[2].then(|| tensor(sums.to_vec(), [channels])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, values};

    fn check_evaluation(rows: usize, channels: usize, strided: bool) {
        let leaves = [values(1, rows * channels), values(2, channels), values(3, channels)];
        let (mean, variance) = (values(4, channels), values(5, channels));
        let variance: Vec<f32> = variance.iter().map(|value| value + 1.5).collect();
        let epsilon = 1e-3;
        let run = |leaves: &[Tensor<1>], fused: bool| {
            let x = leaves[0].clone();
            let x = if strided {
                x.reshape([1, channels, rows]).permute([0, 2, 1])
            } else {
                x.reshape([1, rows, channels])
            };
            let constant = |values: &[f32]| Tensor::<1>::from_floats(values, &x.device());
            let (mean, variance) = (constant(&mean), constant(&variance));
            let (weight, bias) = (leaves[1].clone(), leaves[2].clone());
            let layer = if fused { batch_norm_evaluation } else { plain };
            layer(x, weight, bias, mean, variance, epsilon).reshape([-1])
        };
        check(
            &leaves,
            |leaves| run(leaves, true),
            |leaves| run(leaves, false),
            |leaves| {
                let value = |index: usize| {
                    let (row, c) = (index / channels, index % channels);
                    let x = leaves[0][if strided { c * rows + row } else { index }];
                    let deviation = (f64::from(variance[c]) + epsilon).sqrt();
                    (x - f64::from(mean[c])) / deviation * leaves[1][c] + leaves[2][c]
                };
                (0..rows * channels).map(value).collect()
            },
        );
    }

    #[test]
    fn evaluation_matches_its_reference() {
        for (rows, channels) in [(1, 1), (9, 3), (5, 16), (30, 21)] {
            check_evaluation(rows, channels, false);
            check_evaluation(rows, channels, true);
        }
    }
}
