//! A recurrent trunk over the tokens in order; a grid is read row by row, a video frame by frame.

use crate::init::Init;
use crate::layers::{Cell, Dropout, Rnn};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RnnConfig {
    /// `gru` or `lstm`.
    pub cell: Cell,
    /// The width of one direction's state; both together are the width of a token.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// Also read from the last token to the first.
    pub bidirectional: bool,
    /// Dropout between layers.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for RnnConfig {
    fn default() -> Self {
        Self {
            cell: Cell::Gru,
            width: 128,
            layers: 1,
            bidirectional: true,
            dropout: 0.0,
        }
    }
}

#[derive(Module, Debug)]
pub struct RnnTrunk {
    layers: Vec<Rnn>,
    dropouts: Vec<Dropout>,
    width: usize,
}

impl RnnTrunk {
    pub fn new(config: &RnnConfig, input: usize, init: &Init) -> Self {
        let width = config.width * if config.bidirectional { 2 } else { 1 };
        let layer = |index| {
            let input = if index == 0 { input } else { width };
            let init = init.at("layers").at(index);
            Rnn::new(config.cell, input, config.width, config.bidirectional, &init)
        };
        let dropout = |index| Dropout::new(config.dropout, &init.at("dropouts").at(index));
        Self {
            layers: (0..config.layers).map(layer).collect(),
            dropouts: (1..config.layers).map(dropout).collect(),
            width,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Every state, with the last layer's last states as the summary.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let mut tokens = self.layers[0].forward(frame_means(tokens));
        for (layer, dropout) in self.layers[1..].iter().zip(&self.dropouts) {
            let embeddings = dropout.forward(tokens.embeddings.clone(), pass);
            tokens = layer.forward(Tokens { embeddings, ..tokens });
        }
        tokens
    }
}

/// One token for each frame, the mean of its plane; other layouts stay as they are.
fn frame_means(tokens: Tokens) -> Tokens {
    let Layout::Frames { time, height, width } = tokens.layout else {
        return tokens;
    };
    let places = height * width;
    let mask = tokens.frame_mask(places);
    let [batch, _, channels] = tokens.embeddings.dims();
    let planes = tokens.embeddings.reshape([batch, time, places, channels]);
    let means = planes.mean_dim(2).reshape([batch, time, channels]);
    Tokens::new(means, mask, Layout::Sequence)
}
