//! An exponential moving average of a model's weights (Polyak and Juditsky 1992), its running statistics included.

use burn::module::Module;
use sensorium_kernels::moving_average;
use sensorium_model::checkpoint::{HostTensors, from_host};
use sensorium_model::{Model, ModelError, exchange_parameters, parameters};
use std::path::Path;

/// The averaged model, which carries no autodiff.
pub struct Average {
    decay: f64,
    model: Model,
}

impl Average {
    /// Begins with the weights of `model`.
    pub fn new(decay: f64, model: &Model) -> Self {
        Self {
            decay,
            model: model.valid(),
        }
    }

    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes in what step number `step`, counted from one, has made of `model`.
    pub fn absorb(&mut self, model: &Model, step: u64) {
        let decay = decay_at(self.decay, step);
        let mut latest = parameters(model);
        exchange_parameters(
            &mut self.model,
            |_| true,
            |averages| {
                let (paths, averages): (Vec<_>, Vec<_>) = averages.into_iter().unzip();
                let pair = |(path, average)| {
                    let latest = latest.remove(path).expect("both models are built alike");
                    (average, latest.values)
                };
                let pairs = paths.iter().zip(averages).map(pair).collect();
                paths.iter().cloned().zip(moving_average(pairs, decay)).collect()
            },
        );
    }

    /// Takes up the averages of a checkpoint at `path`.
    ///
    /// # Errors
    /// [`ModelError::Tensors`] when they are those of another model.
    pub fn load(&mut self, tensors: HostTensors, path: &Path) -> Result<(), ModelError> {
        self.model = from_host(self.model.clone(), tensors, path)?;
        Ok(())
    }
}

/// Young averages forget faster, so that the initial weights are soon out of them: the rule of TensorFlow's
/// `ExponentialMovingAverage` with its number of updates.
fn decay_at(decay: f64, step: u64) -> f64 {
    let step = step as f64;
    decay.min((1.0 + step) / (10.0 + step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_grows_to_the_decay_and_no_further() {
        for (step, expected) in [(1, 2.0 / 11.0), (8, 0.5), (80, 0.9), (81, 0.9), (1_000_000, 0.9)] {
            assert_eq!(decay_at(0.9, step), expected, "step {step}");
        }
        assert_eq!(decay_at(0.0, 5), 0.0);
    }
}
