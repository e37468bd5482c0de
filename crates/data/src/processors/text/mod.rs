//! Texts: cleaned, cut, and turned into token identifiers by a tokenizer trained on the column.

mod clean;
mod config;
mod tokenizer;

pub use config::{Normalization, TextConfig, TokenizerConfig};

use super::Collated;
use crate::Result;
use tokenizer::Vocabulary;

/// The identifiers that every vocabulary begins with, in this order from zero.
pub const SPECIAL_TOKENS: [&str; 4] = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"];
/// Fills the end of shorter texts in a batch.
const PADDING: i32 = 0;
/// Stands for an empty text, which is valid.
const END: u32 = 3;

/// The longest token in characters, which bounds how much of a text can matter.
const MAX_TOKEN_CHARACTERS: usize = 32;

/// The settings and the trained tokenizer of a text input.
#[derive(Debug)]
pub struct TextProcessor {
    config: TextConfig,
    vocabulary: Vocabulary,
}

impl TextProcessor {
    /// Trains a tokenizer on `texts`; the same texts give the same bytes in every process.
    pub fn fit(config: &TextConfig, texts: &[&str]) -> Result<Self> {
        // Training reads texts whole: what is cut later may still hold a word of the vocabulary.
        let texts = texts
            .iter()
            .map(|text| clean::clean(text, config, usize::MAX))
            .collect();
        let vocabulary = Vocabulary::train(&config.tokenizer, texts)?;
        Ok(Self {
            config: config.clone(),
            vocabulary,
        })
    }

    /// Takes a tokenizer from its `tokenizer.json`.
    pub fn from_json(config: TextConfig, json: &str) -> Result<Self> {
        Ok(Self {
            config,
            vocabulary: Vocabulary::from_json(json)?,
        })
    }

    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// The number of token identifiers.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.size()
    }

    /// The tokenizer in the format of Hugging Face's `tokenizer.json`.
    pub fn tokenizer_json(&self) -> &str {
        self.vocabulary.json()
    }

    /// The token identifiers of a text, at least one and at most `max_length`.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        // Cut before tokenising, which is the slow part. No token is longer, so a cut text still
        // fills `max_length`.
        let limit = (self.config.max_length + 1) * MAX_TOKEN_CHARACTERS;
        let mut tokens = self.vocabulary.encode(&clean::clean(text, &self.config, limit))?;
        tokens.truncate(self.config.max_length);
        if tokens.is_empty() {
            tokens.push(END);
        }
        Ok(tokens)
    }
}

/// Pads texts with zeros on the right to the longest of them.
pub fn collate<'a>(texts: impl ExactSizeIterator<Item = &'a [u32]> + Clone) -> Collated {
    let lengths: Vec<usize> = texts.clone().map(<[u32]>::len).collect();
    let shape = [lengths.len(), lengths.iter().copied().max().unwrap_or(0)];
    let mut tokens = vec![PADDING; shape[0] * shape[1]];
    for (row, text) in texts.enumerate() {
        for (target, &token) in tokens[row * shape[1]..].iter_mut().zip(text) {
            *target = token as i32;
        }
    }
    Collated::Text { shape, tokens, lengths }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["What colour is the circle?", "is the circle red", "the the the"];

    fn processor(tokenizer: TokenizerConfig, max_length: usize) -> TextProcessor {
        let config = TextConfig {
            tokenizer,
            max_length,
            ..TextConfig::default()
        };
        TextProcessor::fit(&config, &TEXTS).unwrap()
    }

    fn bpe() -> TokenizerConfig {
        TokenizerConfig::Bpe { vocabulary: 300 }
    }

    fn word() -> TokenizerConfig {
        TokenizerConfig::Word {
            vocabulary: 10_000,
            minimum_count: 1,
        }
    }

    #[test]
    fn words_are_numbered_by_count_then_alphabet() {
        let processor = processor(word(), 256);
        for (text, expected) in [
            ("the", vec![4]),
            ("  THE\tcircle\n", vec![4, 5]),
            ("circle is", vec![5, 6]),
            ("red?", vec![9, 7]),
            ("blue the", vec![1, 4]),
        ] {
            assert_eq!(processor.encode(text).unwrap(), expected, "{text}");
        }
        assert_eq!(processor.vocabulary(), 11);
    }

    #[test]
    fn a_text_without_content_is_the_end_token() {
        for processor in [processor(bpe(), 4), processor(word(), 4)] {
            for text in ["", " \n\t ", "\u{0}\u{7}", "\u{feff}"] {
                assert_eq!(processor.encode(text).unwrap(), [END], "{text:?}");
            }
        }
    }

    #[test]
    fn no_text_is_unknown_to_byte_level_tokens() {
        let processor = processor(bpe(), 256);
        for text in ["naïve café", "日本語のテキスト", "🙂🏳️‍🌈", "\u{10ffff}", "ẞ"] {
            let tokens = processor.encode(text).unwrap();
            assert!(tokens.iter().all(|&token| token > END), "{text}: {tokens:?}");
        }
    }

    #[test]
    fn the_names_of_special_tokens_are_text_like_any_other() {
        for tokenizer in [bpe(), word()] {
            let config = TextConfig {
                tokenizer,
                lowercase: false,
                ..TextConfig::default()
            };
            let processor = TextProcessor::fit(&config, &["a [PAD] b", "[PAD] [EOS]"]).unwrap();
            for name in SPECIAL_TOKENS {
                let tokens = processor.encode(&format!("a {name} b")).unwrap();
                assert!(
                    tokens.iter().all(|&token| token != 0 && token != END),
                    "{name}: {tokens:?}"
                );
                assert!(tokens.len() >= 5, "{name}: {tokens:?}");
            }
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        for processor in [processor(bpe(), 256), processor(word(), 256)] {
            for unit in ["the circle ", "a", "\u{301}", "\u{0}", "ﷺ", "! ", " "] {
                let text = unit.repeat(100_000 / unit.len() + 1);
                let tokens = processor.encode(&text).unwrap();
                assert!((1..=256).contains(&tokens.len()), "{unit:?}");
            }
        }
    }

    #[test]
    fn a_cut_before_tokenising_changes_no_token_that_is_kept() {
        let text = "the circle is the colour red? what ".repeat(200);
        for tokenizer in [bpe(), word()] {
            let all = processor(tokenizer.clone(), 4096).encode(&text).unwrap();
            let cut = processor(tokenizer, 16).encode(&text).unwrap();
            assert_eq!(cut, all[..16]);
        }
    }

    #[test]
    fn shorter_texts_are_padded_on_the_right() {
        let texts: [&[u32]; 3] = [&[5, 6], &[7], &[8, 9, 10]];
        assert_eq!(
            collate(texts.into_iter()),
            Collated::Text {
                shape: [3, 3],
                tokens: vec![5, 6, 0, 7, 0, 0, 8, 9, 10],
                lengths: vec![2, 1, 3],
            }
        );
        let empty = Collated::Text {
            shape: [0, 0],
            tokens: vec![],
            lengths: vec![],
        };
        assert_eq!(collate(std::iter::empty()), empty);
    }
}
