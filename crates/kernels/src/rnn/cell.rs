//! What a recurrent cell does at one step of one row, and the loops that cells share.

use std::fmt::Debug;

use burn::tensor::Tensor;

use crate::simd::{sigmoid, tanh, vectorized};

/// One step of a recurrent layer. Slices hold whole parts of `width` numbers.
pub trait Cell: Clone + Debug + Send + Sync + 'static {
    /// Parts of the gates.
    const GATES: usize;
    /// Parts of the state beside the output, which is what the recurrent weights act on.
    const MEMORY: usize;
    /// Parts that a step keeps for its gradient beside the gates.
    const KEPT: usize;
    /// Whether the gates of the state have another gradient than those of the input.
    const APART: bool;

    /// Advances the state, `output` and `memory`, by one step, given the gates of the state without their `bias`.
    /// `gates` holds those of the input, and what they are with the others after that.
    fn step(gates: &mut [f32], hidden: &[f32], bias: &[f32], output: &mut [f32], memory: &mut [f32], kept: &mut [f32]);

    /// Turns the gradients `d_output` and `d_memory` of the state after a step into those of the state before, whose
    /// output was `before`, apart from what flows through the gates of the state. Replaces `gates` by the gradient of
    /// those of the input, and writes that of the gates of the state to `hidden`.
    fn step_back(
        before: &[f32],
        kept: &[f32],
        d_output: &mut [f32],
        d_memory: &mut [f32],
        gates: &mut [f32],
        hidden: &mut [f32],
    );

    /// The next state [batch, (1 + memory) · width] from burn's operations; `hidden` includes the bias.
    fn plain(gates: Tensor<2>, hidden: Tensor<2>, state: Tensor<2>) -> Tensor<2>;
}

// A loop over slices that are arguments of their own needs no check for overlap, and becomes SIMD code.
vectorized! {
    /// Turns the input's part of a gate into the sigmoid of the sum.
    pub fn sigmoid_gate(gate: &mut [f32], hidden: &[f32], bias: &[f32]) {
        for ((gate, h), b) in gate.iter_mut().zip(hidden).zip(bias) {
            *gate = sigmoid(*gate + h + b);
        }
    }
}

vectorized! {
    /// Turns the input's part of a gate into the hyperbolic tangent of the sum.
    pub fn tanh_gate(gate: &mut [f32], hidden: &[f32], bias: &[f32]) {
        for ((gate, h), b) in gate.iter_mut().zip(hidden).zip(bias) {
            *gate = tanh(*gate + h + b);
        }
    }
}

/// Cuts `values` into parts of `width`.
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
