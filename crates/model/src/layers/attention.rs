//! Multi-head attention with a padding mask.

use crate::init::Init;
use crate::layers::{Dropout, Linear};
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use sensorium_kernels::{AttentionOptions, attention};

/// Scaled dot-product attention in several heads (Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    dropout: Dropout,
    #[module(skip)]
    heads: usize,
}

impl MultiHeadAttention {
    /// `width` must be a multiple of `heads`; `memory` is the width of what is attended to.
    pub fn new(width: usize, memory: usize, heads: usize, dropout: f64, init: &Init) -> Self {
        Self {
            query: Linear::new(width, width, &init.at("query")),
            key: Linear::new(memory, width, &init.at("key")),
            value: Linear::new(memory, width, &init.at("value")),
            output: Linear::new(width, width, &init.at("output")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            heads,
        }
    }

    /// `x` [batch, length, width] attends to `memory` [batch, positions, memory width] where `mask` [batch, positions]
    /// is true.
    pub fn forward(&self, x: Tensor<3>, memory: Tensor<3>, mask: &Tensor<2, Bool>, pass: &Pass) -> Tensor<3> {
        self.mix(x, memory, AttentionOptions::padded(mask.clone()), pass)
    }

    /// `x` [batch, length, width], of which each position attends to itself and those before it.
    pub fn causal(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        self.mix(x.clone(), x, AttentionOptions::causal(), pass)
    }

    fn mix(&self, x: Tensor<3>, memory: Tensor<3>, options: AttentionOptions, pass: &Pass) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let query = self.split(self.query.forward(x));
        let key = self.split(self.key.forward(memory.clone()));
        let value = self.split(self.value.forward(memory));
        let mixed = attention(query, key, value, options);
        let mixed = self
            .output
            .forward(mixed.swap_dims(1, 2).reshape([batch, length, width]));
        self.dropout.forward(mixed, pass)
    }

    /// [batch, length, width] → [batch, heads, length, width / heads]
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        x.reshape([batch, length, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }
}
