//! What a processor of texts can do beside preparing them.

use super::super::{Fitted, Processor, invalid};
use super::tokenizer::{Letters, SpecialTokens};
use super::{TextConfig, TextProcessor};
use crate::Result;
use std::sync::Arc;

impl Processor {
    /// The token of this name in a text's vocabulary, special ones included; none for other modalities, and of tiktoken's.
    pub fn token(&self, name: &str) -> Option<u32> {
        match &self.fitted {
            Fitted::Text(text) => text.token(name),
            _ => None,
        }
    }

    /// A processor of texts by the list of tokens of a public vocabulary, written in the letters that GPT-2 has for bytes
    /// and in the order of their merges; those between `<|` and `|>` are special. The tokenizer of `config` is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for a list that lacks a byte or has a token twice, and what [`fit`](Self::fit) refuses.
    pub fn byte_level(config: &TextConfig, tokens: &[String]) -> Result<Self> {
        let text = TextProcessor::byte_level(config, tokens)?;
        Ok(Self {
            fitted: Fitted::Text(Arc::new(text)),
        })
    }

    /// A processor of texts by a public vocabulary of letters. The tokenizer of `config` is not looked at.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) for tokens that small letters do not tell apart, and what
    /// [`fit`](Self::fit) refuses.
    pub fn letters(config: &TextConfig, letters: &Letters) -> Result<Self> {
        let text = TextProcessor::letters(config, letters)?;
        Ok(Self {
            fitted: Fitted::Text(Arc::new(text)),
        })
    }

    /// The same processor of texts for at most `max_length` tokens.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for another processor, and for a length with no room for a text.
    pub fn of_length(&self, max_length: usize) -> Result<Self> {
        let Fitted::Text(text) = &self.fitted else {
            return Err(invalid("expected a processor of texts, found another"));
        };
        let config = TextConfig {
            max_length,
            ..text.config().clone()
        };
        config.validate()?;
        let text = TextProcessor::from_text(config, text.tokenizer_text().to_string())?;
        Ok(Self {
            fitted: Fitted::Text(Arc::new(text)),
        })
    }

    /// Whether texts ask about what else a row has: then [`prepare_about`](Self::prepare_about) has to know it.
    pub fn asks(&self) -> bool {
        matches!(&self.fitted, Fitted::Text(text) if text.asks())
    }

    /// The token in whose place such a text has a frame of a video, which is none of its vocabulary; none for other processors.
    pub fn frame_token(&self) -> Option<u32> {
        match &self.fitted {
            Fitted::Text(text) => text.frame_token(),
            _ => None,
        }
    }

    /// The tokens of a text's vocabulary that are no part of a text; none for other modalities.
    pub fn special_tokens(&self) -> Option<SpecialTokens> {
        match &self.fitted {
            Fitted::Text(text) => Some(text.special()),
            _ => None,
        }
    }

    /// The tokens that a text's vocabulary sets before and behind every text; none for other modalities.
    pub fn frame(&self) -> Option<(&[u32], &[u32])> {
        match &self.fitted {
            Fitted::Text(text) => Some(text.frame()),
            _ => None,
        }
    }

    /// The tokens of a text without those that its vocabulary sets around every text, and cut to `max_length` unless
    /// `whole`.
    pub fn text_tokens(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        match &self.fitted {
            Fitted::Text(processor) => processor.encode_alone(text, whole),
            _ => Err(invalid("expected a processor of texts, found another")),
        }
    }

    /// The text that tokens stand for, special ones left out; none for other modalities.
    pub fn decode(&self, tokens: &[u32]) -> Option<String> {
        match &self.fitted {
            Fitted::Text(text) => Some(text.decode(tokens)),
            _ => None,
        }
    }
}
