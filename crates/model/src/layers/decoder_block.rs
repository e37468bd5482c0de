//! The block of a decoder: causal self-attention, attention to a memory, and a feed-forward network.

use crate::init::Init;
use crate::layers::{Activation, Dropout, EPSILON, LayerNorm, Linear, Memory, MultiHeadAttention, Order};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{KeyValueCache, Precision};
use serde::{Deserialize, Serialize};

/// How many times wider the hidden layer of the feed-forward network usually is.
const EXPANSION: usize = 4;

/// Where the norm of each attention and of each feed-forward network stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Norms {
    /// In front of the branch (Xiong et al. 2020).
    #[default]
    Before,
    /// Behind the residual (Vaswani et al. 2017), as in BERT.
    After,
}

impl Norms {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the block of a decoder is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecoderBlockOptions {
    /// A multiple of `heads`.
    pub width: usize,
    /// The width of what is attended to, where there is anything beside the tokens themselves.
    pub memory: Option<usize>,
    pub heads: usize,
    /// The width of the hidden layer of the feed-forward network.
    pub hidden: usize,
    pub activation: Activation,
    pub norms: Norms,
    /// Added to the variance in each normalisation.
    pub epsilon: f64,
    pub dropout: f64,
}

/// Each part has a norm and stands around a residual. A block without a memory is that of a language model.
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
    #[module(skip)]
    norms: Norms,
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

impl DecoderBlockOptions {
    /// Those of a pre-norm block.
    pub fn new(width: usize, memory: Option<usize>, heads: usize, dropout: f64) -> Self {
        Self {
            width,
            memory,
            heads,
            hidden: EXPANSION * width,
            activation: Activation::default(),
            norms: Norms::default(),
            epsilon: EPSILON,
            dropout,
        }
    }
}

impl DecoderBlock {
    /// As [`DecoderBlockOptions::new`] has it.
    pub fn new(width: usize, memory: Option<usize>, heads: usize, dropout: f64, init: &Init) -> Self {
        Self::with(DecoderBlockOptions::new(width, memory, heads, dropout), init)
    }

    pub fn with(options: DecoderBlockOptions, init: &Init) -> Self {
        let DecoderBlockOptions {
            width,
            memory,
            heads,
            hidden,
            activation,
            norms,
            epsilon,
            dropout,
        } = options;
        let norm = |name| LayerNorm::with_epsilon(width, epsilon, &init.at(name));
        let attention = |name, memory| MultiHeadAttention::new(width, memory, heads, dropout, &init.at(name));
        Self {
            attention_norm: norm("attention_norm"),
            attention: attention("attention", width),
            cross_norm: memory.map(|_| norm("cross_norm")),
            cross_attention: memory.map(|memory| attention("cross_attention", memory)),
            feed_forward_norm: norm("feed_forward_norm"),
            expand: Linear::new(width, hidden, &init.at("expand")),
            contract: Linear::new(hidden, width, &init.at("contract")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            activation,
            norms,
        }
    }

    /// `x` [batch, length, width] attends to itself where `mask` [batch, length] is true, everywhere without one, and to the
    /// real tokens of `memory`.
    pub fn forward(
        &self,
        x: Tensor<3>,
        memory: Option<&Tokens>,
        mask: Option<&Tensor<2, Bool>>,
        pass: &Pass,
    ) -> Tensor<3> {
        let x = self.part(&self.attention_norm, x, |residual, x| {
            self.attention.causal(residual, x, mask, pass)
        });
        let x = match memory {
            Some(memory) => self.cross(x, memory, pass),
            None => x,
        };
        self.feed_forward(x, pass)
    }

    /// As [`Self::forward`], with each of the real `tokens` attending to all of them.
    pub fn encode(&self, tokens: Tokens, memory: &Tokens, pass: &Pass) -> Tokens {
        let x = self.part(&self.attention_norm, tokens.embeddings, |residual, x| {
            self.attention
                .itself(residual, x, &tokens.mask, &Order::default(), pass)
        });
        let x = self.cross(x, memory, pass);
        Tokens::new(self.feed_forward(x, pass), tokens.mask, tokens.layout)
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
        let x = self.part(&self.attention_norm, x, |residual, x| {
            self.attention.causal(residual, x, None, &pass)
        });
        let asking = match self.norms {
            Norms::Before => norm.forward(x.clone()),
            Norms::After => x.clone(),
        };
        let scores = attention.scores(asking, memory.embeddings.clone());
        let x = self.cross(x, memory, &pass);
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

    /// The next positions of each sequence, `x` [batch, length, width]; `mask` [batch, positions] is true where a position so
    /// far is real. Without a gradient.
    pub fn step(&self, x: Tensor<3>, mask: Option<&Tensor<2, Bool>>, state: &mut BlockState) -> Tensor<3> {
        let BlockState { itself, memory } = state;
        let mut x = self.part(&self.attention_norm, x, |residual, x| {
            self.attention.decode(residual, x, mask, None, itself)
        });
        if let (Some(norm), Some(attention), Some(memory)) = (&self.cross_norm, &self.cross_attention, memory) {
            x = self.part(norm, x, |residual, x| attention.recall(residual, x, memory));
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

    fn cross(&self, x: Tensor<3>, memory: &Tokens, pass: &Pass) -> Tensor<3> {
        let (Some(norm), Some(attention)) = (&self.cross_norm, &self.cross_attention) else {
            return x;
        };
        self.part(norm, x, |residual, x| {
            attention.forward(residual, x, memory.embeddings.clone(), &memory.mask, pass)
        })
    }

    fn feed_forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        self.part(&self.feed_forward_norm, x, |residual, x| {
            let hidden = self.activation.behind(&self.expand, x);
            self.dropout.add(&self.contract, hidden, residual, pass)
        })
    }

    /// A residual around `branch`, which is given the residual and what it reads, with its norm.
    fn part(
        &self,
        norm: &LayerNorm,
        x: Tensor<3>,
        branch: impl FnOnce(Tensor<3>, Tensor<3>) -> Tensor<3>,
    ) -> Tensor<3> {
        match self.norms {
            Norms::Before => {
                let normal = norm.forward(x.clone());
                branch(x, normal)
            }
            Norms::After => norm.forward(branch(x.clone(), x)),
        }
    }
}
