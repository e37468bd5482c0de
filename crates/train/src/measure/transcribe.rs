//! Transcripts: word and character errors, with a language model and without.

use super::{Measure, named, sum};
use crate::metrics::{EditCounts, Mean, Metrics, character_edits, plain_transcript, word_edits};
use crate::score::ScoredRow;
use std::ops::AddAssign;

/// Rows with a text each: those without a target are left out.
pub struct Heard(Vec<Option<Errors>>);

/// What is known of one row, or of the sum of several.
#[derive(Default)]
struct Errors {
    words: EditCounts,
    characters: EditCounts,
    unaided_words: EditCounts,
    unaided_characters: EditCounts,
    exact: Mean,
}

impl AddAssign<&Self> for Errors {
    fn add_assign(&mut self, other: &Self) {
        self.words += &other.words;
        self.characters += &other.characters;
        self.unaided_words += &other.unaided_words;
        self.unaided_characters += &other.unaided_characters;
        self.exact += &other.exact;
    }
}

impl Heard {
    pub fn new(output: &str, rows: &[ScoredRow]) -> Self {
        let errors = |row: &ScoredRow| {
            let spoken = plain_transcript(&row.targets.get(output)?.label()?);
            let heard = plain_transcript(row.answers[output].value.text()?);
            let unaided = plain_transcript(row.unaided.get(output)?);
            Some(Errors {
                words: word_edits(&spoken, &heard),
                characters: character_edits(&spoken, &heard),
                unaided_words: word_edits(&spoken, &unaided),
                unaided_characters: character_edits(&spoken, &unaided),
                exact: Mean::new(f64::from(spoken == heard)),
            })
        };
        Self(rows.iter().map(errors).collect())
    }
}

impl Measure for Heard {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let sum = sum(&self.0, weights);
        named([
            ("wer", sum.words.rate()),
            ("cer", sum.characters.rate()),
            ("wer_unaided", sum.unaided_words.rate()),
            ("cer_unaided", sum.unaided_characters.rate()),
            ("accuracy", sum.exact.value()),
        ])
    }
}
