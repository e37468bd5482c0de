//! Elementwise activations.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation as plain};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, floats, fused, tensor};
use crate::parallel::{self, ELEMENTS};
use crate::simd::{erf, exp, ln, sigmoid as logistic, tanh as hyperbolic, vectorized};

/// max(x, 0) of every element; NaN stays.
pub fn relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, RELU, plain::relu)
}

/// min(max(x, 0), 6) of every element (Krizhevsky 2010); NaN stays.
pub fn relu6<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, RELU6, |x| x.clamp(0.0, 6.0))
}

/// x of every element above zero, `slope`·x elsewhere (Maas et al. 2013).
pub fn leaky_relu<const D: usize>(x: Tensor<D>, slope: f64) -> Tensor<D> {
    let activation = Activation {
        parameter: slope as f32,
        ..LEAKY_RELU
    };
    apply(x, activation, |x| plain::leaky_relu(x, slope))
}

/// x·Φ(x) of every element, with the exact normal distribution function (Hendrycks and Gimpel 2016).
pub fn gelu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, GELU, plain::gelu)
}

/// The tanh approximation of `gelu`, ½x·(1 + tanh(√(2/π)·(x + 0.044715x³))): what GPT-2 was trained with.
pub fn gelu_tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, GELU_TANH, plain::gelu_approximate)
}

/// x / (1 + e⁻ˣ) of every element, also called swish (Elfwing et al. 2018).
pub fn silu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, SILU, plain::silu)
}

/// 1 / (1 + e⁻ˣ) of every element.
pub fn sigmoid<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, SIGMOID, plain::sigmoid)
}

/// The hyperbolic tangent of every element.
pub fn tanh<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, TANH, plain::tanh)
}

/// ln(1 + eˣ) of every element (Dugas et al. 2001).
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(x, SOFTPLUS, |x| plain::softplus(x, 1.0))
}

/// An elementwise function with its gradient.
#[derive(Clone, Copy, Debug)]
pub struct Activation {
    /// Writes y for the parameter and x.
    pub values: fn(f32, &[f32], &mut [f32]),
    /// Writes y for the parameter and x in the place of x.
    replace: fn(f32, &mut [f32]),
    /// Writes dx for the parameter, what was kept, and dy.
    gradient: fn(f32, &[f32], &[f32], &mut [f32]),
    pub keeps: Kept,
    pub parameter: f32,
}

/// What the gradient is computed from. The output is better where it will do: the input can be dropped, and the next
/// layer keeps the output anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Input,
    Output,
}

/// `activation!(NAME, what its gradient keeps, |x, parameter| y, |kept, dy, parameter| dx)`.
macro_rules! activation {
    (
        $name:ident,
        $keeps:ident,
        |$x:ident, $value_parameter:pat_param| $value:expr,
        |$kept:ident, $dy:ident, $gradient_parameter:pat_param| $gradient:expr $(,)?
    ) => {
        pub const $name: Activation = {
            vectorized! {
                fn values(parameter: f32, x: &[f32], y: &mut [f32]) {
                    let $value_parameter = parameter;
                    for (y, &$x) in y.iter_mut().zip(x) {
                        *y = $value;
                    }
                }
            }
            vectorized! {
                fn replace(parameter: f32, x: &mut [f32]) {
                    let $value_parameter = parameter;
                    for y in x {
                        let $x = *y;
                        *y = $value;
                    }
                }
            }
            vectorized! {
                fn gradient(parameter: f32, kept: &[f32], dy: &[f32], dx: &mut [f32]) {
                    let $gradient_parameter = parameter;
                    for ((dx, &$kept), &$dy) in dx.iter_mut().zip(kept).zip(dy) {
                        *dx = $gradient;
                    }
                }
            }
            Activation {
                values,
                replace,
                gradient,
                keeps: Kept::$keeps,
                parameter: 0.0,
            }
        };
    };
}

activation!(
    RELU,
    Output,
    |x, _| if x < 0.0 { 0.0 } else { x },
    |y, dy, _| if y > 0.0 { dy } else { 0.0 },
);
activation!(
    RELU6,
    Output,
    |x, _| x.clamp(0.0, 6.0),
    |y, dy, _| if y > 0.0 && y < 6.0 { dy } else { 0.0 },
);
activation!(
    LEAKY_RELU,
    Input,
    |x, slope| if x < 0.0 { slope * x } else { x },
    |x, dy, slope| if x > 0.0 { dy } else { slope * dy },
);
activation!(
    GELU,
    Input,
    |x, _| 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2).0),
    |x, dy, _| {
        // Φ(x) + x·φ(x), with the density φ from the power that the error function needs anyway.
        const DENSITY: f32 = 0.398_942_3;
        let (erf, power) = erf(x * std::f32::consts::FRAC_1_SQRT_2);
        dy * (0.5 * (1.0 + erf) + x * DENSITY * power)
    },
);
// ½(1 + tanh(u)) is the logistic function of 2u, here with 2u = TWICE·(x + CUBIC·x³).
activation!(
    GELU_TANH,
    Input,
    |x, _| x * logistic(TWICE * (x + CUBIC * x * x * x)),
    |x, dy, _| {
        let y = logistic(TWICE * (x + CUBIC * x * x * x));
        dy * (y + x * y * (1.0 - y) * TWICE * (1.0 + 3.0 * CUBIC * x * x))
    },
);
activation!(SILU, Input, |x, _| x * logistic(x), |x, dy, _| {
    let y = logistic(x);
    dy * y * (1.0 + x * (1.0 - y))
});
activation!(SIGMOID, Output, |x, _| logistic(x), |y, dy, _| dy * y * (1.0 - y));
activation!(TANH, Output, |x, _| hyperbolic(x), |y, dy, _| dy * (1.0 - y * y));
activation!(
    SOFTPLUS,
    Input,
    |x, _| {
        let power = exp(-x.abs());
        let sum = 1.0 + power;
        // What the sum lost to rounding is added to first order, so that small results keep their precision.
        let logarithm = ln(sum) - ((sum - 1.0) - power) / sum;
        logarithm + if x > 0.0 { x } else { 0.0 }
    },
    |x, dy, _| dy * logistic(x),
);

/// 2·√(2/π).
const TWICE: f32 = 1.595_769;
const CUBIC: f32 = 0.044_715;

/// `activation` where fused operations apply, else `plain`.
fn apply<const D: usize>(
    x: Tensor<D>,
    activation: Activation,
    plain: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Tensor<D> {
    if !fused(&x) {
        return plain(x);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::elementwise(x.into_dispatch(), activation))
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn elementwise(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn elementwise(x: FlexTensor, activation: Activation) -> FlexTensor {
        activation.forward(&x).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn elementwise(x: FloatTensor<Self>, activation: Activation) -> FloatTensor<Self> {
        record::<C, Saved, 1>([x], |[x], _| activation.forward(&x))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    kept: FlexTensor,
    activation: Activation,
}

impl Activation {
    fn forward(self, x: &FlexTensor) -> (FlexTensor, Saved) {
        let x = contiguous(x);
        let values = floats(&x);
        let y = parallel::fill(values.len(), ELEMENTS, |index, part| {
            (self.values)(self.parameter, &values[index * ELEMENTS..][..part.len()], part);
        });
        let y = tensor(y, x.layout().shape().to_vec());
        let kept = match self.keeps {
            Kept::Input => x,
            Kept::Output => y.clone(),
        };
        let activation = self;
        (y, Saved { kept, activation })
    }

    /// Replaces every number by the activation's value.
    pub fn in_place(self, values: &mut [f32]) {
        (self.replace)(self.parameter, values);
    }

    /// The gradient of the input for what was kept, contiguous, and that of the output.
    pub fn backward(self, kept: &FlexTensor, dy: &FlexTensor) -> FlexTensor {
        let dy = contiguous(dy);
        let (values, gradients) = (floats(kept), floats(&dy));
        let dx = parallel::fill(values.len(), ELEMENTS, |index, part| {
            let range = index * ELEMENTS..index * ELEMENTS + part.len();
            (self.gradient)(self.parameter, &values[range.clone()], &gradients[range], part);
        });
        tensor(dx, kept.layout().shape().to_vec())
    }
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(self.activation.backward(&self.kept, &dy))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, erf, values};
    use burn::tensor::Device;

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
        check_activation(relu, plain::relu, |x| x.max(0.0));
    }

    #[test]
    fn relu6_matches_its_reference() {
        // Both bends lie among the values.
        let [fused, plain]: [fn(Tensor<2>) -> Tensor<2>; 2] = [|x| relu6(x * 3.0), |x| (x * 3.0).clamp(0.0, 6.0)];
        check_activation(fused, plain, |x| (3.0 * x).clamp(0.0, 6.0));
    }

    #[test]
    fn gelu_matches_its_reference() {
        let reference = |x: f64| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2));
        check_activation(gelu, plain::gelu, reference);
    }

    #[test]
    fn logistic_functions_match_their_references() {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        check_activation(sigmoid, plain::sigmoid, logistic);
        check_activation(silu, plain::silu, |x| x / (1.0 + (-x).exp()));
        check_activation(tanh, plain::tanh, f64::tanh);
        check_activation(softplus, |x| plain::softplus(x, 1.0), |x| x.exp().ln_1p());
        check_activation(gelu_tanh, plain::gelu_approximate, |x| {
            let scale = (2.0 / std::f64::consts::PI).sqrt();
            0.5 * x * (1.0 + (scale * (x + 0.044_715 * x.powi(3))).tanh())
        });
    }

    #[test]
    fn leaky_relu_matches_its_reference() {
        let reference = |x: f64| if x > 0.0 { x } else { -0.3 * x };
        check_activation(|x| leaky_relu(x, -0.3), |x| plain::leaky_relu(x, -0.3), reference);
    }

    #[test]
    fn extremes_saturate_and_nan_stays() {
        let device = Device::flex();
        type Case = (fn(Tensor<1>) -> Tensor<1>, [f32; 2]);
        let cases: [Case; 9] = [
            (relu, [0.0, 200.0]),
            (relu6, [0.0, 6.0]),
            (|x| leaky_relu(x, 0.5), [-100.0, 200.0]),
            (gelu, [0.0, 200.0]),
            (gelu_tanh, [0.0, 200.0]),
            (silu, [0.0, 200.0]),
            (sigmoid, [0.0, 1.0]),
            (tanh, [-1.0, 1.0]),
            (softplus, [0.0, 200.0]),
        ];
        for (case, (activation, expected)) in cases.into_iter().enumerate() {
            let y = elements(activation(Tensor::from_floats([-200.0, 200.0, f32::NAN], &device)));
            assert_eq!(y[..2], expected, "case {case}");
            assert!(y[2].is_nan(), "case {case}");
            assert!(elements(activation(Tensor::zeros([0], &device))).is_empty());
        }
        let small = elements(softplus(Tensor::<1>::from_floats([-20.0], &device)))[0];
        assert!(
            (f64::from(small) / (-20f64).exp().ln_1p() - 1.0).abs() < 1e-6,
            "{small}"
        );
    }
}
