//! Dropout whose mask is keyed by the step and the layer's path.

use crate::init::Init;
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::Tensor;

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
}
