//! What is set around questions and answers, as a chat template does it.

use super::super::invalid;
use super::tokenizer::Vocabulary;
use crate::Result;
use serde::{Deserialize, Serialize};

/// Special tokens, by their names, and words around questions and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateConfig {
    /// The special token in front of all, where there is one; only where the vocabulary sets nothing in front of texts by itself.
    pub begin: String,
    /// Who asks. A space stands behind it, but for pictures.
    pub asks: String,
    /// The special token behind a question and behind an answer, where there is one.
    pub end: String,
    /// Who answers, with what stands in front of it, which the white space in front of the next question is too.
    pub answers: String,
    /// What stands between the one who asks and a picture that the question begins with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before_picture: String,
    /// What stands behind each picture in front of a question.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub behind_picture: String,
    /// Whether it is set around lists of turns alone, since a text is all that is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lists_only: bool,
}

/// The same with its tokens found.
#[derive(Debug)]
pub struct Template {
    pub begin: Vec<u32>,
    pub asks: String,
    pub end: Option<u32>,
    pub answers: String,
    pub before_picture: String,
    pub behind_picture: String,
    pub lists_only: bool,
    length: usize,
}

impl Template {
    /// `alone` says that the vocabulary sets nothing in front of texts by itself.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for special tokens that the vocabulary does not have.
    pub fn new(config: &TemplateConfig, vocabulary: &Vocabulary, alone: bool) -> Result<Self> {
        let special = |name: &String| {
            let message = format!("expected a vocabulary with the token `{name}`, found one without");
            let found = vocabulary.token(name);
            found.ok_or_else(|| invalid(message).in_field("template"))
        };
        let named = |name: &String| (!name.is_empty()).then(|| special(name)).transpose();
        let begin = if alone { named(&config.begin)? } else { None };
        let end = named(&config.end)?;
        let around = usize::from(begin.is_some()) + usize::from(end.is_some());
        Ok(Self {
            length: around + vocabulary.encode(&config.answers)?.len(),
            begin: begin.into_iter().collect(),
            asks: config.asks.clone(),
            end,
            answers: config.answers.clone(),
            before_picture: config.before_picture.clone(),
            behind_picture: config.behind_picture.clone(),
            lists_only: config.lists_only,
        })
    }

    /// The tokens that are set around every text, but for those of the one who asks.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The white space in front of the next question.
    pub fn gap(&self) -> &str {
        &self.answers[..self.answers.len() - self.answers.trim_start().len()]
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
                ..TemplateConfig::default()
            }),
            ..TextConfig::default()
        };
        TextProcessor::from_text(config, TOKENIZER.into())
    }

    fn check(text: &str, max_length: usize, expected: &[u32]) {
        let found = processor("<b>", max_length).unwrap().plain(text).unwrap();
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
    }
}
