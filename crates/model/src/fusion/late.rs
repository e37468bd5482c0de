//! No exchange between the inputs: each gives one vector, and their mean speaks for the row. What an output's head
//! makes of that mean is the only place where inputs meet.

use super::branch::{Branch, branches};
use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{Dropout, Named};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LateConfig {
    /// The width of each input's vector.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// Dropout of the vectors.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for LateConfig {
    fn default() -> Self {
        Self {
            width: 128,
            dropout: 0.0,
        }
    }
}

#[derive(Module, Debug)]
pub struct LateFusion {
    inputs: Named<Branch>,
    dropout: Dropout,
    width: usize,
}

impl LateFusion {
    pub fn new(config: &LateConfig, inputs: &[(&str, usize)], init: &Init) -> Self {
        Self {
            inputs: branches(inputs, config.width, init),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            width: config.width,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// One token for each input, of which a row's own are real; a row's summary is their mean, so that an absent input
    /// neither adds nor dilutes evidence.
    pub fn forward(&self, inputs: &[EncodedInput], pass: &Pass) -> Tokens {
        let branches = self.inputs.iter().zip(inputs);
        let vectors = branches.map(|((_, branch), input)| branch.forward(input));
        let tokens = self.dropout.forward(Tensor::stack::<3>(vectors.collect(), 1), pass);
        Tokens::new(tokens, speakers(inputs), Layout::Sequence)
    }
}

/// The inputs that speak for each row, [rows, inputs]: those that it has. For a row that has none, what all inputs have
/// learned to say when they are absent.
fn speakers(inputs: &[EncodedInput]) -> Tensor<2, Bool> {
    let present = Tensor::cat(inputs.iter().map(EncodedInput::present).collect(), 1);
    let [rows, count] = present.dims();
    let none = present.clone().any_dim(1).bool_not().expand([rows, count]);
    present.bool_or(none)
}
