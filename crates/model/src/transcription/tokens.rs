//! The tokens by which a decoder of speech is told what to write, and by which it tells when (Radford et al. 2022).

use crate::error::{ModelError, Result};
use serde::{Deserialize, Serialize};

/// From one token of a time to the next, in seconds.
const STEP: f64 = 0.02;
/// The language of models that know no other, which have no token for it.
pub const ENGLISH: &str = "en";

/// The tokens of a vocabulary with a meaning of their own. Those between the end of a text and the first time are never
/// part of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeechTokens {
    /// Begins every text.
    pub start: u32,
    /// The codes of the languages, whose tokens follow `start` in this order; none of a model that knows only English.
    pub languages: Vec<String>,
    /// Asks for an English text of what is said.
    pub translate: u32,
    /// Asks for what is said.
    pub transcribe: u32,
    /// Begins what was said before.
    pub previous: u32,
    /// Stands for a recording in which nothing is said.
    pub no_speech: u32,
    /// Asks for a text without times.
    pub no_times: u32,
    /// The time 0; all tokens behind it are later times.
    pub first_time: u32,
    /// Never written: brackets, notes and other signs that are not spoken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed: Vec<u32>,
    /// Never written first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressed_first: Vec<u32>,
    /// The layers and heads of attention that look at what is being written down; none where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alignment: Vec<[usize; 2]>,
}

/// What is written of a recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Purpose {
    /// What is said, in its own language.
    #[default]
    Transcribe,
    /// What is said, in English.
    Translate,
}

impl SpeechTokens {
    /// The codes of the languages that are known.
    pub fn codes(&self) -> Vec<&str> {
        match self.languages.is_empty() {
            true => vec![ENGLISH],
            false => self.languages.iter().map(String::as_str).collect(),
        }
    }

    /// The token of a language; none of a model that knows only English.
    ///
    /// # Errors
    /// For a language that the model does not know, with those that it does.
    pub fn language(&self, code: &str) -> Result<Option<u32>> {
        if self.languages.is_empty() && code == ENGLISH {
            return Ok(None);
        }
        let place = self.languages.iter().position(|known| known == code);
        let unknown = || {
            let known = self.codes().join(", ");
            ModelError::config(
                "language",
                format!("`{code}` is not known to this model; it knows {known}"),
            )
        };
        place
            .map(|place| Some(self.start + 1 + place as u32))
            .ok_or_else(unknown)
    }

    /// The most probable language by the `logits` [vocabulary] behind `start`: its token and its code.
    pub fn detect(&self, logits: &[f32]) -> (Option<u32>, &str) {
        let first = self.start as usize + 1;
        let spoken = &logits[first..first + self.languages.len()];
        match (0..spoken.len()).max_by(|&a, &b| spoken[a].total_cmp(&spoken[b])) {
            Some(place) => (Some((first + place) as u32), &self.languages[place]),
            None => (None, ENGLISH),
        }
    }

    /// What follows `start` before the text: the language and the task, of a model that knows several.
    pub fn command(&self, language: Option<u32>, purpose: Purpose) -> Vec<u32> {
        let task = match purpose {
            Purpose::Transcribe => self.transcribe,
            Purpose::Translate => self.translate,
        };
        language.map_or(Vec::new(), |language| vec![language, task])
    }

    /// What stands before a text of what is said, without times.
    pub fn opening(&self, language: Option<u32>) -> Vec<u32> {
        let command = self.command(language, Purpose::Transcribe);
        [&[self.start], &command[..], &[self.no_times]].concat()
    }

    pub fn is_time(&self, token: u32) -> bool {
        token >= self.first_time
    }

    /// The seconds that a token of a time stands for.
    pub fn seconds(&self, time: u32) -> f64 {
        f64::from(time - self.first_time) * STEP
    }

    /// The last token of a time up to `seconds`.
    pub fn time(&self, seconds: f64) -> u32 {
        self.first_time + (seconds / STEP) as u32
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Ten words, the end at 10, two languages, and times from 20 on.
    pub fn tokens() -> SpeechTokens {
        SpeechTokens {
            start: 11,
            languages: vec!["en".into(), "cs".into()],
            translate: 14,
            transcribe: 15,
            previous: 17,
            no_speech: 18,
            no_times: 19,
            first_time: 20,
            suppressed: vec![3],
            suppressed_first: vec![4, 10],
            alignment: Vec::new(),
        }
    }

    #[test]
    fn languages_have_the_tokens_behind_the_start() {
        let tokens = tokens();
        assert_eq!(tokens.language("cs").unwrap(), Some(13));
        let error = tokens.language("xx").unwrap_err().to_string();
        assert!(error.contains("`xx`") && error.contains("en, cs"), "{error}");
        let mut logits = vec![0.0; 30];
        (logits[13], logits[14]) = (1.0, 9.0);
        assert_eq!(tokens.detect(&logits), (Some(13), "cs"));
        assert_eq!(tokens.command(Some(13), Purpose::Translate), [13, 14]);
        assert_eq!(tokens.opening(Some(13)), [11, 13, 15, 19]);
    }

    #[test]
    fn a_model_of_english_is_told_nothing() {
        let english = SpeechTokens {
            languages: Vec::new(),
            ..tokens()
        };
        assert_eq!(english.language("en").unwrap(), None);
        assert!(english.language("cs").is_err());
        assert_eq!(english.detect(&[0.0; 30]), (None, "en"));
        assert!(english.command(None, Purpose::Transcribe).is_empty());
    }

    #[test]
    fn times_are_hundredths_of_a_second_in_twos() {
        let tokens = tokens();
        assert_eq!((tokens.seconds(20), tokens.seconds(70)), (0.0, 1.0));
        assert_eq!((tokens.time(1.0), tokens.time(1.019)), (70, 70));
    }
}
