//! One vector of an input, brought to the common width.

use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{LayerNorm, Linear, Named};
use burn::module::Module;
use burn::tensor::Tensor;

/// Normalised, so that no input can saturate or silence the others.
#[derive(Module, Debug)]
pub struct Branch {
    projection: Linear,
    norm: LayerNorm,
}

impl Branch {
    fn new(input: usize, width: usize, init: &Init) -> Self {
        Self {
            projection: Linear::new(input, width, &init.at("projection")),
            norm: LayerNorm::new(width, &init.at("norm")),
        }
    }

    /// [rows, width]
    pub fn forward(&self, input: &EncodedInput) -> Tensor<2> {
        self.norm.forward(self.projection.forward(input.pooled()))
    }
}

/// One branch for each of the `inputs`, which are names and widths.
pub fn branches(inputs: &[(&str, usize)], width: usize, init: &Init) -> Named<Branch> {
    let branch = |&(name, input): &(&str, usize)| {
        let init = init.at("inputs").at(name);
        (name.to_string(), Branch::new(input, width, &init))
    };
    inputs.iter().map(branch).collect()
}
