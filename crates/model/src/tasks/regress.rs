//! A number for each row, learnt on the scale of the training targets.

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
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RegressConfig {
    #[serde(flatten)]
    pub head: HeadConfig,
    pub loss: RegressLoss,
}

/// What a distance from the target costs, in standard deviations of the training targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RegressLoss {
    /// Its square.
    #[default]
    Squared,
    /// Itself.
    Absolute,
    /// Its square within one deviation and linear beyond (Huber 1964).
    Huber,
}

/// The mean and the standard deviation of the training targets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    pub mean: f64,
    pub deviation: f64,
}

#[derive(Module, Debug)]
pub struct Regress {
    head: Head,
    #[module(skip)]
    loss: RegressLoss,
    #[module(skip)]
    scale: Scale,
}

impl Scale {
    /// Of the finite numbers among `targets`.
    pub fn of<'a>(targets: impl Iterator<Item = &'a Value>) -> Result<Self> {
        let numbers: Vec<f64> = targets.filter_map(number).collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
        match variance.sqrt() {
            deviation if deviation > 0.0 && deviation.is_finite() => Ok(Self { mean, deviation }),
            _ => {
                let message = "regress needs at least two different numbers among the training rows";
                Err(ModelError::config("column", message))
            }
        }
    }
}

/// A target that is a finite number, or a text that reads as one.
pub fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

impl Regress {
    pub fn new(config: &RegressConfig, scale: Scale, width: usize, init: &Init) -> Self {
        Self {
            head: Head::new(&config.head, width, 1, init),
            loss: config.loss,
            scale,
        }
    }

    /// A row without a number has no loss.
    pub fn losses(&self, summary: Tensor<2>, targets: &[Value], pass: &Pass) -> Losses {
        let found = self.head.forward(summary, pass);
        let rows = targets.len();
        let known: Vec<Option<f64>> = targets.iter().map(number).collect();
        let scaled = |target: &Option<f64>| {
            let target = target.unwrap_or(self.scale.mean);
            ((target - self.scale.mean) / self.scale.deviation) as f32
        };
        let counts: Vec<usize> = known.iter().map(|target| usize::from(target.is_some())).collect();
        let weights: Vec<f32> = counts.iter().map(|&count| count as f32).collect();
        let device = plain(&found.device());
        let targets: Vec<f32> = known.iter().map(scaled).collect();
        let targets = Tensor::<1>::from_data(TensorData::new(targets, [rows]), &device);
        let weights = Tensor::<1>::from_data(TensorData::new(weights, [rows]), &device);
        Losses {
            rows: self.loss.of(found.reshape([rows]) - targets) * weights,
            counts,
        }
    }

    pub fn decode(&self, summary: Tensor<2>) -> Vec<Decoded> {
        let found = to_vec(self.head.forward(summary, &Pass::evaluation()));
        let number = |value: f32| self.scale.mean + self.scale.deviation * f64::from(value);
        let prediction = |value| Prediction::new(Answer::Number(number(value)), None);
        found.into_iter().map(|value| prediction(value).into()).collect()
    }
}

impl RegressLoss {
    fn of(self, distance: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Squared => distance.clone() * distance,
            Self::Absolute => distance.abs(),
            Self::Huber => {
                // d² / 2 within one deviation and |d| - 1/2 beyond, both ends of one formula.
                let far = distance.abs();
                let near = far.clone().clamp_max(1.0);
                near.clone() * (far - near * 0.5)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn check(loss: RegressLoss, distance: f32, expected: f32) {
        let distance = Tensor::<1>::from_floats([distance], &Device::flex());
        assert_eq!(to_vec(loss.of(distance)), [expected]);
    }

    #[test]
    fn distances_cost_what_the_loss_says() {
        check(RegressLoss::Squared, -3.0, 9.0);
        check(RegressLoss::Absolute, -3.0, 3.0);
        check(RegressLoss::Huber, -3.0, 2.5);
        check(RegressLoss::Huber, 0.5, 0.125);
    }

    #[test]
    fn the_scale_is_that_of_the_numbers() {
        let values = [
            Value::Number(1.0),
            Value::Text(" 3 ".into()),
            Value::Absent,
            Value::Text("x".into()),
        ];
        let expected = Scale {
            mean: 2.0,
            deviation: 1.0,
        };
        assert_eq!(Scale::of(values.iter()).unwrap(), expected);
        assert!(Scale::of(values[..1].iter()).is_err());
    }
}
