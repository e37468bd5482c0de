//! One label for each row: a two-layer head, softmax cross entropy, and the labels by probability.

use super::{Alternative, Labels, Losses, Prediction};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Dropout, Linear};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::Value;
use sensorium_kernels::{CrossEntropyOptions, cross_entropy, relu};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Stands for a label that was not seen in training.
const UNSEEN: i64 = -1;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClassifyConfig {
    /// The width of the head's hidden layer; the fusion's by default.
    #[schemars(range(min = 1, max = 8192))]
    pub hidden: Option<usize>,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

#[derive(Module, Debug)]
pub struct Classify {
    hidden: Linear,
    dropout: Dropout,
    output: Linear,
    #[module(skip)]
    labels: Labels,
}

/// The distinct labels of the training targets, sorted.
pub fn labels<'a>(targets: impl Iterator<Item = &'a Value>) -> Result<Labels> {
    let labels: BTreeSet<String> = targets.filter_map(Value::label).collect();
    if labels.len() < 2 {
        let found = labels.len();
        let message = format!("classify needs at least two labels among the training rows, found {found}");
        return Err(ModelError::config("column", message));
    }
    Ok(labels.into_iter().collect())
}

impl Classify {
    pub fn new(config: &ClassifyConfig, labels: Labels, width: usize, init: &Init) -> Self {
        let hidden = config.hidden.unwrap_or(width);
        Self {
            hidden: Linear::new(width, hidden, &init.at("hidden")),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            output: Linear::new(hidden, labels.len(), &init.at("output")),
            labels,
        }
    }

    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// Logits of each label from the summary, [rows, labels].
    pub fn forward(&self, tokens: &Tokens, pass: &Pass) -> Tensor<2> {
        let hidden = relu(self.hidden.forward(tokens.pooled()));
        self.output.forward(self.dropout.forward(hidden, pass))
    }

    /// A row whose label was not seen in training has no loss.
    pub fn loss(&self, logits: Tensor<2>, targets: &[Value]) -> Losses {
        let known: Vec<Option<usize>> = targets.iter().map(|target| self.index(target)).collect();
        let device = plain(&logits.device());
        let rows = known.len();
        let index: Vec<i64> = known
            .iter()
            .map(|label| label.map_or(UNSEEN, |label| label as i64))
            .collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [rows]), &device);
        let options = CrossEntropyOptions {
            ignored: Some(UNSEEN),
            ..Default::default()
        };
        Losses {
            rows: cross_entropy(logits, index, options),
            count: known.iter().flatten().count(),
        }
    }

    fn index(&self, target: &Value) -> Option<usize> {
        let label = target.label()?;
        self.labels.binary_search(&label).ok()
    }

    /// Softmax over the labels, the most probable first.
    pub fn decode(&self, logits: Tensor<2>) -> Vec<Prediction> {
        let values = crate::checkpoint::to_vec(softmax(logits, 1));
        values
            .chunks(self.labels.len())
            .map(|row| self.prediction(row))
            .collect()
    }

    fn prediction(&self, probabilities: &[f32]) -> Prediction {
        let pairs = self.labels.iter().zip(probabilities);
        let mut top: Vec<Alternative> = pairs
            .map(|(label, p)| Alternative {
                value: label.clone(),
                probability: f64::from(*p),
            })
            .collect();
        // A stable sort keeps equal probabilities in label order.
        top.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        Prediction {
            value: top[0].value.clone(),
            probability: top[0].probability,
            top,
        }
    }
}
