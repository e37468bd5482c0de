//! The pre-norm Transformer block and sinusoidal positions.

use crate::init::Init;
use crate::layers::{Dropout, LayerNorm, Linear, MultiHeadAttention};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_kernels::{Epilogue, KeyValueCache, Precision};

/// Attention and a feed-forward network, each behind a norm and around a residual (Xiong et al. 2020).
#[derive(Module, Debug)]
pub struct TransformerBlock {
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    feed_forward_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    dropout: Dropout,
}

impl TransformerBlock {
    /// `memory` is the width of what is attended to: `width` itself in self-attention.
    pub fn new(width: usize, memory: usize, heads: usize, dropout: f64, init: &Init) -> Self {
        Self {
            attention_norm: LayerNorm::new(width, &init.at("attention_norm")),
            attention: MultiHeadAttention::new(width, memory, heads, dropout, &init.at("attention")),
            feed_forward_norm: LayerNorm::new(width, &init.at("feed_forward_norm")),
            expand: Linear::new(width, 4 * width, &init.at("expand")),
            contract: Linear::new(4 * width, width, &init.at("contract")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
        }
    }

    /// Self-attention over the real tokens.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let normal = self.attention_norm.forward(tokens.embeddings.clone());
        let x = self
            .attention
            .forward(tokens.embeddings, normal.clone(), normal, &tokens.mask, pass);
        let embeddings = self.feed_forward(x, pass);
        Tokens { embeddings, ..tokens }
    }

    /// Attention from `tokens` to the real tokens of `memory`.
    pub fn cross(&self, tokens: Tokens, memory: &Tokens, pass: &Pass) -> Tokens {
        let normal = self.attention_norm.forward(tokens.embeddings.clone());
        let memory_embeddings = memory.embeddings.clone();
        let x = self
            .attention
            .forward(tokens.embeddings, normal, memory_embeddings, &memory.mask, pass);
        let embeddings = self.feed_forward(x, pass);
        Tokens { embeddings, ..tokens }
    }

    /// The next positions of a sequence, `x` [batch, length, width], after those that `cache` keeps.
    pub fn decode(&self, x: Tensor<3>, cache: &mut KeyValueCache) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let x = self.attention.decode(x, normal, cache);
        self.feed_forward(x, &Pass::evaluation())
    }

    /// An empty cache for [`Self::decode`].
    pub fn cache(&self, batch: usize, capacity: usize, device: &Device) -> KeyValueCache {
        self.attention.cache(batch, capacity, device)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            attention: self.attention.pack(precision),
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }

    fn feed_forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normal = self.feed_forward_norm.forward(x.clone());
        let hidden = self.expand.forward_then(normal, Epilogue::Gelu);
        self.dropout.add(&self.contract, hidden, x, pass)
    }
}

/// Sine and cosine positions, [1, length, width] (Vaswani et al. 2017). A grid has its rows in the first half of the
/// width and its columns in the second; frames have time, row and column in a third each.
pub fn sinusoidal_positions(layout: Layout, length: usize, width: usize, device: &Device) -> Tensor<3> {
    let mut values = Vec::with_capacity(length * width);
    for index in 0..length {
        match layout {
            Layout::Sequence => wave(index, width, &mut values),
            Layout::Grid { width: columns, .. } => {
                wave(index / columns, width / 2, &mut values);
                wave(index % columns, width - width / 2, &mut values);
            }
            Layout::Frames {
                height, width: columns, ..
            } => {
                let third = width / 3;
                wave(index / (height * columns), third, &mut values);
                wave(index / columns % height, third, &mut values);
                wave(index % columns, width - 2 * third, &mut values);
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [1, length, width]), device)
}

fn wave(position: usize, width: usize, values: &mut Vec<f32>) {
    for channel in 0..width {
        let rate = 10_000f64.powf(-((channel / 2 * 2) as f64) / width as f64);
        let angle = position as f64 * rate;
        values.push(if channel % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
    }
}
