//! A vector for each token of a text and one for its place, as CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023) add
//! them.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::Embedding;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Vectors for tokens and for their places, added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClipStemConfig {
    /// One more than the largest token identifier that there is a vector for.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub vocabulary: usize,
    /// The most tokens of a text.
    #[schemars(range(min = 1, max = 65_536))]
    pub places: usize,
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// What fills every text up to all places, as if it were a part of it; by default nothing does.
    #[serde(default)]
    pub filling: Option<u32>,
}

impl ClipStemConfig {
    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        let rows = (self.vocabulary as u128).saturating_add(self.places as u128);
        rows.saturating_mul(self.width as u128)
    }
}

#[derive(Module, Debug)]
pub struct ClipStem {
    words: Embedding,
    places: Embedding,
    #[module(skip)]
    filling: Option<u32>,
}

impl ClipStem {
    /// `vocabulary` and `max_length` are those of the texts.
    ///
    /// # Errors
    /// For texts with more tokens, or longer ones, than there are vectors for.
    pub fn new(config: &ClipStemConfig, [vocabulary, max_length]: [usize; 2], init: &Init) -> Result<Self> {
        let filling = config.filling.map_or(0, |token| token as usize + 1);
        if vocabulary.max(filling) > config.vocabulary {
            let message = format!(
                "expected a tokenizer of at most {} tokens, found {}; take the checkpoint's own",
                config.vocabulary,
                vocabulary.max(filling)
            );
            return Err(ModelError::config("stem.vocabulary", message));
        }
        if max_length > config.places {
            let most = config.places;
            let message = format!("expected texts of at most {most} tokens, found {max_length}; lower `max_length`");
            return Err(ModelError::config("max_length", message));
        }
        let table = |name: &str, count: usize| Embedding::new(count, config.width, &init.at(name));
        Ok(Self {
            words: table("words", config.vocabulary),
            places: table("places", config.places),
            filling: config.filling,
        })
    }

    pub fn width(&self) -> usize {
        self.words.table().dims()[1]
    }

    /// The most tokens of a text.
    pub fn places(&self) -> usize {
        self.places.table().dims()[0]
    }

    /// [batch, length] → [batch, length, width]; where texts are filled up, all places long and all of them real.
    pub fn forward(&self, tokens: Tensor<2, Int>, mask: Tensor<2, Bool>) -> Tokens {
        let (tokens, mask) = match self.filling {
            Some(filling) => self.fill(tokens, mask, filling),
            None => (tokens, mask),
        };
        let [_, length] = tokens.dims();
        let places = self.places.table().narrow(0, 0, length);
        let x = self.words.forward(tokens) + places.unsqueeze::<3>();
        Tokens::new(x, mask, Layout::Sequence)
    }

    fn fill(&self, tokens: Tensor<2, Int>, mask: Tensor<2, Bool>, filling: u32) -> (Tensor<2, Int>, Tensor<2, Bool>) {
        let ([batch, length], all) = (tokens.dims(), self.places());
        let real = Tensor::<2>::ones([batch, all], &mask.device()).bool();
        let tokens = tokens.mask_fill(mask.bool_not(), filling);
        if length == all {
            return (tokens, real);
        }
        let column = tokens.clone().narrow(1, 0, 1);
        let column = column.mask_fill(real.clone().narrow(1, 0, 1), filling);
        (Tensor::cat(vec![tokens, column.repeat_dim(1, all - length)], 1), real)
    }
}
