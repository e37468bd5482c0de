//! Single labels: accuracy, macro F1 and the confusion matrix.

use super::Measure;
use crate::metrics::{Confusion, Metrics, Outcome};
use crate::score::ScoredRow;
use std::collections::BTreeMap;

/// Rows with one label each: those without a target are left out, and a label that was not seen in training counts as an
/// error.
pub struct Labelled {
    labels: Vec<String>,
    outcomes: Vec<Option<Outcome>>,
}

impl Labelled {
    /// `known` are the labels that the model chooses from.
    pub fn new(known: &[String], output: &str, rows: &[ScoredRow]) -> Self {
        let labels = with_unseen(known, output, rows);
        let index: BTreeMap<&str, usize> = labels
            .iter()
            .enumerate()
            .map(|(index, label)| (label.as_str(), index))
            .collect();
        let outcome = |row: &ScoredRow| {
            Some(Outcome {
                expected: index[row.targets.get(output)?.label()?.as_str()],
                predicted: index[row.answers[output].value.text()?],
            })
        };
        let outcomes = rows.iter().map(outcome).collect();
        Self { outcomes, labels }
    }

    fn confusion_of(&self, weights: &[u32]) -> Confusion {
        let mut confusion = Confusion::new(self.labels.clone());
        for (outcome, &weight) in self.outcomes.iter().zip(weights) {
            (0..weight).for_each(|_| confusion.add(outcome));
        }
        confusion
    }
}

impl Measure for Labelled {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        self.confusion_of(weights).metrics()
    }

    fn confusion(&self) -> Option<Confusion> {
        Some(self.confusion_of(&vec![1; self.outcomes.len()]))
    }
}

/// The model's labels, then those that only the targets have.
fn with_unseen(known: &[String], output: &str, rows: &[ScoredRow]) -> Vec<String> {
    let targets = rows.iter().filter_map(|row| row.targets.get(output)?.label());
    let mut unseen: Vec<String> = targets.filter(|label| !known.contains(label)).collect();
    unseen.sort();
    unseen.dedup();
    [known.to_vec(), unseen].concat()
}
