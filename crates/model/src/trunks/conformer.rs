//! A Conformer over a sequence of tokens (Gulati et al. 2020), for sounds and texts.
//!
//! It departs from the paper in two places. Positions are rotary, which attention sees as distances too, in place of
//! Transformer-XL's. The convolution module normalises each token (layer norm) in place of the batch, whose padding
//! would enter the statistics of a batch norm.

use super::Space;
use super::transformer::{check_heads, check_rotary};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{DepthwiseConv1d, Dropout, LayerNorm, Linear, MultiHeadAttention, Order, Rates, rotary_turns};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{sigmoid, silu};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConformerConfig {
    /// The width of a token, an even multiple of `heads`.
    #[schemars(range(min = 2, max = 8192))]
    pub width: usize,
    /// How many blocks follow one another.
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// Parts of the width that attend each on their own.
    #[schemars(range(min = 1, max = 64))]
    pub heads: usize,
    /// The tokens that the convolution of each block sees at once, odd.
    #[schemars(range(min = 1, max = 255))]
    pub kernel: usize,
    /// How many times wider than a token the hidden layers of the feed-forward networks are.
    #[schemars(range(min = 1, max = 16))]
    pub expansion: usize,
    /// Dropout of what each module of a block adds, and in the hidden layers of the feed-forward networks.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// Stochastic depth: the probability that a sample goes past a module of the last block; it grows linearly up to
    /// there.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
}

impl Default for ConformerConfig {
    fn default() -> Self {
        Self {
            width: 144,
            layers: 4,
            heads: 4,
            kernel: 31,
            expansion: 4,
            dropout: 0.1,
            drop_path: 0.0,
        }
    }
}

impl ConformerConfig {
    fn check(&self, space: Space) -> Result<()> {
        if !space.is_line() {
            let message = "a conformer convolves along a sequence, so it is for a text or a sound; an image or a video \
                           takes `cnn`, `rnn` or `transformer`";
            return Err(ModelError::config("trunk.kind", message));
        }
        if self.kernel.is_multiple_of(2) {
            let message = format!("the kernel must be odd, found {}", self.kernel);
            return Err(ModelError::config("trunk.kernel", message));
        }
        check_heads("trunk", self.width, self.heads)?;
        check_rotary("trunk", [self.width, self.heads], 1)
    }
}

#[derive(Module, Debug)]
pub struct ConformerTrunk {
    /// Present where the stem has another width.
    projection: Option<Linear>,
    blocks: Vec<Block>,
    width: usize,
    /// Pairs of columns in a head.
    #[module(skip)]
    pairs: usize,
}

/// Two halves of a feed-forward network around attention and convolution, each around a residual, and a norm.
#[derive(Module, Debug)]
struct Block {
    before: FeedForward,
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    convolution: Convolution,
    after: FeedForward,
    norm: LayerNorm,
}

#[derive(Module, Debug)]
struct FeedForward {
    norm: LayerNorm,
    expand: Linear,
    hidden_dropout: Dropout,
    contract: Linear,
    dropout: Dropout,
}

#[derive(Module, Debug)]
struct Convolution {
    norm: LayerNorm,
    /// To twice the width: values, and the gates that they pass.
    gate: Linear,
    depthwise: DepthwiseConv1d,
    depthwise_norm: LayerNorm,
    pointwise: Linear,
    dropout: Dropout,
}

impl ConformerTrunk {
    pub fn new(config: &ConformerConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        config.check(space)?;
        let width = config.width;
        let project = || Linear::new(input, width, &init.at("projection"));
        let block = |index| Block::new(config, index, &init.at("blocks").at(index));
        Ok(Self {
            projection: (input != width).then(project),
            blocks: (0..config.layers).map(block).collect(),
            width,
            pairs: width / config.heads / 2,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let x = match &self.projection {
            Some(projection) => projection.forward(tokens.embeddings),
            None => tokens.embeddings,
        };
        let order = Order {
            turns: Some(rotary_turns(tokens.layout, x.dims()[1], self.pairs)),
            ..Order::default()
        };
        let tokens = Tokens {
            embeddings: x,
            summary: None,
            ..tokens
        };
        let blocks = self.blocks.iter();
        blocks.fold(tokens, |tokens, block| block.forward(tokens, &order, pass))
    }
}

impl Block {
    fn new(config: &ConformerConfig, index: usize, init: &Init) -> Self {
        let (width, hidden) = (config.width, config.expansion * config.width);
        let rates = Rates {
            dropout: config.dropout,
            drop_path: config.drop_path,
        };
        let rates = rates.of_layer(index, config.layers);
        let feed_forward = |name| FeedForward::new([width, hidden], rates, &init.at(name));
        Self {
            before: feed_forward("before"),
            attention_norm: LayerNorm::new(width, &init.at("attention_norm")),
            attention: MultiHeadAttention::new(width, width, config.heads, rates, &init.at("attention")),
            convolution: Convolution::new([width, config.kernel], rates, &init.at("convolution")),
            after: feed_forward("after"),
            norm: LayerNorm::new(width, &init.at("norm")),
        }
    }

    fn forward(&self, tokens: Tokens, order: &Order, pass: &Pass) -> Tokens {
        let x = self.before.forward(tokens.embeddings.clone(), pass);
        let normal = self.attention_norm.forward(x.clone());
        let x = self.attention.itself(x, normal, &tokens.mask, order, pass);
        let x = self.convolution.forward(&tokens, x, pass);
        let x = self.after.forward(x, pass);
        Tokens {
            embeddings: self.norm.forward(x),
            ..tokens
        }
    }
}

impl FeedForward {
    fn new([width, hidden]: [usize; 2], rates: Rates, init: &Init) -> Self {
        Self {
            norm: LayerNorm::new(width, &init.at("norm")),
            expand: Linear::new(width, hidden, &init.at("expand")),
            hidden_dropout: Dropout::new(rates.dropout, &init.at("hidden_dropout")),
            contract: Linear::new(hidden, width, &init.at("contract")),
            dropout: Dropout::new(rates, &init.at("dropout")),
        }
    }

    /// x + ½ · network(x)
    fn forward(&self, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let hidden = silu(self.expand.forward(self.norm.forward(x.clone())));
        let change = self.contract.forward(self.hidden_dropout.forward(hidden, pass));
        self.dropout.join(x, change * 0.5, pass)
    }
}

impl Convolution {
    fn new([width, kernel]: [usize; 2], rates: Rates, init: &Init) -> Self {
        Self {
            norm: LayerNorm::new(width, &init.at("norm")),
            gate: Linear::new(width, 2 * width, &init.at("gate")),
            depthwise: DepthwiseConv1d::new(width, kernel, &init.at("depthwise")),
            depthwise_norm: LayerNorm::new(width, &init.at("depthwise_norm")),
            pointwise: Linear::new(width, width, &init.at("pointwise")),
            dropout: Dropout::new(rates, &init.at("dropout")),
        }
    }

    /// Padding is zero before the convolution, so that it never reaches a real token.
    fn forward(&self, tokens: &Tokens, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let gated = self.gate.forward(self.norm.forward(x.clone()));
        let (values, gates) = (gated.clone().narrow(2, 0, width), gated.narrow(2, width, width));
        let inside = Tokens {
            embeddings: values * sigmoid(gates),
            ..tokens.clone()
        };
        let mixed = self.depthwise.forward(inside.zero_padding().embeddings);
        let mixed = silu(self.depthwise_norm.forward(mixed));
        self.dropout.add(&self.pointwise, mixed, x, pass)
    }
}
