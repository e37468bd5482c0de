//! A few learned latents that read the tokens of all inputs (Perceiver, Jaegle et al. 2021; as the one way between
//! modalities, Nagrani et al. 2021).

use super::adapter::{Adapter, adapters, join, place, positions};
use crate::encoder::EncodedInput;
use crate::error::Result;
use crate::init::Init;
use crate::layers::{LayerNorm, Named, Positions, TransformerBlock};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use crate::trunks::TransformerConfig;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BottleneckConfig {
    /// How many learned vectors read the inputs; what follows sees these alone.
    #[schemars(range(min = 1, max = 4096))]
    pub latents: usize,
    #[serde(flatten)]
    pub transformer: TransformerConfig,
}

impl Default for BottleneckConfig {
    fn default() -> Self {
        Self {
            latents: 16,
            transformer: TransformerConfig::default(),
        }
    }
}

#[derive(Module, Debug)]
pub struct BottleneckFusion {
    inputs: Named<Adapter>,
    positions: Positions,
    memory_norm: LayerNorm,
    /// [latents, width]
    latents: Param<Tensor<2>>,
    layers: Vec<Layer>,
    norm: LayerNorm,
    width: usize,
}

#[derive(Module, Debug)]
struct Layer {
    inputs: TransformerBlock,
    itself: TransformerBlock,
}

impl BottleneckFusion {
    pub fn new(config: &BottleneckConfig, inputs: &[(&str, usize)], init: &Init) -> Result<Self> {
        let transformer = &config.transformer;
        transformer.check_fusion()?;
        let width = transformer.width;
        let layer = |index: usize| {
            let init = init.at("layers").at(index);
            let block = |name| TransformerBlock::with(transformer.block(index), &init.at(name));
            Layer {
                inputs: block("inputs"),
                itself: block("itself"),
            }
        };
        Ok(Self {
            inputs: adapters(inputs, width, init),
            positions: positions(transformer, init),
            memory_norm: LayerNorm::new(width, &init.at("memory_norm")),
            latents: init.normal("latents", [config.latents, width], 1.0),
            layers: (0..transformer.layers).map(layer).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The latents of each row after attending to the inputs and to themselves, layer by layer; their mean is the
    /// summary.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        let joined = join(place(&self.inputs, inputs, &self.positions));
        let memory = Tokens {
            embeddings: self.memory_norm.forward(joined.tokens.embeddings),
            ..joined.tokens
        };
        let rows = memory.embeddings.dims()[0];
        let latents = self.latents.val().unsqueeze::<3>();
        let [_, count, width] = latents.dims();
        let mut tokens = Tokens::full(latents.expand([rows, count, width]), Layout::Sequence);
        for layer in &self.layers {
            tokens = layer.inputs.cross(tokens, &memory, joined.turns.as_ref(), pass);
            tokens = layer.itself.forward(tokens, pass);
        }
        Tokens {
            embeddings: self.norm.forward(tokens.embeddings),
            ..tokens
        }
    }
}
