//! The settings of a text input, as a recipe writes them.

use super::super::{in_bounds, invalid};
use super::augment::{self, TextAugment};
use super::dialogue::DialogueConfig;
use super::shown::VideoWords;
use super::template::TemplateConfig;
use super::tokenizer::TokenizerConfig;
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LARGEST_MAX_LENGTH: usize = 65_536;

/// How texts are read: cleaned, brought to one form, tokenised and cut.
///
/// A public vocabulary (`file`, `tiktoken`) cleans texts by its own rules: for it, every step here is left out unless
/// it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TextConfig {
    /// How texts are cut into tokens; trained on the column's training texts, or read from a file.
    pub tokenizer: TokenizerConfig,
    /// The largest number of tokens of a text, those that a public vocabulary adds included.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_length: usize,
    /// What is cut off a text that is longer.
    pub truncate: Truncate,
    /// Whether texts are HTML: tags, comments, scripts and styles go, character references are decoded.
    pub html: bool,
    /// Whether capital letters become small ones; true unless the vocabulary is a public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lowercase: Option<bool>,
    /// How different ways to write the same character become one; `nfkc` unless the vocabulary is a public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Whether accents are taken off letters, as BERT's uncased models do: `é` becomes `e`.
    pub strip_accents: bool,
    /// Whether the punctuation marks of ASCII go, as SigLIP's texts have none.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub strip_punctuation: bool,
    /// Whether control characters and byte-order marks go; true unless the vocabulary is a public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_control: Option<bool>,
    /// Whether runs of white space become single spaces, with none at the ends; true unless the vocabulary is a public
    /// one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse_whitespace: Option<bool>,
    /// Whether a space stands before each text, as a public vocabulary may know its first words.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leading_space: bool,
    /// Where words are found in a language that is written without spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<Segment>,
    /// The name of the token that stands for a picture in a text, such as `<image>`: a special one of a public vocabulary,
    /// which stands in front of a text that does not hold its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub placeholder: Option<String>,
    /// What is set around a text with such a token, as a model was trained to be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub template: Option<TemplateConfig>,
    /// What stands for a video in such a text, and the words around its frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub video: Option<VideoWords>,
    /// How a list of turns becomes one text.
    pub dialogue: DialogueConfig,
    /// Random changes made to training inputs only, each at most once, in this order; the tokens that a public vocabulary
    /// sets around a text stay.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub augment: Vec<TextAugment>,
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            tokenizer: TokenizerConfig::default(),
            max_length: 256,
            truncate: Truncate::default(),
            html: false,
            lowercase: None,
            normalization: None,
            strip_accents: false,
            strip_punctuation: false,
            strip_control: None,
            collapse_whitespace: None,
            leading_space: false,
            segment: None,
            placeholder: None,
            template: None,
            video: None,
            dialogue: DialogueConfig::default(),
            augment: Vec::new(),
        }
    }
}

impl TextConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        in_bounds("max_length", self.max_length, 1..=LARGEST_MAX_LENGTH)?;
        self.dialogue.validate()?;
        augment::validate(&self.augment)?;
        if self.segment.is_some() && cfg!(not(feature = "chinese")) {
            let message = "expected no segmentation, because this program was built without the feature `chinese`; \
                           build it with that feature";
            return Err(invalid(message).in_field("segment"));
        }
        self.tokenizer.validate()
    }

    pub(super) fn lowercase(&self) -> bool {
        self.lowercase.unwrap_or(!self.tokenizer.is_public())
    }

    pub(super) fn strip_control(&self) -> bool {
        self.strip_control.unwrap_or(!self.tokenizer.is_public())
    }

    pub(super) fn collapse_whitespace(&self) -> bool {
        self.collapse_whitespace.unwrap_or(!self.tokenizer.is_public())
    }

    pub(super) fn normalization(&self) -> Normalization {
        self.normalization.unwrap_or(match self.tokenizer.is_public() {
            true => Normalization::None,
            false => Normalization::Nfkc,
        })
    }
}

/// The Unicode normal form (UAX #15) that texts are brought to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Composes accents, and makes compatible forms such as full-width letters and ligatures plain.
    Nfkc,
    /// Composes accents only.
    Nfc,
    /// Makes compatible forms plain, and sets accents behind their letters as characters of their own.
    Nfkd,
    /// Sets accents behind their letters as characters of their own.
    Nfd,
    /// Leaves every character as it was written.
    None,
}

/// What is cut off a text that has more tokens than `max_length`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truncate {
    /// The end: the first tokens are kept.
    #[default]
    End,
    /// The start: the last tokens are kept.
    Start,
    /// The middle: as many tokens of the start as of the end are kept.
    Middle,
}

/// Where words are found in a language that is written without spaces: a space is set between them, for tokenizers that
/// begin with words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    /// Chinese words of jieba's dictionary, and those that its hidden Markov model guesses, such as names.
    Chinese,
    /// Chinese words of jieba's dictionary alone; other characters stand by themselves.
    ChineseDictionary,
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
        check(json!({"tokenizer": {"kind": "byte"}}), with(TokenizerConfig::Byte));
        check(
            json!({"max_length": 9, "lowercase": false, "normalization": "nfc", "truncate": "middle", "html": true}),
            TextConfig {
                max_length: 9,
                lowercase: Some(false),
                normalization: Some(Normalization::Nfc),
                truncate: Truncate::Middle,
                html: true,
                ..TextConfig::default()
            },
        );
    }

    #[test]
    fn a_public_vocabulary_is_given_texts_as_they_are() {
        let config = |tokenizer: serde_json::Value| -> TextConfig {
            serde_json::from_value(json!({ "tokenizer": tokenizer })).unwrap()
        };
        let own = config(json!({"kind": "word_piece"}));
        assert!(own.lowercase() && own.strip_control() && own.collapse_whitespace());
        assert_eq!(own.normalization(), Normalization::Nfkc);
        let public = config(json!({"kind": "file", "path": "tokenizer.json"}));
        assert!(!public.lowercase() && !public.strip_control() && !public.collapse_whitespace());
        assert_eq!(public.normalization(), Normalization::None);
    }

    #[test]
    fn settings_out_of_bounds_are_invalid() {
        for (written, words) in [
            (
                json!({"tokenizer": {"kind": "bpe", "vocabulary": 259}}),
                "from 260 to 1000000, found 259",
            ),
            (
                json!({"tokenizer": {"kind": "word", "vocabulary": 4}}),
                "from 5 to 1000000, found 4",
            ),
            (
                json!({"tokenizer": {"kind": "unigram", "vocabulary": 4}}),
                "from 5 to 1000000, found 4",
            ),
            (json!({"tokenizer": {"kind": "file", "path": ""}}), "`tokenizer.path`"),
            (
                json!({"tokenizer": {"kind": "tiktoken", "path": "a", "pattern": "("}}),
                "`tokenizer.pattern`",
            ),
            (json!({"max_length": 65_537}), "`max_length`"),
            (json!({"dialogue": {"turn": "{query}"}}), "`dialogue.turn`"),
            (json!({"dialogue": {"turns": 0}}), "`dialogue.turns`"),
        ] {
            let config: TextConfig = serde_json::from_value(written).unwrap();
            let error = config.validate().unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
