//! A Transformer over the tokens of a text, whose summary is the state of the last one, as the text towers of CLIP (Radford et
//! al. 2021) and SigLIP (Zhai et al. 2023) have it.

use super::BlocksConfig;
use super::blocks::Block;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{LayerNorm, Order};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use crate::trunks::Space;
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// Pre-norm blocks over a text, behind the stem `clip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClipTrunkConfig {
    #[serde(flatten)]
    pub blocks: BlocksConfig,
    /// Whether each token sees itself and those before it only.
    #[serde(default)]
    pub causal: bool,
}

#[derive(Module, Debug)]
pub struct ClipTrunk {
    blocks: Vec<Block>,
    norm: LayerNorm,
    #[module(skip)]
    causal: bool,
    #[module(skip)]
    width: usize,
}

impl ClipTrunkConfig {
    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        self.blocks.parameters().saturating_add(2 * self.blocks.width as u128)
    }
}

impl ClipTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For other tokens than those of a sequence, and for widths that do not fit.
    pub fn new(config: &ClipTrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        if !space.is_line() {
            let message = "a clip trunk reads texts, behind the stem `clip`";
            return Err(ModelError::config("trunk.kind", message));
        }
        Ok(Self {
            blocks: config.blocks.build(input, init)?,
            norm: config.blocks.norm(&init.at("norm")),
            causal: config.causal,
            width: config.blocks.width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            ..self
        }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let order = Order {
            causal: self.causal,
            ..Order::default()
        };
        let mut x = tokens.embeddings;
        for block in &self.blocks {
            x = block.forward(x, &tokens.mask, &order, pass);
        }
        let x = self.norm.forward(x);
        let summary = last(x.clone(), &tokens.mask);
        Tokens::new(x, tokens.mask, tokens.layout).with_summary(summary)
    }
}

/// The state of the last real token: [batch, length, width] → [batch, width]
fn last(x: Tensor<3>, mask: &Tensor<2, Bool>) -> Tensor<2> {
    let [batch, length, width] = x.dims();
    let real = mask.clone().float();
    let end = Tensor::zeros([batch, 1], &plain(&x.device()));
    let next = Tensor::cat(vec![real.clone(), end], 1).narrow(1, 1, length);
    let chosen = (real.clone() - real * next).reshape([batch, length, 1]);
    (x * chosen).sum_dim(1).reshape([batch, width])
}
