//! Measures of predictions against targets.

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
pub use ranks::{mean_rank, mean_reciprocal_rank, median_rank, rank, rank_metrics, recall_at};
pub use regression::{RegressionStatistics, spearman};
pub use resample::{resample, resample_rows, resample_sums, resample_weights};
pub use rouge::rouge_l;
use std::collections::BTreeMap;
pub use tagging::{Ranking, TagCounts, Tagging};
pub use transcripts::plain_transcript;
pub use vqa::{plain_answer, vqa_score};

/// Values by the metric's contract name.
pub type Metrics = BTreeMap<String, f64>;

/// Low and high ends by the metric's name.
pub type Intervals = BTreeMap<String, [f64; 2]>;
