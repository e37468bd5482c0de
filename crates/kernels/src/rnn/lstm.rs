//! The cell of long short-term memory.

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::cell::{Cell, Gates, parts, sigmoid_gate, tanh_gate};
use crate::simd::{tanh, vectorized};

#[derive(Clone, Debug)]
pub struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const MEMORY: usize = 1;
    /// Input, forget, cell and output gates, the memory before, and the hyperbolic tangent of the memory after.
    const KEPT: usize = 6;
    const APART: bool = false;

    fn step(gates: Gates, output: &mut [f32], memory: &mut [f32], kept: &mut [f32]) {
        let width = output.len();
        parts!(mut kept, width, [i, f, g, o, before, squashed]);
        sigmoid_gate(gates.part(0, width), i);
        sigmoid_gate(gates.part(1, width), f);
        tanh_gate(gates.part(2, width), g);
        sigmoid_gate(gates.part(3, width), o);
        before.copy_from_slice(memory);
        advance(i, f, g, o, memory, squashed, output);
    }

    fn step_back(
        _: &[f32],
        kept: &[f32],
        d_output: &mut [f32],
        d_memory: &mut [f32],
        gates: &mut [f32],
        _: &mut [f32],
    ) {
        let width = d_output.len();
        parts!(kept, width, [i, f, g, o, memory, squashed]);
        parts!(mut gates, width, [di, df, dg, d_o]);
        advance_back(i, f, g, o, memory, squashed, d_output, d_memory, di, df, dg, d_o);
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
    fn advance_back(
        i: &[f32],
        f: &[f32],
        g: &[f32],
        o: &[f32],
        memory: &[f32],
        squashed: &[f32],
        d_output: &mut [f32],
        d_memory: &mut [f32],
        di: &mut [f32],
        df: &mut [f32],
        dg: &mut [f32],
        d_o: &mut [f32],
    ) {
        let width = d_output.len();
        let (i, f, g, o) = (&i[..width], &f[..width], &g[..width], &o[..width]);
        let (memory, squashed, d_memory) = (&memory[..width], &squashed[..width], &mut d_memory[..width]);
        let (di, df, dg, d_o) = (&mut di[..width], &mut df[..width], &mut dg[..width], &mut d_o[..width]);
        for c in 0..width {
            let d_next = d_memory[c] + d_output[c] * o[c] * (1.0 - squashed[c] * squashed[c]);
            di[c] = d_next * g[c] * i[c] * (1.0 - i[c]);
            df[c] = d_next * memory[c] * f[c] * (1.0 - f[c]);
            dg[c] = d_next * i[c] * (1.0 - g[c] * g[c]);
            d_o[c] = d_output[c] * squashed[c] * o[c] * (1.0 - o[c]);
            (d_output[c], d_memory[c]) = (0.0, d_next * f[c]);
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
