//! The cell of long short-term memory.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::cell::{Cell, parts, sigmoid_gate, tanh_gate};
use crate::simd::{tanh, vectorized};

#[derive(Clone, Debug)]
pub struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const MEMORY: usize = 1;
    /// The memory before, and the hyperbolic tangent of the memory after.
    const KEPT: usize = 2;
    const APART: bool = false;

    fn step(gates: &mut [f32], hidden: &[f32], bias: &[f32], output: &mut [f32], memory: &mut [f32], kept: &mut [f32]) {
        let width = output.len();
        parts!(mut gates, width, [i, f, g, o]);
        parts!(hidden, width, [hi, hf, hg, ho]);
        parts!(bias, width, [bi, bf, bg, bo]);
        parts!(mut kept, width, [before, squashed]);
        sigmoid_gate(i, hi, bi);
        sigmoid_gate(f, hf, bf);
        tanh_gate(g, hg, bg);
        sigmoid_gate(o, ho, bo);
        before.copy_from_slice(memory);
        advance(i, f, g, o, memory, squashed, output);
    }

    fn step_back(
        _: &[f32],
        kept: &[f32],
        d_output: &mut [f32],
        d_memory: &mut [f32],
        gates: &mut [f32],
        hidden: &mut [f32],
    ) {
        let width = d_output.len();
        parts!(kept, width, [memory, squashed]);
        let (front, back) = gates.split_at_mut(2 * width);
        let ((i, f), (g, o)) = (front.split_at_mut(width), back.split_at_mut(width));
        advance_back(memory, squashed, d_output, d_memory, i, f, g, o);
        hidden.copy_from_slice(gates);
    }

    fn plain(gates: Tensor<2>, hidden: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let width = state.dims()[1] / 2;
        let all = gates + hidden;
        let gate = |index: usize| all.clone().narrow(1, index * width, width);
        let memory = sigmoid(gate(1)) * state.narrow(1, width, width) + sigmoid(gate(0)) * gate(2).tanh();
        Tensor::cat(vec![sigmoid(gate(3)) * memory.clone().tanh(), memory], 1)
    }
}

vectorized! {
    fn advance(
        i: &[f32],
        f: &[f32],
        g: &[f32],
        o: &[f32],
        memory: &mut [f32],
        squashed: &mut [f32],
        output: &mut [f32],
    ) {
        let width = output.len();
        let (i, f, g, o) = (&i[..width], &f[..width], &g[..width], &o[..width]);
        let (memory, squashed) = (&mut memory[..width], &mut squashed[..width]);
        for c in 0..width {
            let next = f[c] * memory[c] + i[c] * g[c];
            let tangent = tanh(next);
            (memory[c], squashed[c], output[c]) = (next, tangent, o[c] * tangent);
        }
    }
}

vectorized! {
    /// Replaces the gates by their gradients.
    fn advance_back(
        memory: &[f32],
        squashed: &[f32],
        d_output: &mut [f32],
        d_memory: &mut [f32],
        i: &mut [f32],
        f: &mut [f32],
        g: &mut [f32],
        o: &mut [f32],
    ) {
        let width = d_output.len();
        let (memory, squashed, d_memory) = (&memory[..width], &squashed[..width], &mut d_memory[..width]);
        let (i, f, g, o) = (&mut i[..width], &mut f[..width], &mut g[..width], &mut o[..width]);
        for c in 0..width {
            let (input, forget, cell, output) = (i[c], f[c], g[c], o[c]);
            let d_next = d_memory[c] + d_output[c] * output * (1.0 - squashed[c] * squashed[c]);
            i[c] = d_next * cell * input * (1.0 - input);
            f[c] = d_next * memory[c] * forget * (1.0 - forget);
            g[c] = d_next * input * (1.0 - cell * cell);
            o[c] = d_output[c] * squashed[c] * output * (1.0 - output);
            (d_output[c], d_memory[c]) = (0.0, d_next * forget);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lstm_matches_its_reference() {
        fn cell(gates: &[f64], hidden: &[f64], state: &[f64]) -> Vec<f64> {
            let width = state.len() / 2;
            let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
            let gate = |index: usize, c: usize| gates[index * width + c] + hidden[index * width + c];
            let memory = |c: usize| sigmoid(gate(1, c)) * state[width + c] + sigmoid(gate(0, c)) * gate(2, c).tanh();
            let output = |c: usize| sigmoid(gate(3, c)) * memory(c).tanh();
            (0..width).map(output).chain((0..width).map(memory)).collect()
        }
        super::super::testing::check_layer::<Lstm>(crate::lstm, cell);
    }
}
