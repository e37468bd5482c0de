//! A table of vectors looked up by token identifier.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor};

#[derive(Module, Debug)]
pub struct Embedding {
    /// [vocabulary, width]
    weight: Param<Tensor<2>>,
}

impl Embedding {
    pub fn new(vocabulary: usize, width: usize, init: &Init) -> Self {
        Self {
            weight: init.normal("weight", [vocabulary, width], 1.0),
        }
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        sensorium_kernels::embedding(self.weight.val(), tokens)
    }
}
