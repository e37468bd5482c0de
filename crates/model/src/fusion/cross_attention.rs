//! One input's tokens attend to the tokens of all other inputs.

use super::adapter::{Adapter, adapters, join, place, positions};
use crate::encoder::EncodedInput;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{LayerNorm, Named, Order, Positions, TransformerBlock};
use crate::pass::Pass;
use crate::tokens::Tokens;
use crate::trunks::TransformerConfig;
use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CrossAttentionConfig {
    /// The input that asks: by default the first text, or else the first input.
    pub query: Option<String>,
    #[serde(flatten)]
    pub transformer: TransformerConfig,
}

#[derive(Module, Debug)]
pub struct CrossAttentionFusion {
    inputs: Named<Adapter>,
    positions: Positions,
    layers: Vec<Layer>,
    norm: LayerNorm,
    query: usize,
    width: usize,
}

#[derive(Module, Debug)]
struct Layer {
    itself: TransformerBlock,
    others: TransformerBlock,
}

impl CrossAttentionFusion {
    pub fn new(config: &CrossAttentionConfig, inputs: &[(&str, usize)], texts: &[&str], init: &Init) -> Result<Self> {
        let transformer = &config.transformer;
        transformer.check_fusion()?;
        let width = transformer.width;
        let layer = |index: usize| {
            let init = init.at("layers").at(index);
            let block = |name| TransformerBlock::with(transformer.block(index), &init.at(name));
            Layer {
                itself: block("itself"),
                others: block("others"),
            }
        };
        Ok(Self {
            query: query(config.query.as_deref(), inputs, texts)?,
            inputs: adapters(inputs, width, init),
            positions: positions(transformer, init),
            layers: (0..transformer.layers).map(layer).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            width,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The query's tokens after attending to themselves and to the others, layer by layer.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        let mut parts = place(&self.inputs, inputs, &self.positions);
        let query = parts.remove(self.query);
        let memory = join(parts);
        let order = Order {
            turns: query.turns,
            ..Order::default()
        };
        let mut tokens = query.tokens;
        for layer in &self.layers {
            tokens = layer.itself.ordered(tokens, &order, pass);
            tokens = layer.others.cross(tokens, &memory.tokens, memory.turns.as_ref(), pass);
        }
        Tokens {
            embeddings: self.norm.forward(tokens.embeddings),
            ..tokens
        }
    }
}

/// The place of the input that asks.
pub(super) fn query(wanted: Option<&str>, inputs: &[(&str, usize)], texts: &[&str]) -> Result<usize> {
    let names: Vec<&str> = inputs.iter().map(|(name, _)| *name).collect();
    if names.len() < 2 {
        let message = "cross_attention joins at least two inputs; use `gated` or `concat` for one";
        return Err(ModelError::config("fusion.kind", message));
    }
    let name = wanted.or(texts.first().copied()).unwrap_or(names[0]);
    names.iter().position(|found| *found == name).ok_or_else(|| {
        let message = format!("no input is called `{name}`; the inputs are {}", names.join(", "));
        ModelError::config("fusion.query", message)
    })
}
