//! The cell of the gated recurrent unit.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::cell::{Cell, Gates, parts, sigmoid_gate};
use crate::simd::{tanh, vectorized};

#[derive(Clone, Debug)]
pub struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const MEMORY: usize = 0;
    /// Reset, update, new, and the state's part of new.
    const KEPT: usize = 4;
    const APART: bool = true;

    fn step(gates: Gates, output: &mut [f32], _: &mut [f32], kept: &mut [f32]) {
        let width = output.len();
        parts!(mut kept, width, [reset, update, new, state_new]);
        sigmoid_gate(gates.part(0, width), reset);
        sigmoid_gate(gates.part(1, width), update);
        let [input, hidden, bias] = gates.part(2, width);
        advance(input, hidden, bias, reset, update, new, state_new, output);
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
        parts!(kept, width, [reset, update, new, state_new]);
        let (shared, d_new) = gates.split_at_mut(2 * width);
        let (d_reset, d_update) = shared.split_at_mut(width);
        let d_state_new = &mut hidden[2 * width..];
        advance_back(
            before,
            reset,
            update,
            new,
            state_new,
            d_output,
            d_reset,
            d_update,
            d_new,
            d_state_new,
        );
        hidden[..2 * width].copy_from_slice(shared);
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
        input: &[f32],
        hidden: &[f32],
        bias: &[f32],
        reset: &[f32],
        update: &[f32],
        new: &mut [f32],
        state_new: &mut [f32],
        output: &mut [f32],
    ) {
        let width = output.len();
        let (input, hidden, bias) = (&input[..width], &hidden[..width], &bias[..width]);
        let (reset, update) = (&reset[..width], &update[..width]);
        let (new, state_new) = (&mut new[..width], &mut state_new[..width]);
        for c in 0..width {
            state_new[c] = hidden[c] + bias[c];
            new[c] = tanh(input[c] + reset[c] * state_new[c]);
            output[c] = new[c] + update[c] * (output[c] - new[c]);
        }
    }
}

vectorized! {
    fn advance_back(
        before: &[f32],
        reset: &[f32],
        update: &[f32],
        new: &[f32],
        state_new: &[f32],
        d_output: &mut [f32],
        d_reset: &mut [f32],
        d_update: &mut [f32],
        d_new: &mut [f32],
        d_state_new: &mut [f32],
    ) {
        let width = d_output.len();
        let (before, reset, update) = (&before[..width], &reset[..width], &update[..width]);
        let (new, state_new, d_new) = (&new[..width], &state_new[..width], &mut d_new[..width]);
        let (d_reset, d_update) = (&mut d_reset[..width], &mut d_update[..width]);
        let d_state_new = &mut d_state_new[..width];
        for c in 0..width {
            let (r, z, n) = (reset[c], update[c], new[c]);
            let slope = d_output[c] * (1.0 - z) * (1.0 - n * n);
            d_reset[c] = slope * state_new[c] * r * (1.0 - r);
            d_update[c] = d_output[c] * (before[c] - n) * z * (1.0 - z);
            (d_new[c], d_state_new[c]) = (slope, slope * r);
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
