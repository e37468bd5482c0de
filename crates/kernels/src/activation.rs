//! Elementwise activations.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, floats, fused, tensor};
use crate::parallel::{self, ELEMENTS};
use crate::simd::{erf, vectorized};

/// max(x, 0) of every element; NaN stays.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !fused(&x) {
        return activation::relu(x);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::rectify(x.into_dispatch()))
}

/// x·Φ(x) of every element, with the exact normal distribution function (Hendrycks and Gimpel 2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    if !fused(&x) {
        return activation::gelu(x);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::gaussian_gate(x.into_dispatch()))
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn gaussian_gate(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn rectify(x: FlexTensor) -> FlexTensor {
        map(&contiguous(&x), relu_slice)
    }

    fn gaussian_gate(x: FlexTensor) -> FlexTensor {
        map(&contiguous(&x), gelu_slice)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Relu, 1>([x], |[x], _| {
            let y = Flex::rectify(x);
            (y.clone(), Relu { y })
        })
    }

    fn gaussian_gate(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Gelu, 1>([x], |[x], _| {
            let x = contiguous(&x);
            (map(&x, gelu_slice), Gelu { x })
        })
    }
}

/// Keeps the output: it is positive where the gradient passes, and the input can be dropped.
#[derive(Clone, Debug)]
struct Relu {
    y: FlexTensor,
}

impl Gradient<1> for Relu {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(zip(&self.y, &dy, relu_gradient))]
    }
}

#[derive(Clone, Debug)]
struct Gelu {
    x: FlexTensor,
}

impl Gradient<1> for Gelu {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(zip(&self.x, &dy, gelu_gradient))]
    }
}

/// `body(input, output)` on parts of contiguous `x`.
fn map(x: &FlexTensor, body: fn(&[f32], &mut [f32])) -> FlexTensor {
    let values = floats(x);
    let output = parallel::fill(values.len(), ELEMENTS, |index, part| {
        body(&values[index * ELEMENTS..][..part.len()], part);
    });
    tensor(output, x.layout().shape().to_vec())
}

/// `body(saved, gradient, output)` on parts of contiguous `saved` and any view of the gradient.
fn zip(saved: &FlexTensor, dy: &FlexTensor, body: fn(&[f32], &[f32], &mut [f32])) -> FlexTensor {
    let dy = contiguous(dy);
    let (values, gradients) = (floats(saved), floats(&dy));
    let output = parallel::fill(values.len(), ELEMENTS, |index, part| {
        let range = index * ELEMENTS..index * ELEMENTS + part.len();
        body(&values[range.clone()], &gradients[range], part);
    });
    tensor(output, saved.layout().shape().to_vec())
}

vectorized! {
    fn relu_slice(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x < 0.0 { 0.0 } else { x };
        }
    }
}

vectorized! {
    fn relu_gradient(y: &[f32], dy: &[f32], dx: &mut [f32]) {
        for ((dx, &y), &dy) in dx.iter_mut().zip(y).zip(dy) {
            *dx = if y > 0.0 { dy } else { 0.0 };
        }
    }
}

vectorized! {
    fn gelu_slice(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2).0);
        }
    }
}

vectorized! {
    /// Φ(x) + x·φ(x), times the gradient.
    fn gelu_gradient(x: &[f32], dy: &[f32], dx: &mut [f32]) {
        const DENSITY: f32 = 0.398_942_3;
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            let (erf, power) = erf(x * std::f32::consts::FRAC_1_SQRT_2);
            *dx = dy * (0.5 * (1.0 + erf) + x * DENSITY * power);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, values};
    use burn::tensor::Device;

    /// The error function by its Maclaurin series, which converges fast enough below 5.
    fn series(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    fn check_activation(
        fused: fn(Tensor<2>) -> Tensor<2>,
        plain: fn(Tensor<2>) -> Tensor<2>,
        reference: fn(f64) -> f64,
    ) {
        for [rows, columns] in [[1, 1], [3, 7], [9, 40]] {
            let leaf: Vec<f32> = values(1, rows * columns).iter().map(|x| x * 4.0).collect();
            for strided in [false, true] {
                let view = |leaves: &[Tensor<1>]| {
                    let x = leaves[0].clone();
                    if strided {
                        x.reshape([columns, rows]).transpose()
                    } else {
                        x.reshape([rows, columns])
                    }
                };
                check(
                    std::slice::from_ref(&leaf),
                    |leaves| fused(view(leaves)).reshape([-1]),
                    |leaves| plain(view(leaves)).reshape([-1]),
                    |leaves| {
                        let at = |index: usize| match strided {
                            true => index % columns * rows + index / columns,
                            false => index,
                        };
                        (0..rows * columns)
                            .map(|index| reference(leaves[0][at(index)]))
                            .collect()
                    },
                );
            }
        }
    }

    #[test]
    fn relu_matches_its_reference() {
        check_activation(relu, activation::relu, |x| x.max(0.0));
    }

    #[test]
    fn gelu_matches_its_reference() {
        let reference = |x: f64| 0.5 * x * (1.0 + series(x * std::f64::consts::FRAC_1_SQRT_2));
        check_activation(gelu, activation::gelu, reference);
    }

    #[test]
    fn nan_stays() {
        let nan = || Tensor::<1>::from_floats([f32::NAN], &Device::flex());
        assert!(elements(relu(nan()))[0].is_nan() && elements(gelu(nan()))[0].is_nan());
    }
}
