//! Written texts: the measures of captions, of answers and of transcripts.

use super::{Measure, named, sum};
use crate::metrics::{
    BleuStatistics, BleuTokenizer, Cider, EditCounts, Likelihood, Mean, Metrics, caption_words, character_edits,
    meteor_exact, plain_transcript, rouge_l, word_edits,
};
use crate::score::ScoredRow;
use sensorium_data::Value;

/// Rows with one text or several references: those without a target are left out.
pub struct Written(Vec<Option<Statistics>>);

/// What is known of one row, or of the sum of several.
#[derive(Default)]
struct Statistics {
    bleu: BleuStatistics,
    cider: Mean,
    rouge: Mean,
    meteor: Mean,
    exact: Mean,
    words: EditCounts,
    characters: EditCounts,
    likelihood: Likelihood,
}

impl std::ops::AddAssign<&Self> for Statistics {
    fn add_assign(&mut self, other: &Self) {
        self.bleu += &other.bleu;
        self.cider += &other.cider;
        self.rouge += &other.rouge;
        self.meteor += &other.meteor;
        self.exact += &other.exact;
        self.words += &other.words;
        self.characters += &other.characters;
        self.likelihood += &other.likelihood;
    }
}

impl Written {
    pub fn new(output: &str, rows: &[ScoredRow]) -> Self {
        let references: Vec<Vec<String>> = rows.iter().map(|row| references(row, output)).collect();
        let plain: Vec<Vec<String>> = references
            .iter()
            .map(|texts| texts.iter().map(|text| caption_words(text)).collect())
            .collect();
        // The weights of words are those of the whole set, whatever rows are drawn of it.
        let cider = Cider::new(plain.iter().filter(|texts| !texts.is_empty()).map(Vec::as_slice));
        let row = |place: usize| {
            let (references, plain) = (&references[place], &plain[place]);
            (!references.is_empty()).then(|| Statistics::new(&rows[place], output, references, plain, &cider))
        };
        Self((0..rows.len()).map(row).collect())
    }
}

/// The texts that would have been right, in the order of the row.
fn references(row: &ScoredRow, output: &str) -> Vec<String> {
    match row.targets.get(output) {
        Some(Value::List(items)) => items.iter().filter_map(Value::label).collect(),
        Some(value) => value.label().into_iter().collect(),
        None => Vec::new(),
    }
}

impl Statistics {
    /// `plain` are the words of the references.
    fn new(row: &ScoredRow, output: &str, references: &[String], plain: &[String], cider: &Cider) -> Self {
        let written = row.answers[output].value.to_string();
        let words = caption_words(&written);
        // As `sacrebleu -lc` has it: what is learnt here is mostly written in small letters.
        let lowercase: Vec<String> = references.iter().map(|text| text.to_lowercase()).collect();
        let (nats, tokens) = row.losses[output];
        let (spoken, heard) = (plain_transcript(&references[0]), plain_transcript(&written));
        Self {
            bleu: BleuStatistics::new(&written.to_lowercase(), &lowercase, BleuTokenizer::International),
            cider: Mean::new(cider.cider_d(&words, plain)),
            rouge: Mean::new(rouge_l(&words, plain)),
            meteor: Mean::new(meteor_exact(&words, plain)),
            exact: Mean::new(f64::from(plain.contains(&words))),
            words: word_edits(&spoken, &heard),
            characters: character_edits(&spoken, &heard),
            likelihood: Likelihood {
                nats,
                tokens: tokens as u64,
                bytes: references[0].len() as u64,
            },
        }
    }
}

impl Measure for Written {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let sum = sum(&self.0, weights);
        named([
            ("cider", sum.cider.value()),
            ("bleu4", sum.bleu.corpus()),
            ("rouge_l", sum.rouge.value()),
            ("meteor_exact", sum.meteor.value()),
            ("accuracy", sum.exact.value()),
            ("wer", sum.words.rate()),
            ("cer", sum.characters.rate()),
            ("perplexity", sum.likelihood.perplexity()),
        ])
    }
}
