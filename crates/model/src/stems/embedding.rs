//! A learned vector for each token of a text.

use crate::init::Init;
use crate::layers::Embedding;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EmbeddingConfig {
    /// The width of a token; the trunk's by default.
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<usize>,
}

#[derive(Module, Debug)]
pub struct EmbeddingStem {
    table: Embedding,
    width: usize,
}

impl EmbeddingStem {
    pub fn new(config: &EmbeddingConfig, vocabulary: usize, width: usize, init: &Init) -> Self {
        let width = config.width.unwrap_or(width);
        Self {
            table: Embedding::new(vocabulary, width, &init.at("table")),
            width,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>, mask: Tensor<2, Bool>) -> Tokens {
        Tokens::new(self.table.forward(tokens), mask, Layout::Sequence)
    }
}
