//! Recurrent layers, in one direction or both.

use crate::init::Init;
use crate::layers::Linear;
use crate::tokens::Tokens;
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{gru, linear, lstm, sigmoid, tanh};
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
    #[module(skip)]
    cell: Cell,
}

#[derive(Module, Debug)]
struct Direction {
    input: Linear,
    /// [gates · width, width]
    hidden_weight: Param<Tensor<2>>,
    /// [gates · width]
    hidden_bias: Param<Tensor<1>>,
}

impl Rnn {
    /// `width` is that of one direction's state.
    pub fn new(cell: Cell, input: usize, width: usize, bidirectional: bool, init: &Init) -> Self {
        let gates = match cell {
            Cell::Gru => 3,
            Cell::Lstm => 4,
        };
        let direction = |name| Direction::new(gates, input, width, &init.at(name));
        Self {
            forwards: direction("forwards"),
            backwards: bidirectional.then(|| direction("backwards")),
            cell,
        }
    }

    /// The width of one direction's state.
    pub fn width(&self) -> usize {
        self.forwards.hidden_weight.dims()[1]
    }

    /// Every state, with the last state of each direction as the summary.
    pub fn forward(&self, tokens: Tokens) -> Tokens {
        let states = self.states(tokens.embeddings, tokens.mask.clone());
        let [_, length, width] = states.dims();
        let last = match &self.backwards {
            None => at(&states, length - 1, 0, width),
            Some(_) => {
                let half = width / 2;
                Tensor::cat(vec![at(&states, length - 1, 0, half), at(&states, 0, half, half)], 1)
            }
        };
        Tokens::new(states, tokens.mask, tokens.layout).with_summary(last)
    }

    /// The states after one more step, from inputs `x` [batch, input] and states [batch, width], of a GRU that runs
    /// forwards.
    ///
    /// # Panics
    /// For another cell.
    pub fn step(&self, x: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        assert!(
            self.cell == Cell::Gru && self.backwards.is_none(),
            "a GRU that runs forwards"
        );
        let width = state.dims()[1];
        let gates = self.forwards.input.forward(x);
        let (weight, bias) = (self.forwards.hidden_weight.val(), self.forwards.hidden_bias.val());
        let hidden = linear(state.clone(), weight, Some(bias));
        let gate = |gates: &Tensor<2>, index: usize| gates.clone().narrow(1, index * width, width);
        let reset = sigmoid(gate(&gates, 0) + gate(&hidden, 0));
        let update = sigmoid(gate(&gates, 1) + gate(&hidden, 1));
        let new = tanh(gate(&gates, 2) + reset * gate(&hidden, 2));
        new.clone() + update * (state - new)
    }

    /// Both directions at once: one product projects the input for both, and each has a thread of its own.
    fn states(&self, x: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<3> {
        let directions: Vec<&Direction> = [&self.forwards].into_iter().chain(&self.backwards).collect();
        let (weights, biases): (Vec<_>, Vec<_>) =
            directions.iter().map(|direction| direction.input.parameters()).unzip();
        let biases: Vec<_> = biases.into_iter().flatten().collect();
        let bias = (!biases.is_empty()).then(|| Tensor::cat(biases, 0));
        let gates = linear(x, Tensor::cat(weights, 0), bias);
        let weight = Tensor::stack(
            directions
                .iter()
                .map(|direction| direction.hidden_weight.val())
                .collect(),
            0,
        );
        let bias = Tensor::stack(
            directions.iter().map(|direction| direction.hidden_bias.val()).collect(),
            0,
        );
        match self.cell {
            Cell::Gru => gru(gates, weight, bias, mask),
            Cell::Lstm => lstm(gates, weight, bias, mask),
        }
    }
}

/// `width` numbers from `first` of the state at step `index`.
fn at(states: &Tensor<3>, index: usize, first: usize, width: usize) -> Tensor<2> {
    let batch = states.dims()[0];
    states
        .clone()
        .narrow(1, index, 1)
        .narrow(2, first, width)
        .reshape([batch, width])
}

impl Direction {
    fn new(gates: usize, input: usize, width: usize, init: &Init) -> Self {
        let bound = 1.0 / (width as f64).sqrt();
        Self {
            input: Linear::new(input, gates * width, &init.at("input")),
            hidden_weight: init.uniform("hidden_weight", [gates * width, width], bound),
            hidden_bias: init.uniform("hidden_bias", [gates * width], bound),
        }
    }
}
