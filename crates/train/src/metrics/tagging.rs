//! Measures of several labels at once: average precision, AUROC and F1.

use super::Metrics;
use std::ops::AddAssign;

/// The scores and truths of a set of rows × labels, ordered once, so that resamples of the rows cost no more than one look
/// at each entry. In every measure `weights` says how often each row counts: `&vec![1; rows]` for the set itself.
pub struct Tagging {
    labels: Vec<Ranking>,
    /// All entries of all labels in one order.
    together: Ranking,
}

impl Tagging {
    /// `scores` and `truths` are [rows][labels]. A score that is no number is worse than all others.
    pub fn new(scores: &[Vec<f64>], truths: &[Vec<bool>]) -> Self {
        let count = scores.first().map_or(0, Vec::len);
        let entries = |label: usize| {
            let rows = scores.iter().zip(truths).enumerate();
            rows.map(move |(row, (scores, truths))| (row, scores[label], truths[label]))
        };
        Self {
            labels: (0..count).map(|label| Ranking::new(entries(label))).collect(),
            together: Ranking::new((0..count).flat_map(entries)),
        }
    }

    /// `map`, `micro_ap` and `auroc` where they have a value.
    pub fn metrics(&self, weights: &[u32]) -> Metrics {
        let values = [
            ("map", self.mean_average_precision(weights)),
            ("micro_ap", self.micro_average_precision(weights)),
            ("auroc", self.macro_auroc(weights)),
        ];
        let known = values
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_string(), value?)));
        known.collect()
    }

    /// mAP in 0..=1: the mean of [average precision](Ranking::average_precision) over the labels that have a positive row.
    pub fn mean_average_precision(&self, weights: &[u32]) -> Option<f64> {
        mean(self.labels.iter().filter_map(|label| label.average_precision(weights)))
    }

    /// Average precision in 0..=1 over the entries of all labels in one order.
    pub fn micro_average_precision(&self, weights: &[u32]) -> Option<f64> {
        self.together.average_precision(weights)
    }

    /// The mean of [AUROC](Ranking::auroc) in 0..=1 over the labels that have positive and negative rows.
    pub fn macro_auroc(&self, weights: &[u32]) -> Option<f64> {
        mean(self.labels.iter().filter_map(|label| label.auroc(weights)))
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

/// Rows in the order of one label's scores.
pub struct Ranking(Vec<Entry>);

/// Small, for a resample reads all entries of all labels.
struct Entry {
    row: u32,
    positive: bool,
    /// Whether the next entry has a lower score.
    last: bool,
}

impl Ranking {
    /// `entries` are (row, score, whether the label is true).
    pub fn new(entries: impl Iterator<Item = (usize, f64, bool)>) -> Self {
        let known = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
        let mut scored: Vec<_> = entries.map(|(row, score, truth)| (known(score), row, truth)).collect();
        scored.sort_by(|left, right| right.0.total_cmp(&left.0));
        let last = |place: usize| scored.get(place + 1).is_none_or(|next| next.0 != scored[place].0);
        let entry = |(place, &(_, row, positive)): (usize, &(f64, usize, bool))| Entry {
            row: row as u32,
            positive,
            last: last(place),
        };
        Self(scored.iter().enumerate().map(entry).collect())
    }

    /// The sum over thresholds of precision times the gain in recall, rows with the same score being one threshold; as
    /// scikit-learn's `average_precision_score`. None without positive rows.
    pub fn average_precision(&self, weights: &[u32]) -> Option<f64> {
        let (mut found, mut seen, mut sum) = (0, 0, 0.0);
        self.thresholds(weights, |positive, negative| {
            found += positive;
            seen += positive + negative;
            if positive > 0 {
                sum += positive as f64 * found as f64 / seen as f64;
            }
        });
        (found > 0).then(|| sum / found as f64)
    }

    /// The chance that a positive row scores above a negative one, ties counting half; as scikit-learn's `roc_auc_score`.
    /// None unless there are both.
    pub fn auroc(&self, weights: &[u32]) -> Option<f64> {
        let (mut found, mut rejected, mut sum) = (0, 0, 0.0);
        self.thresholds(weights, |positive, negative| {
            sum += negative as f64 * (found as f64 + positive as f64 / 2.0);
            found += positive;
            rejected += negative;
        });
        (found > 0 && rejected > 0).then(|| sum / found as f64 / rejected as f64)
    }

    /// Tells `each`, from the highest score on, how many positive and negative rows have a score.
    fn thresholds(&self, weights: &[u32], mut each: impl FnMut(u64, u64)) {
        let mut counts = [0, 0];
        for entry in &self.0 {
            counts[usize::from(entry.positive)] += u64::from(weights[entry.row as usize]);
            if entry.last {
                each(counts[1], counts[0]);
                counts = [0, 0];
            }
        }
    }
}

/// How often each label was given rightly, given wrongly and missed, and how many rows have no mistake. Sums of rows give a
/// corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagCounts {
    /// [label]: true positives, false positives, false negatives.
    counts: Vec<[u32; 3]>,
    rows: u32,
    /// Rows whose labels are all given, and no other.
    exact: u32,
}

impl TagCounts {
    /// One row: labels whose score is at least `threshold` are given.
    pub fn new(scores: &[f64], truths: &[bool], threshold: f64) -> Self {
        let count = |(&score, &truth): (&f64, &bool)| {
            let given = score >= threshold;
            [given && truth, given && !truth, !given && truth].map(u32::from)
        };
        let counts: Vec<[u32; 3]> = scores.iter().zip(truths).map(count).collect();
        Self {
            exact: u32::from(counts.iter().all(|[_, wrong, missed]| wrong + missed == 0)),
            rows: 1,
            counts,
        }
    }

    /// `accuracy`, `micro_f1` and `macro_f1`.
    pub fn metrics(&self) -> Metrics {
        let values = [
            ("accuracy", self.accuracy()),
            ("micro_f1", self.micro_f1()),
            ("macro_f1", self.macro_f1()),
        ];
        values.map(|(name, value)| (name.to_string(), value)).into()
    }

    /// The share of rows without any mistake, in 0..=1; zero without rows. scikit-learn's `accuracy_score` of label sets.
    pub fn accuracy(&self) -> f64 {
        f64::from(self.exact) / f64::from(self.rows.max(1))
    }

    /// The F1 of all labels together, in 0..=1; zero where nothing is given or true.
    pub fn micro_f1(&self) -> f64 {
        let sum = |place: usize| self.counts.iter().map(|counts| u64::from(counts[place])).sum();
        f1([0, 1, 2].map(sum)).unwrap_or(0.0)
    }

    /// The mean F1 in 0..=1 over the labels that were given or true at least once; zero where none was.
    pub fn macro_f1(&self) -> f64 {
        mean(self.counts.iter().filter_map(|counts| f1(counts.map(u64::from)))).unwrap_or(0.0)
    }
}

fn f1([right, wrong, missed]: [u64; 3]) -> Option<f64> {
    let all = 2 * right + wrong + missed;
    (all > 0).then(|| 2.0 * right as f64 / all as f64)
}

impl AddAssign<&Self> for TagCounts {
    fn add_assign(&mut self, other: &Self) {
        self.counts.resize(self.counts.len().max(other.counts.len()), [0; 3]);
        for (own, counts) in self.counts.iter_mut().zip(&other.counts) {
            (0..3).for_each(|place| own[place] += counts[place]);
        }
        self.rows += other.rows;
        self.exact += other.exact;
    }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, counts, golden, number, numbers};
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn rows<T>(value: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
        value.as_array().unwrap().iter().map(read).collect()
    }

    #[test]
    fn measures_are_scikit_learns() {
        for case in golden("tags").as_array().unwrap() {
            let scores = rows(&case["scores"], numbers);
            let truths = rows(&case["truths"], |row| {
                counts(row).into_iter().map(|truth| truth == 1).collect::<Vec<_>>()
            });
            let tagging = Tagging::new(&scores, &truths);
            let ones = vec![1; scores.len()];
            let drawn: Vec<u32> = counts(&case["drawn"]).into_iter().map(|count| count as u32).collect();
            for (weights, expected) in [(&ones, &case["all"]), (&drawn, &case["resampled"])] {
                let found = tagging.metrics(weights);
                assert_eq!(found.len(), 3);
                found
                    .into_iter()
                    .for_each(|(name, value)| close(value, number(&expected[name])));
            }
            let mut sum = TagCounts::default();
            for (scores, truths) in scores.iter().zip(&truths) {
                sum += &TagCounts::new(scores, truths, 0.5);
            }
            sum.metrics()
                .into_iter()
                .for_each(|(name, value)| close(value, number(&case[name])));
        }
    }

    #[test]
    fn what_cannot_be_measured_has_no_value() {
        let negative = Tagging::new(&[vec![0.5], vec![f64::NAN]], &[vec![false], vec![false]]);
        assert!(negative.metrics(&[1, 1]).is_empty());
        assert!(Tagging::new(&[], &[]).metrics(&[]).is_empty());
        assert_eq!(TagCounts::default().macro_f1(), 0.0);
    }

    proptest! {
        #[test]
        fn weights_count_rows_and_order_does_not_matter(rows in prop::collection::vec((0_u8..5, any::<bool>(), 0_u32..4), 1..25)) {
            let ranking = |rows: &[(u8, bool, u32)]| {
                Ranking::new(rows.iter().enumerate().map(|(row, &(score, truth, _))| (row, f64::from(score), truth)))
            };
            let weights: Vec<u32> = rows.iter().map(|row| row.2).collect();
            let repeated: Vec<_> = rows.iter().rev().flat_map(|row| vec![*row; row.2 as usize]).collect();
            let ones = vec![1; repeated.len()];
            for measure in [Ranking::average_precision, Ranking::auroc] {
                let value = measure(&ranking(&rows), &weights);
                let other = measure(&ranking(&repeated), &ones);
                prop_assert_eq!(value.is_some(), other.is_some());
                if let (Some(value), Some(other)) = (value, other) {
                    prop_assert!((value - other).abs() < 1e-12 && (0.0..=1.0 + 1e-12).contains(&value));
                }
            }
            let perfect: Vec<_> = rows.iter().map(|&(_, truth, weight)| (u8::from(truth), truth, weight)).collect();
            for measure in [Ranking::average_precision, Ranking::auroc] {
                prop_assert!(measure(&ranking(&perfect), &vec![1; rows.len()]).is_none_or(|best| best == 1.0));
            }
        }
    }
}
