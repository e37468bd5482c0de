//! Whole-sequence recurrent layers, in one direction or both.

mod cell;
mod gru;
mod lstm;
mod walk;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Bool, Tensor};
use burn_flex::FlexTensor;

use crate::autograd::record;
use crate::buffer::fused;
use cell::Cell;
use gru::Gru;
use lstm::Lstm;
use walk::{Saved, forward};

/// Gated recurrent unit over a sequence (Cho et al. 2014, with PyTorch's gate order reset, update, new).
///
/// `weight` [directions, 3·width, width] and `bias` [directions, 3·width] act on the state, with one direction or two:
/// the first runs from the first step to the last, the second from the last to the first. `gates`
/// [batch, length, directions·3·width] is the input's projection for each direction in turn, with its bias. `mask`
/// [batch, length] is true where a step is real: elsewhere the state passes unchanged. Returns every state,
/// [batch, length, directions·width].
pub fn gru(gates: Tensor<3>, weight: Tensor<3>, bias: Tensor<2>, mask: Tensor<2, Bool>) -> Tensor<3> {
    layer(gates, weight, bias, mask, Kind::Gru)
}

/// Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997, with PyTorch's gate order input, forget,
/// cell, output). Shapes and masking as in [`gru`], with four gates.
pub fn lstm(gates: Tensor<3>, weight: Tensor<3>, bias: Tensor<2>, mask: Tensor<2, Bool>) -> Tensor<3> {
    layer(gates, weight, bias, mask, Kind::Lstm)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Gru,
    Lstm,
}

fn layer(gates: Tensor<3>, weight: Tensor<3>, bias: Tensor<2>, mask: Tensor<2, Bool>, kind: Kind) -> Tensor<3> {
    if !(fused(&gates) && fused(&weight)) {
        return match kind {
            Kind::Gru => plain::<Gru>(gates, weight, bias, mask),
            Kind::Lstm => plain::<Lstm>(gates, weight, bias, mask),
        };
    }
    Tensor::from_dispatch(<Dispatch as Fused>::recurrence(
        gates.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mask.into_dispatch(),
        kind,
    ))
}

fn plain<C: Cell>(gates: Tensor<3>, weight: Tensor<3>, bias: Tensor<2>, mask: Tensor<2, Bool>) -> Tensor<3> {
    let [batch, length, _] = gates.dims();
    let [directions, gate_width, width] = weight.dims();
    let states = (0..directions).map(|direction| {
        let gates = gates.clone().narrow(2, direction * gate_width, gate_width);
        let weight = weight.clone().narrow(0, direction, 1).reshape([gate_width, width]);
        let bias = bias.clone().narrow(0, direction, 1).reshape([gate_width]);
        let mut state = Tensor::zeros([batch, (1 + C::MEMORY) * width], &gates.device());
        let mut states = Vec::with_capacity(length);
        for index in 0..length {
            let time = if direction == 0 { index } else { length - 1 - index };
            let step = gates.clone().narrow(1, time, 1).reshape([batch, gate_width]);
            let real = mask.clone().narrow(1, time, 1).expand(state.dims());
            let hidden = crate::linear(state.clone().narrow(1, 0, width), weight.clone(), Some(bias.clone()));
            state = state.clone().mask_where(real, C::plain(step, hidden, state));
            states.push(state.clone().narrow(1, 0, width));
        }
        if direction == 1 {
            states.reverse();
        }
        Tensor::stack(states, 1)
    });
    Tensor::cat(states.collect(), 2)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn recurrence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn recurrence(gates: FlexTensor, weight: FlexTensor, bias: FlexTensor, mask: FlexTensor, kind: Kind) -> FlexTensor {
        let inputs = [gates, weight, bias];
        match kind {
            Kind::Gru => forward::<Gru>(inputs, &mask, false).0,
            Kind::Lstm => forward::<Lstm>(inputs, &mask, false).0,
        }
    }
}

impl<S: CheckpointStrategy> Fused for Autodiff<Flex, S> {
    fn recurrence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        kind: Kind,
    ) -> FloatTensor<Self> {
        fn recorded<S: CheckpointStrategy, C: Cell>(
            inputs: [FloatTensor<Autodiff<Flex, S>>; 3],
            mask: &FlexTensor,
        ) -> FloatTensor<Autodiff<Flex, S>> {
            record::<S, Saved<C>, 3>(inputs, |inputs, tracked| forward(inputs, mask, tracked))
        }
        let inputs = [gates, weight, bias];
        match kind {
            Kind::Gru => recorded::<S, Gru>(inputs, &mask),
            Kind::Lstm => recorded::<S, Lstm>(inputs, &mask),
        }
    }
}

/// The check that both cells share.
#[cfg(test)]
mod testing {
    use burn::tensor::{Bool, Device, Tensor};

    use super::{Cell, plain};
    use crate::testing::{check, elements, values};

    type Layer = fn(Tensor<3>, Tensor<3>, Tensor<2>, Tensor<2, Bool>) -> Tensor<3>;
    /// Whether a row is real at a time.
    type Mask = fn(usize, usize) -> bool;
    /// From the gates of the input and of the state, and the state's parts, to the next state, its output first.
    type Reference = fn(&[f64], &[f64], &[f64]) -> Vec<f64>;

    /// Checks the layer of cell `C` against `reference`.
    pub fn check_layer<C: Cell>(layer: Layer, reference: Reference) {
        // [batch, length, width], and the mask's pattern.
        let cases: [([usize; 3], Mask); 6] = [
            ([1, 1, 1], |_, _| true),
            ([2, 3, 5], |_, _| true),
            ([3, 4, 2], |row, time| time < 4 - row),
            ([7, 3, 17], |row, time| row != 2 && (row + time) % 3 != 0),
            ([8, 2, 16], |_, _| true),
            ([19, 2, 3], |row, _| row % 2 == 0),
        ];
        for (shape, mask) in cases {
            for (directions, strided) in [(1, false), (2, false), (2, true)] {
                check_case::<C>(layer, reference, shape, mask, directions, strided);
            }
        }
        let device = Device::flex();
        let empty = layer(
            Tensor::zeros([2, 0, 2 * C::GATES * 3], &device),
            Tensor::zeros([2, C::GATES * 3, 3], &device),
            Tensor::zeros([2, C::GATES * 3], &device),
            Tensor::from_bool(burn::tensor::TensorData::new(Vec::<bool>::new(), [2, 0]), &device),
        );
        assert_eq!((empty.dims(), elements(empty)), ([2, 0, 6], vec![]));
    }

    fn check_case<C: Cell>(
        layer: Layer,
        reference: Reference,
        [batch, length, width]: [usize; 3],
        mask: Mask,
        directions: usize,
        strided: bool,
    ) {
        let gate_width = C::GATES * width;
        let leaves = [
            values(1, batch * length * directions * gate_width),
            values(2, directions * gate_width * width),
            values(3, directions * gate_width),
        ];
        let truths: Vec<bool> = (0..batch * length).map(|at| mask(at / length, at % length)).collect();
        let run = |layer: Layer, leaves: &[Tensor<1>]| {
            let device = leaves[0].device();
            let truths = Tensor::<1, Bool>::from_bool(truths.as_slice(), &Device::flex());
            let truths = truths.reshape([batch, length]).to_device(&device);
            let gates = leaves[0].clone();
            let gates = if strided {
                gates
                    .reshape([length, batch, directions * gate_width])
                    .permute([1, 0, 2])
            } else {
                gates.reshape([batch, length, directions * gate_width])
            };
            let weight = leaves[1].clone().reshape([directions, gate_width, width]);
            let bias = leaves[2].clone().reshape([directions, gate_width]);
            layer(gates, weight, bias, truths).reshape([-1])
        };
        check(
            &leaves,
            |leaves| run(layer, leaves),
            |leaves| run(plain::<C>, leaves),
            |leaves| {
                let mut output = vec![0.0; batch * length * directions * width];
                for (row, direction) in (0..batch).flat_map(|row| (0..directions).map(move |d| (row, d))) {
                    let mut state = vec![0.0; (1 + C::MEMORY) * width];
                    for index in 0..length {
                        let time = if direction == 0 { index } else { length - 1 - index };
                        let at = if strided {
                            time * batch + row
                        } else {
                            row * length + time
                        };
                        let hidden = |gate: usize| {
                            let line = direction * gate_width + gate;
                            let weights = &leaves[1][line * width..(line + 1) * width];
                            weights.iter().zip(&state).map(|(w, h)| w * h).sum::<f64>() + leaves[2][line]
                        };
                        let hidden: Vec<f64> = (0..gate_width).map(hidden).collect();
                        if truths[row * length + time] {
                            let start = (at * directions + direction) * gate_width;
                            state = reference(&leaves[0][start..start + gate_width], &hidden, &state);
                        }
                        let start = ((row * length + time) * directions + direction) * width;
                        output[start..start + width].copy_from_slice(&state[..width]);
                    }
                }
                output
            },
        );
    }
}
