//! Attention through time in front of attention within a frame (Bertasius et al. 2021, "divided"; Arnab et al. 2021,
//! model 3).

use crate::init::Init;
use crate::layers::{BlockOptions, LayerNorm, MultiHeadAttention, Order};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the tokens of a video attend to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpaceTime {
    /// All tokens of all frames at once.
    #[default]
    Joint,
    /// In each layer first the same place in all frames, then all places of the same frame: far fewer products.
    Factorised,
}

/// The first half of a factorised layer, around a residual.
#[derive(Module, Debug)]
pub struct ThroughTime {
    norm: LayerNorm,
    attention: MultiHeadAttention,
}

impl ThroughTime {
    pub fn new(options: BlockOptions, init: &Init) -> Self {
        let BlockOptions {
            width, heads, rates, ..
        } = options;
        Self {
            norm: LayerNorm::new(width, &init.at("norm")),
            attention: MultiHeadAttention::new(width, width, heads, rates, &init.at("attention")),
        }
    }

    /// Frames that are padding are seen by no other.
    pub fn forward(&self, tokens: Tokens, order: &Order, pass: &Pass) -> Tokens {
        let normal = self.norm.forward(tokens.embeddings.clone());
        let embeddings = self
            .attention
            .itself(tokens.embeddings, normal, &tokens.mask, order, pass);
        Tokens { embeddings, ..tokens }
    }
}
