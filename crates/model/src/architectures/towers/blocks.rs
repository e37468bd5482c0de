//! The blocks of a tower: attention and a feed-forward network, each behind a norm and around a residual.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Activation, Dropout, LayerNorm, Linear, MultiHeadAttention, Order, Rates};
use crate::pass::Pass;
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// What scales a branch of DINOv2 at first, as Touvron et al. 2021 have it.
const LAYER_SCALE: f32 = 1e-5;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BlocksConfig {
    /// The width of a token, a multiple of `heads`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 1, max = 128))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 128))]
    pub heads: usize,
    /// The width of the hidden layer of the feed-forward network.
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: usize,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// What stands between the two maps of the feed-forward network.
    #[serde(default)]
    pub activation: Activation,
    /// Whether a learned factor of each channel scales what each attention and each feed-forward network adds.
    #[serde(default)]
    pub layer_scale: bool,
    /// Dropout of what each attention and each feed-forward network adds.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// The probability that a sample goes past an attention or a feed-forward network, the same in all layers.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
}

#[derive(Module, Debug)]
pub struct Block {
    attention_norm: LayerNorm,
    attention: MultiHeadAttention,
    /// [width]
    attention_scale: Option<Param<Tensor<1>>>,
    feed_forward_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    /// [width]
    feed_forward_scale: Option<Param<Tensor<1>>>,
    dropout: Dropout,
    #[module(skip)]
    activation: Activation,
}

impl BlocksConfig {
    /// All blocks, in order. `input` is the stem's width.
    ///
    /// # Errors
    /// For another width than the stem's, and for heads that do not divide it.
    pub fn build(&self, input: usize, init: &Init) -> Result<Vec<Block>> {
        self.check_input(input)?;
        let block = |index| Block::new(self, &init.at("blocks").at(index));
        Ok((0..self.layers).map(block).collect())
    }

    /// # Errors
    /// For another width than `input`, the stem's, and for heads that do not divide it.
    pub fn check_input(&self, input: usize) -> Result<()> {
        if input == self.width && self.width.is_multiple_of(self.heads) {
            return Ok(());
        }
        let message = format!(
            "expected the width of the stem, a multiple of {} heads, found {} behind a stem of {input}",
            self.heads, self.width
        );
        Err(ModelError::config("trunk.width", message))
    }

    /// A norm over a token.
    pub fn norm(&self, init: &Init) -> LayerNorm {
        LayerNorm::with_epsilon(self.width, self.epsilon, init)
    }

    /// What is wrong with these sizes, by the names that configurations of `transformers` have for them, in BERT too; `part` is
    /// what these begin with.
    pub fn check(&self, part: &str) -> Result<(), String> {
        let sizes = [
            ("hidden_size", self.width),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("intermediate_size", self.hidden),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{part}{name}: expected at least 1, found 0"));
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(format!(
                "{part}num_attention_heads: expected a divisor of hidden_size {}, found {}",
                self.width, self.heads
            ));
        }
        let shares = [
            ("layer_norm_eps", self.epsilon),
            ("hidden_dropout_prob", self.dropout),
            ("drop_path_rate", self.drop_path),
        ];
        match shares.iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            Some((name, share)) => Err(format!(
                "{part}{name}: expected a number from 0 to below 1, found {share}"
            )),
            None => Ok(()),
        }
    }

    /// The numbers that the blocks' tensors hold.
    pub fn parameters(&self) -> u128 {
        let [width, hidden, layers] = [self.width, self.hidden, self.layers].map(|size| size as u128);
        let attention = width.saturating_mul(width + 1).saturating_mul(4);
        let feed_forward = width
            .saturating_mul(hidden)
            .saturating_mul(2)
            .saturating_add(width + hidden);
        let channels = if self.layer_scale { 6 * width } else { 4 * width };
        layers.saturating_mul(attention.saturating_add(feed_forward).saturating_add(channels))
    }
}

impl Block {
    fn new(config: &BlocksConfig, init: &Init) -> Self {
        let width = config.width;
        let rates = Rates {
            dropout: config.dropout,
            drop_path: config.drop_path,
        };
        let scale = || config.layer_scale.then(|| init.constant([width], LAYER_SCALE));
        Self {
            attention_norm: config.norm(&init.at("attention_norm")),
            attention: MultiHeadAttention::new(width, width, config.heads, rates, &init.at("attention")),
            attention_scale: scale(),
            feed_forward_norm: config.norm(&init.at("feed_forward_norm")),
            expand: Linear::new(width, config.hidden, &init.at("expand")),
            contract: Linear::new(config.hidden, width, &init.at("contract")),
            feed_forward_scale: scale(),
            dropout: Dropout::new(rates, &init.at("dropout")),
            activation: config.activation,
        }
    }

    /// `x` [batch, length, width] attends to itself where `mask` [batch, length] is true, as `order` has it.
    pub fn forward(&self, x: Tensor<3>, mask: &Tensor<2, Bool>, order: &Order, pass: &Pass) -> Tensor<3> {
        let normal = self.attention_norm.forward(x.clone());
        let x = added(x, self.attention_scale.as_ref(), |x| {
            self.attention.itself(x, normal, mask, order, pass)
        });
        let normal = self.feed_forward_norm.forward(x.clone());
        let hidden = self.activation.behind(&self.expand, normal);
        added(x, self.feed_forward_scale.as_ref(), |x| {
            self.dropout.add(&self.contract, hidden, x, pass)
        })
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
}

/// `x` and what a branch adds to the tensor that it is given, under a factor of each channel where there is a `scale`.
fn added(x: Tensor<3>, scale: Option<&Param<Tensor<1>>>, branch: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
    match scale {
        None => branch(x),
        Some(scale) => {
            let alone = branch(x.zeros_like());
            x + alone * scale.val().unsqueeze::<3>()
        }
    }
}
