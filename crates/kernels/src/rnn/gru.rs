//! The gated recurrent unit.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::sigmoid as burn_sigmoid;
use burn::tensor::{Bool, Tensor};
use burn_flex::FlexTensor;

use super::recurrence::{Cell, Saved, forward};
use super::scan;
use crate::autograd::record;
use crate::buffer::fused;
use crate::simd::{sigmoid, tanh, vectorized};

/// Gated recurrent unit over a sequence (Cho et al. 2014, with PyTorch's gate order reset, update, new).
///
/// `gates` [batch, length, 3·width] is the input's projection with its bias, `weight` [3·width, width] and `bias`
/// [3·width] act on the state, `mask` [batch, length] is true where a step is real: elsewhere the state passes
/// unchanged. `reverse` runs from the last step to the first. Returns every state, [batch, length, width].
pub fn gru(gates: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, mask: Tensor<2, Bool>, reverse: bool) -> Tensor<3> {
    if !(fused(&gates) && fused(&weight)) {
        return plain(gates, weight, bias, mask, reverse);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::gru_sequence(
        gates.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        mask.into_dispatch(),
        reverse,
    ))
}

fn plain(gates: Tensor<3>, weight: Tensor<2>, bias: Tensor<1>, mask: Tensor<2, Bool>, reverse: bool) -> Tensor<3> {
    let [batch, _, triple] = gates.dims();
    let width = triple / 3;
    let start = Tensor::zeros([batch, width], &gates.device());
    scan(gates, mask, reverse, start, |step, state: Tensor<2>| {
        let hidden = crate::linear(state.clone(), weight.clone(), Some(bias.clone()));
        let [xr, xz, xn] = thirds(step, width);
        let [hr, hz, hn] = thirds(hidden, width);
        let (reset, update) = (burn_sigmoid(xr + hr), burn_sigmoid(xz + hz));
        let new = (xn + reset * hn).tanh();
        new.clone() + update * (state - new)
    })
}

fn thirds(gates: Tensor<2>, width: usize) -> [Tensor<2>; 3] {
    [0, 1, 2].map(|index| gates.clone().narrow(1, index * width, width))
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn gru_sequence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        reverse: bool,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn gru_sequence(
        gates: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        reverse: bool,
    ) -> FlexTensor {
        forward::<Gru>([gates, weight, bias], &mask, reverse, false).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn gru_sequence(
        gates: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        reverse: bool,
    ) -> FloatTensor<Self> {
        record::<C, Saved<Gru>, 3>([gates, weight, bias], |inputs, tracked| {
            forward(inputs, &mask, reverse, tracked)
        })
    }
}

#[derive(Clone, Debug)]
struct Gru;

impl Cell for Gru {
    const GATES: usize = 3;
    const STATES: usize = 1;
    /// Reset, update, new, and the state's part of new.
    const KEPT: usize = 4;

    fn step(gates: &[f32], hidden: &[f32], state: &mut [f32], kept: &mut [f32]) {
        step(gates, hidden, state, kept);
    }

    fn step_back(kept: &[f32], gradient: &mut [f32], gates: &mut [f32], hidden: &mut [f32]) {
        step_back(kept, gradient, gates, hidden);
    }
}

/// Cuts `values` into `N` parts of `width`.
macro_rules! parts {
    ($values:ident, $width:ident, [$($part:ident),+]) => {
        let mut rest = $values;
        $(let $part; ($part, rest) = rest.split_at($width);)+
        debug_assert!(rest.is_empty());
    };
    (mut $values:ident, $width:ident, [$($part:ident),+]) => {
        let mut rest = $values;
        $(let $part; ($part, rest) = rest.split_at_mut($width);)+
        debug_assert!(rest.is_empty());
    };
}
pub(super) use parts;

vectorized! {
    fn step(gates: &[f32], hidden: &[f32], state: &mut [f32], kept: &mut [f32]) {
        let width = state.len();
        parts!(gates, width, [xr, xz, xn]);
        parts!(hidden, width, [hr, hz, hn]);
        parts!(mut kept, width, [kept_reset, kept_update, kept_new, kept_hidden]);
        for c in 0..width {
            let reset = sigmoid(xr[c] + hr[c]);
            let update = sigmoid(xz[c] + hz[c]);
            let new = tanh(xn[c] + reset * hn[c]);
            (kept_reset[c], kept_update[c]) = (reset, update);
            (kept_new[c], kept_hidden[c]) = (new, hn[c]);
            state[c] = new + update * (state[c] - new);
        }
    }
}

vectorized! {
    fn step_back(kept: &[f32], gradient: &mut [f32], gates: &mut [f32], hidden: &mut [f32]) {
        let width = gradient.len();
        parts!(kept, width, [before, reset, update, new, state_new]);
        parts!(mut gates, width, [xr, xz, xn]);
        parts!(mut hidden, width, [hr, hz, hn]);
        for c in 0..width {
            let (r, z, n) = (reset[c], update[c], new[c]);
            let d_new = gradient[c] * (1.0 - z) * (1.0 - n * n);
            let d_update = gradient[c] * (before[c] - n) * z * (1.0 - z);
            let d_reset = d_new * state_new[c] * r * (1.0 - r);
            (xr[c], xz[c], xn[c]) = (d_reset, d_update, d_new);
            (hr[c], hz[c], hn[c]) = (d_reset, d_update, d_new * r);
            gradient[c] *= z;
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
        super::super::testing::check_layer(gru, plain, cell, [3, 1]);
    }
}
