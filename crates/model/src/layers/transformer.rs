//! The pre-norm Transformer block, and that of a decoder.

use crate::init::Init;
use crate::layers::{Dropout, LayerNorm, Linear, MultiHeadAttention, Order, Rates};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sensorium_kernels::{Epilogue, KeyValueCache, Precision, Turns};

/// How many times wider the hidden layer of a feed-forward network usually is.
const EXPANSION: usize = 4;

/// What a Transformer block is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockOptions {
    /// A multiple of `heads`.
    pub width: usize,
    /// The width of what is attended to: `width` itself in self-attention.
    pub memory: usize,
    pub heads: usize,
    /// How many times wider the hidden layer of the feed-forward network is.
    pub expansion: usize,
    pub rates: Rates,
}

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
        let options = BlockOptions {
            width,
            memory,
            heads,
            expansion: EXPANSION,
            rates: dropout.into(),
        };
        Self::with(options, init)
    }

    pub fn with(options: BlockOptions, init: &Init) -> Self {
        let BlockOptions {
            width,
            memory,
            heads,
            expansion,
            rates,
        } = options;
        Self {
            attention_norm: LayerNorm::new(width, &init.at("attention_norm")),
            attention: MultiHeadAttention::new(width, memory, heads, rates, &init.at("attention")),
            feed_forward_norm: LayerNorm::new(width, &init.at("feed_forward_norm")),
            expand: Linear::new(width, expansion * width, &init.at("expand")),
            contract: Linear::new(expansion * width, width, &init.at("contract")),
            dropout: Dropout::new(rates, &init.at("dropout")),
        }
    }

    /// Self-attention over the real tokens.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        self.ordered(tokens, &Order::default(), pass)
    }

    /// Self-attention over the real tokens, as `order` has it.
    pub fn ordered(&self, tokens: Tokens, order: &Order, pass: &Pass) -> Tokens {
        let normal = self.attention_norm.forward(tokens.embeddings.clone());
        let x = self
            .attention
            .itself(tokens.embeddings, normal, &tokens.mask, order, pass);
        let embeddings = self.feed_forward(x, pass);
        Tokens { embeddings, ..tokens }
    }

    /// Attention from `tokens` to the real tokens of `memory`, whose keys turn by `turns`.
    pub fn cross(&self, tokens: Tokens, memory: &Tokens, turns: Option<&Turns>, pass: &Pass) -> Tokens {
        let normal = self.attention_norm.forward(tokens.embeddings.clone());
        let memory_embeddings = memory.embeddings.clone();
        let x = self
            .attention
            .cross(tokens.embeddings, normal, memory_embeddings, &memory.mask, turns, pass);
        let embeddings = self.feed_forward(x, pass);
        Tokens { embeddings, ..tokens }
    }

    /// The next positions of a sequence, `x` [batch, length, width], after those that `cache` keeps.
    pub fn decode(&self, x: Tensor<3>, cache: &mut KeyValueCache) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let x = self.attention.decode(x, normal, None, None, cache);
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
