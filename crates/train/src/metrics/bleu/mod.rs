//! BLEU-4 of a corpus and of a sentence (Papineni et al. 2002), as sacrebleu computes it.

mod tokenizer;

pub use tokenizer::BleuTokenizer;

use super::words::counted_runs;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// The longest run of words that is compared.
const ORDERS: usize = 4;

/// What BLEU needs to know of some rows. Sums of rows give a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BleuStatistics {
    /// Words of the hypotheses.
    pub hypothesis_length: u64,
    /// Words of the references that are nearest in length, the shorter of two that are equally near.
    pub reference_length: u64,
    /// Runs of 1 to 4 words that occur in a reference, each at most as often as there.
    pub matched: [u64; ORDERS],
    /// Runs of 1 to 4 words of the hypotheses.
    pub total: [u64; ORDERS],
}

impl BleuStatistics {
    /// One row: `hypothesis` against all its `references`; nothing matches where there are none.
    pub fn new(hypothesis: &str, references: &[impl AsRef<str>], tokenizer: BleuTokenizer) -> Self {
        let hypothesis = tokenizer.tokenize(hypothesis);
        let references: Vec<String> = references
            .iter()
            .map(|text| tokenizer.tokenize(text.as_ref()))
            .collect();
        let mut statistics = Self {
            hypothesis_length: length(&hypothesis),
            ..Self::default()
        };
        let lengths = references.iter().map(|reference| length(reference));
        let near = |&other: &u64| (other.abs_diff(statistics.hypothesis_length), other);
        statistics.reference_length = lengths.min_by_key(near).unwrap_or(0);
        for order in 0..ORDERS {
            let runs = counted_runs(&hypothesis, order + 1);
            let most = most_in_one(&references, order + 1);
            statistics.total[order] = runs.values().sum();
            let matched = |(run, &count): (&&str, &u64)| count.min(most.get(run).copied().unwrap_or(0));
            statistics.matched[order] = runs.iter().map(matched).sum();
        }
        statistics
    }

    /// BLEU of a corpus in 0..=1: sacrebleu's `corpus_bleu` divided by 100, with exponential smoothing (method 3 of Chen
    /// and Cherry 2014).
    pub fn corpus(&self) -> f64 {
        self.score(ORDERS)
    }

    /// BLEU of one row in 0..=1: sacrebleu's `sentence_bleu` divided by 100, which compares no longer runs than the
    /// hypothesis has.
    pub fn sentence(&self) -> f64 {
        self.score(self.total.iter().take_while(|&&total| total > 0).count())
    }

    /// The geometric mean of the first `orders` precisions, with the brevity penalty.
    fn score(&self, orders: usize) -> f64 {
        if self.matched == [0; ORDERS] || self.total[..orders].contains(&0) {
            return 0.0;
        }
        let mut smoothing = 1.0;
        let mut logarithms = 0.0;
        for (&matched, &total) in self.matched.iter().zip(&self.total).take(orders) {
            let matched = match matched {
                0 => {
                    smoothing /= 2.0;
                    smoothing
                }
                _ => matched as f64,
            };
            logarithms += (matched / total as f64).ln();
        }
        self.brevity_penalty() * (logarithms / orders as f64).exp()
    }

    fn brevity_penalty(&self) -> f64 {
        let ratio = self.reference_length as f64 / self.hypothesis_length as f64;
        (1.0 - ratio).min(0.0).exp()
    }
}

impl AddAssign<&Self> for BleuStatistics {
    fn add_assign(&mut self, other: &Self) {
        self.hypothesis_length += other.hypothesis_length;
        self.reference_length += other.reference_length;
        for order in 0..ORDERS {
            self.matched[order] += other.matched[order];
            self.total[order] += other.total[order];
        }
    }
}

/// The number of words of a text with single spaces between them.
fn length(words: &str) -> u64 {
    words.split(' ').filter(|word| !word.is_empty()).count() as u64
}

/// How often each run occurs in the reference that has it most often.
fn most_in_one(references: &[String], order: usize) -> BTreeMap<&str, u64> {
    let mut most = BTreeMap::new();
    for reference in references {
        for (run, count) in counted_runs(reference, order) {
            let known = most.entry(run).or_insert(0);
            *known = count.max(*known);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, hostile, number, text, texts};
    use super::*;
    use proptest::prelude::*;

    fn row(hypothesis: &str, references: &[String]) -> BleuStatistics {
        BleuStatistics::new(hypothesis, references, BleuTokenizer::International)
    }

    #[test]
    fn scores_are_sacrebleus() {
        let file = golden("captions");
        for (name, tokenizer) in [
            ("13a", BleuTokenizer::International),
            ("zh", BleuTokenizer::Chinese),
            ("char", BleuTokenizer::Characters),
        ] {
            let mut corpus = BleuStatistics::default();
            for case in file["rows"].as_array().unwrap() {
                let references = texts(&case["references"]);
                let statistics = BleuStatistics::new(text(&case["hypothesis"]), &references, tokenizer);
                close(statistics.sentence(), number(&case["sentence_bleu"][name]) / 100.0);
                corpus += &statistics;
            }
            close(corpus.corpus(), number(&file["bleu"][name]) / 100.0);
        }
        let mut short = BleuStatistics::default();
        for case in file["rows"].as_array().unwrap().iter().take(3) {
            short += &row(text(&case["hypothesis"]), &texts(&case["references"]));
        }
        close(short.corpus(), number(&file["bleu_of_three"]) / 100.0);
    }

    #[test]
    fn what_has_no_words_scores_nothing() {
        assert_eq!(row("", &["a b".into()]).corpus(), 0.0);
        assert_eq!(row("a b", &[]).sentence(), 0.0);
        assert_eq!(BleuStatistics::default().sentence(), 0.0);
    }

    proptest! {
        #[test]
        fn a_score_is_a_share_and_equal_texts_score_one(hypothesis in hostile(), references in prop::collection::vec(hostile(), 0..4)) {
            for tokenizer in [BleuTokenizer::International, BleuTokenizer::Chinese, BleuTokenizer::Characters] {
                let statistics = BleuStatistics::new(&hypothesis, &references, tokenizer);
                prop_assert!((0.0..=1.0).contains(&statistics.corpus()) && (0.0..=1.0).contains(&statistics.sentence()));
                let same = BleuStatistics::new(&hypothesis, &[&hypothesis], tokenizer);
                let best = if same.hypothesis_length == 0 { 0.0 } else { 1.0 };
                prop_assert!((same.sentence() - best).abs() < 1e-12);
            }
        }
    }
}
