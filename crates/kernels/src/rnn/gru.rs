//! The cell of the gated recurrent unit.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::cell::{Cell, parts, sigmoid_gate};
use crate::simd::{tanh, vectorized};

#[derive(Clone, Debug)]
pub struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const MEMORY: usize = 0;
    /// The state's part of new.
    const KEPT: usize = 1;
    const APART: bool = true;

    fn step(gates: &mut [f32], hidden: &[f32], bias: &[f32], output: &mut [f32], _: &mut [f32], kept: &mut [f32]) {
        let width = output.len();
        parts!(mut gates, width, [reset, update, new]);
        parts!(hidden, width, [hr, hz, hn]);
        parts!(bias, width, [br, bz, bn]);
        sigmoid_gate(reset, hr, br);
        sigmoid_gate(update, hz, bz);
        advance(hn, bn, reset, update, new, kept, output);
    }

    fn step_back(
        before: &[f32],
        kept: &[f32],
        d_output: &mut [f32],
        _: &mut [f32],
        gates: &mut [f32],
        hidden: &mut [f32],
    ) {
        let width = d_output.len();
        let (shared, new) = gates.split_at_mut(2 * width);
        let (reset, update) = shared.split_at_mut(width);
        let (hidden_shared, hidden_new) = hidden.split_at_mut(2 * width);
        advance_back(before, kept, d_output, reset, update, new, hidden_new);
        hidden_shared.copy_from_slice(shared);
    }

    fn plain(gates: Tensor<2>, hidden: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let width = state.dims()[1];
        let thirds = |all: Tensor<2>| [0, 1, 2].map(|index| all.clone().narrow(1, index * width, width));
        let ([xr, xz, xn], [hr, hz, hn]) = (thirds(gates), thirds(hidden));
        let (reset, update) = (sigmoid(xr + hr), sigmoid(xz + hz));
        let new = (xn + reset * hn).tanh();
        new.clone() + update * (state - new)
    }
}

vectorized! {
    fn advance(
        hidden: &[f32],
        bias: &[f32],
        reset: &[f32],
        update: &[f32],
        new: &mut [f32],
        state_new: &mut [f32],
        output: &mut [f32],
    ) {
        let width = output.len();
        let (hidden, bias, reset, update) = (&hidden[..width], &bias[..width], &reset[..width], &update[..width]);
        let (new, state_new) = (&mut new[..width], &mut state_new[..width]);
        for c in 0..width {
            state_new[c] = hidden[c] + bias[c];
            new[c] = tanh(new[c] + reset[c] * state_new[c]);
            output[c] = new[c] + update[c] * (output[c] - new[c]);
        }
    }
}

vectorized! {
    /// Replaces the gates by their gradients.
    fn advance_back(
        before: &[f32],
        state_new: &[f32],
        d_output: &mut [f32],
        reset: &mut [f32],
        update: &mut [f32],
        new: &mut [f32],
        d_state_new: &mut [f32],
    ) {
        let width = d_output.len();
        let (before, state_new, d_state_new) = (&before[..width], &state_new[..width], &mut d_state_new[..width]);
        let (reset, update, new) = (&mut reset[..width], &mut update[..width], &mut new[..width]);
        for c in 0..width {
            let (r, z, n) = (reset[c], update[c], new[c]);
            let slope = d_output[c] * (1.0 - z) * (1.0 - n * n);
            reset[c] = slope * state_new[c] * r * (1.0 - r);
            update[c] = d_output[c] * (before[c] - n) * z * (1.0 - z);
            (new[c], d_state_new[c]) = (slope, slope * r);
            d_output[c] *= z;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gru_matches_its_reference() {
        fn cell(gates: &[f64], hidden: &[f64], state: &[f64]) -> Vec<f64> {
            let width = state.len();
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let next = |c: usize| {
                let reset = sigmoid(gates[c] + hidden[c]);
                let update = sigmoid(gates[width + c] + hidden[width + c]);
                let new = (gates[2 * width + c] + reset * hidden[2 * width + c]).tanh();
                (1.0 - update) * new + update * state[c]
            };
            (0..width).map(next).collect()
        }
        super::super::testing::check_layer::<Gru>(crate::gru, cell);
    }
}
