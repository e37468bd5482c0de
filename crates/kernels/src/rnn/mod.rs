//! Whole-sequence recurrent layers in one direction.

mod gru;
mod lstm;
mod recurrence;

pub use gru::gru;
pub use lstm::lstm;

use burn::tensor::{Bool, Tensor};

/// Runs `cell(step, state)` along axis 1 and stacks the states; a masked step keeps the state before it.
fn scan(
    gates: Tensor<3>,
    mask: Tensor<2, Bool>,
    reverse: bool,
    start: Tensor<2>,
    cell: impl Fn(Tensor<2>, Tensor<2>) -> Tensor<2>,
) -> Tensor<3> {
    let [batch, length, gate_width] = gates.dims();
    let width = start.dims()[1];
    let mut state = start;
    let mut states = Vec::with_capacity(length);
    for index in 0..length {
        let at = if reverse { length - 1 - index } else { index };
        let step = gates.clone().narrow(1, at, 1).reshape([batch, gate_width]);
        let real = mask.clone().narrow(1, at, 1).expand([batch, width]);
        state = state.clone().mask_where(real, cell(step, state));
        states.push(state.clone());
    }
    if reverse {
        states.reverse();
    }
    Tensor::stack(states, 1)
}

/// The check that both cells share.
#[cfg(test)]
mod testing {
    use burn::tensor::{Bool, Device, Tensor};

    use crate::testing::{check, values};

    type Layer = fn(Tensor<3>, Tensor<2>, Tensor<1>, Tensor<2, Bool>, bool) -> Tensor<3>;
    /// Whether a row is real at a time.
    type Mask = fn(usize, usize) -> bool;
    /// From the gates of the input and of the state, and the state [states · width], to the next state.
    type Cell = fn(&[f64], &[f64], &[f64]) -> Vec<f64>;

    /// Checks a layer of `count` gates and a state of `states` parts, the first of which is the output.
    pub fn check_layer(layer: Layer, plain: Layer, cell: Cell, [count, states]: [usize; 2]) {
        // [batch, length, width], and the mask's pattern.
        let cases: [([usize; 3], Mask); 5] = [
            ([1, 1, 1], |_, _| true),
            ([2, 3, 5], |_, _| true),
            ([3, 4, 2], |row, time| time < 4 - row),
            ([7, 3, 17], |row, time| row != 2 && (row + time) % 3 != 0),
            ([13, 2, 3], |row, _| row % 2 == 0),
        ];
        for (shape, mask) in cases {
            for (reverse, strided) in [(false, false), (true, false), (false, true)] {
                check_case(layer, plain, cell, [count, states], shape, mask, reverse, strided);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one case of a table")]
    fn check_case(
        layer: Layer,
        plain: Layer,
        cell: Cell,
        [count, states]: [usize; 2],
        [batch, length, width]: [usize; 3],
        mask: Mask,
        reverse: bool,
        strided: bool,
    ) {
        let gate_width = count * width;
        let leaves = [
            values(1, batch * length * gate_width),
            values(2, gate_width * width),
            values(3, gate_width),
        ];
        let truths: Vec<bool> = (0..batch * length).map(|at| mask(at / length, at % length)).collect();
        let run = |layer: Layer, leaves: &[Tensor<1>]| {
            let device = leaves[0].device();
            let truths = Tensor::<1, Bool>::from_bool(truths.as_slice(), &Device::flex());
            let truths = truths.reshape([batch, length]).to_device(&device);
            let gates = leaves[0].clone();
            let gates = if strided {
                gates.reshape([length, batch, gate_width]).permute([1, 0, 2])
            } else {
                gates.reshape([batch, length, gate_width])
            };
            let weight = leaves[1].clone().reshape([gate_width, width]);
            layer(gates, weight, leaves[2].clone(), truths, reverse).reshape([-1])
        };
        check(
            &leaves,
            |leaves| run(layer, leaves),
            |leaves| run(plain, leaves),
            |leaves| {
                let mut output = vec![0.0; batch * length * width];
                for row in 0..batch {
                    let mut state = vec![0.0; states * width];
                    for index in 0..length {
                        let time = if reverse { length - 1 - index } else { index };
                        let at = if strided {
                            time * batch + row
                        } else {
                            row * length + time
                        };
                        let hidden = |gate: usize| {
                            let weights = &leaves[1][gate * width..(gate + 1) * width];
                            weights.iter().zip(&state).map(|(w, h)| w * h).sum::<f64>() + leaves[2][gate]
                        };
                        let hidden: Vec<f64> = (0..gate_width).map(hidden).collect();
                        if truths[row * length + time] {
                            let gates = &leaves[0][at * gate_width..(at + 1) * gate_width];
                            state = cell(gates, &hidden, &state);
                        }
                        let start = (row * length + time) * width;
                        output[start..start + width].copy_from_slice(&state[..width]);
                    }
                }
                output
            },
        );
    }
}
