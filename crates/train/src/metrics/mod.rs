//! Measures of predictions against targets, with bootstrap intervals.

mod bleu;
mod captions;
mod cider;
mod classification;
mod edits;
#[cfg(test)]
mod golden;
mod likelihood;
mod mean;
mod meteor;
mod ndcg;
mod ranks;
mod regression;
mod resample;
mod rouge;
mod tagging;
mod transcripts;
mod vqa;
mod words;

pub use bleu::{BleuStatistics, BleuTokenizer};
pub use captions::caption_words;
pub use cider::Cider;
pub use classification::{Confusion, Outcome};
pub use edits::{EditCounts, character_edits, edits, word_edits};
pub use likelihood::Likelihood;
pub use mean::Mean;
pub use meteor::meteor_exact;
pub use ndcg::ndcg;
use rand::RngExt;
pub use ranks::{mean_rank, mean_reciprocal_rank, median_rank, rank, rank_metrics, recall_at};
pub use regression::{RegressionStatistics, spearman};
pub use resample::{resample, resample_rows, resample_sums, resample_weights};
pub use rouge::rouge_l;
use sensorium_data::random::Key;
use std::collections::BTreeMap;
pub use tagging::{Ranking, TagCounts, Tagging};
pub use transcripts::plain_transcript;
pub use vqa::{plain_answer, vqa_score};

/// Values by the metric's contract name.
pub type Metrics = BTreeMap<String, f64>;

/// Low and high ends by the metric's name.
pub type Intervals = BTreeMap<String, [f64; 2]>;

const RESAMPLES: u64 = 1000;

/// 95% percentile intervals of every metric (Efron 1979). `groups` hold outcomes that are not independent, such as the
/// questions about one picture: groups are drawn, never single rows.
pub fn bootstrap(groups: &[Vec<Outcome>], labels: &[String], key: &Key) -> Intervals {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    if groups.is_empty() {
        return Intervals::new();
    }
    for resample in 0..RESAMPLES {
        let mut generator = key.with("bootstrap").at(resample).generator();
        let mut confusion = Confusion::new(labels.to_vec());
        for _ in 0..groups.len() {
            confusion.add(&groups[generator.random_range(0..groups.len())]);
        }
        for (name, value) in confusion.metrics() {
            samples.entry(name).or_default().push(value);
        }
    }
    samples
        .into_iter()
        .map(|(name, values)| (name, interval(values)))
        .collect()
}

fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 90 right of 100 independent rows: the normal interval is 0.90 ± 0.059.
    #[test]
    fn the_interval_of_a_share_is_near_the_normal_one() {
        let outcome = |row| Outcome {
            expected: 0,
            predicted: usize::from(row < 10),
        };
        let groups: Vec<Vec<Outcome>> = (0..100).map(|row| vec![outcome(row)]).collect();
        let labels = ["a".to_string(), "b".to_string()];
        let [low, high] = bootstrap(&groups, &labels, &Key::new(1))["accuracy"];
        assert!(
            (low - 0.841).abs() < 0.02 && (high - 0.959).abs() < 0.02,
            "{low} {high}"
        );
    }
}
