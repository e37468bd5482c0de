//! Evaluation of a trained model: metrics with intervals, confusion, and what is left when an input is taken away.

use crate::controls::{Changed, Control};
use crate::error::Result;
use crate::groups::{Group, Grouping};
use crate::metrics::{Confusion, Intervals, Metrics};
use crate::quarantine::Quarantine;
use crate::score::{ScoredRow, Scores, Scoring};
use sensorium_data::random::Key;
use sensorium_data::{Dataset, Value, files, relevances};
use sensorium_model::{Pipeline, RunDirectory};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The JSON document that `evaluate` prints and stores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    pub run: String,
    pub split: String,
    /// Rows that were answered.
    pub rows: usize,
    /// Rows that could not be read.
    pub skipped: usize,
    /// Rows with a target for each output: those that it is measured on.
    #[serde(default)]
    pub measured: BTreeMap<String, usize>,
    pub metrics: BTreeMap<String, Metrics>,
    /// 95% bootstrap intervals.
    pub intervals: BTreeMap<String, Intervals>,
    pub confusion: BTreeMap<String, Confusion>,
    /// The same metrics with an input withheld or shuffled, of the outputs that read it.
    pub controls: BTreeMap<String, BTreeMap<String, Metrics>>,
    /// The column by whose values the rows were also measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The rows of each of its values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, Group>,
}

/// Which controls to run beside the evaluation itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controls {
    None,
    /// Each input withheld, and each input shuffled.
    Each,
    /// Also every larger set of inputs withheld, but for all of them.
    Ablate,
}

/// What an evaluation needs to know.
pub struct Request<'a> {
    pub pipeline: &'a Pipeline,
    pub dataset: &'a Arc<Dataset>,
    pub split: &'a str,
    /// The samples of the split.
    pub indices: &'a [usize],
    pub controls: Controls,
    /// Also measures the rows of each value of a column.
    pub by: Option<&'a Grouping>,
    pub seed: u64,
    pub failure_budget: f64,
    pub threads: usize,
    pub interrupt: &'a AtomicBool,
}

/// How far an evaluation is.
pub struct EvaluationProgress<'a> {
    /// `all inputs`, or the control's name.
    pub stage: &'a str,
    pub rows: usize,
    pub total: usize,
}

impl Request<'_> {
    /// Answers every row, then for each control those rows again that it changes; none when interrupted.
    pub fn run(
        &self,
        run: &RunDirectory,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Result<Option<(Evaluation, Scores)>> {
        let Some(mut scores) = self.score(self.dataset, "all inputs", progress) else {
            return Ok(None);
        };
        let mut quarantine = Quarantine::new(self.indices.len(), self.failure_budget);
        quarantine.add(scores.failed.iter().cloned())?;
        let mut evaluation = self.summarise(run, &mut scores);
        for control in Control::list(self) {
            let name = control.name();
            let changed = Changed::new(&control, self, &scores);
            if changed.outputs.is_empty() {
                continue;
            }
            let Some(found) = self.score(&changed.dataset, &name, progress) else {
                return Ok(None);
            };
            let outputs = changed.outputs.iter();
            let mut left = changed.beside(&scores, found);
            let metrics = outputs.map(|output| (output.clone(), left.metrics(self.pipeline.model(), output)));
            let metrics = metrics.collect();
            if let Some(by) = self.by {
                let outputs = (name.as_str(), changed.outputs.as_slice());
                self.measure_control(by, outputs, &mut left.rows, &mut evaluation.groups);
            }
            evaluation.controls.insert(name, metrics);
        }
        Ok(Some((evaluation, scores)))
    }

    fn score(
        &self,
        dataset: &Arc<Dataset>,
        stage: &str,
        progress: &mut dyn FnMut(EvaluationProgress),
    ) -> Option<Scores> {
        let scoring = Scoring {
            model: self.pipeline.model(),
            writers: self.pipeline.writers(),
            dataset,
            weights: &BTreeMap::new(),
            threads: self.threads,
            interrupt: self.interrupt,
        };
        let indices: &[usize] = match Arc::ptr_eq(dataset, self.dataset) {
            true => self.indices,
            false => &(0..dataset.samples().len()).collect::<Vec<_>>(),
        };
        let total = indices.len();
        scoring.run(indices, &mut |rows| progress(EvaluationProgress { stage, rows, total }))
    }

    fn summarise(&self, run: &RunDirectory, scores: &mut Scores) -> Evaluation {
        let mut evaluation = Evaluation {
            run: run.name(),
            split: self.split.to_string(),
            rows: scores.rows.len(),
            skipped: scores.failed.len(),
            measured: BTreeMap::new(),
            metrics: BTreeMap::new(),
            intervals: BTreeMap::new(),
            confusion: BTreeMap::new(),
            controls: BTreeMap::new(),
            by: self.by.map(|by| by.column().to_string()),
            groups: BTreeMap::new(),
        };
        let media = self.media(scores);
        let groups: Vec<usize> = scores.rows.iter().map(|row| media[&row.row]).collect();
        for output in self.pipeline.description.model.outputs.keys() {
            let key = Key::new(self.seed).with(output);
            let measured = scores.measure(self.pipeline.model(), output, &groups, &key);
            evaluation.measured.insert(output.clone(), measured.rows);
            evaluation.metrics.insert(output.clone(), measured.metrics);
            evaluation.intervals.insert(output.clone(), measured.intervals);
            if let Some(confusion) = measured.confusion {
                evaluation.confusion.insert(output.clone(), confusion);
            }
        }
        if let Some(by) = self.by {
            evaluation.groups = self.measure_groups(by, &mut scores.rows, &media);
        }
        evaluation
    }

    /// By each scored row the number of the medium that it shares with others.
    fn media(&self, scores: &Scores) -> HashMap<usize, usize> {
        let samples = self.indices.iter().map(|&index| &self.dataset.samples()[index]);
        let media: HashMap<usize, Option<Arc<str>>> = samples
            .map(|sample| (sample.row, self.dataset.shared(sample)))
            .collect();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut next = 0..;
        let mut number = |row: usize| match &media[&row] {
            Some(medium) => *numbers.entry(medium).or_insert_with(|| next.next().unwrap_or_default()),
            None => next.next().unwrap_or_default(),
        };
        scores.rows.iter().map(|row| (row.row, number(row.row))).collect()
    }
}

/// The right answers of a row: a label, several references, the most relevant candidates, or none.
fn expected(row: &ScoredRow, output: &str) -> Vec<String> {
    let value = &row.targets[output];
    match (row.candidates.get(output), value) {
        (Some(candidates), value) => best(candidates, value),
        (None, Value::List(items)) => items.iter().filter_map(Value::label).collect(),
        (None, value) => value.label().into_iter().collect(),
    }
}

fn best(candidates: &[String], target: &Value) -> Vec<String> {
    let Ok(Some(relevances)) = relevances(target, candidates) else {
        return Vec::new();
    };
    let most = relevances.iter().copied().fold(0.0, f64::max);
    let rated = candidates.iter().zip(&relevances);
    let best = rated.filter(|(_, relevance)| **relevance == most);
    best.map(|(text, _)| text.clone()).collect()
}

/// Stores an evaluation and its predictions in the run directory.
pub fn store(run: &RunDirectory, evaluation: &Evaluation, scores: &Scores) -> Result<()> {
    let path = run.evaluation(&evaluation.split);
    files::create_folder(path.parent().unwrap_or(run.path()))?;
    let text = serde_json::to_vec_pretty(evaluation).expect("an evaluation is plain data");
    files::write_atomically(&path, &text)?;
    let path = run.predictions(&evaluation.split);
    files::create_folder(path.parent().unwrap_or(run.path()))?;
    let mut text = String::new();
    for row in &scores.rows {
        let expected = row.targets.keys().map(|name| (name.clone(), expected(row, name)));
        let expected: BTreeMap<String, Vec<String>> = expected.collect();
        let line = serde_json::json!({"row": row.row, "expected": expected, "outputs": row.answers});
        text += &line.to_string();
        text.push('\n');
    }
    Ok(files::write_atomically(&path, text.as_bytes())?)
}
