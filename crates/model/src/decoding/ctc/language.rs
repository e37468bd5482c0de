//! An n-gram model as the language model of a search: characters as they come, words where they end.

use super::scorer::{Score, Scorer};
use crate::decoding::ngram::{NgramModel, State, UNKNOWN, Unit};
use std::collections::HashMap;
use std::sync::Arc;

/// No word has begun.
const BETWEEN: u32 = 0;
/// The beginning of no word that the model has.
const OUTSIDE: u32 = u32::MAX;

/// Scores the text that tokens stand for.
///
/// A model of characters scores each character; a model of words scores a word when white space or the end of the text
/// follows it.
#[derive(Debug, Clone)]
pub struct NgramScorer {
    model: Arc<NgramModel>,
    /// The text of each class: characters, and their units in a model of characters.
    texts: Vec<Vec<(char, u32)>>,
    words: Beginnings,
}

/// The model's state behind the last whole unit, and the word that has begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    state: State,
    word: u32,
}

impl NgramScorer {
    /// A scorer for classes whose texts are `texts`, as they stand in the decoded text: with spaces between words where
    /// there are some, and nothing for the blank. A class beyond them has no text.
    pub fn new(model: Arc<NgramModel>, texts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let words = match model.unit() {
            Unit::Word => Beginnings::new(&model),
            Unit::Character => Beginnings::default(),
        };
        let unit = |character| (character, model.vocabulary().character(character));
        let texts = texts.into_iter().map(|text| text.as_ref().chars().map(unit).collect());
        Self {
            texts: texts.collect(),
            model,
            words,
        }
    }

    fn add(&self, unit: u32, score: &mut Score, reading: &mut Reading) {
        let (log_probability, state) = self.model.score(reading.state, unit);
        score.log_probability += log_probability;
        score.insertions += 1;
        *reading = Reading { state, word: BETWEEN };
    }

    fn end_word(&self, score: &mut Score, reading: &mut Reading) {
        if reading.word != BETWEEN {
            self.add(self.words.word(reading.word), score, reading);
        }
    }
}

impl Scorer for NgramScorer {
    type State = Reading;

    fn begin(&self) -> Reading {
        Reading {
            state: self.model.begin(),
            word: BETWEEN,
        }
    }

    fn extend(&self, mut reading: Reading, token: u32) -> (Score, Reading) {
        let mut score = Score::default();
        let text = self.texts.get(token as usize).map_or(&[][..], Vec::as_slice);
        for &(character, unit) in text {
            match self.model.unit() {
                Unit::Character => self.add(unit, &mut score, &mut reading),
                Unit::Word if character.is_whitespace() => self.end_word(&mut score, &mut reading),
                Unit::Word => reading.word = self.words.next(reading.word, character),
            }
        }
        (score, reading)
    }

    fn end(&self, mut reading: Reading) -> Score {
        let mut score = Score::default();
        self.end_word(&mut score, &mut reading);
        score.log_probability += self.model.end(reading.state);
        score
    }
}

/// The beginnings of a model's words, numbered from [`BETWEEN`], the empty one.
#[derive(Debug, Clone, Default)]
struct Beginnings {
    longer: HashMap<(u32, char), u32>,
    /// The word that each beginning is, or [`UNKNOWN`].
    words: Vec<u32>,
}

impl Beginnings {
    fn new(model: &NgramModel) -> Self {
        let mut beginnings = Self {
            longer: HashMap::new(),
            words: vec![UNKNOWN],
        };
        // The first three are no words of a text.
        for (word, name) in model.vocabulary().tokens().iter().enumerate().skip(3) {
            let mut at = BETWEEN;
            for character in name.chars() {
                let next = beginnings.words.len() as u32;
                at = *beginnings.longer.entry((at, character)).or_insert(next);
                if at == next {
                    beginnings.words.push(UNKNOWN);
                }
            }
            beginnings.words[at as usize] = word as u32;
        }
        beginnings
    }

    fn next(&self, beginning: u32, character: char) -> u32 {
        self.longer.get(&(beginning, character)).copied().unwrap_or(OUTSIDE)
    }

    fn word(&self, beginning: u32) -> u32 {
        self.words.get(beginning as usize).copied().unwrap_or(UNKNOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decoding::ngram::NgramConfig;

    /// Tokens must score what the model says of the text that they make.
    fn check(unit: Unit, tokens: &[u32], text: &str, insertions: u32) {
        let config = NgramConfig {
            unit,
            ..NgramConfig::default()
        };
        let model = NgramModel::train(&config, ["the sea the tree", "a sea", "the the a"]).unwrap();
        let expected = model.evaluate([text]).log_probability;
        let scorer = NgramScorer::new(Arc::new(model), ["", "t", "he", " ", "sea", " tr", "ee"]);
        let mut reading = scorer.begin();
        let (mut found, mut counted) = (0.0, 0);
        for &token in tokens {
            let (score, next) = scorer.extend(reading, token);
            found += f64::from(score.log_probability);
            counted += score.insertions;
            reading = next;
        }
        let end = scorer.end(reading);
        found += f64::from(end.log_probability);
        assert!((found - expected).abs() < 1e-5, "{text}: {found} is not {expected}");
        assert_eq!(counted + end.insertions, insertions);
    }

    #[test]
    fn tokens_score_what_their_text_does() {
        check(Unit::Word, &[1, 2, 3, 4], "the sea", 2);
        check(Unit::Word, &[1, 2, 5, 6, 3], "the tree ", 2);
        check(Unit::Word, &[3, 3, 4, 4], "  seasea", 1);
        check(Unit::Word, &[1, 3, 2, 9], "t he", 2);
        check(Unit::Word, &[], "", 0);
        check(Unit::Character, &[1, 2, 5, 6], "the tree", 8);
        check(Unit::Character, &[], "", 0);
    }
}
