//! The affine map y = x·Wᵀ + b.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::column_sums;
use crate::gemm::multiply;
use crate::panels::Matrix;

/// `x` [.., input] → [.., output], with `weight` [output, input] (PyTorch's layout) and `bias` [output].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    let mut shape = x.dims();
    let [output, input] = weight.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    let x = x.reshape([rows, input]);
    let y = if fused(&x) && fused(&weight) {
        let bias = bias.unwrap_or_else(|| Tensor::zeros([output], &weight.device()));
        Tensor::from_dispatch(<Dispatch as Fused>::affine(
            x.into_dispatch(),
            weight.into_dispatch(),
            bias.into_dispatch(),
        ))
    } else {
        plain(x, weight, bias)
    };
    shape[D - 1] = output;
    y.reshape(shape)
}

fn plain(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight.transpose());
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn affine(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        forward([x, weight, bias]).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
}

fn forward([x, weight, bias]: [FlexTensor; 3]) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let ([rows, input], [output, _]) = (extents(&x), extents(&weight));
    let right = Matrix::new(floats(&weight), output, input).transposed();
    let y = multiply(Matrix::new(floats(&x), rows, input), right, Some(floats(&bias)));
    (tensor(y, [rows, output]), Saved { x, weight })
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let ([rows, input], [output, _]) = (extents(&self.x), extents(&self.weight));
        let dy = contiguous(&dy);
        let dy = Matrix::new(floats(&dy), rows, output);
        let (x, weight) = (floats(&self.x), floats(&self.weight));
        let dx = || multiply(dy, Matrix::new(weight, output, input), None);
        let dw = || multiply(dy.transposed(), Matrix::new(x, rows, input), None);
        [
            wanted[0].then(|| tensor(dx(), [rows, input])),
            wanted[1].then(|| tensor(dw(), [output, input])),
            wanted[2].then(|| tensor(column_sums(dy.values, output), [output])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, values};

    fn check_linear([rows, input, output]: [usize; 3], with_bias: bool, strided: bool) {
        let mut leaves = vec![values(1, rows * input), values(2, output * input)];
        leaves.extend(with_bias.then(|| values(3, output)));
        let arguments = move |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            let x = if strided {
                x.reshape([input, rows]).transpose()
            } else {
                x.reshape([rows, input])
            };
            (x, leaves[1].clone().reshape([output, input]), leaves.get(2).cloned())
        };
        check(
            &leaves,
            |leaves| {
                let (x, weight, bias) = arguments(leaves);
                linear(x.reshape([1, rows, input]), weight, bias).reshape([rows * output])
            },
            |leaves| {
                let (x, weight, bias) = arguments(leaves);
                plain(x, weight, bias).reshape([rows * output])
            },
            |leaves| {
                (0..rows * output)
                    .map(|index| {
                        let (row, column) = (index / output, index % output);
                        let product = (0..input).map(|at| {
                            let x = if strided { at * rows + row } else { row * input + at };
                            leaves[0][x] * leaves[1][column * input + at]
                        });
                        product.sum::<f64>() + leaves.get(2).map_or(0.0, |bias| bias[column])
                    })
                    .collect()
            },
        );
    }

    #[test]
    fn linear_matches_its_reference() {
        for shape in [[1, 1, 1], [1, 7, 3], [5, 3, 17], [20, 9, 6], [40, 33, 35]] {
            for with_bias in [false, true] {
                check_linear(shape, with_bias, false);
                check_linear(shape, with_bias, true);
            }
        }
    }

    #[test]
    fn narrowed_inputs_are_read_from_their_offset() {
        let device = burn::tensor::Device::flex();
        let x = Tensor::<2>::from_floats([[9.0, 1.0, 2.0], [9.0, 3.0, 4.0]], &device);
        let weight = Tensor::<2>::from_floats([[0.0, 0.0], [1.0, 10.0]], &device);
        let y = linear(x.narrow(1, 1, 2), weight.narrow(0, 1, 1), None);
        assert_eq!(crate::testing::elements(y), [21.0, 43.0]);
    }
}
