//! Texts: cleaned, turned into token identifiers, and cut.

mod augment;
mod clean;
mod config;
mod cut;
mod dialogue;
mod fit;
mod processor;
mod prompt;
mod public;
mod shown;
mod template;
mod tokenizer;

pub use augment::TextAugment;
pub use config::{Normalization, Segment, TextConfig, Truncate};
pub use dialogue::DialogueConfig;
pub use shown::{Shown, VideoWords};
pub use template::TemplateConfig;
pub use tokenizer::{Letters, SpecialTokens, TokenizerConfig};

use super::{Collated, invalid};
use crate::random::Key;
use crate::{Result, Value};
use dialogue::Turn;
use prompt::Prompts;
use std::borrow::Cow;
use tokenizer::Vocabulary;

/// The identifiers that every vocabulary trained here begins with, in this order from zero.
pub const SPECIAL_TOKENS: [&str; 4] = ["[PAD]", "[UNK]", "[BOS]", "[EOS]"];

/// The settings and the fitted tokenizer of a text input.
#[derive(Debug)]
pub struct TextProcessor {
    config: TextConfig,
    vocabulary: Vocabulary,
    /// How texts ask about other media.
    prompts: Option<Prompts>,
    /// The tokens that a text may have beside those that are set around it.
    room: usize,
}

impl TextProcessor {
    /// Trains a tokenizer on `texts`, or reads the one that the settings name; the same texts give the same bytes in
    /// every process.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for texts with nothing to learn from; for a public vocabulary what its
    /// file can give, with the path.
    pub fn fit(config: &TextConfig, texts: &[&str]) -> Result<Self> {
        // Training reads texts whole: what is cut later may still hold a word of the vocabulary.
        let cleaned = |text: &&str| clean::clean(&clean::without_markup(text, config), config);
        let texts = match config.tokenizer.is_public() {
            true => Vec::new(),
            false => texts.iter().map(cleaned).collect(),
        };
        let vocabulary = Vocabulary::fit(&config.tokenizer, texts)?;
        // The content is kept, not the place: a run can be moved, and its identity must not depend on folders.
        let tokenizer = config.tokenizer.without_folder();
        Self::new(
            TextConfig {
                tokenizer,
                ..config.clone()
            },
            vocabulary,
        )
    }

    /// Takes up a public vocabulary from the list of its tokens, see [`Processor::byte_level`].
    pub fn byte_level(config: &TextConfig, tokens: &[String]) -> Result<Self> {
        Self::public(config, tokenizer::byte_level(tokens)?)
    }

    /// Takes up a public vocabulary of letters, see [`Processor::letters`].
    pub fn letters(config: &TextConfig, letters: &Letters) -> Result<Self> {
        Self::public(config, tokenizer::letters(letters)?)
    }

    /// Takes up a public vocabulary from its settings and the content of its file.
    fn public(config: &TextConfig, (tokenizer, content): (TokenizerConfig, String)) -> Result<Self> {
        let config = TextConfig {
            tokenizer,
            ..config.clone()
        };
        config.validate()?;
        Self::from_text(config, content)
    }

    /// Takes up a tokenizer from the content of its file.
    pub fn from_text(config: TextConfig, content: String) -> Result<Self> {
        let vocabulary = Vocabulary::stored(&config.tokenizer, content)?;
        Self::new(config, vocabulary)
    }

    fn new(config: TextConfig, vocabulary: Vocabulary) -> Result<Self> {
        augment::check_vocabulary(&config.augment, vocabulary.special().unknown)?;
        let prompts = Prompts::new(&config, &vocabulary)?;
        let (before, behind) = vocabulary.frame();
        let around = before.len() + behind.len();
        let frame = around + prompts.as_ref().map_or(0, Prompts::length);
        match config.max_length.checked_sub(frame) {
            Some(1..) => Ok(Self {
                room: config.max_length - around,
                config,
                vocabulary,
                prompts,
            }),
            _ => Err(invalid(format!(
                "expected room for a text beside the {frame} tokens that the vocabulary sets around it, found {}; raise \
                 `max_length`",
                config.max_length
            ))
            .in_field("max_length")),
        }
    }

    /// The token in whose place a text has a frame of a video.
    pub fn frame_token(&self) -> Option<u32> {
        self.prompts.as_ref().map(|prompts| prompts.frame)
    }

    /// Whether texts ask about other media.
    pub fn asks(&self) -> bool {
        self.prompts.is_some()
    }

    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// One more than the largest token identifier.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.size()
    }

    pub fn special(&self) -> SpecialTokens {
        self.vocabulary.special()
    }

    /// The token of this name, special ones included.
    pub fn token(&self, name: &str) -> Option<u32> {
        self.vocabulary.token(name)
    }

    /// The tokens that are set before and behind each text.
    pub fn frame(&self) -> (&[u32], &[u32]) {
        self.vocabulary.frame()
    }

    /// The content of the tokenizer's file: Hugging Face's `tokenizer.json`, or tiktoken's lines.
    pub fn tokenizer_text(&self) -> &str {
        self.vocabulary.text()
    }

    /// The token identifiers of a text, at least one and at most `max_length`, which is about what is `shown`.
    pub fn encode(&self, text: &str, shown: &Shown) -> Result<Vec<u32>> {
        let Some(prompts) = &self.prompts else {
            let text = clean::without_markup(text, &self.config);
            return Ok(self.framed(self.tokens(&text, self.room)?));
        };
        self.prompt(prompts, vec![Turn::text(text.into())], false, shown)
    }

    /// The tokens of turns, or of a text, that ask about what is shown.
    fn prompt(&self, prompts: &Prompts, turns: Vec<Turn>, is_list: bool, shown: &Shown) -> Result<Vec<u32>> {
        let plain = |text: String| clean::without_markup(&text, &self.config).into_owned();
        let turns: Vec<Turn> = turns.into_iter().map(|turn| turn.map(plain)).collect();
        let within = (prompts.template(is_list), self.room);
        let tokens = prompts.tokens(&turns, shown, within, |part, limit| self.tokens(part, limit))?;
        Ok(self.framed(tokens))
    }

    /// The token identifiers of a dialogue: of its last turns as many as fit, and of the last one at least a part.
    pub fn encode_turns(&self, turns: &[Value], shown: &Shown) -> Result<Vec<u32>> {
        if let Some(prompts) = &self.prompts {
            let dialogue = &self.config.dialogue;
            let turns = match prompts.template(true) {
                Some(_) => dialogue.parted(turns)?,
                None => dialogue.turns(turns)?.into_iter().map(Turn::text).collect(),
            };
            return self.prompt(prompts, turns, true, shown);
        }
        let (turns, separator) = (self.config.dialogue.turns(turns)?, &self.config.dialogue.separator);
        // Markup that one turn leaves open must not take the next one with it.
        let plain = |turn: String| clean::without_markup(&turn, &self.config).into_owned();
        let turns: Vec<String> = turns.into_iter().map(plain).collect();
        let mut first = turns.len().saturating_sub(1);
        let mut count = 0;
        while first > 0 {
            count += self
                .tokens(&format!("{separator}{}", turns[first]), self.room + 1)?
                .len();
            if count > self.room {
                break;
            }
            first -= 1;
        }
        // Turns that stand together may have a few tokens more than each by itself.
        let too_long = |first| -> Result<bool> {
            Ok(self.tokens(&turns[first..].join(separator), self.room + 1)?.len() > self.room)
        };
        while first + 1 < turns.len() && too_long(first)? {
            first += 1;
        }
        let tokens = self.tokens(&turns[first..].join(separator), self.room)?;
        Ok(self.framed(tokens))
    }

    /// At most `limit` tokens of a text without markup, and without those that are set around it.
    fn tokens(&self, text: &str, limit: usize) -> Result<Vec<u32>> {
        cut::tokens(text, self.config.truncate, limit, |part| {
            self.vocabulary.encode(&clean::clean(part, &self.config))
        })
    }

    fn framed(&self, tokens: Vec<u32>) -> Vec<u32> {
        let (before, behind) = self.vocabulary.frame();
        let framed = [before, &tokens, behind].concat();
        match framed.is_empty() {
            true => vec![self.nothing()],
            false => framed,
        }
    }

    /// What stands for an empty text, which is valid, because no sequence is empty.
    fn nothing(&self) -> u32 {
        self.special().end.unwrap_or(self.special().padding)
    }

    /// The configured changes of a text that [`encode`](Self::encode) or [`encode_turns`](Self::encode_turns) gave; one
    /// that none of them may change is lent back.
    pub fn augment<'a>(&self, tokens: &'a [u32], key: &Key) -> Cow<'a, [u32]> {
        let (before, behind) = self.vocabulary.frame();
        let body = &tokens[before.len()..tokens.len() - behind.len()];
        if self.config.augment.is_empty() || *tokens == [self.nothing()] {
            return Cow::Borrowed(tokens);
        }
        let body = augment::augment(&self.config.augment, body.to_vec(), self.special().unknown, key);
        Cow::Owned([before, &body, behind].concat())
    }

    /// The tokens of a text and nothing around them, cut to `max_length` unless `whole`.
    pub fn encode_alone(&self, text: &str, whole: bool) -> Result<Vec<u32>> {
        let text = clean::without_markup(text, &self.config);
        match whole {
            true => self.vocabulary.encode(&clean::clean(&text, &self.config)),
            false => self.tokens(&text, self.room),
        }
    }

    /// The text that tokens stand for, as far as they tell: cleaning and unknown tokens are not undone, and special
    /// tokens stand for nothing.
    pub fn decode(&self, tokens: &[u32]) -> String {
        self.vocabulary.decode(tokens)
    }
}

/// What a value adds to the texts that a tokenizer is trained on; nothing where it is no text and no dialogue.
pub fn training_text<'a>(config: &TextConfig, value: &'a Value) -> Option<Cow<'a, str>> {
    match value {
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::List(turns) => Some(
            config
                .dialogue
                .turns(turns)
                .ok()?
                .join(&config.dialogue.separator)
                .into(),
        ),
        _ => None,
    }
}

/// Pads texts on the right to the longest of them.
pub fn collate<'a>(texts: impl ExactSizeIterator<Item = &'a [u32]> + Clone, padding: u32) -> Collated {
    let lengths: Vec<usize> = texts.clone().map(<[u32]>::len).collect();
    let shape = [lengths.len(), lengths.iter().copied().max().unwrap_or(0)];
    let mut tokens = vec![padding as i32; shape[0] * shape[1]];
    for (row, text) in texts.enumerate() {
        for (target, &token) in tokens[row * shape[1]..].iter_mut().zip(text) {
            *target = token as i32;
        }
    }
    Collated::Text { shape, tokens, lengths }
}

#[cfg(test)]
mod tests;
