//! Stochastic gradient descent with momentum (Sutskever et al. 2013, with PyTorch's definition).

use super::{Slot, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name of the moment in a checkpoint.
const VELOCITY: &str = "velocity";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SgdConfig {
    #[schemars(range(min = 0.0))]
    pub learning_rate: f64,
    #[schemars(range(min = 0.0, max = 1.0))]
    pub momentum: f64,
    pub nesterov: bool,
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self {
            learning_rate: 0.05,
            momentum: 0.9,
            nesterov: true,
            weight_decay: 1e-4,
        }
    }
}

impl SgdConfig {
    pub(super) fn update(&self, slots: Vec<Slot>, step: Step) -> Vec<Slot> {
        slots.into_iter().map(|slot| self.update_one(slot, step)).collect()
    }

    fn update_one(&self, mut slot: Slot, step: Step) -> Slot {
        let scaled = slot.gradient.clone() * step.gradient_scale;
        let gradient = match slot.decay {
            true => scaled + slot.values.clone() * self.weight_decay,
            false => scaled,
        };
        let velocity = match slot.moments.remove(VELOCITY) {
            Some(velocity) => velocity * self.momentum + gradient.clone(),
            None => gradient.clone(),
        };
        slot.moments.insert(VELOCITY.into(), velocity.clone());
        let direction = if self.nesterov {
            gradient + velocity * self.momentum
        } else {
            velocity
        };
        slot.values = slot.values - direction * step.learning_rate;
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use std::collections::BTreeMap;

    fn check(nesterov: bool, expected: f32) {
        let config = SgdConfig {
            nesterov,
            weight_decay: 0.1,
            ..SgdConfig::default()
        };
        let device = Device::flex();
        let mut slots = vec![Slot {
            values: Tensor::from_floats([1.0], &device),
            gradient: Tensor::from_floats([0.2], &device),
            moments: BTreeMap::new(),
            decay: true,
        }];
        for number in 1..=2 {
            let step = Step {
                number,
                learning_rate: 0.1,
                gradient_scale: 2.0,
            };
            slots = config.update(slots, step);
        }
        let found: f32 = slots.remove(0).values.into_scalar();
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    /// Worked by hand: the gradients are 0.5, then 0.4 + 0.1 · value.
    #[test]
    fn two_steps_agree_with_the_rule() {
        check(false, 1.0 - 0.1 * 0.5 - 0.1 * (0.9 * 0.5 + 0.495));
        check(true, 0.905 - 0.1 * (0.4905 + 0.9 * (0.9 * 0.5 + 0.4905)));
    }
}
