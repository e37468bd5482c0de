//! From the width of a source to that of the decoder that reads it as tokens of its own.

use crate::init::Init;
use crate::layers::Linear;
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{Epilogue, Precision};
use serde::{Deserialize, Serialize};

/// What brings tokens of a source to the width of a decoder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectorKind {
    /// Two maps with GELU between them, as in LLaVA-1.5 (Liu et al. 2024).
    #[default]
    Mlp,
    /// One map (Liu et al. 2023).
    Linear,
}

#[derive(Module, Debug)]
pub struct Projector {
    /// None where one map does.
    input: Option<Linear>,
    output: Linear,
}

impl Projector {
    /// From the width of the source to that of the decoder, whose tokens have numbers of about the `size`: far smaller ones
    /// would drown in the waves of their places. What is lost to GELU is made up for (He et al. 2015).
    pub fn new(kind: ProjectorKind, [source, width]: [usize; 2], size: f64, init: &Init) -> Self {
        let (input, inner) = match kind {
            ProjectorKind::Mlp => {
                let gain = std::f64::consts::SQRT_2;
                (Some(Linear::with_gain(gain, source, width, &init.at("input"))), width)
            }
            ProjectorKind::Linear => (None, source),
        };
        Self {
            input,
            output: Linear::with_gain(size, inner, width, &init.at("output")),
        }
    }

    /// [batch, length, source] → [batch, length, width]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = match &self.input {
            Some(input) => input.forward_then(x, Epilogue::Gelu),
            None => x,
        };
        self.output.forward(inner)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            input: self.input.map(|input| input.pack(precision)),
            output: self.output.pack(precision),
        }
    }
}
