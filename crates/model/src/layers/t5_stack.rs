//! T5's encoder or decoder (Raffel et al. 2020): blocks that share the places of the first one.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{
    Activation, BlockState, Buckets, Dropout, Order, RelativePositions, RmsBlock, RmsBlockOptions, RmsNorm,
};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// What T5's encoder and its decoder have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct T5StackConfig {
    /// The width of a token.
    #[schemars(range(min = 1, max = 65_536))]
    pub width: usize,
    #[schemars(range(min = 1, max = 256))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 256))]
    pub heads: usize,
    /// The width of each head, whatever that of a token is.
    #[schemars(range(min = 1, max = 8192))]
    pub head_width: usize,
    /// The width of the hidden layer of the feed-forward networks.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hidden: usize,
    /// What lies between the two maps of a feed-forward network.
    pub activation: Activation,
    /// Whether a second map is multiplied by what the activation gives (Shazeer 2020).
    pub gated: bool,
    /// The numbers that each head has for distances between tokens.
    #[schemars(range(min = 4, max = 65_536))]
    pub buckets: usize,
    /// The distance from which on all share one number, more than half as many as there are.
    #[schemars(range(min = 3, max = 1_000_000))]
    pub farthest: usize,
    /// Added to the mean square in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for T5StackConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            head_width: 32,
            hidden: 352,
            activation: Activation::GeluTanh,
            gated: true,
            buckets: 32,
            farthest: 128,
            epsilon: 1e-6,
            dropout: 0.1,
        }
    }
}

impl T5StackConfig {
    /// The numbers that the tensors hold; `memory` is the width of what is attended to, where there is anything.
    pub fn parameters(&self, memory: Option<usize>) -> u128 {
        let of = |size: usize| size as u128;
        let (width, inner) = (of(self.width), of(self.heads).saturating_mul(of(self.head_width)));
        let attention = |memory: u128| inner.saturating_mul(2).saturating_mul(width.saturating_add(memory));
        let maps = if self.gated { 3 } else { 2 };
        let feed_forward = of(self.hidden).saturating_mul(width).saturating_mul(maps);
        let cross = memory.map_or(0, |memory| attention(of(memory)).saturating_add(width));
        let block = attention(width)
            .saturating_add(cross)
            .saturating_add(feed_forward)
            .saturating_add(width.saturating_mul(2));
        let places = of(self.buckets).saturating_mul(of(self.heads));
        of(self.layers)
            .saturating_mul(block)
            .saturating_add(places)
            .saturating_add(width)
    }

    fn block(&self, memory: Option<usize>) -> RmsBlockOptions {
        RmsBlockOptions {
            width: self.width,
            heads: self.heads,
            head_width: self.head_width,
            scale: Some(1.0),
            biased: false,
            hidden: self.hidden,
            activation: self.activation,
            gated: self.gated,
            epsilon: self.epsilon,
            dropout: self.dropout,
            memory,
        }
    }
}

#[derive(Module, Debug)]
pub struct T5Stack {
    positions: RelativePositions,
    blocks: Vec<RmsBlock>,
    norm: RmsNorm,
    dropout: Dropout,
    #[module(skip)]
    causal: bool,
    #[module(skip)]
    width: usize,
}

impl T5Stack {
    /// `memory` is the width of what is attended to, where there is anything; each token of a `causal` stack sees itself and those
    /// before it only. `field` is what the settings are called.
    ///
    /// # Errors
    /// For buckets that no distances can be shared out to.
    pub fn new(config: &T5StackConfig, memory: Option<usize>, causal: bool, field: &str, init: &Init) -> Result<Self> {
        let count = config.buckets;
        if count < 4 || config.farthest <= count / 2 {
            let message = format!(
                "expected 4 or more, and half of them below `farthest` {}, found {count}",
                config.farthest
            );
            return Err(ModelError::config(format!("{field}.buckets"), message));
        }
        let buckets = Buckets {
            count,
            farthest: config.farthest,
            both_sides: !causal,
        };
        let block = |index: usize| RmsBlock::new(config.block(memory), &init.at("blocks").at(index));
        Ok(Self {
            positions: RelativePositions::new(buckets, config.heads, &init.at("positions")),
            blocks: (0..config.layers).map(block).collect(),
            norm: RmsNorm::new(config.width, config.epsilon, &init.at("norm")),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            causal,
            width: config.width,
        })
    }

    /// The width of a token.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The states of embedded tokens `x` [batch, length, width] where `mask` [batch, length] is true.
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, mask: &Tensor<2, Bool>, pass: &Pass) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let order = Order {
            causal: self.causal,
            bias: Some(self.positions.bias(length, length)),
            ..Order::default()
        };
        let x = self.dropout.forward(x, pass);
        let forward = |x, block: &RmsBlock| block.forward(x, memory, mask, &order, pass);
        self.norm.forward(self.blocks.iter().fold(x, forward))
    }

    /// As [`Self::forward`] of a sequence that is read as a whole.
    pub fn encode(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let states = self.forward(tokens.embeddings, None, &tokens.mask, pass);
        Tokens::new(states, tokens.mask, tokens.layout)
    }

    /// The states before the first position, block by block.
    pub fn start(&self, batch: usize, memory: Option<&Tokens>, capacity: usize, device: &Device) -> Vec<BlockState> {
        let start = |block: &RmsBlock| block.start(batch, memory, capacity, device);
        self.blocks.iter().map(start).collect()
    }

    /// The states of the next embedded tokens of each sequence, `x` [batch, length, width], the first of which stands at `first`;
    /// `mask` [batch, positions] is true where a position so far is real. Without a gradient.
    pub fn step(
        &self,
        mut x: Tensor<3>,
        first: usize,
        mask: Option<&Tensor<2, Bool>>,
        states: &mut [BlockState],
    ) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let bias = self.positions.bias(length, first + length);
        for (block, state) in self.blocks.iter().zip(states) {
            x = block.step(x, mask, &bias, state);
        }
        self.norm.forward(x)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            ..self
        }
    }
}
