//! Trunks: tokens to tokens, for any stem.

mod cnn;
mod rnn;
mod transformer;

use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
pub use cnn::{CnnConfig, CnnTrunk};
pub use rnn::{RnnConfig, RnnTrunk};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
pub use transformer::{TransformerConfig, TransformerTrunk};

/// What an encoder is made of after its stem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrunkConfig {
    /// Convolutions over the line, the plane or the frames of tokens.
    Cnn(CnnConfig),
    /// A recurrent network over the tokens in order, over the mean of each frame of a video.
    Rnn(RnnConfig),
    /// Self-attention over all tokens.
    Transformer(TransformerConfig),
}

/// What the tokens of an encoder lie on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Line,
    Plane,
    /// Planes in the order of time.
    Volume,
}

#[derive(Module, Debug)]
pub enum Trunk {
    Cnn(CnnTrunk),
    Rnn(RnnTrunk),
    Transformer(TransformerTrunk),
}

impl TrunkConfig {
    /// The width that this trunk would like its stem to have.
    pub fn input_width(&self) -> usize {
        match self {
            Self::Cnn(config) => config.stages[0],
            Self::Rnn(config) => config.width,
            Self::Transformer(config) => config.width,
        }
    }
}

impl Trunk {
    /// `input` is the stem's width; `space` says what its tokens lie on.
    pub fn new(config: &TrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        match config {
            TrunkConfig::Cnn(config) => Ok(Self::Cnn(CnnTrunk::new(config, input, space, init)?)),
            TrunkConfig::Rnn(config) => Ok(Self::Rnn(RnnTrunk::new(config, input, init))),
            TrunkConfig::Transformer(config) => Ok(Self::Transformer(TransformerTrunk::new(config, input, init)?)),
        }
    }

    /// The width of this trunk's tokens.
    pub fn width(&self) -> usize {
        match self {
            Self::Cnn(trunk) => trunk.width(),
            Self::Rnn(trunk) => trunk.width(),
            Self::Transformer(trunk) => trunk.width(),
        }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        match self {
            Self::Cnn(trunk) => trunk.forward(tokens, pass),
            Self::Rnn(trunk) => trunk.forward(tokens, pass),
            Self::Transformer(trunk) => trunk.forward(tokens, pass),
        }
    }
}
