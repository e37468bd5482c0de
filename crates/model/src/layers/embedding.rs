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

    /// A table whose vectors have a length of about one, for a map that reads it both ways.
    pub fn tied(vocabulary: usize, width: usize, init: &Init) -> Self {
        let deviation = 1.0 / (width as f64).sqrt();
        Self {
            weight: init.normal("weight", [vocabulary, width], deviation),
        }
    }

    /// [vocabulary, width]
    pub fn table(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        sensorium_kernels::embedding(self.weight.val(), tokens)
    }
}
