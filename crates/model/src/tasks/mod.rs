//! Tasks: each owns its head, its loss and its decoding.

mod classify;

use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::Tensor;
pub use classify::{Classify, ClassifyConfig};
use schemars::JsonSchema;
use sensorium_data::Value;
use serde::{Deserialize, Serialize};

/// What an output answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum TaskConfig {
    /// One label out of those seen in training.
    Classify(ClassifyConfig),
}

/// What a task learns from its training targets before any training: for `classify`, the labels.
pub type Labels = Vec<String>;

#[derive(Module, Debug)]
pub enum Task {
    Classify(Classify),
}

/// What a head computes for a batch, before loss or decoding.
#[derive(Debug, Clone)]
pub enum TaskOutput {
    /// [rows, labels]
    Logits(Tensor<2>),
}

/// The losses of a batch.
pub struct Losses {
    /// One for each row, [rows], in nats; zero where the row has no usable target.
    pub rows: Tensor<1>,
    /// How many rows have a usable target.
    pub count: usize,
}

/// One decoded answer, as the JSON contract has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub value: String,
    pub probability: f64,
    /// Every alternative, the best first.
    pub top: Vec<Alternative>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    pub value: String,
    pub probability: f64,
}

impl TaskConfig {
    /// The names of the metrics that measure this task.
    pub fn metric_names(&self) -> &'static [&'static str] {
        match self {
            Self::Classify(_) => &["accuracy", "macro_f1"],
        }
    }

    /// What the task must know of its training targets.
    pub fn fit<'a>(&self, targets: impl Iterator<Item = &'a Value>) -> Result<Labels> {
        match self {
            Self::Classify(_) => classify::labels(targets),
        }
    }
}

impl Task {
    pub fn new(config: &TaskConfig, labels: Labels, width: usize, init: &Init) -> Self {
        match config {
            TaskConfig::Classify(config) => Self::Classify(Classify::new(config, labels, width, init)),
        }
    }

    pub fn forward(&self, tokens: &Tokens, pass: &Pass) -> TaskOutput {
        match self {
            Self::Classify(task) => TaskOutput::Logits(task.forward(tokens, pass)),
        }
    }

    pub fn loss(&self, output: TaskOutput, targets: &[Value]) -> Losses {
        match (self, output) {
            (Self::Classify(task), TaskOutput::Logits(logits)) => task.loss(logits, targets),
        }
    }

    /// One prediction for each row.
    pub fn decode(&self, output: TaskOutput) -> Vec<Prediction> {
        match (self, output) {
            (Self::Classify(task), TaskOutput::Logits(logits)) => task.decode(logits),
        }
    }

    /// The task's word in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classify(_) => "classify",
        }
    }

    pub fn labels(&self) -> &[String] {
        match self {
            Self::Classify(task) => task.labels(),
        }
    }
}
