//! Brings one input's tokens to the common width and marks where they come from.

use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{Linear, sinusoidal_positions};
use crate::tokens::{Tokens, plain};
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
pub struct Adapter {
    projection: Linear,
    /// What all tokens of this input share, [width].
    origin: Param<Tensor<1>>,
}

impl Adapter {
    pub fn new(input: usize, width: usize, init: &Init) -> Self {
        let projection = Linear::new(input, width, &init.at("projection"));
        Self {
            projection,
            origin: init.normal("origin", [width], 1.0),
        }
    }

    /// The rows' tokens with sinusoidal positions and the input's own vector added.
    pub fn forward(&self, input: EncodedInput) -> Tokens {
        let tokens = input.tokens();
        let x = self.projection.forward(tokens.embeddings);
        let [_, length, width] = x.dims();
        let positions = sinusoidal_positions(tokens.layout, length, width, &plain(&x.device()));
        let embeddings = x + positions + self.origin.val().reshape([1, 1, width]);
        Tokens {
            embeddings,
            summary: None,
            ..tokens
        }
    }
}
