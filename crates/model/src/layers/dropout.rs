//! Dropout whose mask is keyed by the step and the layer's path.

use crate::init::Init;
use crate::layers::Linear;
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::Tensor;
use sensorium_kernels::Epilogue;

#[derive(Module, Debug)]
pub struct Dropout {
    #[module(skip)]
    probability: f64,
    #[module(skip)]
    path: String,
}

impl Dropout {
    pub fn new(probability: f64, init: &Init) -> Self {
        Self {
            probability,
            path: init.path().to_string(),
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        pass.dropout(x, self.probability, &self.path)
    }

    /// `residual` + dropout(`linear`(x)): in one pass where nothing is dropped.
    pub fn add<const D: usize>(&self, linear: &Linear, x: Tensor<D>, residual: Tensor<D>, pass: &Pass) -> Tensor<D> {
        if pass.is_training() && self.probability > 0.0 {
            return residual + self.forward(linear.forward(x), pass);
        }
        linear.forward_then(x, Epilogue::Add(residual))
    }
}
