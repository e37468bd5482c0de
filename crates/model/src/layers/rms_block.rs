//! The block of T5, and of Qwen2.5-VL's tower of pictures: root mean square norms, and a feed-forward network that may be gated.

use crate::init::Init;
use crate::layers::{
    Activation, AttentionShape, BlockState, Dropout, Linear, Memory, MultiHeadAttention, Order, RmsNorm,
};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use sensorium_kernels::Precision;

/// What a [`RmsBlock`] is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsBlockOptions {
    pub width: usize,
    pub heads: usize,
    pub head_width: usize,
    /// What products of queries and keys are multiplied by; 1 / √head width by default.
    pub scale: Option<f64>,
    /// Whether the maps have a bias.
    pub biased: bool,
    /// The width of the feed-forward network.
    pub hidden: usize,
    pub activation: Activation,
    /// Whether a second map is multiplied by what the activation gives (Shazeer 2020).
    pub gated: bool,
    /// Added to the mean square in each normalisation.
    pub epsilon: f64,
    pub dropout: f64,
    /// The width of what is attended to, where there is anything beside the tokens themselves.
    pub memory: Option<usize>,
}

/// Each part stands behind a norm and around a residual (Raffel et al. 2020).
#[derive(Module, Debug)]
pub struct RmsBlock {
    attention_norm: RmsNorm,
    attention: MultiHeadAttention,
    cross_norm: Option<RmsNorm>,
    cross_attention: Option<MultiHeadAttention>,
    feed_forward_norm: RmsNorm,
    gate: Option<Linear>,
    expand: Linear,
    contract: Linear,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl RmsBlock {
    pub fn new(options: RmsBlockOptions, init: &Init) -> Self {
        let RmsBlockOptions { width, hidden, .. } = options;
        let norm = |name| RmsNorm::new(width, options.epsilon, &init.at(name));
        let map = |name, input, output| Linear::biased_if(options.biased, input, output, &init.at(name));
        let attention = |name, memory| {
            let shape = AttentionShape {
                width,
                memory,
                heads: options.heads,
                head_width: options.head_width,
                biased: options.biased,
                scale: options.scale,
            };
            MultiHeadAttention::of_shape(shape, options.dropout, &init.at(name))
        };
        Self {
            attention_norm: norm("attention_norm"),
            attention: attention("attention", width),
            cross_norm: options.memory.map(|_| norm("cross_norm")),
            cross_attention: options.memory.map(|memory| attention("cross_attention", memory)),
            feed_forward_norm: norm("feed_forward_norm"),
            gate: options.gated.then(|| map("gate", width, hidden)),
            expand: map("expand", width, hidden),
            contract: map("contract", hidden, width),
            dropout: Dropout::new(options.dropout, &init.at("dropout")),
            activation: options.activation,
        }
    }

    /// `x` [batch, length, width] attends to itself where `mask` [batch, length] is true, as `order` has it, and to the real tokens
    /// of `memory`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        memory: Option<&Tokens>,
        mask: &Tensor<2, Bool>,
        order: &Order,
        pass: &Pass,
    ) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.itself(x, normal, mask, order, pass);
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
    /// far is real, and `bias` is that of [`Order`]. Without a gradient.
    pub fn step(
        &self,
        x: Tensor<3>,
        mask: Option<&Tensor<2, Bool>>,
        bias: &Tensor<2>,
        state: &mut BlockState,
    ) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let mut x = self.attention.decode(x, normal, mask, Some(bias), &mut state.itself);
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
            gate: self.gate.map(|gate| gate.pack(precision)),
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }

    fn feed_forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let normal = self.feed_forward_norm.forward(x.clone());
        let hidden = match &self.gate {
            Some(gate) => self.activation.behind(gate, normal.clone()) * self.expand.forward(normal),
            None => self.activation.behind(&self.expand, normal),
        };
        self.dropout.add(&self.contract, hidden, x, pass)
    }
}
