//! One label for each row: softmax cross entropy, and the labels by probability.

use super::{Answer, Decoded, Head, HeadConfig, Losses, Prediction};
use crate::checkpoint::to_vec;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::plain;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::Value;
use sensorium_kernels::{CrossEntropyOptions, cross_entropy};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Stands for a label that was not seen in training.
const UNSEEN: i64 = -1;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClassifyConfig {
    #[serde(flatten)]
    pub head: HeadConfig,
    /// The part of a target's weight that is spread evenly over all labels in training (Szegedy et al. 2016).
    #[schemars(range(min = 0.0, max = 0.9))]
    pub label_smoothing: f64,
}

#[derive(Module, Debug)]
pub struct Classify {
    head: Head,
    #[module(skip)]
    label_smoothing: f64,
    #[module(skip)]
    labels: Vec<String>,
}

/// The distinct labels of the training targets, sorted.
pub fn labels<'a>(targets: impl Iterator<Item = &'a Value>) -> Result<Vec<String>> {
    let labels: BTreeSet<String> = targets.filter_map(Value::label).collect();
    if labels.len() < 2 {
        let found = labels.len();
        let message = format!("classify needs at least two labels among the training rows, found {found}");
        return Err(ModelError::config("column", message));
    }
    Ok(labels.into_iter().collect())
}

impl Classify {
    pub fn new(config: &ClassifyConfig, labels: Vec<String>, width: usize, init: &Init) -> Self {
        Self {
            head: Head::new(&config.head, width, labels.len(), init),
            label_smoothing: config.label_smoothing,
            labels,
        }
    }

    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Logits of each label from a summary [rows, width], [rows, labels].
    pub fn forward(&self, summary: Tensor<2>, pass: &Pass) -> Tensor<2> {
        self.head.forward(summary, pass)
    }

    /// A row whose label was not seen in training has no loss.
    pub fn losses(&self, summary: Tensor<2>, targets: &[Value], pass: &Pass) -> Losses {
        let logits = self.forward(summary, pass);
        let known: Vec<Option<usize>> = targets.iter().map(|target| self.index(target)).collect();
        let device = plain(&logits.device());
        let index: Vec<i64> = known
            .iter()
            .map(|label| label.map_or(UNSEEN, |label| label as i64))
            .collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [known.len()]), &device);
        let options = CrossEntropyOptions {
            ignored: Some(UNSEEN),
            label_smoothing: if pass.is_training() { self.label_smoothing } else { 0.0 },
        };
        Losses {
            rows: cross_entropy(logits, index, options),
            counts: known.iter().map(|label| usize::from(label.is_some())).collect(),
        }
    }

    fn index(&self, target: &Value) -> Option<usize> {
        let label = target.label()?;
        self.labels.binary_search(&label).ok()
    }

    /// Softmax over the labels, the most probable first.
    pub fn decode(&self, summary: Tensor<2>) -> Vec<Decoded> {
        let logits = self.forward(summary, &Pass::evaluation());
        let values = to_vec(softmax(logits, 1));
        let rows = values.chunks(self.labels.len());
        rows.map(|row| self.prediction(row).into()).collect()
    }

    fn prediction(&self, probabilities: &[f32]) -> Prediction {
        let top = Prediction::ranked(&self.labels, probabilities);
        Prediction {
            top: top.clone(),
            ..Prediction::new(Answer::Text(top[0].value.clone()), Some(top[0].probability))
        }
    }
}
