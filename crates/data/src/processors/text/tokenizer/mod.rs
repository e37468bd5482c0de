//! How cleaned texts become token identifiers: vocabularies trained here, and public ones read from files.

mod byte_level;
mod config;
#[cfg(test)]
mod golden;
mod letters;
mod library;
mod limits;
mod ranks;
mod train;
mod unigram;
mod word_piece;

pub(super) use byte_level::byte_level;
pub use config::TokenizerConfig;
pub use letters::Letters;
pub(super) use letters::letters;

use super::super::read;
use crate::{DataError, ErrorKind, Result};
use library::LibraryTokenizer;
use ranks::RankTokenizer;
use std::path::Path;
use tokenizers::NormalizerWrapper;

/// The longest token that is trained, in characters.
const MAX_TOKEN_CHARACTERS: usize = 32;
/// One more than the largest token identifier, so that a file cannot ask for a table without bounds.
const LARGEST_VOCABULARY: usize = 1_000_000;

/// The tokens that are no part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Fills the end of shorter texts in a batch; what it is never matters, because lengths say what is real.
    pub padding: u32,
    pub unknown: Option<u32>,
    pub begin: Option<u32>,
    pub end: Option<u32>,
}

/// A fitted tokenizer.
#[derive(Debug)]
pub enum Vocabulary {
    Library(LibraryTokenizer),
    Ranks(RankTokenizer),
}

impl Vocabulary {
    /// Trains on cleaned texts, or reads the file that the settings name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when there is nothing in the texts to learn from; what reading a file and the file itself
    /// can give, with its path.
    pub fn fit(config: &TokenizerConfig, texts: Vec<String>) -> Result<Self> {
        match config.path() {
            Some(path) => {
                let path = Path::new(path);
                let text = text_of(path)?;
                Self::stored(config, text).map_err(|error| error.at_path(path))
            }
            None => train::train(config, texts).map(Self::Library),
        }
    }

    /// Takes up the content of a file: one that [`text`](Self::text) gave, or a public vocabulary's.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] when this is no such tokenizer, [`ErrorKind::Unsupported`] or [`ErrorKind::TooLarge`] when
    /// it goes beyond what is read here.
    pub fn stored(config: &TokenizerConfig, text: String) -> Result<Self> {
        match config {
            TokenizerConfig::File { .. } => LibraryTokenizer::public(text).map(Self::Library),
            TokenizerConfig::Tiktoken { pattern, special, .. } => {
                RankTokenizer::new(text, pattern, special).map(Self::Ranks)
            }
            _ => LibraryTokenizer::trained(&text).map(Self::Library),
        }
    }

    /// One more than the largest token identifier.
    pub fn size(&self) -> usize {
        match self {
            Self::Library(tokenizer) => tokenizer.size(),
            Self::Ranks(tokenizer) => tokenizer.size(),
        }
    }

    pub fn special(&self) -> SpecialTokens {
        match self {
            Self::Library(tokenizer) => tokenizer.special(),
            Self::Ranks(tokenizer) => tokenizer.special(),
        }
    }

    /// The token of this name, special ones included; none of tiktoken's.
    pub fn token(&self, name: &str) -> Option<u32> {
        match self {
            Self::Library(tokenizer) => tokenizer.token(name),
            Self::Ranks(_) => None,
        }
    }

    /// The tokens that a public vocabulary sets before and behind each text.
    pub fn frame(&self) -> (&[u32], &[u32]) {
        match self {
            Self::Library(tokenizer) => tokenizer.frame(),
            Self::Ranks(_) => (&[], &[]),
        }
    }

    /// The content of the file that stores this tokenizer.
    pub fn text(&self) -> &str {
        match self {
            Self::Library(tokenizer) => tokenizer.json(),
            Self::Ranks(tokenizer) => tokenizer.text(),
        }
    }

    /// The content of a `tokenizer.json` that leads texts through `steps` first and sets the begin in front of them; none of
    /// tiktoken's.
    pub fn standalone(&self, steps: Vec<NormalizerWrapper>) -> tokenizers::Result<Option<String>> {
        match self {
            Self::Library(tokenizer) => tokenizer.standalone(steps).map(Some),
            Self::Ranks(_) => Ok(None),
        }
    }

    /// The token identifiers of a cleaned text, without a frame.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        match self {
            Self::Library(tokenizer) => tokenizer.encode(text),
            Self::Ranks(tokenizer) => tokenizer.encode(text),
        }
    }

    /// The text that tokens stand for; special tokens and unknown identifiers stand for nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        match self {
            Self::Library(tokenizer) => tokenizer.decode(tokens),
            Self::Ranks(tokenizer) => tokenizer.decode(tokens),
        }
    }
}

/// The text of a vocabulary's file.
fn text_of(path: &Path) -> Result<String> {
    let bytes = read::read(path, "a tokenizer").map_err(|error| match error.kind {
        ErrorKind::Missing => {
            let message = "expected a tokenizer, found no such file; check the path, which is relative to the recipe";
            DataError::new(ErrorKind::Missing, message).at_path(path)
        }
        _ => error,
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to() as u64;
        damaged("bytes that are not UTF-8").at_path(path).at_offset(offset)
    })
}

fn damaged(found: &str) -> DataError {
    let message = format!("expected a tokenizer, found {found}; restore the file, or train again");
    DataError::new(ErrorKind::Damaged, message)
}

fn too_large(what: &str, limit: usize, found: usize) -> DataError {
    let message = format!("expected a tokenizer of at most {limit} {what}, found {found}; choose a smaller one");
    DataError::new(ErrorKind::TooLarge, message)
}
