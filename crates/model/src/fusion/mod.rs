//! Fusion: the tokens of all inputs joined into one sequence with a summary.

mod adapter;
mod concat;
mod cross_attention;
mod gated;

use crate::encoder::EncodedInput;
use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
pub use concat::ConcatFusion;
pub use cross_attention::{CrossAttentionConfig, CrossAttentionFusion};
pub use gated::{GatedConfig, GatedFusion};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trunks::TransformerConfig;

/// How the inputs are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FusionConfig {
    /// One Transformer over the tokens of all inputs.
    Concat(TransformerConfig),
    /// The product of one vector from each input.
    Gated(GatedConfig),
    /// One input attends to the others.
    CrossAttention(CrossAttentionConfig),
}

impl Default for FusionConfig {
    fn default() -> Self {
        Self::Concat(TransformerConfig::default())
    }
}

#[derive(Module, Debug)]
pub enum Fusion {
    Concat(ConcatFusion),
    Gated(GatedFusion),
    CrossAttention(CrossAttentionFusion),
}

impl Fusion {
    /// `inputs` are the names and widths of the encoders, in order; `texts` names those that are text.
    pub fn new(config: &FusionConfig, inputs: &[(&str, usize)], texts: &[&str], init: &Init) -> Result<Self> {
        match config {
            FusionConfig::Concat(config) => Ok(Self::Concat(ConcatFusion::new(config, inputs, init)?)),
            FusionConfig::Gated(config) => Ok(Self::Gated(GatedFusion::new(config, inputs, init))),
            FusionConfig::CrossAttention(config) => {
                let fusion = CrossAttentionFusion::new(config, inputs, texts, init)?;
                Ok(Self::CrossAttention(fusion))
            }
        }
    }

    pub fn width(&self) -> usize {
        match self {
            Self::Concat(fusion) => fusion.width(),
            Self::Gated(fusion) => fusion.width(),
            Self::CrossAttention(fusion) => fusion.width(),
        }
    }

    /// `inputs` in the order in which the fusion was built.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        match self {
            Self::Concat(fusion) => fusion.forward(inputs, pass),
            Self::Gated(fusion) => fusion.forward(&inputs, pass),
            Self::CrossAttention(fusion) => fusion.forward(inputs, pass),
        }
    }
}
