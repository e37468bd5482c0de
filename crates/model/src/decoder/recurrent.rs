//! A recurrent decoder with attention.

use crate::init::Init;
use crate::layers::{Cell, Dropout, Linear, Memory, MultiHeadAttention, Rnn};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::tanh;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RecurrentConfig {
    /// The width of a token and of the state.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for RecurrentConfig {
    fn default() -> Self {
        Self {
            width: 256,
            dropout: 0.1,
        }
    }
}

/// The state begins with the source's summary; each state attends to the source, and both together score the next token
/// (Luong et al. 2015, global attention).
#[derive(Module, Debug)]
pub struct RecurrentDecoder {
    rnn: Rnn,
    dropout: Dropout,
    source: Option<SourceReader>,
}

#[derive(Module, Debug)]
struct SourceReader {
    /// From the summary to what the state reads before the first token.
    summary: Linear,
    attention: MultiHeadAttention,
    /// From the state and what it attended to.
    combine: Linear,
}

/// The states of some sequences, with what they attend to.
#[derive(Debug, Clone)]
pub struct RecurrentState {
    /// [batch, width]
    hidden: Tensor<2>,
    memory: Option<Memory>,
}

impl RecurrentState {
    pub fn reorder(&mut self, rows: &[usize]) {
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::from_ints(index.as_slice(), &self.hidden.device());
        self.hidden = self.hidden.clone().select(0, index);
        if let Some(memory) = &mut self.memory {
            memory.reorder(rows);
        }
    }
}

impl RecurrentDecoder {
    pub fn new(config: &RecurrentConfig, memory: Option<usize>, init: &Init) -> Self {
        let RecurrentConfig { width, dropout } = *config;
        let source = |memory| {
            let init = init.at("source");
            SourceReader {
                summary: Linear::new(memory, width, &init.at("summary")),
                attention: MultiHeadAttention::new(width, memory, 1, 0.0, &init.at("attention")),
                combine: Linear::new(2 * width, width, &init.at("combine")),
            }
        };
        Self {
            rnn: Rnn::new(Cell::Gru, width, width, false, &init.at("rnn")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            source: memory.map(source),
        }
    }

    /// The states of embedded tokens `x` [batch, length, width].
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, pass: &Pass) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let x = self.dropout.forward(x, pass);
        let Some((source, memory)) = self.source.as_ref().zip(memory) else {
            return self.rnn.forward(Tokens::full(x, Layout::Sequence)).embeddings;
        };
        let first = source.summary.forward(memory.pooled()).reshape([batch, 1, width]);
        let x = Tokens::full(Tensor::cat(vec![first, x], 1), Layout::Sequence);
        let states = self.rnn.forward(x).embeddings.narrow(1, 1, length);
        let nothing = Tensor::zeros([batch, length, width], &crate::tokens::plain(&states.device()));
        let found = source
            .attention
            .forward(nothing, states.clone(), memory.embeddings.clone(), &memory.mask, pass);
        let states = tanh(source.combine.forward(Tensor::cat(vec![states, found], 2)));
        self.dropout.forward(states, pass)
    }

    pub fn start(&self, batch: usize, memory: Option<&Tokens>, device: &Device) -> RecurrentState {
        let width = self.rnn.width();
        let hidden = Tensor::zeros([batch, width], device);
        let Some((source, memory)) = self.source.as_ref().zip(memory) else {
            return RecurrentState { hidden, memory: None };
        };
        let first = source.summary.forward(memory.pooled());
        RecurrentState {
            hidden: self.rnn.step(first, hidden),
            memory: Some(Memory::new(&source.attention, memory)),
        }
    }

    /// The states after the last of some more embedded tokens of each sequence, `x` [batch, length, width].
    pub fn step(&self, x: Tensor<3>, state: &mut RecurrentState) -> Tensor<3> {
        let [_, length, _] = x.dims();
        for place in 0..length - 1 {
            self.step_once(x.clone().narrow(1, place, 1), state);
        }
        self.step_once(x.narrow(1, length - 1, 1), state)
    }

    fn step_once(&self, x: Tensor<3>, state: &mut RecurrentState) -> Tensor<3> {
        let [batch, _, width] = x.dims();
        state.hidden = self.rnn.step(x.reshape([batch, width]), state.hidden.clone());
        let hidden = state.hidden.clone().reshape([batch, 1, width]);
        let Some((source, memory)) = self.source.as_ref().zip(state.memory.as_ref()) else {
            return hidden;
        };
        let nothing = Tensor::zeros([batch, 1, width], &hidden.device());
        let found = source.attention.recall(nothing, hidden.clone(), memory);
        tanh(source.combine.forward(Tensor::cat(vec![hidden, found], 2)))
    }
}
