//! T5's decoder (Raffel et al. 2020).

use super::prefix::Origins;
use super::transformer::TransformerState;
use crate::error::Result;
use crate::init::Init;
use crate::layers::{T5Stack, T5StackConfig};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct T5DecoderConfig {
    #[serde(flatten)]
    pub stack: T5StackConfig,
    /// Whether one table embeds tokens and scores the next one.
    pub tied: bool,
    /// Whether states are divided by the root of the width before they are scored, as the first T5 was trained with its one table.
    pub scaled: bool,
}

impl Default for T5DecoderConfig {
    fn default() -> Self {
        Self {
            stack: T5StackConfig::default(),
            tied: true,
            scaled: false,
        }
    }
}

#[derive(Module, Debug)]
pub struct T5Decoder {
    stack: T5Stack,
    /// What states are multiplied by before they are scored.
    #[module(skip)]
    scale: f64,
}

impl T5Decoder {
    /// # Errors
    /// For buckets that no distances can be shared out to.
    pub fn new(config: &T5DecoderConfig, memory: Option<usize>, init: &Init) -> Result<Self> {
        Ok(Self {
            stack: T5Stack::new(&config.stack, memory, true, "decoder", &init.at("stack"))?,
            scale: match config.scaled {
                true => 1.0 / (config.stack.width as f64).sqrt(),
                false => 1.0,
            },
        })
    }

    /// The states of embedded tokens `x` [batch, length, width]. Scores depend on how far apart two of them are, and so not on
    /// where a sequence begins.
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, origins: &Origins, pass: &Pass) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let device = plain(&x.device());
        let all = || Tensor::<2>::ones([batch, length], &device).bool();
        let mask = origins.mask(length, &device).unwrap_or_else(all);
        self.scaled(self.stack.forward(x, memory, &mask, pass))
    }

    pub fn start(
        &self,
        batch: usize,
        memory: Option<&Tokens>,
        origins: Origins,
        capacity: usize,
        device: &Device,
    ) -> TransformerState {
        TransformerState::new(self.stack.start(batch, memory, capacity, device), origins)
    }

    /// The states of the next embedded tokens of each sequence, `x` [batch, length, width].
    pub fn step(&self, x: Tensor<3>, state: &mut TransformerState) -> Tensor<3> {
        let first = state.advance(x.dims()[1]);
        let mask = state.mask(&x.device());
        self.scaled(self.stack.step(x, first, mask.as_ref(), state.blocks()))
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            stack: self.stack.pack(precision),
            ..self
        }
    }

    fn scaled(&self, states: Tensor<3>) -> Tensor<3> {
        match self.scale == 1.0 {
            true => states,
            false => states * self.scale,
        }
    }
}
