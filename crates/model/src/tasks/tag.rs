//! Any number of labels for each row: one logistic decision for each label.

use super::{Answer, Decoded, Head, HeadConfig, Losses, Prediction};
use crate::checkpoint::to_vec;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::plain;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::Value;
use sensorium_kernels::{sigmoid, softplus};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TagConfig {
    #[serde(flatten)]
    pub head: HeadConfig,
    pub loss: TagLoss,
    /// The probability from which on a label is given.
    #[schemars(range(min = 0.001, max = 0.999))]
    pub threshold: f64,
    /// Labels of fewer training rows are left out.
    #[schemars(range(min = 1))]
    pub minimum_count: usize,
}

impl Default for TagConfig {
    fn default() -> Self {
        Self {
            head: HeadConfig::default(),
            loss: TagLoss::default(),
            threshold: 0.5,
            minimum_count: 1,
        }
    }
}

/// What a wrong decision costs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TagLoss {
    /// The cross entropy of each decision.
    #[default]
    BinaryCrossEntropy,
    /// Easy decisions count less (Lin et al. 2017).
    Focal(FocalConfig),
    /// Easy absent labels count much less than easy present ones (Ridnik et al. 2021).
    Asymmetric(AsymmetricConfig),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FocalConfig {
    /// How strongly easy decisions are discounted.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub gamma: f64,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AsymmetricConfig {
    /// The discount of present labels.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub gamma_present: f64,
    /// The discount of absent labels.
    #[schemars(range(min = 0.0, max = 10.0))]
    pub gamma_absent: f64,
    /// Absent labels below this probability cost nothing.
    #[schemars(range(min = 0.0, max = 0.5))]
    pub margin: f64,
}

impl Default for AsymmetricConfig {
    fn default() -> Self {
        Self {
            gamma_present: 1.0,
            gamma_absent: 4.0,
            margin: 0.05,
        }
    }
}

#[derive(Module, Debug)]
pub struct Tag {
    head: Head,
    #[module(skip)]
    loss: TagLoss,
    #[module(skip)]
    threshold: f64,
    #[module(skip)]
    labels: Vec<String>,
}

/// The labels of a value: those of a list, or the one that it is; none where it is absent.
pub fn tags(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Absent => None,
        Value::List(items) => Some(items.iter().filter_map(Value::label).collect()),
        value => value.label().map(|label| vec![label]),
    }
}

/// The labels of at least `minimum` training targets, sorted.
pub fn labels<'a>(targets: impl Iterator<Item = &'a Value>, minimum: usize) -> Result<Vec<String>> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for mut tags in targets.filter_map(tags) {
        tags.sort();
        tags.dedup();
        tags.into_iter().for_each(|tag| *counts.entry(tag).or_default() += 1);
    }
    let labels: Vec<String> = counts
        .into_iter()
        .filter(|(_, count)| *count >= minimum)
        .map(|(label, _)| label)
        .collect();
    match labels.is_empty() {
        true => Err(ModelError::config(
            "column",
            format!("tag needs a label that at least {minimum} training rows have, found none"),
        )),
        false => Ok(labels),
    }
}

impl Tag {
    pub fn new(config: &TagConfig, labels: Vec<String>, width: usize, init: &Init) -> Self {
        Self {
            head: Head::new(&config.head, width, labels.len(), init),
            loss: config.loss.clone(),
            threshold: config.threshold,
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

    /// A row without a value has no loss; one with an empty list has no label. The losses of a row's decisions are summed.
    pub fn losses(&self, summary: Tensor<2>, targets: &[Value], pass: &Pass) -> Losses {
        let logits = self.forward(summary, pass);
        let [rows, labels] = logits.dims();
        let known: Vec<Option<Vec<String>>> = targets.iter().map(tags).collect();
        let mut present = vec![0.0f32; rows * labels];
        for (row, tags) in known.iter().enumerate() {
            for place in tags
                .iter()
                .flatten()
                .filter_map(|tag| self.labels.binary_search(tag).ok())
            {
                present[row * labels + place] = 1.0;
            }
        }
        let device = plain(&logits.device());
        let counts: Vec<usize> = known.iter().map(|tags| usize::from(tags.is_some())).collect();
        let weights: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        let present = Tensor::from_data(TensorData::new(present, [rows, labels]), &device);
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [rows]), &device);
        let losses = match pass.is_training() {
            true => self.loss.of(logits, present),
            false => TagLoss::BinaryCrossEntropy.of(logits, present),
        };
        Losses {
            rows: losses.sum_dim(1).reshape([rows]) * weights,
            counts,
        }
    }

    /// The labels above the threshold, and all by probability.
    pub fn decode(&self, summary: Tensor<2>) -> Vec<Decoded> {
        let logits = self.forward(summary, &Pass::evaluation());
        let values = to_vec(sigmoid(logits));
        let rows = values.chunks(self.labels.len());
        rows.map(|row| self.prediction(row).into()).collect()
    }

    fn prediction(&self, probabilities: &[f32]) -> Prediction {
        let top = Prediction::ranked(&self.labels, probabilities);
        let given = top.iter().filter(|one| one.probability >= self.threshold);
        let given = given.map(|one| one.value.clone()).collect();
        // The decisions are independent, so the probability of the list is that of all of them together.
        let decided = |p: f64| if p >= self.threshold { p } else { 1.0 - p };
        let probability = top.iter().map(|one| decided(one.probability)).product();
        Prediction {
            top,
            ..Prediction::new(Answer::List(given), Some(probability))
        }
    }
}

impl TagLoss {
    /// The loss of each decision, of `logits` where `present` is one or zero; both [rows, labels].
    fn of(&self, logits: Tensor<2>, present: Tensor<2>) -> Tensor<2> {
        let absent = present.clone() * -1.0 + 1.0;
        // -ln p and -ln(1 - p) without a logarithm of zero.
        let (miss, alarm) = (softplus(logits.clone() * -1.0), softplus(logits.clone()));
        match self {
            Self::BinaryCrossEntropy => miss * present + alarm * absent,
            Self::Focal(config) => {
                let p = sigmoid(logits);
                let missed = (p.clone() * -1.0 + 1.0)
                    .clamp_min(1e-6)
                    .powf_scalar(config.gamma as f32);
                let alarmed = p.clamp_min(1e-6).powf_scalar(config.gamma as f32);
                miss * missed * present + alarm * alarmed * absent
            }
            Self::Asymmetric(config) => {
                // The discounts are weights and pass no gradient, as in the paper's program.
                let p = sigmoid(logits.clone()).detach();
                let shifted = (p.clone() - config.margin as f32).clamp_min(0.0);
                let missed = (p * -1.0 + 1.0).powf_scalar(config.gamma_present as f32);
                let alarmed = shifted.powf_scalar(config.gamma_absent as f32);
                let alarm = match config.margin {
                    0.0 => alarm,
                    margin => {
                        let rejected = (sigmoid(logits * -1.0) + margin as f32).clamp(1e-6, 1.0);
                        rejected.log() * -1.0
                    }
                };
                miss * missed * present + alarm * alarmed * absent
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn check(loss: TagLoss, logit: f32, present: f32, expected: f64) {
        let device = Device::flex();
        let one = |value: f32| Tensor::<2>::from_data(TensorData::new(vec![value], [1, 1]), &device);
        let found = f64::from(to_vec(loss.of(one(logit), one(present)))[0]);
        assert!((found - expected).abs() < 1e-5, "{loss:?} {logit} {present}: {found}");
    }

    #[test]
    fn each_loss_is_its_papers() {
        let p = 1.0 / (1.0 + (-0.7f64).exp());
        check(TagLoss::BinaryCrossEntropy, 0.7, 1.0, -p.ln());
        check(TagLoss::BinaryCrossEntropy, 0.7, 0.0, -(1.0 - p).ln());
        let focal = || TagLoss::Focal(FocalConfig::default());
        check(focal(), 0.7, 1.0, -(1.0 - p).powi(2) * p.ln());
        check(focal(), 0.7, 0.0, -p.powi(2) * (1.0 - p).ln());
        let asymmetric = || TagLoss::Asymmetric(AsymmetricConfig::default());
        check(asymmetric(), 0.7, 1.0, -(1.0 - p) * p.ln());
        check(asymmetric(), 0.7, 0.0, -(p - 0.05).powi(4) * (1.05 - p).ln());
        check(asymmetric(), -9.0, 0.0, 0.0);
    }

    #[test]
    fn rare_labels_are_left_out() {
        let list = |tags: &[&str]| Value::List(tags.iter().map(|tag| Value::Text(tag.to_string())).collect());
        let targets = [
            list(&["a", "b", "b"]),
            list(&["a"]),
            Value::Absent,
            Value::Text("c".into()),
        ];
        assert_eq!(labels(targets.iter(), 1).unwrap(), ["a", "b", "c"]);
        assert_eq!(labels(targets.iter(), 2).unwrap(), ["a"]);
        assert!(labels(targets.iter(), 3).is_err());
    }
}
