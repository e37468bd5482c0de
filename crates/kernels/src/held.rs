//! The product with a packed weight in training: what it is multiplied with has a gradient, the weight has none.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, tensor};
use crate::gemm::multiply;
use crate::packed::PackedWeight;
use crate::panels::Matrix;

/// `x` [rows, input] → [rows, output], with `bias` [output]. The backward pass unpacks the weight anew, so that it is held as
/// a whole for one product at a time.
pub fn multiply_held(x: Tensor<2>, weight: &PackedWeight, bias: Option<FlexTensor>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as Fused>::held(x.into_dispatch(), weight.clone(), bias))
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn held(x: FloatTensor<Self>, weight: PackedWeight, bias: Option<FlexTensor>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn held(x: FlexTensor, weight: PackedWeight, bias: Option<FlexTensor>) -> FlexTensor {
        Held(weight).run(&x, bias)
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn held(x: FloatTensor<Self>, weight: PackedWeight, bias: Option<FlexTensor>) -> FloatTensor<Self> {
        record::<C, Held, 1>([x], |[x], _| {
            let held = Held(weight);
            (held.run(&x, bias), held)
        })
    }
}

#[derive(Clone, Debug)]
struct Held(PackedWeight);

impl Held {
    fn run(&self, x: &FlexTensor, bias: Option<FlexTensor>) -> FlexTensor {
        let (x, bias) = (contiguous(x), bias.as_ref().map(floats));
        let [rows, _] = extents(&x);
        tensor(self.0.multiply(&x, bias, |_, _| {}), [rows, self.0.output()])
    }
}

impl Gradient<1> for Held {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let (Self(weight), dy) = (self, contiguous(&dy));
        let [rows, output] = extents(&dy);
        let dx = || {
            let whole = weight.whole();
            let (dy, whole) = (
                Matrix::new(floats(&dy), rows, output),
                Matrix::new(&whole, output, weight.input()),
            );
            tensor(multiply(dy, whole, None), [rows, weight.input()])
        };
        [wanted[0].then(dx)]
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, values};
    use crate::{Epilogue, PackedWeight, Precision, linear, linear_packed};
    use burn::tensor::{Device, Tensor};

    /// As the map with the numbers that the few bits stand for.
    #[test]
    fn what_is_multiplied_with_a_packed_weight_has_a_gradient() {
        let device = Device::flex();
        for [rows, input, output] in [[1, 1, 1], [3, 7, 17], [9, 40, 70]] {
            for precision in [Precision::Float32, Precision::Int8, Precision::Int4] {
                let matrix =
                    |values: &[f32], device: &Device| Tensor::<1>::from_floats(values, device).reshape([output, input]);
                let packed = PackedWeight::new(matrix(&values(2, output * input), &device), precision);
                let (whole, bias) = (packed.whole(), values(3, output));
                let wide: Vec<f64> = whole.iter().map(|value| f64::from(*value)).collect();
                let bias_of = |device: &Device| Some(Tensor::<1>::from_floats(bias.as_slice(), device));
                check(
                    &[values(1, rows * input), values(4, rows * output)],
                    |leaves| {
                        let x = leaves[0].clone().reshape([1, rows, input]);
                        let other = leaves[1].clone().reshape([1, rows, output]);
                        let bias = bias_of(&x.device());
                        linear_packed(x, &packed, bias, Epilogue::Add(other)).reshape([rows * output])
                    },
                    |leaves| {
                        let device = leaves[0].device();
                        let x = leaves[0].clone().reshape([rows, input]);
                        let y = linear(x, matrix(&whole, &device), bias_of(&device));
                        (y + leaves[1].clone().reshape([rows, output])).reshape([rows * output])
                    },
                    |leaves| {
                        let sum = |index: usize| {
                            let (row, column) = (index / output, index % output);
                            let terms = (0..input).map(|at| leaves[0][row * input + at] * wide[column * input + at]);
                            terms.sum::<f64>() + f64::from(bias[column]) + leaves[1][index]
                        };
                        (0..rows * output).map(sum).collect()
                    },
                );
            }
        }
    }
}
