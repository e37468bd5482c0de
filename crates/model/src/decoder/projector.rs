//! From the width of a source to that of the decoder that reads it as tokens of its own.

use super::PrefixConfig;
use super::merge::merged;
use crate::init::Init;
use crate::layers::Linear;
use crate::tokens::Tokens;
use burn::module::Module;
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
    /// The same with a hidden layer as wide as what goes into it, as in Qwen2-VL (Wang et al. 2024).
    WideMlp,
    /// One map (Liu et al. 2023).
    Linear,
}

#[derive(Module, Debug)]
pub struct Projector {
    /// None where one map does.
    input: Option<Linear>,
    output: Linear,
    /// The side of a square of tokens that are joined before they are mapped.
    #[module(skip)]
    merge: usize,
}

impl Projector {
    /// From the width of the source to that of the decoder, whose tokens have numbers of about the `size`: far smaller ones
    /// would drown in the waves of their places. What is lost to GELU is made up for (He et al. 2015).
    pub fn new(config: &PrefixConfig, [source, width]: [usize; 2], size: f64, init: &Init) -> Self {
        let source = source * config.merge * config.merge;
        let (input, inner) = match config.projector {
            ProjectorKind::Mlp => (Some(width), width),
            ProjectorKind::WideMlp => (Some(source), source),
            ProjectorKind::Linear => (None, source),
        };
        let gain = std::f64::consts::SQRT_2;
        let input = input.map(|hidden| Linear::with_gain(gain, source, hidden, &init.at("input")));
        Self {
            input,
            output: Linear::with_gain(size, inner, width, &init.at("output")),
            merge: config.merge,
        }
    }

    /// Tokens [batch, length, source] → [batch, length, width], of which there are fewer where some are joined.
    pub fn forward(&self, source: Tokens) -> Tokens {
        let Tokens {
            embeddings,
            mask,
            layout,
            ..
        } = merged(source, self.merge);
        let inner = match &self.input {
            Some(input) => input.forward_then(embeddings, Epilogue::Gelu),
            None => embeddings,
        };
        Tokens::new(self.output.forward(inner), mask, layout)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            input: self.input.map(|input| input.pack(precision)),
            output: self.output.pack(precision),
            ..self
        }
    }
}
