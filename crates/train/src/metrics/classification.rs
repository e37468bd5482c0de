//! Accuracy, macro F1 and the confusion matrix of single-label predictions.

use super::Metrics;
use serde::{Deserialize, Serialize};

/// One row: indices into the labels of a [`Confusion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub expected: usize,
    pub predicted: usize,
}

/// How often each label was predicted for each expected one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    pub labels: Vec<String>,
    /// [expected][predicted]
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    pub fn new(labels: Vec<String>) -> Self {
        let counts = vec![vec![0; labels.len()]; labels.len()];
        Self { labels, counts }
    }

    pub fn add<'a>(&mut self, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        for outcome in outcomes {
            self.counts[outcome.expected][outcome.predicted] += 1;
        }
    }

    /// `accuracy` and `macro_f1`; both are zero without rows.
    pub fn metrics(&self) -> Metrics {
        let values = [("accuracy", self.accuracy()), ("macro_f1", self.macro_f1())];
        values.map(|(name, value)| (name.to_string(), value)).into()
    }

    fn accuracy(&self) -> f64 {
        let total: u64 = self.counts.iter().flatten().sum();
        let right: u64 = (0..self.labels.len()).map(|label| self.counts[label][label]).sum();
        right as f64 / total.max(1) as f64
    }

    /// The unweighted mean of F1 over the labels that were expected or predicted at least once, as scikit-learn has it.
    fn macro_f1(&self) -> f64 {
        let mut scores = Vec::new();
        for label in 0..self.labels.len() {
            let expected: u64 = self.counts[label].iter().sum();
            let predicted: u64 = self.counts.iter().map(|row| row[label]).sum();
            if expected + predicted > 0 {
                scores.push(2.0 * self.counts[label][label] as f64 / (expected + predicted) as f64);
            }
        }
        scores.iter().sum::<f64>() / scores.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pairs: &[(usize, usize)], accuracy: f64, macro_f1: f64) {
        let labels = ["a", "b", "c", "d"].map(String::from).to_vec();
        let mut confusion = Confusion::new(labels);
        let outcome = |&(expected, predicted)| Outcome { expected, predicted };
        confusion.add(&pairs.iter().map(outcome).collect::<Vec<_>>());
        let metrics = confusion.metrics();
        assert!((metrics["accuracy"] - accuracy).abs() < 1e-12, "{metrics:?}");
        assert!((metrics["macro_f1"] - macro_f1).abs() < 1e-12, "{metrics:?}");
    }

    /// Expected values from sklearn.metrics.f1_score(average="macro").
    #[test]
    fn metrics_agree_with_scikit_learn() {
        check(&[], 0.0, 0.0);
        check(&[(0, 0), (1, 1)], 1.0, 1.0);
        check(&[(0, 0), (0, 1), (1, 1), (2, 1)], 0.5, (2.0 / 3.0 + 0.5 + 0.0) / 3.0);
        check(&[(0, 3), (0, 0), (3, 3)], 2.0 / 3.0, 2.0 / 3.0);
    }
}
