//! A Transformer decoder.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BlockState, DecoderBlock, Dropout, LayerNorm, sinusoidal_positions};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransformerDecoderConfig {
    /// The width of a token, a multiple of `heads`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 64))]
    pub heads: usize,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for TransformerDecoderConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            dropout: 0.1,
        }
    }
}

#[derive(Module, Debug)]
pub struct TransformerDecoder {
    blocks: Vec<DecoderBlock>,
    norm: LayerNorm,
    dropout: Dropout,
}

/// The positions so far of some sequences.
#[derive(Debug, Clone)]
pub struct TransformerState {
    blocks: Vec<BlockState>,
    position: usize,
}

impl TransformerState {
    pub fn reorder(&mut self, rows: &[usize]) {
        self.blocks.iter_mut().for_each(|block| block.reorder(rows));
    }
}

impl TransformerDecoder {
    pub fn new(config: &TransformerDecoderConfig, memory: Option<usize>, init: &Init) -> Result<Self> {
        let TransformerDecoderConfig {
            width,
            layers,
            heads,
            dropout,
        } = *config;
        if !width.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide a width of {width}");
            return Err(ModelError::config("decoder.heads", message));
        }
        let block = |index: usize| DecoderBlock::new(width, memory, heads, dropout, &init.at("blocks").at(index));
        Ok(Self {
            blocks: (0..layers).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
        })
    }

    /// The states of embedded tokens `x` [batch, length, width].
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, pass: &Pass) -> Tensor<3> {
        let [_, length, width] = x.dims();
        let positions = sinusoidal_positions(Layout::Sequence, length, width, &plain(&x.device()));
        let mut x = self.dropout.forward(x + positions, pass);
        for block in &self.blocks {
            x = block.forward(x, memory, pass);
        }
        self.norm.forward(x)
    }

    pub fn start(&self, batch: usize, memory: Option<&Tokens>, capacity: usize, device: &Device) -> TransformerState {
        let blocks = self.blocks.iter();
        TransformerState {
            blocks: blocks
                .map(|block| block.start(batch, memory, capacity, device))
                .collect(),
            position: 0,
        }
    }

    /// The states after one more embedded token of each sequence, `x` [batch, 1, width].
    pub fn step(&self, x: Tensor<3>, state: &mut TransformerState) -> Tensor<3> {
        let [_, _, width] = x.dims();
        let positions = sinusoidal_positions(Layout::Sequence, state.position + 1, width, &plain(&x.device()));
        let mut x = x + positions.narrow(1, state.position, 1);
        state.position += 1;
        for (block, state) in self.blocks.iter().zip(&mut state.blocks) {
            x = block.step(x, state);
        }
        self.norm.forward(x)
    }
}
