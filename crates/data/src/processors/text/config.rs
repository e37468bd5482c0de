//! The settings of a text input, as a recipe writes them.

use super::super::in_bounds;
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The four special tokens and the 256 bytes.
const SMALLEST_BPE: usize = 260;
/// The four special tokens and one word.
const SMALLEST_WORD: usize = 5;
const LARGEST_VOCABULARY: usize = 1_000_000;
const LARGEST_MAX_LENGTH: usize = 65_536;

/// How texts are read: normalised, cleaned of control characters, their white space collapsed, then
/// tokenised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TextConfig {
    /// How texts are cut into tokens; trained on the column's training texts.
    pub tokenizer: TokenizerConfig,
    /// The number of tokens after which a text is cut.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_length: usize,
    /// Whether capital letters become small ones.
    pub lowercase: bool,
    /// How different ways to write the same character become one.
    pub normalization: Normalization,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            tokenizer: TokenizerConfig::default(),
            max_length: 256,
            lowercase: true,
            normalization: Normalization::default(),
        }
    }
}

impl TextConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        in_bounds("max_length", self.max_length, 1..=LARGEST_MAX_LENGTH)?;
        let (vocabulary, smallest) = match self.tokenizer {
            TokenizerConfig::Bpe { vocabulary } => (vocabulary, SMALLEST_BPE),
            TokenizerConfig::Word { vocabulary, .. } => (vocabulary, SMALLEST_WORD),
        };
        in_bounds("tokenizer.vocabulary", vocabulary, smallest..=LARGEST_VOCABULARY)
    }
}

/// The Unicode normal form (UAX #15) that texts are brought to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Composes accents, and makes compatible forms such as full-width letters and ligatures plain.
    #[default]
    Nfkc,
    /// Composes accents only.
    Nfc,
}

/// How texts are cut into tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TokenizerConfig {
    /// Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019): no text is
    /// unknown.
    Bpe {
        /// The largest number of tokens, of which 4 are special and 256 are bytes; pairs seen once
        /// are not merged.
        #[serde(default = "default_bpe_vocabulary")]
        #[schemars(range(min = 260, max = 1_000_000))]
        vocabulary: usize,
    },
    /// Whole words and punctuation marks; other words are unknown.
    Word {
        /// The largest number of tokens, of which 4 are special; the most frequent words are kept.
        #[serde(default = "default_word_vocabulary")]
        #[schemars(range(min = 5, max = 1_000_000))]
        vocabulary: usize,
        /// How often a word must occur in the training texts.
        #[serde(default = "default_minimum_count")]
        minimum_count: u64,
    },
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self::Bpe {
            vocabulary: default_bpe_vocabulary(),
        }
    }
}

fn default_bpe_vocabulary() -> usize {
    8000
}

fn default_word_vocabulary() -> usize {
    10_000
}

fn default_minimum_count() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(written: serde_json::Value, expected: TextConfig) {
        let config: TextConfig = serde_json::from_value(written).unwrap();
        assert_eq!(config, expected);
        assert!(config.validate().is_ok());
        let stored = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<TextConfig>(stored).unwrap(), expected);
    }

    #[test]
    fn a_configuration_reads_as_recipes_write_it() {
        let with = |tokenizer| TextConfig {
            tokenizer,
            ..TextConfig::default()
        };
        check(json!({}), with(TokenizerConfig::Bpe { vocabulary: 8000 }));
        check(
            json!({"tokenizer": {"kind": "bpe", "vocabulary": 1000}}),
            with(TokenizerConfig::Bpe { vocabulary: 1000 }),
        );
        check(
            json!({"tokenizer": {"kind": "word"}}),
            with(TokenizerConfig::Word {
                vocabulary: 10_000,
                minimum_count: 1,
            }),
        );
        check(
            json!({"max_length": 9, "lowercase": false, "normalization": "nfc"}),
            TextConfig {
                max_length: 9,
                lowercase: false,
                normalization: Normalization::Nfc,
                ..TextConfig::default()
            },
        );
    }

    #[test]
    fn a_vocabulary_out_of_bounds_is_invalid() {
        for (tokenizer, words) in [
            (
                TokenizerConfig::Bpe { vocabulary: 259 },
                "from 260 to 1000000, found 259",
            ),
            (
                TokenizerConfig::Word {
                    vocabulary: 4,
                    minimum_count: 1,
                },
                "from 5 to 1000000, found 4",
            ),
        ] {
            let error = TextConfig {
                tokenizer,
                ..TextConfig::default()
            }
            .validate()
            .unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
