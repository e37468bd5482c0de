//! What is set around questions and answers, as a chat template does it.

use super::super::invalid;
use super::fit::{Part, Parts};
use super::tokenizer::Vocabulary;
use crate::Result;
use serde::{Deserialize, Serialize};

/// Special tokens, by their names, and words around questions and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateConfig {
    /// The special token in front of all, where there is one; only where the vocabulary sets nothing in front of texts by itself.
    pub begin: String,
    /// Words behind that, in front of the first question.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
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
    /// What stands in front of each medium, wherever it is, and behind it; `{number}` counts them.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub around_each: [String; 2],
    /// The names of special tokens that are meant where these words hold them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<String>,
    /// Whether no space stands between the one who asks, or answers, and the words.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_tight: bool,
    /// Whether it is set around lists of turns alone, since a text is all that is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lists_only: bool,
}

fn is_nothing(around: &[String; 2]) -> bool {
    around.iter().all(String::is_empty)
}

/// The same with its tokens found.
#[derive(Debug)]
pub struct Template {
    pub begin: Vec<u32>,
    pub end: Option<u32>,
    /// Its words.
    pub config: TemplateConfig,
    /// Special tokens that are meant where its words hold their names.
    special: Vec<(String, u32)>,
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
        let special = config.special.iter().map(|name| Ok((name.clone(), special(name)?)));
        let mut template = Self {
            length: 0,
            begin: begin.into_iter().collect(),
            end: named(&config.end)?,
            config: config.clone(),
            special: special.collect::<Result<_>>()?,
        };
        let mut around = Parts::default();
        around.tokens(&template.begin);
        template.words(&mut around, &config.system);
        around.tokens(template.end.as_slice());
        template.words(&mut around, &config.answers);
        let counts = around.0.iter().map(|part| match part {
            Part::Text(text) => vocabulary.encode(text).map(|tokens| tokens.len()),
            Part::Token(_) => Ok(1),
        });
        template.length = counts.sum::<Result<usize>>()?;
        Ok(template)
    }

    /// The tokens that are set around every text, but for those of the one who asks.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The white space in front of the next question.
    pub fn gap(&self) -> &str {
        let answers = &self.config.answers;
        &answers[..answers.len() - answers.trim_start().len()]
    }

    /// What stands between the one who asks, or answers, and the words.
    pub fn space(&self) -> &str {
        if self.config.is_tight { "" } else { " " }
    }

    /// Adds words of the template, special tokens in the places of their names.
    pub fn words(&self, parts: &mut Parts, mut words: &str) {
        let first = |words: &str| {
            let places = self.special.iter();
            let places = places.filter_map(|(name, token)| Some((words.find(name)?, name.len(), *token)));
            places.min()
        };
        while let Some((place, length, token)) = first(words) {
            parts.text(&words[..place]);
            parts.tokens(&[token]);
            words = &words[place + length..];
        }
        parts.text(words);
    }

    /// Adds the medium number `number`, from 1 on, which has the place of `token`.
    pub fn medium(&self, parts: &mut Parts, token: u32, number: usize) {
        let [before, behind] = &self.config.around_each;
        let numbered = |words: &str| words.replace("{number}", &number.to_string());
        self.words(parts, &numbered(before));
        parts.tokens(&[token]);
        self.words(parts, &numbered(behind));
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
    fn words_hold_special_tokens_and_media_are_counted() {
        let config = TextConfig {
            tokenizer: TokenizerConfig::File {
                path: "tokenizer.json".into(),
            },
            max_length: 40,
            placeholder: Some("<i>".into()),
            template: Some(TemplateConfig {
                system: "<b>a<e>".into(),
                asks: "<b>You: ".into(),
                end: "<e>".into(),
                answers: " <b>Me:".into(),
                around_each: ["b{number} <b>".into(), "<e>b ".into()],
                special: ["<b>", "<e>"].map(String::from).to_vec(),
                is_tight: true,
                ..TemplateConfig::default()
            }),
            ..TextConfig::default()
        };
        let processor =
            TextProcessor::from_text(config, TOKENIZER.replace("\"b\": 4", "\"b\": 4, \"b1\": 5, \"b2\": 6")).unwrap();
        let two = super::super::Shown {
            pictures: Some(2),
            ..super::super::Shown::default()
        };
        let expected = [7, 3, 8, 7, 1, 5, 7, 9, 8, 4, 6, 7, 9, 8, 4, 3, 8, 7, 2];
        assert_eq!(processor.encode("a", &two).unwrap(), expected);
        let named = processor.encode("<i>a <i>", &two).unwrap();
        assert_eq!(named, [7, 3, 8, 7, 1, 5, 7, 9, 8, 4, 3, 6, 7, 9, 8, 4, 8, 7, 2]);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let error = processor("<s>", 20).unwrap_err().to_string();
        assert!(error.contains("the token `<s>`, found one without"), "{error}");
    }
}
