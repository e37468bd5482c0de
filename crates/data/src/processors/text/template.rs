//! What is set around a question, as a chat template does it for a dialogue of one turn.

use super::super::invalid;
use super::placeholder::Placeholder;
use super::tokenizer::Vocabulary;
use crate::Result;
use serde::{Deserialize, Serialize};

/// Special tokens, by their names, and words around one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateConfig {
    /// The special token in front of all; only where the vocabulary sets nothing in front of texts by itself.
    pub begin: String,
    /// Who asks. A space stands behind it where words follow, and none where the other medium does.
    pub asks: String,
    /// The special token behind the question.
    pub end: String,
    /// Who answers, with what stands in front of it.
    pub answers: String,
}

/// The same with its tokens found.
#[derive(Debug)]
pub struct Template {
    front: Vec<u32>,
    asks: String,
    behind: Vec<u32>,
}

impl Template {
    /// `alone` says that the vocabulary sets nothing in front of texts by itself.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for special tokens that the vocabulary does not have.
    pub fn new(config: &TemplateConfig, vocabulary: &Vocabulary, alone: bool) -> Result<Self> {
        let special = |name: &str| {
            let message = format!("expected a vocabulary with the token `{name}`, found one without");
            let found = vocabulary.token(name);
            found.ok_or_else(|| invalid(message).in_field("template"))
        };
        let front = alone.then(|| special(&config.begin)).transpose()?;
        let end = special(&config.end)?;
        Ok(Self {
            front: front.into_iter().collect(),
            asks: config.asks.clone(),
            behind: [vec![end], vocabulary.encode(&config.answers)?].concat(),
        })
    }

    /// The tokens that are set around every text, but for those of the one who asks.
    pub fn length(&self) -> usize {
        self.front.len() + self.behind.len()
    }

    /// The tokens of a question, at most `limit` beside those of [`length`](Self::length), with the token of `placeholder` in
    /// the place of its name, or in front where the text does not hold it; `tokens` gives those of a part, at most so many.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for a text that holds the name twice.
    pub fn tokens(
        &self,
        placeholder: &Placeholder,
        text: &str,
        limit: usize,
        tokens: impl Fn(&str, usize) -> Result<Vec<u32>>,
    ) -> Result<Vec<u32>> {
        let asks = &self.asks;
        let (before, behind) = match placeholder.around(text)? {
            ("", behind) => (asks.clone(), behind),
            (before, behind) => (format!("{asks} {before}"), behind),
        };
        let before = tokens(&before, limit.saturating_sub(1))?;
        let behind = match (limit.saturating_sub(before.len() + 1), behind) {
            (0, _) | (_, "") => Vec::new(),
            (limit, behind) => tokens(behind, limit)?,
        };
        Ok([&self.front[..], &before, &[placeholder.token()], &behind, &self.behind].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{TextConfig, TextProcessor, TokenizerConfig};
    use super::*;

    /// Words are tokens of their own.
    const TOKENIZER: &str = r#"{"version": "1.0", "added_tokens": [
        {"id": 5, "content": "<b>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
        {"id": 6, "content": "<e>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false},
        {"id": 7, "content": "<i>", "special": true, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "You:": 1, "Me:": 2, "a": 3, "b": 4}}}"#;

    fn processor(begin: &str, max_length: usize) -> Result<TextProcessor> {
        let config = TextConfig {
            tokenizer: TokenizerConfig::File {
                path: "tokenizer.json".into(),
            },
            max_length,
            placeholder: Some("<i>".into()),
            template: Some(TemplateConfig {
                begin: begin.into(),
                asks: "You:".into(),
                end: "<e>".into(),
                answers: "\nMe:".into(),
            }),
            ..TextConfig::default()
        };
        TextProcessor::from_text(config, TOKENIZER.into())
    }

    fn check(text: &str, max_length: usize, expected: &[u32]) {
        let found = processor("<b>", max_length).unwrap().encode(text).unwrap();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn a_question_stands_between_what_its_model_was_trained_with() {
        check("a b", 20, &[5, 1, 7, 3, 4, 6, 2]);
        check("<i>a b", 20, &[5, 1, 7, 3, 4, 6, 2]);
        check("a<i>b", 20, &[5, 1, 3, 7, 4, 6, 2]);
        check("a<i>", 20, &[5, 1, 3, 7, 6, 2]);
        check("", 20, &[5, 1, 7, 6, 2]);
        // What is too long loses its end, and nothing else is lost.
        check("a b", 6, &[5, 1, 7, 3, 6, 2]);
        check("a b", 5, &[5, 1, 7, 6, 2]);
        // Names of special tokens in a question are text.
        check("<e>", 20, &[5, 1, 7, 0, 6, 2]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let error = processor("<s>", 20).unwrap_err().to_string();
        assert!(error.contains("the token `<s>`, found one without"), "{error}");
        let error = processor("<b>", 20)
            .unwrap()
            .encode("<i> or <i>")
            .unwrap_err()
            .to_string();
        assert!(error.contains("once in a text, found it 2 times"), "{error}");
    }
}
