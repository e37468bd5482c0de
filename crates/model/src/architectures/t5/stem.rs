//! How T5 begins: a vector for each token, as the decoder of a checkpoint has them too.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::Embedding;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct T5StemConfig {
    /// One more than the largest token identifier that there is a vector for.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub vocabulary: usize,
    #[schemars(range(min = 1, max = 65_536))]
    pub width: usize,
}

#[derive(Module, Debug)]
pub struct T5Stem {
    words: Embedding,
}

impl T5Stem {
    /// `vocabulary` is that of the texts.
    ///
    /// # Errors
    /// For texts with more tokens than there are vectors for.
    pub fn new(config: &T5StemConfig, vocabulary: usize, init: &Init) -> Result<Self> {
        if vocabulary > config.vocabulary {
            let message = format!(
                "expected a tokenizer of at most {} tokens, found {vocabulary}; take the checkpoint's own",
                config.vocabulary
            );
            return Err(ModelError::config("stem.vocabulary", message));
        }
        Ok(Self {
            words: Embedding::new(config.vocabulary, config.width, &init.at("words")),
        })
    }

    pub fn width(&self) -> usize {
        self.words.table().dims()[1]
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>, mask: Tensor<2, Bool>) -> Tokens {
        Tokens::new(self.words.forward(tokens), mask, Layout::Sequence)
    }
}
