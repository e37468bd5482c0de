//! The settings of a tokenizer, as a recipe writes them.

use super::super::super::{in_bounds, invalid};
use super::{LARGEST_VOCABULARY, ranks};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The four special tokens and the 256 bytes.
const SMALLEST_BPE: usize = 260;
/// The four special tokens and one more.
const SMALLEST_VOCABULARY: usize = 5;
const LONGEST_PATTERN: usize = 4096;

/// How texts are cut into tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TokenizerConfig {
    /// Byte-level byte-pair encoding (Sennrich et al. 2016; Radford et al. 2019): no text is
    /// unknown.
    Bpe {
        /// The largest number of tokens, of which 4 are special and 256 are bytes; pairs seen once
        /// are not merged.
        #[serde(default = "default_subword_vocabulary")]
        #[schemars(range(min = 260, max = 1_000_000))]
        vocabulary: usize,
    },
    /// Whole words and punctuation marks; other words are unknown.
    Word {
        /// The largest number of tokens, of which 4 are special; the most frequent words are kept.
        #[serde(default = "default_vocabulary")]
        #[schemars(range(min = 5, max = 1_000_000))]
        vocabulary: usize,
        /// How often a word must occur in the training texts.
        #[serde(default = "default_minimum_count")]
        minimum_count: u64,
    },
    /// Pieces of words, those behind the first marked by `##` (Schuster and Nakajima 2012; Devlin et al. 2019); words
    /// with other characters are unknown.
    WordPiece {
        /// The largest number of tokens, of which 4 are special; pairs seen once are not merged.
        #[serde(default = "default_subword_vocabulary")]
        #[schemars(range(min = 5, max = 1_000_000))]
        vocabulary: usize,
    },
    /// The most probable pieces under a unigram language model (Kudo 2018); other characters are unknown.
    Unigram {
        /// The largest number of tokens, of which 4 are special.
        #[serde(default = "default_subword_vocabulary")]
        #[schemars(range(min = 5, max = 1_000_000))]
        vocabulary: usize,
    },
    /// Single characters; other characters are unknown.
    Character {
        /// The largest number of tokens, of which 4 are special; the most frequent characters are kept.
        #[serde(default = "default_vocabulary")]
        #[schemars(range(min = 5, max = 1_000_000))]
        vocabulary: usize,
        /// How often a character must occur in the training texts.
        #[serde(default = "default_minimum_count")]
        minimum_count: u64,
    },
    /// The 256 bytes of UTF-8 behind 4 special tokens: no text is unknown, and nothing is trained.
    Byte,
    /// A public vocabulary in Hugging Face's format, with its own cleaning and its own special tokens.
    File {
        /// The path of a `tokenizer.json`, relative to the recipe.
        path: String,
    },
    /// A public vocabulary of byte ranks in tiktoken's format.
    Tiktoken {
        /// The path of a `.tiktoken` file, relative to the recipe.
        path: String,
        /// How texts are cut into words: `gpt2`, `cl100k_base`, `o200k_base`, or a regular expression; what that does
        /// not match is left out.
        pattern: String,
        /// The identifiers of special tokens by their names.
        #[serde(default)]
        special: BTreeMap<String, u32>,
    },
}

impl Default for TokenizerConfig {
    fn default() -> Self {
        Self::Bpe {
            vocabulary: default_subword_vocabulary(),
        }
    }
}

fn default_subword_vocabulary() -> usize {
    8000
}

fn default_vocabulary() -> usize {
    10_000
}

fn default_minimum_count() -> u64 {
    1
}

impl TokenizerConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        let size = |vocabulary, smallest| in_bounds("tokenizer.vocabulary", vocabulary, smallest..=LARGEST_VOCABULARY);
        match self {
            Self::Bpe { vocabulary } => size(*vocabulary, SMALLEST_BPE),
            Self::Word { vocabulary, .. }
            | Self::WordPiece { vocabulary }
            | Self::Unigram { vocabulary }
            | Self::Character { vocabulary, .. } => size(*vocabulary, SMALLEST_VOCABULARY),
            Self::Byte => Ok(()),
            Self::File { path } => named(path),
            Self::Tiktoken { path, pattern, special } => {
                named(path)?;
                in_bounds("tokenizer.pattern", pattern.len(), 1..=LONGEST_PATTERN)?;
                ranks::compile(pattern).map_err(|error| error.in_field("tokenizer.pattern"))?;
                let largest = special.values().copied().max().unwrap_or(0);
                in_bounds("tokenizer.special", largest as usize, 0..=LARGEST_VOCABULARY - 1)
            }
        }
    }

    /// Whether the vocabulary was made elsewhere, together with rules of its own for cleaning.
    pub fn is_public(&self) -> bool {
        self.path().is_some()
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            Self::File { path } | Self::Tiktoken { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Makes the path of a public vocabulary relative to `folder`.
    pub fn resolve(&mut self, folder: &Path) {
        if let Self::File { path } | Self::Tiktoken { path, .. } = self {
            let place = folder.join(&path);
            *path = place.canonicalize().unwrap_or(place).to_string_lossy().into_owned();
        }
    }

    /// The same settings without the folder that a public vocabulary was read from.
    pub fn without_folder(&self) -> Self {
        let mut config = self.clone();
        if let Self::File { path } | Self::Tiktoken { path, .. } = &mut config
            && let Some(name) = Path::new(path).file_name()
        {
            *path = name.to_string_lossy().into_owned();
        }
        config
    }
}

fn named(path: &str) -> Result<()> {
    match path.is_empty() {
        true => Err(invalid("expected the path of a vocabulary, found none; name a file").in_field("tokenizer.path")),
        false => Ok(()),
    }
}
