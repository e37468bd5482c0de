//! The block of Llama's decoder: grouped causal attention and a gated feed-forward network.

use crate::init::Init;
use crate::layers::{
    BlockState, Dropout, GroupedAttention, GroupedAttentionOptions, Linear, Memory, MultiHeadAttention, RmsNorm,
};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use sensorium_kernels::{Precision, Turns, silu};

/// What a [`LlamaBlock`] is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LlamaBlockOptions {
    pub attention: GroupedAttentionOptions,
    /// The width of the feed-forward network.
    pub hidden: usize,
    /// Whether the maps of the feed-forward network have a bias.
    pub bias: bool,
    /// Added to the mean square in each normalisation.
    pub epsilon: f64,
    /// The width of what is attended to, where there is anything beside the tokens themselves.
    pub memory: Option<usize>,
}

/// Each part stands behind a norm and around a residual (Touvron et al. 2023). A block without a memory is that of a language
/// model.
#[derive(Module, Debug)]
pub struct LlamaBlock {
    attention_norm: RmsNorm,
    attention: GroupedAttention,
    cross_norm: Option<RmsNorm>,
    cross_attention: Option<MultiHeadAttention>,
    feed_forward_norm: RmsNorm,
    gate: Linear,
    expand: Linear,
    contract: Linear,
    dropout: Dropout,
}

impl LlamaBlock {
    pub fn new(options: LlamaBlockOptions, init: &Init) -> Self {
        let GroupedAttentionOptions {
            width, heads, dropout, ..
        } = options.attention;
        let norm = |name| RmsNorm::new(width, options.epsilon, &init.at(name));
        let cross = |memory| MultiHeadAttention::new(width, memory, heads, dropout, &init.at("cross_attention"));
        let map = |name, input, output| Linear::biased_if(options.bias, input, output, &init.at(name));
        Self {
            attention_norm: norm("attention_norm"),
            attention: GroupedAttention::new(options.attention, &init.at("attention")),
            cross_norm: options.memory.map(|_| norm("cross_norm")),
            cross_attention: options.memory.map(cross),
            feed_forward_norm: norm("feed_forward_norm"),
            gate: map("gate", width, options.hidden),
            expand: map("expand", width, options.hidden),
            contract: map("contract", options.hidden, width),
            dropout: Dropout::new(dropout, &init.at("dropout")),
        }
    }

    /// `x` [batch, length, width] attends to itself, at the places of `turns` and where `mask` [batch, length] is true,
    /// everywhere without one, and to the real tokens of `memory`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        memory: Option<&Tokens>,
        turns: &Turns,
        mask: Option<&Tensor<2, Bool>>,
        pass: &Pass,
    ) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.forward(x, normal, turns, mask, pass);
        if let (Some(norm), Some(attention), Some(memory)) = (&self.cross_norm, &self.cross_attention, memory) {
            let normal = norm.forward(x.clone());
            x = attention.forward(x, normal, memory.embeddings.clone(), &memory.mask, pass);
        }
        self.feed_forward(x, pass)
    }

    /// The state before the first position: the memory's keys and values are computed once.
    pub fn start(&self, batch: usize, memory: Option<&Tokens>, capacity: usize, device: &Device) -> BlockState {
        let memory = self.cross_attention.as_ref().zip(memory);
        BlockState {
            itself: self.attention.cache(batch, capacity, device),
            memory: memory.map(|(attention, memory)| Memory::new(attention, memory)),
        }
    }

    /// The next positions of each sequence, `x` [batch, length, width]; `mask` [batch, positions] is true where a position so
    /// far is real. Without a gradient.
    pub fn step(
        &self,
        x: Tensor<3>,
        turns: &Turns,
        mask: Option<&Tensor<2, Bool>>,
        state: &mut BlockState,
    ) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.decode(x, normal, turns, mask, &mut state.itself);
        if let (Some(norm), Some(attention), Some(memory)) = (&self.cross_norm, &self.cross_attention, &state.memory) {
            let normal = norm.forward(x.clone());
            x = attention.recall(x, normal, memory);
        }
        self.feed_forward(x, &Pass::evaluation())
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            attention: self.attention.pack(precision),
            cross_attention: self.cross_attention.map(|attention| attention.pack(precision)),
            gate: self.gate.pack(precision),
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }

    /// SwiGLU (Shazeer 2020).
    fn feed_forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normal = self.feed_forward_norm.forward(x.clone());
        let hidden = silu(self.gate.forward(normal.clone())) * self.expand.forward(normal);
        self.dropout.add(&self.contract, hidden, x, pass)
    }
}
