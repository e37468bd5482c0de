//! A model's answers and losses on rows, batch by batch.

use crate::measure::{self, Measured};
use crate::metrics::Metrics;
use rand::RngExt;
use rayon::prelude::*;
use sensorium_data::random::Key;
use sensorium_data::{
    Batch, DataError, Dataset, InputColumn, Loader, Prepared, Sample, Sampler, Takes, Value, identity,
};
use sensorium_model::checkpoint::to_vec;
use sensorium_model::tasks::{Decoded, Losses, Task};
use sensorium_model::{Answers, Encoded, Model, Part, Pass, Writers, on_compute_threads};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows that go through the model together; the result does not depend on it beyond rounding.
const BATCH_SIZE: usize = 256;

type ByOutput<T> = BTreeMap<String, T>;

/// One answered row; of the outputs those that it has a target for.
#[derive(Clone)]
pub struct ScoredRow {
    pub row: usize,
    pub answers: Answers,
    /// The value of each output's column.
    pub targets: BTreeMap<String, Value>,
    /// The loss of each output, and how many targets it is the sum of.
    pub losses: BTreeMap<String, (f64, usize)>,
    /// The embeddings of the row's inputs, for each output that compares them.
    pub embeddings: BTreeMap<String, BTreeMap<String, Vec<f32>>>,
    /// The texts of outputs as they were heard without a language model.
    pub unaided: BTreeMap<String, String>,
    /// The number of the row's medium of each input that is compared: rows with the same number share it.
    pub media: BTreeMap<String, usize>,
    /// The texts that each output chose from, in the order of the row.
    pub candidates: BTreeMap<String, Vec<String>>,
}

impl ScoredRow {
    /// A row of which nothing is known yet.
    pub fn empty(row: usize) -> Self {
        Self {
            row,
            answers: Answers::new(),
            targets: BTreeMap::new(),
            losses: BTreeMap::new(),
            embeddings: BTreeMap::new(),
            media: BTreeMap::new(),
            unaided: BTreeMap::new(),
            candidates: BTreeMap::new(),
        }
    }
}

/// All that a pass over a split gives.
#[derive(Default)]
pub struct Scores {
    pub rows: Vec<ScoredRow>,
    /// The mean loss over the known targets, each output with its weight.
    pub loss: f64,
    pub failed: Vec<DataError>,
}

/// How a pass over rows is made.
pub struct Scoring<'a> {
    pub model: &'a Model,
    pub writers: &'a Writers,
    pub dataset: &'a Arc<Dataset>,
    /// The weight of each output's loss; one where it is not named.
    pub weights: &'a BTreeMap<String, f64>,
    pub threads: usize,
    pub interrupt: &'a AtomicBool,
}

impl Scoring<'_> {
    /// Scores the samples at `indices`; none when interrupted. `progress` is told the rows done.
    pub fn run(&self, indices: &[usize], progress: &mut dyn FnMut(usize)) -> Option<Scores> {
        let together = InputColumn::together(self.dataset.inputs(), BATCH_SIZE);
        let batches = Sampler::new(self.dataset, indices, together)
            .by_length(self.dataset)
            .in_order();
        let mut scores = Scores::default();
        for Prepared { batch, failed, .. } in Loader::new(self.dataset, batches, None, self.threads) {
            if self.interrupt.load(Ordering::Relaxed) {
                return None;
            }
            scores.failed.extend(failed);
            if !batch.rows.is_empty() {
                scores.rows.extend(on_compute_threads(|| self.score(&batch)));
            }
            progress(scores.rows.len());
        }
        scores.rows.sort_by_key(|row| row.row);
        self.number_media(indices, &mut scores.rows);
        scores.loss = self.loss(&scores.rows);
        Some(scores)
    }

    fn score(&self, batch: &Batch) -> Vec<ScoredRow> {
        let row = |(place, &row): (usize, &usize)| ScoredRow {
            targets: targets(batch, place),
            candidates: self.candidates(batch, place),
            ..ScoredRow::empty(row)
        };
        let mut rows: Vec<ScoredRow> = batch.rows.iter().enumerate().map(row).collect();
        let parts = self.model.parts();
        let parts: Vec<_> = parts.par_iter().map(|part| self.answers(part, batch)).collect();
        for (encoded, decoded, losses) in parts {
            for (name, decoded) in decoded {
                for (&place, one) in encoded.rows(&name).iter().zip(decoded) {
                    let row = &mut rows[place];
                    row.answers.insert(name.clone(), one.prediction);
                    if !one.embeddings.is_empty() {
                        row.embeddings.insert(name.clone(), one.embeddings);
                    }
                    row.unaided.extend(one.unaided.map(|text| (name.clone(), text)));
                }
            }
            for (name, losses) in losses {
                let sums: Vec<f32> = to_vec(losses.rows);
                for &place in encoded.rows(&name) {
                    let loss = (f64::from(sums[place]), losses.counts[place]);
                    rows[place].losses.insert(name.clone(), loss);
                }
            }
        }
        rows
    }

    /// What the outputs of `part` say of the rows that have a target for them, and their losses.
    fn answers<'a>(&self, part: &Part, batch: &'a Batch) -> (Encoded<'a>, ByOutput<Vec<Decoded>>, ByOutput<Losses>) {
        let pass = Pass::evaluation();
        let encoded = self.model.encode_targets(part, batch, &pass);
        let decoded = self.model.decode_measured(&encoded, self.writers);
        let losses = self.model.losses(&encoded, &pass);
        (encoded, decoded, losses)
    }

    /// What those outputs that choose among a row's texts chose from.
    fn candidates(&self, batch: &Batch, place: usize) -> BTreeMap<String, Vec<String>> {
        let outputs = self.dataset.outputs().iter();
        let choosing = outputs.filter(|output| output.texts.as_ref().is_some_and(|texts| texts.takes == Takes::All));
        let listed = choosing.filter_map(|output| {
            let texts = batch.targets.get(&output.name)?.texts.as_ref()?;
            let listed = texts.of_row[place].iter().map(|&text| texts.texts[text].clone());
            Some((output.name.clone(), listed.collect()))
        });
        listed.collect()
    }

    /// Numbers the media of those inputs that an output compares.
    fn number_media(&self, indices: &[usize], rows: &mut [ScoredRow]) {
        let compared = self.model.tasks().iter().filter_map(|(_, task)| match task {
            Task::Align(task) => Some(task.inputs()),
            _ => None,
        });
        let compared: BTreeSet<&str> = compared.flatten().collect();
        let samples = indices.iter().map(|&index| &self.dataset.samples()[index]);
        let samples: HashMap<usize, &Sample> = match compared.is_empty() {
            true => return,
            false => samples.map(|sample| (sample.row, sample)).collect(),
        };
        for input in self
            .dataset
            .inputs()
            .iter()
            .filter(|input| compared.contains(input.name.as_str()))
        {
            for row in rows.iter_mut().filter(|row| !row.embeddings.is_empty()) {
                let value = samples[&row.row].get(&input.column);
                row.media.insert(input.name.clone(), number(&identity(value)));
            }
        }
    }

    fn loss(&self, rows: &[ScoredRow]) -> f64 {
        let weight = |name: &str| self.weights.get(name).copied().unwrap_or(1.0);
        let mean = |name: &str| {
            let losses = rows.iter().filter_map(|row| row.losses.get(name));
            let (sum, count) = losses.fold((0.0, 0), |(sum, count), (loss, targets)| (sum + loss, count + targets));
            weight(name) * sum / count.max(1) as f64
        };
        self.model.tasks().iter().map(|(name, _)| mean(name)).sum()
    }
}

/// The values of the outputs' columns in one row of a batch, those that are there.
fn targets(batch: &Batch, place: usize) -> BTreeMap<String, Value> {
    let values = batch
        .targets
        .iter()
        .map(|(name, targets)| (name, &targets.values[place]));
    let present = values.filter(|(_, value)| **value != Value::Absent);
    present.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A medium's number, which it has in every pass over whatever rows.
fn number(identity: &str) -> usize {
    Key::new(0).with(identity).generator().random::<u64>() as usize
}

impl Scores {
    /// The metrics of `output`.
    pub fn metrics(&self, model: &Model, output: &str) -> Metrics {
        measure::metrics(model.task(output), output, &self.rows)
    }

    /// Metrics with intervals; rows that share a medium in `groups` (the group of each row) are drawn together.
    pub fn measure(&self, model: &Model, output: &str, groups: &[usize], key: &Key) -> Measured {
        measure::measure(model.task(output), output, &self.rows, groups, key)
    }
}
