//! Batch normalisation in training mode.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::{add_columns, add_deviations, add_products, row_chunk};
use crate::parallel;
use crate::simd::{LANES, lanes, vectorized};

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

/// Mean and biased variance of each column. Tasks centre their rows on their own mean before they square them, and
/// are merged in order in double precision (Chan et al. 1979), so that a large mean does not cancel the variance.
fn statistics(values: &[f32], rows: usize, channels: usize) -> [Vec<f64>; 2] {
    let chunk = row_chunk(channels);
    let tasks = values.len().div_ceil(chunk);
    let width = (3 * channels).max(1);
    let parts = parallel::fill(tasks * width, width, |index, part| {
        let part_values = &values[index * chunk..values.len().min((index + 1) * chunk)];
        let count = (part_values.len() / channels) as f32;
        part.fill(0.0);
        let (mean, rest) = part.split_at_mut(channels);
        let (deviations, squares) = rest.split_at_mut(channels);
        add_columns(part_values, mean);
        mean.iter_mut().for_each(|sum| *sum /= count);
        add_deviations(part_values, mean, deviations, squares);
    });
    let mut mean = vec![0.0; channels];
    let mut squares = vec![0.0; channels];
    for (index, part) in parts.chunks_exact(width).enumerate() {
        let before = (index * chunk / channels) as f64;
        let count = (chunk.min(values.len() - index * chunk) / channels) as f64;
        for c in 0..channels {
            // The centre of a task was rounded; what its deviations add up to corrects it.
            let rest = f64::from(part[channels + c]) / count;
            let own_squares = f64::from(part[2 * channels + c]) - rest * rest * count;
            let delta = f64::from(part[c]) + rest - mean[c];
            mean[c] += delta * count / (before + count);
            squares[c] += own_squares + delta * delta * before * count / (before + count);
        }
    }
    squares.iter_mut().for_each(|sum| *sum /= rows as f64);
    [mean, squares]
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [rows, channels] = extents(&self.x);
        let dy = contiguous(&dy);
        let (x, dy) = (floats(&self.x), floats(&dy));
        let (mean, weight) = (floats(&self.mean), floats(&self.weight));
        let chunk = row_chunk(channels);
        let sums = parallel::sum(x.len().div_ceil(chunk), 2 * channels, |index, part| {
            let range = index * chunk..x.len().min((index + 1) * chunk);
            let (sums, products) = part.split_at_mut(channels);
            add_products(&x[range.clone()], mean, &dy[range], sums, products);
        });
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

vectorized! {
    /// (x − mean) · scale + bias on every row.
    fn scale_rows(x: &[f32], mean: &[f32], scale: &[f32], bias: &[f32], output: &mut [f32]) {
        let width = mean.len();
        map_rows(width, output, |at, c| (x[at] - mean[c]) * scale[c] + bias[c], |at, c| {
            let (x, mean) = (lanes(x, at), lanes(mean, c));
            let (scale, bias) = (lanes(scale, c), lanes(bias, c));
            std::array::from_fn(|lane| (x[lane] - mean[lane]) * scale[lane] + bias[lane])
        });
    }
}

vectorized! {
    /// a·dy + b·(x − mean) + offset on every row.
    fn combine_rows(
        x: &[f32],
        dy: &[f32],
        mean: &[f32],
        a: &[f32],
        b: &[f32],
        offset: &[f32],
        output: &mut [f32],
    ) {
        let width = mean.len();
        let one = |at: usize, c: usize| a[c] * dy[at] + b[c] * (x[at] - mean[c]) + offset[c];
        map_rows(width, output, one, |at, c| {
            let (x, dy, mean) = (lanes(x, at), lanes(dy, at), lanes(mean, c));
            let (a, b, offset) = (lanes(a, c), lanes(b, c), lanes(offset, c));
            std::array::from_fn(|lane| {
                a[lane] * dy[lane] + b[lane] * (x[lane] - mean[lane]) + offset[lane]
            })
        });
    }
}

/// Writes `one(place, column)`, or `many(place, column)` for sixteen columns at a time, to every place of `output`
/// [.., width].
#[inline(always)]
fn map_rows(
    width: usize,
    output: &mut [f32],
    one: impl Fn(usize, usize) -> f32,
    many: impl Fn(usize, usize) -> [f32; LANES],
) {
    let full = width / LANES * LANES;
    for (row, line) in output.chunks_exact_mut(width).enumerate() {
        for c in (0..full).step_by(LANES) {
            line[c..c + LANES].copy_from_slice(&many(row * width + c, c));
        }
        for (c, value) in line.iter_mut().enumerate().skip(full) {
            *value = one(row * width + c, c);
        }
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
