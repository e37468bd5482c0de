//! Normalisation of rows: by mean and deviation (layer normalisation), or by root mean square alone.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel::{self, Target};
use crate::simd::{LANES, lanes, vectorized};

/// Layer normalisation of the last axis: `x` [.., width], `weight` and `bias` [width] (Ba et al. 2016).
pub fn layer_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if !(fused(&x) && fused(&weight)) {
        return plain_layer(x, weight, bias, epsilon);
    }
    normalise_rows(x, weight, bias, epsilon, true)
}

/// x / √(mean(x²) + ε) · weight over the last axis: `x` [.., width], `weight` [width] (Zhang and Sennrich 2019).
pub fn rms_norm<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    if !(fused(&x) && fused(&weight)) {
        return plain_rms(x, weight, epsilon);
    }
    let bias = Tensor::zeros(weight.dims(), &weight.device());
    normalise_rows(x, weight, bias, epsilon, false)
}

fn plain_layer<const D: usize>(x: Tensor<D>, weight: Tensor<1>, bias: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let (variance, mean) = x.clone().var_mean_bias(D - 1);
    let normal = (x - mean) / (variance + epsilon).sqrt();
    normal * weight.unsqueeze() + bias.unsqueeze()
}

fn plain_rms<const D: usize>(x: Tensor<D>, weight: Tensor<1>, epsilon: f64) -> Tensor<D> {
    let square = (x.clone() * x.clone()).mean_dim(D - 1);
    x / (square + epsilon).sqrt() * weight.unsqueeze()
}

fn normalise_rows<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    epsilon: f64,
    centred: bool,
) -> Tensor<D> {
    let shape = x.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    Tensor::<2>::from_dispatch(<Dispatch as Fused>::row_normalisation(
        x.reshape([rows, shape[D - 1]]).into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        epsilon,
        centred,
    ))
    .reshape(shape)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn row_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        centred: bool,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn row_normalisation(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        epsilon: f64,
        centred: bool,
    ) -> FlexTensor {
        forward([x, weight, bias], epsilon, centred).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn row_normalisation(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        epsilon: f64,
        centred: bool,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs, epsilon, centred))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    /// The mean of each row, and the inverse of its deviation.
    moments: Vec<f32>,
    centred: bool,
}

fn forward([x, weight, bias]: [FlexTensor; 3], epsilon: f64, centred: bool) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let [rows, width] = extents(&x);
    let values = floats(&x);
    let chunk = row_chunk(width);
    let mut moments = Vec::with_capacity(2 * rows);
    let target = Target::spare(&mut moments, 2 * rows);
    let y = parallel::fill(values.len(), chunk, |index, part| {
        let x = &values[index * chunk..][..part.len()];
        // SAFETY: tasks own disjoint rows, and write the moments of each.
        let moments = unsafe { target.slice(2 * (index * chunk / width), 2 * (part.len() / width)) };
        normalise(
            x,
            floats(&weight),
            floats(&bias),
            epsilon as f32,
            centred,
            moments,
            part,
        );
    });
    // SAFETY: the tasks cover all rows, unless rows have no elements and there are no tasks.
    unsafe { moments.set_len(if width == 0 { 0 } else { 2 * rows }) };
    let saved = Saved {
        x,
        weight,
        moments,
        centred,
    };
    (tensor(y, [rows, width]), saved)
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [rows, width] = extents(&self.x);
        let dy = contiguous(&dy);
        let (x, dy, weight) = (floats(&self.x), floats(&dy), floats(&self.weight));
        let chunk = row_chunk(width);
        let mut dx = Vec::with_capacity(x.len());
        let target = Target::spare(&mut dx, x.len());
        let sums = parallel::sum(x.len().div_ceil(chunk), 2 * width, |index, part| {
            let range = index * chunk..x.len().min((index + 1) * chunk);
            // SAFETY: tasks own disjoint rows, and every element is written before the vector is used.
            let dx = unsafe { target.slice(range.start, range.len()) };
            let (dw, db) = part.split_at_mut(width);
            let moments = &self.moments[2 * (range.start / width)..];
            differentiate(&x[range.clone()], &dy[range], weight, moments, self.centred, dx, dw, db);
        });
        // SAFETY: the capacity is that of `x`, and the tasks cover all of its rows.
        unsafe { dx.set_len(x.len()) };
        let (dw, db) = sums.split_at(width);
        [
            wanted[0].then(|| tensor(dx, [rows, width])),
            wanted[1].then(|| tensor(dw.to_vec(), [width])),
            wanted[2].then(|| tensor(db.to_vec(), [width])),
        ]
    }
}

/// The sum of `one(index)` for all indices below `count`, taken sixteen at a time through `many` as far as they go.
#[inline(always)]
fn total<const N: usize>(
    count: usize,
    one: impl Fn(usize) -> [f32; N],
    many: impl Fn(usize) -> [[f32; LANES]; N],
) -> [f32; N] {
    let mut sums = [[0.0f32; LANES]; N];
    let full = count / LANES * LANES;
    for start in (0..full).step_by(LANES) {
        for (sums, terms) in sums.iter_mut().zip(many(start)) {
            for (sum, term) in sums.iter_mut().zip(terms) {
                *sum += term;
            }
        }
    }
    let mut sums = sums.map(|sums| sums.iter().sum::<f32>());
    for index in full..count {
        for (sum, term) in sums.iter_mut().zip(one(index)) {
            *sum += term;
        }
    }
    sums
}

/// The mean of a row and the inverse of its standard deviation, in two passes; a mean of 0 where it stays uncentred.
#[inline(always)]
fn moments_of(x: &[f32], epsilon: f32, centred: bool) -> (f32, f32) {
    let width = x.len() as f32;
    let mut mean = 0.0;
    if centred {
        let [sum] = total(x.len(), |at| [x[at]], |at| [*lanes(x, at)]);
        mean = sum / width;
    }
    let square = |value: f32| (value - mean) * (value - mean);
    let [squares] = total(x.len(), |at| [square(x[at])], |at| [lanes(x, at).map(square)]);
    (mean, 1.0 / (squares / width + epsilon).sqrt())
}

vectorized! {
    fn normalise(
        x: &[f32],
        weight: &[f32],
        bias: &[f32],
        epsilon: f32,
        centred: bool,
        moments: &mut [f32],
        y: &mut [f32],
    ) {
        let width = weight.len();
        let rows = x.chunks_exact(width).zip(y.chunks_exact_mut(width));
        for ((x, y), moments) in rows.zip(moments.chunks_exact_mut(2)) {
            let (mean, inverse) = moments_of(x, epsilon, centred);
            moments.copy_from_slice(&[mean, inverse]);
            for c in 0..width {
                y[c] = (x[c] - mean) * inverse * weight[c] + bias[c];
            }
        }
    }
}

vectorized! {
    /// dx = (t − mean(t) − x̂ · mean(t·x̂)) / σ with t = dy·w and x̂ = (x − μ)/σ, without mean(t) if uncentred; adds
    /// dy·x̂ to `dw` and dy to `db`.
    fn differentiate(
        x: &[f32],
        dy: &[f32],
        weight: &[f32],
        moments: &[f32],
        centred: bool,
        dx: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) {
        let width = weight.len();
        let (dw, db) = (&mut dw[..width], &mut db[..width]);
        let rows = x.chunks_exact(width).zip(dy.chunks_exact(width));
        let moments = moments.chunks_exact(2);
        for (((x, dy), dx), moments) in rows.zip(dx.chunks_exact_mut(width)).zip(moments) {
            let (mean, inverse) = (moments[0], moments[1]);
            let one = |c: usize| {
                let t = dy[c] * weight[c];
                [t, t * (x[c] - mean) * inverse]
            };
            let [sum, product] = total(width, one, |c| {
                let (x, dy, weight) = (lanes(x, c), lanes(dy, c), lanes(weight, c));
                let t: [f32; LANES] = std::array::from_fn(|lane| dy[lane] * weight[lane]);
                [t, std::array::from_fn(|lane| t[lane] * (x[lane] - mean) * inverse)]
            });
            let sum = if centred { sum / width as f32 } else { 0.0 };
            let product = product / width as f32;
            for c in 0..width {
                let normal = (x[c] - mean) * inverse;
                dw[c] += dy[c] * normal;
                db[c] += dy[c];
                dx[c] = inverse * (dy[c] * weight[c] - sum - normal * product);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, values};

    const EPSILON: f64 = 1e-5;

    fn check_norm(rows: usize, width: usize, strided: bool, centred: bool) {
        let mut leaves = vec![values(1, rows * width), values(2, width)];
        leaves.extend(centred.then(|| values(3, width)));
        let x = move |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            if strided {
                x.reshape([1, width, rows]).permute([0, 2, 1])
            } else {
                x.reshape([1, rows, width])
            }
        };
        check(
            &leaves,
            |leaves| match leaves {
                [_, w, b] => layer_norm(x(leaves), w.clone(), b.clone(), EPSILON).reshape([-1]),
                _ => rms_norm(x(leaves), leaves[1].clone(), EPSILON).reshape([-1]),
            },
            |leaves| match leaves {
                [_, w, b] => plain_layer(x(leaves), w.clone(), b.clone(), EPSILON).reshape([-1]),
                _ => plain_rms(x(leaves), leaves[1].clone(), EPSILON).reshape([-1]),
            },
            |leaves| {
                let at = |row: usize, c: usize| leaves[0][if strided { c * rows + row } else { row * width + c }];
                let value = |index: usize| {
                    let (row, c) = (index / width, index % width);
                    let line = || (0..width).map(|c| at(row, c));
                    let mean = if centred {
                        line().sum::<f64>() / width as f64
                    } else {
                        0.0
                    };
                    let square = line().map(|x| (x - mean).powi(2)).sum::<f64>() / width as f64;
                    let bias = leaves.get(2).map_or(0.0, |bias| bias[c]);
                    (at(row, c) - mean) / (square + EPSILON).sqrt() * leaves[1][c] + bias
                };
                (0..rows * width).map(value).collect()
            },
        );
    }

    #[test]
    fn row_norms_match_their_references() {
        for (rows, width) in [(1, 2), (3, 5), (7, 16), (12, 37)] {
            for strided in [false, true] {
                check_norm(rows, width, strided, true);
                check_norm(rows, width, strided, false);
            }
        }
        check_norm(2, 1, false, false);
    }

    #[test]
    fn empty_inputs_give_empty_outputs() {
        use burn::tensor::Device;
        for shape in [[0, 3], [2, 0]] {
            let device = Device::flex().autodiff();
            let (x, w) = (
                Tensor::<2>::ones(shape, &device).require_grad(),
                Tensor::ones([shape[1]], &device),
            );
            let y = rms_norm(x.clone(), w, EPSILON);
            assert_eq!(x.grad(&y.sum().backward()).unwrap().dims(), shape);
        }
    }

    #[test]
    fn many_rows_have_the_same_bits_on_any_number_of_threads() {
        use burn::tensor::Device;
        crate::testing::same_bits(|| {
            let device = Device::flex().autodiff();
            let leaf = |seed, count| Tensor::<1>::from_floats(values(seed, count).as_slice(), &device);
            let (x, w) = (leaf(1, 90_000).require_grad(), leaf(2, 30).require_grad());
            let y = layer_norm(x.clone().reshape([3000, 30]), w.clone(), leaf(3, 30), EPSILON);
            let gradients = (y.clone() * y).sum_dim(1).sum_dim(0).backward();
            [x, w]
                .map(|leaf| crate::testing::elements(leaf.grad(&gradients).unwrap()))
                .concat()
        });
    }
}
