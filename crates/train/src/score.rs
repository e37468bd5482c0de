//! A model's answers and losses on rows, batch by batch.

use crate::metrics::{Confusion, Intervals, Metrics, Outcome, bootstrap};
use sensorium_data::random::Key;
use sensorium_data::{Batch, DataError, Dataset, Loader, Prepared, Sampler, Value};
use sensorium_model::checkpoint::to_vec;
use sensorium_model::tasks::Prediction;
use sensorium_model::{Answers, Model};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows that go through the model together; the result does not depend on it beyond rounding.
const BATCH_SIZE: usize = 256;

/// One answered row.
pub struct ScoredRow {
    pub row: usize,
    pub answers: Answers,
    /// The value of each output's column.
    pub targets: BTreeMap<String, Value>,
}

/// All that a pass over a split gives.
#[derive(Default)]
pub struct Scores {
    pub rows: Vec<ScoredRow>,
    /// The mean loss over the rows with a known target, each output with its weight.
    pub loss: f64,
    pub failed: Vec<DataError>,
}

/// How a pass over rows is made.
pub struct Scoring<'a> {
    pub model: &'a Model,
    pub dataset: &'a Arc<Dataset>,
    /// The weight of each output's loss; one where it is not named.
    pub weights: &'a BTreeMap<String, f64>,
    pub threads: usize,
    pub interrupt: &'a AtomicBool,
}

impl Scoring<'_> {
    /// Scores the samples at `indices`; none when interrupted. `progress` is told the rows done.
    pub fn run(&self, indices: &[usize], progress: &mut dyn FnMut(usize)) -> Option<Scores> {
        let batches = Sampler::new(self.dataset, indices, BATCH_SIZE)
            .by_length(self.dataset)
            .in_order();
        let mut scores = Scores::default();
        let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
        for Prepared { batch, failed, .. } in Loader::new(self.dataset, batches, None, self.threads) {
            if self.interrupt.load(Ordering::Relaxed) {
                return None;
            }
            scores.failed.extend(failed);
            self.score(&batch, &mut scores, &mut sums);
            progress(scores.rows.len());
        }
        scores.rows.sort_by_key(|row| row.row);
        let weight = |name: &str| self.weights.get(name).copied().unwrap_or(1.0);
        let mean = |(name, (sum, count)): (&String, &(f64, usize))| weight(name) * sum / (*count).max(1) as f64;
        scores.loss = sums.iter().map(mean).sum();
        Some(scores)
    }

    fn score(&self, batch: &Batch, scores: &mut Scores, sums: &mut BTreeMap<String, (f64, usize)>) {
        if batch.rows.is_empty() {
            return;
        }
        let outputs = self.model.infer(batch);
        let mut answers = vec![Answers::new(); batch.rows.len()];
        for (name, output) in outputs.clone() {
            for (row, prediction) in answers.iter_mut().zip(self.model.task(&name).decode(output)) {
                row.insert(name.clone(), prediction);
            }
        }
        for (name, losses) in self.model.losses(outputs, batch) {
            let sum: f64 = to_vec(losses.rows).into_iter().map(f64::from).sum();
            let entry = sums.entry(name).or_default();
            *entry = (entry.0 + sum, entry.1 + losses.count);
        }
        let target = |place: usize| {
            let columns = batch.targets.iter();
            columns
                .map(|(name, values)| (name.clone(), values[place].clone()))
                .collect()
        };
        for (place, answers) in answers.into_iter().enumerate() {
            scores.rows.push(ScoredRow {
                row: batch.rows[place],
                answers,
                targets: target(place),
            });
        }
    }
}

/// The measures of one output.
pub struct Measured {
    pub metrics: Metrics,
    pub intervals: Intervals,
    pub confusion: Confusion,
}

impl Scores {
    /// The confusion matrix of `output`: rows without a target are left out, and a label that was not seen in training
    /// counts as an error.
    pub fn confusion(&self, model: &Model, output: &str) -> Confusion {
        let labels = self.labels(model, output);
        let mut confusion = Confusion::new(labels.clone());
        confusion.add(&self.outcomes(&labels, output).into_iter().flatten().collect::<Vec<_>>());
        confusion
    }

    /// Metrics with intervals; rows that share a medium in `groups` (the group of each row) are drawn together.
    pub fn measure(&self, model: &Model, output: &str, groups: &[usize], key: &Key) -> Measured {
        let labels = self.labels(model, output);
        let mut by_group: BTreeMap<usize, Vec<Outcome>> = BTreeMap::new();
        for (outcome, group) in self.outcomes(&labels, output).into_iter().zip(groups) {
            by_group.entry(*group).or_default().extend(outcome);
        }
        let by_group: Vec<Vec<Outcome>> = by_group.into_values().collect();
        let confusion = self.confusion(model, output);
        Measured {
            metrics: confusion.metrics(),
            intervals: bootstrap(&by_group, &labels, key),
            confusion,
        }
    }

    /// The model's labels, then those that only the targets have.
    fn labels(&self, model: &Model, output: &str) -> Vec<String> {
        let mut labels = model.task(output).labels().to_vec();
        let known = labels.clone();
        let targets = self.rows.iter().filter_map(|row| row.targets.get(output)?.label());
        let mut unseen: Vec<String> = targets.filter(|label| !known.contains(label)).collect();
        unseen.sort();
        unseen.dedup();
        labels.extend(unseen);
        labels
    }

    fn outcomes(&self, labels: &[String], output: &str) -> Vec<Option<Outcome>> {
        let index: BTreeMap<&str, usize> = labels
            .iter()
            .enumerate()
            .map(|(index, label)| (label.as_str(), index))
            .collect();
        let outcome = |row: &ScoredRow| {
            let expected = index[row.targets.get(output)?.label()?.as_str()];
            let Prediction { value, .. } = &row.answers[output];
            Some(Outcome {
                expected,
                predicted: index[value.as_str()],
            })
        };
        self.rows.iter().map(outcome).collect()
    }
}
