//! Adam with decoupled weight decay (Loshchilov and Hutter 2019).

use super::{Slot, Step};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{AdamWOptions, AdamWSlot, adamw};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The names of the moments in a checkpoint.
const MEAN: &str = "mean";
const SQUARE: &str = "square";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AdamWConfig {
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    /// The memories of the mean and of the square of the gradient.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub betas: [f64; 2],
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            learning_rate: 1e-3,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl AdamWConfig {
    pub(super) fn update(&self, slots: Vec<Slot>, step: Step) -> Vec<Slot> {
        let options = AdamWOptions {
            learning_rate: step.learning_rate,
            betas: self.betas,
            epsilon: self.epsilon,
            gradient_scale: step.gradient_scale,
        };
        let slots = slots.into_iter().map(|slot| self.unpack(slot)).collect();
        let slots = adamw(slots, step.number, &options);
        slots.into_iter().map(pack).collect()
    }

    fn unpack(&self, mut slot: Slot) -> AdamWSlot {
        let zeros = || Tensor::zeros(slot.values.dims(), &slot.values.device());
        AdamWSlot {
            mean: slot.moments.remove(MEAN).unwrap_or_else(zeros),
            square: slot.moments.remove(SQUARE).unwrap_or_else(zeros),
            weight_decay: if slot.decay { self.weight_decay } else { 0.0 },
            values: slot.values,
            gradient: slot.gradient,
        }
    }
}

fn pack(slot: AdamWSlot) -> Slot {
    Slot {
        values: slot.values,
        gradient: slot.gradient,
        moments: BTreeMap::from([(MEAN.to_string(), slot.mean), (SQUARE.to_string(), slot.square)]),
        decay: slot.weight_decay > 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// Against the update rule written out for one number.
    #[test]
    fn two_steps_agree_with_the_rule() {
        let config = AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        };
        let device = Device::flex();
        let one = |value: f64| Tensor::<1>::from_floats([value as f32], &device);
        let mut slots = vec![Slot {
            values: one(0.5),
            gradient: one(0.0),
            moments: BTreeMap::new(),
            decay: true,
        }];
        let (mut value, mut mean, mut square) = (0.5, 0.0, 0.0);
        for (number, gradient) in [(1u64, 0.2f64), (2, -0.7)] {
            let step = Step {
                number,
                learning_rate: 0.01,
                gradient_scale: 0.5,
            };
            slots[0].gradient = one(2.0 * gradient);
            slots = config.update(slots, step);
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let (mean_hat, square_hat): (f64, f64) = (
                mean / (1.0 - 0.9f64.powi(number as i32)),
                square / (1.0 - 0.999f64.powi(number as i32)),
            );
            value -= 0.01 * 0.1 * value + 0.01 * mean_hat / (square_hat.sqrt() + 1e-8);
        }
        let found: f32 = slots.remove(0).values.into_scalar();
        assert!((f64::from(found) - value).abs() < 1e-6, "{found} is not {value}");
    }
}
