//! A Transformer encoder over the tokens (Vaswani et al. 2017, pre-norm).

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{LayerNorm, Linear, TransformerBlock, sinusoidal_positions};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransformerConfig {
    /// The width of a token, a multiple of `heads`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 64))]
    pub heads: usize,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            dropout: 0.0,
        }
    }
}

impl TransformerConfig {
    /// Refuses a width that the heads do not divide.
    pub fn check(&self, field: &str) -> Result<()> {
        let Self { width, heads, .. } = self;
        if !width.is_multiple_of(*heads) {
            let message = format!("{heads} heads do not divide a width of {width}");
            return Err(ModelError::config(format!("{field}.heads"), message));
        }
        Ok(())
    }
}

#[derive(Module, Debug)]
pub struct TransformerTrunk {
    /// Present where the stem has another width.
    projection: Option<Linear>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    width: usize,
}

impl TransformerTrunk {
    pub fn new(config: &TransformerConfig, input: usize, init: &Init) -> Result<Self> {
        config.check("trunk")?;
        let TransformerConfig {
            width,
            layers,
            heads,
            dropout,
        } = *config;
        let block = |index| TransformerBlock::new(width, width, heads, dropout, &init.at("blocks").at(index));
        let project = || Linear::new(input, width, &init.at("projection"));
        Ok(Self {
            projection: (input != width).then(project),
            blocks: (0..layers).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            width,
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
        let [_, length, width] = x.dims();
        let positions = sinusoidal_positions(tokens.layout, length, width, &plain(&x.device()));
        let mut tokens = Tokens {
            embeddings: x + positions,
            summary: None,
            ..tokens
        };
        for block in &self.blocks {
            tokens = block.forward(tokens, pass);
        }
        Tokens {
            embeddings: self.norm.forward(tokens.embeddings),
            ..tokens
        }
    }
}
