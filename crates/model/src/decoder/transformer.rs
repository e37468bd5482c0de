//! A Transformer decoder.

use super::prefix::Origins;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{
    Activation, BlockState, DecoderBlock, DecoderBlockOptions, Dropout, EPSILON, Embedding, LayerNorm, Linear, Norms,
    sinusoidal_positions,
};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
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
    /// Learned vectors for so many places, in the place of waves: no text has more tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub places: Option<usize>,
    /// What lies between the two maps of a feed-forward network.
    #[serde(skip_serializing_if = "Activation::is_default")]
    pub activation: Activation,
    /// The width of the hidden layer of the feed-forward networks; by default four times `width`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: Option<usize>,
    /// Where the norms of a block stand. One more is behind the last block, or in front of the first one where they are
    /// `after`.
    #[serde(skip_serializing_if = "Norms::is_default")]
    pub norms: Norms,
    /// Added to the variance in each normalisation.
    #[serde(skip_serializing_if = "is_usual")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Whether states go through a map, the activation and a norm before tokens are scored, as in BERT.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub transform: bool,
}

/// What runs of older versions do not say, since it could not be said.
fn is_usual(epsilon: &f64) -> bool {
    *epsilon == EPSILON
}

impl Default for TransformerDecoderConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            dropout: 0.1,
            places: None,
            activation: Activation::default(),
            hidden: None,
            norms: Norms::default(),
            epsilon: EPSILON,
            transform: false,
        }
    }
}

impl TransformerDecoderConfig {
    /// What each block is built of; `memory` is the width of what is attended to, where there is anything.
    fn block(&self, memory: Option<usize>) -> DecoderBlockOptions {
        let usual = DecoderBlockOptions::new(self.width, memory, self.heads, self.dropout);
        DecoderBlockOptions {
            hidden: self.hidden.unwrap_or(usual.hidden),
            activation: self.activation,
            norms: self.norms,
            epsilon: self.epsilon,
            ..usual
        }
    }
}

#[derive(Module, Debug)]
pub struct TransformerDecoder {
    /// None where places are waves.
    places: Option<Embedding>,
    blocks: Vec<DecoderBlock>,
    /// Of the last states, or of what goes into the first block.
    norm: LayerNorm,
    transform: Option<Transform>,
    dropout: Dropout,
    #[module(skip)]
    norms: Norms,
}

/// What BERT has between its last states and the scores of tokens (Devlin et al. 2019).
#[derive(Module, Debug)]
struct Transform {
    map: Linear,
    norm: LayerNorm,
    #[module(skip)]
    activation: Activation,
}

/// The positions so far of some sequences.
#[derive(Debug, Clone)]
pub struct TransformerState {
    blocks: Vec<BlockState>,
    position: usize,
    origins: Origins,
}

impl TransformerState {
    pub(super) fn new(blocks: Vec<BlockState>, origins: Origins) -> Self {
        Self {
            blocks,
            position: 0,
            origins,
        }
    }

    /// Goes on by so many positions, and gives the first of them.
    pub(super) fn advance(&mut self, length: usize) -> usize {
        self.position += length;
        self.position - length
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    pub(super) fn blocks(&mut self) -> &mut [BlockState] {
        &mut self.blocks
    }

    /// Which positions so far are real, [batch, positions]; none where all are.
    pub(super) fn mask(&self, device: &Device) -> Option<Tensor<2, Bool>> {
        self.origins.mask(self.position, device)
    }

    pub fn reorder(&mut self, rows: &[usize]) {
        self.blocks.iter_mut().for_each(|block| block.reorder(rows));
        self.origins.reorder(rows);
    }
}

impl TransformerDecoder {
    pub fn new(config: &TransformerDecoderConfig, memory: Option<usize>, init: &Init) -> Result<Self> {
        let TransformerDecoderConfig { width, heads, .. } = *config;
        if !width.is_multiple_of(heads) {
            let message = format!("{heads} heads do not divide a width of {width}");
            return Err(ModelError::config("decoder.heads", message));
        }
        let place = |places| Embedding::tied(places, width, &init.at("places"));
        let block = |index: usize| DecoderBlock::with(config.block(memory), &init.at("blocks").at(index));
        let transform = || Transform::new(config, &init.at("transform"));
        Ok(Self {
            places: config.places.map(place),
            blocks: (0..config.layers).map(block).collect(),
            norm: LayerNorm::with_epsilon(width, config.epsilon, &init.at("norm")),
            transform: config.transform.then(transform),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            norms: config.norms,
        })
    }

    /// The places that there are vectors for; none where they are waves.
    pub fn places(&self) -> Option<usize> {
        self.places.as_ref().map(|places| places.table().dims()[0])
    }

    /// The states of embedded tokens `x` [batch, length, width].
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, origins: &Origins, pass: &Pass) -> Tensor<3> {
        let mask = origins.mask(x.dims()[1], &x.device());
        let mut x = self.dropout.forward(self.opened(x, 0, origins), pass);
        for block in &self.blocks {
            x = block.forward(x, memory, mask.as_ref(), pass);
        }
        self.closed(x)
    }

    /// As [`Self::forward`] in evaluation, with what [`DecoderBlock::regard`] tells of each block.
    pub fn regard(&self, x: Tensor<3>, memory: &Tokens) -> (Tensor<3>, Vec<Tensor<4>>) {
        let mut x = self.opened(x, 0, &Origins::default());
        let mut scores = Vec::new();
        for block in &self.blocks {
            let (states, found) = block.regard(x, memory);
            scores.push(found);
            x = states;
        }
        (self.closed(x), scores)
    }

    pub fn start(
        &self,
        batch: usize,
        memory: Option<&Tokens>,
        origins: Origins,
        capacity: usize,
        device: &Device,
    ) -> TransformerState {
        let start = |block: &DecoderBlock| block.start(batch, memory, capacity, device);
        TransformerState::new(self.blocks.iter().map(start).collect(), origins)
    }

    /// The states of the next embedded tokens of each sequence, `x` [batch, length, width].
    pub fn step(&self, x: Tensor<3>, state: &mut TransformerState) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let first = state.advance(length);
        let mut x = self.opened(x, first, &state.origins);
        let mask = state.mask(&x.device());
        for (block, state) in self.blocks.iter().zip(state.blocks()) {
            x = block.step(x, mask.as_ref(), state);
        }
        self.closed(x)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            transform: self.transform.map(|transform| transform.pack(precision)),
            ..self
        }
    }

    /// What goes into the first block: `x` with its places, those of the columns from `first` on.
    fn opened(&self, x: Tensor<3>, first: usize, origins: &Origins) -> Tensor<3> {
        let x = self.placed(x, first, origins);
        match self.norms {
            Norms::Before => x,
            Norms::After => self.norm.forward(x),
        }
    }

    /// What tokens are scored by, of what comes out of the last block.
    fn closed(&self, x: Tensor<3>) -> Tensor<3> {
        let x = match self.norms {
            Norms::Before => self.norm.forward(x),
            Norms::After => x,
        };
        match &self.transform {
            Some(transform) => transform.forward(x),
            None => x,
        }
    }

    /// `x` [batch, length, width] with what the places of the columns from `first` on add to it.
    fn placed(&self, x: Tensor<3>, first: usize, origins: &Origins) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let end = first + length;
        let waves = || sinusoidal_positions(Layout::Sequence, end, width, &plain(&x.device()));
        let positions: Tensor<3> = match (&self.places, origins.places(first, length, &x.device())) {
            (Some(places), None) => places.table().narrow(0, first, length).unsqueeze(),
            (None, None) => waves().narrow(1, first, length),
            (Some(places), Some(index)) => places.table().select(0, index).reshape([batch, length, width]),
            (None, Some(index)) => waves().select(1, index).reshape([batch, length, width]),
        };
        x + positions
    }
}

impl Transform {
    fn new(config: &TransformerDecoderConfig, init: &Init) -> Self {
        let width = config.width;
        Self {
            map: Linear::new(width, width, &init.at("map")),
            norm: LayerNorm::with_epsilon(width, config.epsilon, &init.at("norm")),
            activation: config.activation,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.activation.behind(&self.map, x))
    }

    fn pack(self, precision: Precision) -> Self {
        Self {
            map: self.map.pack(precision),
            ..self
        }
    }
}
