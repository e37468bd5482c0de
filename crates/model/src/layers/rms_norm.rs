//! Normalisation by the root mean square.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// Divides the last axis by its root mean square (Zhang and Sennrich 2019): nothing is centred, and there is no bias.
#[derive(Module, Debug)]
pub struct RmsNorm {
    weight: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl RmsNorm {
    /// `epsilon` is added to the mean square.
    pub fn new(width: usize, epsilon: f64, init: &Init) -> Self {
        Self {
            weight: init.constant([width], 1.0),
            epsilon,
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        sensorium_kernels::rms_norm(x, self.weight.val(), self.epsilon)
    }
}
