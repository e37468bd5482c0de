//! One input's tokens attend to their own and then to those of another input, block by block, as the questions of BLIP to a
//! picture (Li et al. 2022, the image-grounded text encoder).

use super::cross_attention::query;
use crate::encoder::EncodedInput;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Activation, DecoderBlock, DecoderBlockOptions, EPSILON, Norms};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// Blocks as wide as the tokens of the input that asks, whose norms stand behind their parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GroundedConfig {
    /// The input that asks: by default the first text, or else the first input.
    pub query: Option<String>,
    #[schemars(range(min = 1, max = 128))]
    pub layers: usize,
    /// A divisor of the width.
    #[schemars(range(min = 1, max = 128))]
    pub heads: usize,
    /// The width of the hidden layer of the feed-forward networks; by default four times the width.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: Option<usize>,
    /// What lies between the two maps of a feed-forward network.
    #[serde(skip_serializing_if = "Activation::is_default")]
    pub activation: Activation,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Dropout of what each attention and each feed-forward network adds.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for GroundedConfig {
    fn default() -> Self {
        Self {
            query: None,
            layers: 2,
            heads: 4,
            hidden: None,
            activation: Activation::default(),
            epsilon: EPSILON,
            dropout: 0.0,
        }
    }
}

#[derive(Module, Debug)]
pub struct GroundedFusion {
    blocks: Vec<DecoderBlock>,
    /// The place of the input that asks among both.
    query: usize,
    width: usize,
}

impl GroundedFusion {
    /// # Errors
    /// For more or fewer inputs than two, and for heads that do not divide the width of the one that asks.
    pub fn new(config: &GroundedConfig, inputs: &[(&str, usize)], texts: &[&str], init: &Init) -> Result<Self> {
        let [first, second] = inputs else {
            let message = format!(
                "grounded joins two inputs, found {}; name them in `inputs`",
                inputs.len()
            );
            return Err(ModelError::config("fusion.kind", message));
        };
        let query = query(config.query.as_deref(), inputs, texts)?;
        let (width, memory) = match query {
            0 => (first.1, second.1),
            _ => (second.1, first.1),
        };
        if !width.is_multiple_of(config.heads) {
            let message = format!(
                "{} heads do not divide the width of `{}`, {width}",
                config.heads, inputs[query].0
            );
            return Err(ModelError::config("fusion.heads", message));
        }
        let usual = DecoderBlockOptions::new(width, Some(memory), config.heads, config.dropout);
        let options = DecoderBlockOptions {
            hidden: config.hidden.unwrap_or(usual.hidden),
            activation: config.activation,
            norms: Norms::After,
            epsilon: config.epsilon,
            ..usual
        };
        let block = |index: usize| DecoderBlock::with(options, &init.at("blocks").at(index));
        Ok(Self {
            blocks: (0..config.layers).map(block).collect(),
            query,
            width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The tokens of the input that asks, after attending to their own and to the other's.
    pub fn forward(&self, mut inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        let tokens = inputs.remove(self.query).tokens();
        let memory = inputs.remove(0).tokens();
        let blocks = self.blocks.iter();
        blocks.fold(tokens, |tokens, block| block.encode(tokens, &memory, pass))
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
