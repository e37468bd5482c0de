//! Adam with decoupled weight decay (Loshchilov and Hutter 2019).

use super::Update;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    pub(super) fn update(&self, values: Tensor<1>, gradient: Tensor<1>, update: Update<'_>) -> Tensor<1> {
        let [beta1, beta2] = self.betas;
        let blend = |old: Option<Tensor<1>>, new: Tensor<1>, beta: f64| match old {
            Some(old) => old * beta + new * (1.0 - beta),
            None => new * (1.0 - beta),
        };
        let mean = blend(update.moments.remove("mean"), gradient.clone(), beta1);
        let square = blend(update.moments.remove("square"), gradient.clone() * gradient, beta2);
        update.moments.insert("mean".into(), mean.clone());
        update.moments.insert("square".into(), square.clone());
        let step = i32::try_from(update.step).unwrap_or(i32::MAX);
        let correction = (1.0 - beta2.powi(step)).sqrt();
        let rate = update.learning_rate / (1.0 - beta1.powi(step));
        let direction = mean / (square.sqrt() / correction + self.epsilon);
        let decay = if update.decay {
            update.learning_rate * self.weight_decay
        } else {
            0.0
        };
        values * (1.0 - decay) - direction * rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use std::collections::BTreeMap;

    /// Against the update rule written out for one number.
    #[test]
    fn two_steps_agree_with_the_rule() {
        let config = AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        };
        let device = Device::flex();
        let mut moments = BTreeMap::new();
        let mut found = Tensor::<1>::from_floats([0.5], &device);
        let (mut value, mut mean, mut square) = (0.5, 0.0, 0.0);
        for (step, gradient) in [(1u64, 0.2f64), (2, -0.7)] {
            let update = Update {
                learning_rate: 0.01,
                step,
                decay: true,
                moments: &mut moments,
            };
            let gradients = Tensor::from_floats([gradient as f32], &device);
            found = config.update(found, gradients, update);
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let (mean_hat, square_hat): (f64, f64) = (
                mean / (1.0 - 0.9f64.powi(step as i32)),
                square / (1.0 - 0.999f64.powi(step as i32)),
            );
            value -= 0.01 * 0.1 * value + 0.01 * mean_hat / (square_hat.sqrt() + 1e-8);
        }
        let found: f32 = found.into_scalar();
        assert!((f64::from(found) - value).abs() < 1e-6, "{found} is not {value}");
    }
}
