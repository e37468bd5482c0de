//! Stochastic gradient descent with momentum (Sutskever et al. 2013, with PyTorch's definition).

use super::Update;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub(super) fn update(&self, values: Tensor<1>, gradient: Tensor<1>, update: Update<'_>) -> Tensor<1> {
        let gradient = match update.decay {
            true => gradient + values.clone() * self.weight_decay,
            false => gradient,
        };
        let velocity = match update.moments.remove("velocity") {
            Some(velocity) => velocity * self.momentum + gradient.clone(),
            None => gradient.clone(),
        };
        update.moments.insert("velocity".into(), velocity.clone());
        let direction = if self.nesterov {
            gradient + velocity * self.momentum
        } else {
            velocity
        };
        values - direction * update.learning_rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use std::collections::BTreeMap;

    fn check(nesterov: bool, expected: f32) {
        let config = SgdConfig {
            nesterov,
            weight_decay: 0.1,
            ..SgdConfig::default()
        };
        let device = Device::flex();
        let mut moments = BTreeMap::new();
        let mut values = Tensor::<1>::from_floats([1.0], &device);
        for step in 1..=2 {
            let update = Update {
                learning_rate: 0.1,
                step,
                decay: true,
                moments: &mut moments,
            };
            values = config.update(values, Tensor::from_floats([0.4], &device), update);
        }
        let found: f32 = values.into_scalar();
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    /// Worked by hand: the gradients are 0.5, then 0.4 + 0.1 · value.
    #[test]
    fn two_steps_agree_with_the_rule() {
        check(false, 1.0 - 0.1 * 0.5 - 0.1 * (0.9 * 0.5 + 0.495));
        check(true, 0.905 - 0.1 * (0.4905 + 0.9 * (0.9 * 0.5 + 0.4905)));
    }
}
