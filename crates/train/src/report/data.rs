//! What a report is made of: plain data, collected by training and evaluation.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything one report shows. Absent parts (no evaluation, no examples) are left out of the page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReportData {
    /// The run's name, the page's title.
    pub name: String,
    /// The resolved recipe as TOML.
    pub recipe: String,
    /// What made the report, such as `sensorium 0.1.0`.
    pub generated_by: String,
    pub summary: Summary,
    /// Training steps in the order taken.
    pub steps: Vec<StepPoint>,
    /// Evaluations during training in the order made.
    pub evaluations: Vec<EvaluationPoint>,
    /// Evaluations of the finished model. `test`, where present, gives the headline.
    pub splits: Vec<SplitReport>,
    /// Predictions to show; the page puts wrong ones first and keeps the order otherwise.
    pub examples: Vec<Example>,
}

/// The run in a few facts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Trainable ones.
    pub parameters: u64,
    pub training_seconds: f64,
    pub epochs: u64,
    pub steps: u64,
    /// The step whose weights were kept.
    pub best_step: Option<u64>,
    /// Why training ended, such as `max_epochs reached`.
    pub stop_reason: String,
    pub train_rows: u64,
    pub validation_rows: u64,
    pub test_rows: u64,
    /// Rows left out because they could not be read.
    pub quarantined_rows: u64,
    pub peak_memory_mb: Option<f64>,
    pub seed: u64,
    /// Compute threads, where the run says.
    pub threads: Option<u64>,
    /// The command that began the training, where the run says.
    pub command: Option<String>,
}

/// One optimiser step. Numbers that are not finite are counted on the page and not drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StepPoint {
    pub step: u64,
    pub epoch: u64,
    /// The loss of the step's batch.
    pub loss: f64,
    pub learning_rate: f64,
    /// The global norm of the gradient before clipping.
    pub gradient_norm: f64,
}

/// One evaluation during training.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EvaluationPoint {
    /// The optimiser steps taken before it.
    pub step: u64,
    pub epoch: u64,
    /// Such as `validation.loss` and `validation.answer.accuracy`.
    pub metrics: BTreeMap<String, f64>,
}

/// The finished model on one split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitReport {
    /// `test`, `validation`, …
    pub name: String,
    /// Rows evaluated.
    pub rows: u64,
    /// Rows left out.
    pub skipped: u64,
    pub outputs: Vec<OutputReport>,
    /// The same for the rows of each value of a column, where that was asked for.
    pub groups: Option<GroupsReport>,
}

/// The rows of a split by the values of a column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupsReport {
    pub column: String,
    pub groups: Vec<GroupReport>,
}

/// The rows of one value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    pub value: String,
    pub rows: u64,
    /// Those that some of the rows have a target for.
    pub outputs: Vec<OutputReport>,
}

/// One output of the model on one split.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OutputReport {
    pub name: String,
    /// Rows with a target for it, where the evaluation counted them.
    pub rows: Option<u64>,
    /// Metric name (`accuracy`, `macro_f1`, …) to value.
    pub metrics: BTreeMap<String, f64>,
    /// Metric name to the ends of its 95% interval.
    pub intervals: BTreeMap<String, [f64; 2]>,
    /// The same evaluation with an input withheld or shuffled, without the plain one.
    pub controls: Vec<Control>,
    pub confusion: Option<Confusion>,
    /// The metric that the training was stopped by, which speaks for the output; none where it was another's.
    pub stop: Option<String>,
}

/// An evaluation that shows what one input contributes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Control {
    /// `without:image`, `shuffled:image`, …
    pub name: String,
    pub metrics: BTreeMap<String, f64>,
}

/// How often each label was taken for each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    pub labels: Vec<String>,
    /// [expected, predicted], both in the order of `labels`.
    pub counts: Vec<Vec<u64>>,
}

/// One row and what the model said about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The zero-based record in the manifest.
    pub row: u64,
    pub inputs: Vec<ExampleInput>,
    /// The output that was predicted.
    pub output: String,
    /// What would have been right: of a text every reference.
    pub expected: Vec<String>,
    pub predicted: String,
    /// Whether the model gave an expected answer; none where only more or less can be said of it, as of a number.
    pub right: Option<bool>,
    /// The probability of `predicted`, where it has one.
    pub probability: Option<f64>,
    /// The likeliest answers with their probabilities, best first; the page shows five.
    pub top: Vec<(String, f64)>,
    /// What the answer relied on in the first picture among the inputs.
    pub heat: Option<HeatMap>,
}

/// One input of an example; an input with neither text nor picture is shown as absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExampleInput {
    pub name: String,
    pub text: Option<String>,
    /// A PNG file: the picture as the model sees it.
    pub png: Option<Vec<u8>>,
    /// The picture is a spectrum, whose sides have no scale in common.
    pub spectrum: bool,
    /// What the page plays.
    pub sound: Option<Sound>,
}

/// An encoded sound.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sound {
    /// Its media type, such as `audio/ogg`.
    pub kind: String,
    pub bytes: Vec<u8>,
}

/// How much the answer's probability falls when a part of the picture is hidden.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatMap {
    /// Cells along each side.
    pub cells: usize,
    /// [cells × cells], row by row; negative where hiding the part raised the probability.
    pub falls: Vec<f64>,
    /// The picture in pixels.
    pub height: usize,
    pub width: usize,
}
