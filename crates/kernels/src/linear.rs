//! The affine map y = x·Wᵀ + b, alone or with what follows it.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};
use burn_flex::FlexTensor;

use crate::activation::{Activation, GELU, Kept, RELU, gelu, relu};
use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::{add_columns, column_sums};
use crate::gemm::{multiply, multiply_and_finish};
use crate::panels::{Matrix, Panels};
use crate::parallel::Target;

/// What follows an affine map, computed while the map's result is still in the cache.
#[derive(Clone, Debug)]
pub enum Epilogue<const D: usize> {
    Nothing,
    /// x·Φ(x), as [`gelu`](crate::gelu).
    Gelu,
    /// max(x, 0), as [`relu`](crate::relu).
    Relu,
    /// The sum with a tensor of the result's shape: a residual connection.
    Add(Tensor<D>),
}

/// `x` [.., input] → [.., output], with `weight` [output, input] (PyTorch's layout) and `bias` [output].
pub fn linear<const D: usize>(x: Tensor<D>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<D> {
    linear_with(x, weight, bias, Epilogue::Nothing)
}

/// [`linear`], followed by `epilogue`.
pub fn linear_with<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    epilogue: Epilogue<D>,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [output, input] = weight.dims();
    let rows = shape[..D - 1].iter().product::<usize>();
    shape[D - 1] = output;
    let x = x.reshape([rows, input]);
    if !(fused(&x) && fused(&weight)) {
        return follow(plain(x, weight, bias).reshape(shape), epilogue);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([output], &weight.device()));
    let (x, weight, bias) = (x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch());
    let y = match epilogue {
        Epilogue::Nothing => <Dispatch as Fused>::affine(x, weight, bias),
        Epilogue::Gelu => <Dispatch as Fused>::affine_activated(x, weight, bias, GELU),
        Epilogue::Relu => <Dispatch as Fused>::affine_activated(x, weight, bias, RELU),
        Epilogue::Add(other) => {
            let other = other.reshape([rows, output]).into_dispatch();
            <Dispatch as Fused>::affine_added(x, weight, bias, other)
        }
    };
    Tensor::<2>::from_dispatch(y).reshape(shape)
}

fn plain(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(weight.transpose());
    match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    }
}

/// `epilogue` as an operation of its own.
pub fn after<const D: usize>(y: Tensor<D>, epilogue: Epilogue<D>) -> Tensor<D> {
    match epilogue {
        Epilogue::Gelu => gelu(y),
        Epilogue::Relu => relu(y),
        other => follow(y, other),
    }
}

/// `epilogue` from burn's operations.
pub fn follow<const D: usize>(y: Tensor<D>, epilogue: Epilogue<D>) -> Tensor<D> {
    match epilogue {
        Epilogue::Nothing => y,
        Epilogue::Gelu => activation::gelu(y),
        Epilogue::Relu => activation::relu(y),
        Epilogue::Add(other) => y + other,
    }
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self>;

    fn affine_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self>;

    fn affine_added(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        other: FloatTensor<Self>,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn affine(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        Affine::run([x, weight, bias]).0
    }

    fn affine_activated(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, activation: Activation) -> FlexTensor {
        Activated::run([x, weight, bias], activation, false).0
    }

    fn affine_added(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, other: FlexTensor) -> FlexTensor {
        Added::run([x, weight, bias, other]).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn affine(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, Affine, 3>([x, weight, bias], |inputs, _| Affine::run(inputs))
    }

    fn affine_activated(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        activation: Activation,
    ) -> FloatTensor<Self> {
        record::<C, Activated, 3>([x, weight, bias], |inputs, tracked| {
            Activated::run(inputs, activation, tracked)
        })
    }

    fn affine_added(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        other: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        record::<C, Added, 4>([x, weight, bias, other], |inputs, _| Added::run(inputs))
    }
}

/// What an affine map keeps for its gradient.
#[derive(Clone, Debug)]
struct Affine {
    x: FlexTensor,
    weight: FlexTensor,
}

impl Affine {
    fn new([x, weight]: [FlexTensor; 2]) -> Self {
        let (x, weight) = (contiguous(&x), contiguous(&weight));
        Self { x, weight }
    }

    fn run([x, weight, bias]: [FlexTensor; 3]) -> (FlexTensor, Self) {
        let (saved, bias) = (Self::new([x, weight]), contiguous(&bias));
        let [x, weight] = saved.matrices();
        let y = multiply(x, weight.transposed(), Some(floats(&bias)));
        (tensor(y, [x.rows, weight.rows]), saved)
    }

    /// x [rows, input] and W [output, input].
    fn matrices(&self) -> [Matrix<'_>; 2] {
        [&self.x, &self.weight].map(|matrix| {
            let [rows, columns] = extents(matrix);
            Matrix::new(floats(matrix), rows, columns)
        })
    }
}

impl Gradient<3> for Affine {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [x, weight] = self.matrices();
        let dy = contiguous(&dy);
        let dy = Matrix::new(floats(&dy), x.rows, weight.rows);
        [
            wanted[0].then(|| tensor(multiply(dy, weight, None), [x.rows, x.columns])),
            wanted[1].then(|| tensor(multiply(dy.transposed(), x, None), [weight.rows, weight.columns])),
            wanted[2].then(|| tensor(column_sums(dy.values, dy.columns), [dy.columns])),
        ]
    }
}

#[derive(Clone, Debug)]
struct Activated {
    affine: Affine,
    /// The affine map's result or the activation's, as the activation asks.
    kept: FlexTensor,
    activation: Activation,
}

impl Activated {
    fn run([x, weight, bias]: [FlexTensor; 3], activation: Activation, tracked: bool) -> (FlexTensor, Self) {
        let (affine, bias) = (Affine::new([x, weight]), contiguous(&bias));
        let [x, weight] = affine.matrices();
        let (shape, panels) = ([x.rows, weight.rows], Panels::new(weight.transposed()));
        let bias = Some(floats(&bias));
        if tracked && activation.keeps == Kept::Input {
            let size = x.rows * weight.rows;
            let mut y = Vec::with_capacity(size);
            let target = Target::spare(&mut y, size);
            let result = multiply_and_finish(x, &panels, bias, |place, line| {
                // SAFETY: every part of a row is finished once, and this writes its counterpart.
                let y = unsafe { target.slice(place, line.len()) };
                (activation.values)(activation.parameter, line, y);
            });
            // SAFETY: the finished parts cover the product, and each wrote its counterpart.
            unsafe { y.set_len(size) };
            let kept = tensor(result, shape);
            let saved = Self {
                affine,
                kept,
                activation,
            };
            return (tensor(y, shape), saved);
        }
        let y = multiply_and_finish(x, &panels, bias, |_, line| activation.in_place(line));
        let y = tensor(y, shape);
        let kept = y.clone();
        let saved = Self {
            affine,
            kept,
            activation,
        };
        (y, saved)
    }
}

impl Gradient<3> for Activated {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let dy = self.activation.backward(&self.kept, &dy);
        self.affine.gradients(dy, wanted)
    }
}

#[derive(Clone, Debug)]
struct Added(Affine);

impl Added {
    fn run([x, weight, bias, other]: [FlexTensor; 4]) -> (FlexTensor, Self) {
        let (affine, bias, other) = (Affine::new([x, weight]), contiguous(&bias), contiguous(&other));
        let [x, weight] = affine.matrices();
        let panels = Panels::new(weight.transposed());
        let y = multiply_and_finish(x, &panels, Some(floats(&bias)), |place, line| {
            add_columns(&floats(&other)[place..place + line.len()], line);
        });
        (tensor(y, [x.rows, weight.rows]), Self(affine))
    }
}

impl Gradient<4> for Added {
    fn gradients(self, dy: FlexTensor, [x, weight, bias, other]: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let [dx, dw, db] = self.0.gradients(dy.clone(), [x, weight, bias]);
        [dx, dw, db, other.then_some(dy)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, erf, values};

    #[derive(Clone, Copy, PartialEq)]
    enum After {
        Nothing,
        Gelu,
        Relu,
        Add,
    }

    fn check_linear([rows, input, output]: [usize; 3], with_bias: bool, strided: bool, after: After) {
        let mut leaves = vec![values(1, rows * input), values(2, output * input)];
        leaves.extend((after == After::Add).then(|| values(4, rows * output)));
        leaves.extend(with_bias.then(|| values(3, output)));
        let bias_at = if after == After::Add { 3 } else { 2 };
        let arguments = move |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            let x = if strided {
                x.reshape([input, rows]).transpose()
            } else {
                x.reshape([rows, input])
            };
            let epilogue = match after {
                After::Nothing => Epilogue::Nothing,
                After::Gelu => Epilogue::Gelu,
                After::Relu => Epilogue::Relu,
                After::Add => Epilogue::Add(leaves[2].clone().reshape([1, rows, output])),
            };
            let weight = leaves[1].clone().reshape([output, input]);
            (x, weight, leaves.get(bias_at).cloned(), epilogue)
        };
        check(
            &leaves,
            |leaves| {
                let (x, weight, bias, epilogue) = arguments(leaves);
                linear_with(x.reshape([1, rows, input]), weight, bias, epilogue).reshape([rows * output])
            },
            |leaves| {
                let (x, weight, bias, epilogue) = arguments(leaves);
                let y = plain(x, weight, bias).reshape([1, rows, output]);
                follow(y, epilogue).reshape([rows * output])
            },
            |leaves| {
                (0..rows * output)
                    .map(|index| {
                        let (row, column) = (index / output, index % output);
                        let product = (0..input).map(|at| {
                            let x = if strided { at * rows + row } else { row * input + at };
                            leaves[0][x] * leaves[1][column * input + at]
                        });
                        let y = product.sum::<f64>() + leaves.get(bias_at).map_or(0.0, |bias| bias[column]);
                        match after {
                            After::Nothing => y,
                            After::Gelu => 0.5 * y * (1.0 + erf(y * std::f64::consts::FRAC_1_SQRT_2)),
                            After::Relu => y.max(0.0),
                            After::Add => y + leaves[2][index],
                        }
                    })
                    .collect()
            },
        );
    }

    #[test]
    fn linear_matches_its_reference() {
        for shape in [[1, 1, 1], [1, 7, 3], [5, 3, 17], [20, 9, 6], [40, 33, 35]] {
            for after in [After::Nothing, After::Gelu, After::Add] {
                check_linear(shape, false, true, after);
                check_linear(shape, true, false, after);
            }
            check_linear(shape, true, true, After::Nothing);
        }
        // Among many results, some lie within a finite difference of the kink of ReLU.
        for shape in [[1, 1, 1], [1, 7, 3], [5, 3, 17]] {
            check_linear(shape, true, false, After::Relu);
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
