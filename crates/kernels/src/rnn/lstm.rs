//! Long short-term memory.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::sigmoid as burn_sigmoid;
use burn::tensor::{Bool, Tensor};
use burn_flex::FlexTensor;

use super::gru::parts;
use super::recurrence::{Cell, Saved, forward};
use super::scan;
use crate::autograd::record;
use crate::buffer::fused;
use crate::simd::{sigmoid, tanh, vectorized};

/// Long short-term memory over a sequence (Hochreiter and Schmidhuber 1997, with PyTorch's gate order input, forget,
/// cell, output). Shapes and masking as in [`gru`](crate::gru), with four gates.
pub fn lstm(gates: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, mask: Tensor<2, Bool>, reverse: bool) -> Tensor<3> {
    if !(fused(&gates) && fused(&weight)) {
        return plain(gates, weight, bias, mask, reverse);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::lstm_sequence(
        gates.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mask.into_dispatch(),
        reverse,
    ))
}

fn plain(gates: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, mask: Tensor<2, Bool>, reverse: bool) -> Tensor<3> {
    let [batch, _, quadruple] = gates.dims();
    let width = quadruple / 4;
    let start = Tensor::zeros([batch, 2 * width], &gates.device());
    let states = scan(gates, mask, reverse, start, |step, state: Tensor<2>| {
        let hidden = state.clone().narrow(1, 0, width);
        let memory = state.narrow(1, width, width);
        let all = step + crate::linear(hidden, weight.clone(), Some(bias.clone()));
        let gate = |index: usize| all.clone().narrow(1, index * width, width);
        let memory = burn_sigmoid(gate(1)) * memory + burn_sigmoid(gate(0)) * gate(2).tanh();
        Tensor::cat(vec![burn_sigmoid(gate(3)) * memory.clone().tanh(), memory], 1)
    });
    states.narrow(2, 0, width)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn lstm_sequence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        reverse: bool,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn lstm_sequence(
        gates: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        reverse: bool,
    ) -> FlexTensor {
        forward::<Lstm>([gates, weight, bias], &mask, reverse, false).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn lstm_sequence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        reverse: bool,
    ) -> FloatTensor<Self> {
        record::<C, Saved<Lstm>, 3>([gates, weight, bias], |inputs, tracked| {
            forward(inputs, &mask, reverse, tracked)
        })
    }
}

#[derive(Clone, Debug)]
struct Lstm;

impl Cell for Lstm {
    const GATES: usize = 4;
    const STATES: usize = 2;
    /// Input, forget, cell and output gates, the memory before, and the hyperbolic tangent of the memory after.
    const KEPT: usize = 6;

    fn step(gates: &[f32], hidden: &[f32], state: &mut [f32], kept: &mut [f32]) {
        step(gates, hidden, state, kept);
    }

    fn step_back(kept: &[f32], gradient: &mut [f32], gates: &mut [f32], hidden: &mut [f32]) {
        step_back(kept, gradient, gates);
        hidden.copy_from_slice(gates);
    }
}

vectorized! {
    fn step(gates: &[f32], hidden: &[f32], state: &mut [f32], kept: &mut [f32]) {
        let width = state.len() / 2;
        parts!(gates, width, [xi, xf, xg, xo]);
        parts!(hidden, width, [hi, hf, hg, ho]);
        parts!(mut state, width, [output, memory]);
        parts!(mut kept, width, [kept_i, kept_f, kept_g, kept_o, kept_memory, kept_tanh]);
        for c in 0..width {
            let (i, f) = (sigmoid(xi[c] + hi[c]), sigmoid(xf[c] + hf[c]));
            let (g, o) = (tanh(xg[c] + hg[c]), sigmoid(xo[c] + ho[c]));
            let next = f * memory[c] + i * g;
            let squashed = tanh(next);
            (kept_i[c], kept_f[c], kept_g[c], kept_o[c]) = (i, f, g, o);
            (kept_memory[c], kept_tanh[c]) = (memory[c], squashed);
            (output[c], memory[c]) = (o * squashed, next);
        }
    }
}

vectorized! {
    fn step_back(kept: &[f32], gradient: &mut [f32], gates: &mut [f32]) {
        let width = gradient.len() / 2;
        parts!(kept, width, [_before, i, f, g, o, memory, squashed]);
        parts!(mut gradient, width, [d_output, d_memory]);
        parts!(mut gates, width, [di, df, dg, d_o]);
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
        super::super::testing::check_layer(lstm, plain, cell, [4, 2]);
    }
}
