//! Recurrent layers, in one direction or both.

use crate::init::Init;
use crate::layers::Linear;
use crate::tokens::Tokens;
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The recurrence of an RNN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Gated recurrent unit.
    #[default]
    Gru,
    /// Long short-term memory.
    Lstm,
}

/// One layer: a direction forwards and, if asked for, one backwards.
#[derive(Module, Debug)]
pub struct Rnn {
    forwards: Direction,
    backwards: Option<Direction>,
}

#[derive(Module, Debug)]
struct Direction {
    input: Linear,
    /// [gates · width, width]
    hidden_weight: Param<Tensor<2>>,
    /// [gates · width]
    hidden_bias: Param<Tensor<1>>,
    #[module(skip)]
    cell: Cell,
}

impl Rnn {
    /// `width` is that of one direction's state.
    pub fn new(cell: Cell, input: usize, width: usize, bidirectional: bool, init: &Init) -> Self {
        let direction = |name| Direction::new(cell, input, width, &init.at(name));
        let backwards = bidirectional.then(|| direction("backwards"));
        Self {
            forwards: direction("forwards"),
            backwards,
        }
    }

    /// Every state, with the last state of each direction as the summary.
    pub fn forward(&self, tokens: Tokens) -> Tokens {
        let length = tokens.embeddings.dims()[1];
        let run =
            |direction: &Direction, reverse| direction.forward(tokens.embeddings.clone(), tokens.mask.clone(), reverse);
        let mut states = vec![run(&self.forwards, false)];
        let mut last = vec![at(&states[0], length - 1)];
        if let Some(backwards) = &self.backwards {
            states.push(run(backwards, true));
            last.push(at(&states[1], 0));
        }
        Tokens::new(Tensor::cat(states, 2), tokens.mask, tokens.layout).with_summary(Tensor::cat(last, 1))
    }
}

fn at(states: &Tensor<3>, index: usize) -> Tensor<2> {
    let [batch, _, width] = states.dims();
    states.clone().narrow(1, index, 1).reshape([batch, width])
}

impl Direction {
    fn new(cell: Cell, input: usize, width: usize, init: &Init) -> Self {
        let gates = match cell {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        };
        let bound = 1.0 / (width as f64).sqrt();
        Self {
            input: Linear::new(input, gates * width, &init.at("input")),
            hidden_weight: init.uniform("hidden_weight", [gates * width, width], bound),
            hidden_bias: init.uniform("hidden_bias", [gates * width], bound),
            cell,
        }
    }

    fn forward(&self, x: Tensor<3>, mask: Tensor<2, Bool>, reverse: bool) -> Tensor<3> {
        let gates = self.input.forward(x);
        let (weight, bias) = (self.hidden_weight.val(), self.hidden_bias.val());
        match self.cell {
            Cell::Gru => sensorium_kernels::gru(gates, weight, bias, mask, reverse),
            Cell::Lstm => sensorium_kernels::lstm(gates, weight, bias, mask, reverse),
        }
    }
}
