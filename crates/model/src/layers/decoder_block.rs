//! The block of a decoder: causal self-attention, attention to a memory, and a feed-forward network.

use crate::init::Init;
use crate::layers::{Activation, Dropout, LayerNorm, Linear, Memory, MultiHeadAttention};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use sensorium_kernels::{KeyValueCache, Precision};

/// How many times wider the hidden layer of the feed-forward network is.
const EXPANSION: usize = 4;

/// Each part stands behind a norm and around a residual (Vaswani et al. 2017, pre-norm). A block without a memory is that of
/// a language model.
#[derive(Module, Debug)]
pub struct DecoderBlock {
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    cross_norm: Option<LayerNorm>,
    cross_attention: Option<MultiHeadAttention>,
    feed_forward_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

/// What a block keeps of the positions so far and of the memory.
#[derive(Debug, Clone)]
pub struct BlockState {
    pub(super) itself: KeyValueCache,
    pub(super) memory: Option<Memory>,
}

impl BlockState {
    /// Lets row i go on from what was row `rows[i]`.
    pub fn reorder(&mut self, rows: &[usize]) {
        self.itself.reorder(rows);
        if let Some(memory) = &mut self.memory {
            memory.reorder(rows);
        }
    }
}

impl DecoderBlock {
    /// `memory` is the width of what is attended to, where there is anything beside the tokens themselves.
    pub fn new(width: usize, memory: Option<usize>, heads: usize, dropout: f64, init: &Init) -> Self {
        let norm = |name| LayerNorm::new(width, &init.at(name));
        let attention = |name, memory| MultiHeadAttention::new(width, memory, heads, dropout, &init.at(name));
        Self {
            attention_norm: norm("attention_norm"),
            attention: attention("attention", width),
            cross_norm: memory.map(|_| norm("cross_norm")),
            cross_attention: memory.map(|memory| attention("cross_attention", memory)),
            feed_forward_norm: norm("feed_forward_norm"),
            expand: Linear::new(width, EXPANSION * width, &init.at("expand")),
            contract: Linear::new(EXPANSION * width, width, &init.at("contract")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            activation: Activation::default(),
        }
    }

    pub fn with_activation(self, activation: Activation) -> Self {
        Self { activation, ..self }
    }

    /// `x` [batch, length, width] attends to itself and to the real tokens of `memory`.
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, pass: &Pass) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.causal(x, normal, pass);
        if let (Some(norm), Some(attention), Some(memory)) = (&self.cross_norm, &self.cross_attention, memory) {
            let normal = norm.forward(x.clone());
            x = attention.forward(x, normal, memory.embeddings.clone(), &memory.mask, pass);
        }
        self.feed_forward(x, pass)
    }

    /// As [`Self::forward`] in evaluation, with the scores [batch, heads, length, positions] that the heads give the places of
    /// `memory`.
    ///
    /// # Panics
    /// For a block without a memory.
    pub fn regard(&self, x: Tensor<3>, memory: &Tokens) -> (Tensor<3>, Tensor<4>) {
        let pass = Pass::evaluation();
        let (Some(norm), Some(attention)) = (&self.cross_norm, &self.cross_attention) else {
            panic!("a block that attends to a memory");
        };
        let normal = self.attention_norm.forward(x.clone());
        let x = self.attention.causal(x, normal, &pass);
        let normal = norm.forward(x.clone());
        let scores = attention.scores(normal.clone(), memory.embeddings.clone());
        let x = attention.forward(x, normal, memory.embeddings.clone(), &memory.mask, &pass);
        (self.feed_forward(x, &pass), scores)
    }

    /// The state before the first position: the memory's keys and values are computed once.
    pub fn start(&self, batch: usize, memory: Option<&Tokens>, capacity: usize, device: &Device) -> BlockState {
        let memory = self.cross_attention.as_ref().zip(memory);
        BlockState {
            itself: self.attention.cache(batch, capacity, device),
            memory: memory.map(|(attention, memory)| Memory::new(attention, memory)),
        }
    }

    /// The next positions of each sequence, `x` [batch, length, width]. Without a gradient.
    pub fn step(&self, x: Tensor<3>, state: &mut BlockState) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.decode(x, normal, &mut state.itself);
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
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }

    fn feed_forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normal = self.feed_forward_norm.forward(x.clone());
        let hidden = self.activation.behind(&self.expand, normal);
        self.dropout.add(&self.contract, hidden, x, pass)
    }
}
