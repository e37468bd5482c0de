//! Dropout and stochastic depth, whose masks are keyed by the step and the layer's path.

use crate::init::Init;
use crate::layers::Linear;
use crate::pass::Pass;
use crate::tokens::plain;
use burn::module::Module;
use burn::tensor::Tensor;
use sensorium_kernels::Epilogue;

/// What training takes away at random from a layer; evaluation keeps everything.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// The probability that an element is zeroed.
    pub dropout: f64,
    /// The probability that a sample goes past a whole residual branch.
    pub drop_path: f64,
}

/// Dropout alone.
impl From<f64> for Rates {
    fn from(dropout: f64) -> Self {
        Self {
            dropout,
            drop_path: 0.0,
        }
    }
}

impl Rates {
    /// Those of the layer `index` out of `layers`: stochastic depth grows linearly, to its full rate in the last layer
    /// (Huang et al. 2016, section 3).
    pub fn of_layer(self, index: usize, layers: usize) -> Self {
        Self {
            drop_path: self.drop_path * (index + 1) as f64 / layers as f64,
            ..self
        }
    }
}

/// Dropout (Srivastava et al. 2014), and at the end of a residual branch stochastic depth (Huang et al. 2016).
#[derive(Module, Debug)]
pub struct Dropout {
    #[module(skip)]
    rates: Rates,
    #[module(skip)]
    path: String,
}

impl Dropout {
    /// `rates` are a probability of dropout, or both.
    pub fn new(rates: impl Into<Rates>, init: &Init) -> Self {
        Self {
            rates: rates.into(),
            path: init.path().to_string(),
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        pass.dropout(x, self.rates.dropout, &self.path)
    }

    /// `residual` + `linear`(x), the branch under dropout and stochastic depth: in one pass where nothing is dropped.
    pub fn add<const D: usize>(&self, linear: &Linear, x: Tensor<D>, residual: Tensor<D>, pass: &Pass) -> Tensor<D> {
        if pass.is_training() && self.rates != Rates::default() {
            return self.join(residual, linear.forward(x), pass);
        }
        linear.forward_then(x, Epilogue::Add(residual))
    }

    /// `residual` + `branch` [batch, ..] under dropout and stochastic depth. A sample's branch is kept or dropped as a
    /// whole, and scaled where it is kept, so that its mean stays.
    pub fn join<const D: usize>(&self, residual: Tensor<D>, branch: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let branch = self.forward(branch, pass);
        if !pass.is_training() || self.rates.drop_path == 0.0 {
            return residual + branch;
        }
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let ones = Tensor::ones(shape, &plain(&branch.device()));
        let path = format!("{}.drop_path", self.path);
        residual + branch * pass.dropout(ones, self.rates.drop_path, &path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::Device;
    use sensorium_data::random::Key;

    const SAMPLES: usize = 4000;

    /// What each sample's branch of ones comes to.
    fn check(pass: &Pass, drop_path: f64, expected: [f32; 2]) -> Vec<f32> {
        let rates = Rates {
            dropout: 0.0,
            drop_path,
        };
        let device = Device::flex();
        let layer = Dropout::new(rates, &Init::new(1, &device).at("layer"));
        let residual = Tensor::<3>::zeros([SAMPLES, 2, 3], &device);
        let found = to_vec(layer.join(residual.clone(), residual.ones_like(), pass));
        let whole = found
            .chunks(6)
            .all(|sample| sample.iter().all(|value| *value == sample[0]));
        assert!(whole, "a branch is kept or dropped as a whole");
        let samples: Vec<f32> = found.into_iter().step_by(6).collect();
        assert!(samples.iter().all(|value| expected.contains(value)));
        let mean = samples.iter().sum::<f32>() / SAMPLES as f32;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        samples
    }

    fn step(number: u64) -> Pass {
        Pass::training(Key::new(1).at(number))
    }

    #[test]
    fn stochastic_depth_drops_whole_branches_by_the_step() {
        let first = check(&step(1), 0.2, [0.0, 1.25]);
        assert_eq!(first, check(&step(1), 0.2, [0.0, 1.25]));
        assert_ne!(first, check(&step(2), 0.2, [0.0, 1.25]));
        check(&step(1), 0.0, [1.0, 1.0]);
        check(&Pass::evaluation(), 0.2, [1.0, 1.0]);
    }

    #[test]
    fn the_rate_grows_to_that_of_the_last_layer() {
        let rates = Rates {
            dropout: 0.1,
            drop_path: 0.4,
        };
        let grown = [0, 1, 3].map(|layer| rates.of_layer(layer, 4));
        assert_eq!(grown.map(|rates| rates.drop_path), [0.1, 0.2, 0.4]);
        assert!(grown.iter().all(|rates| rates.dropout == 0.1));
    }
}
