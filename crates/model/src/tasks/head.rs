//! The head of tasks that answer by numbers: a hidden layer and one output for each number.

use crate::init::Init;
use crate::layers::{Dropout, Linear};
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::relu;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeadConfig {
    /// The width of the head's hidden layer; the source's by default, and with 0 there is no such layer.
    #[schemars(range(min = 0, max = 8192))]
    pub hidden: Option<usize>,
    /// What stands behind the hidden layer.
    #[serde(skip_serializing_if = "HiddenActivation::is_default")]
    pub activation: HiddenActivation,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

/// What stands behind a hidden layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HiddenActivation {
    /// max(x, 0).
    #[default]
    Relu,
    /// The hyperbolic tangent, as BERT's heads have it (Devlin et al. 2019).
    Tanh,
}

impl HiddenActivation {
    /// Descriptions of runs do not name what is the default.
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Module, Debug)]
pub struct Head {
    hidden: Option<Linear>,
    dropout: Dropout,
    output: Linear,
    #[module(skip)]
    activation: HiddenActivation,
}

impl Head {
    /// From `width` to `outputs` numbers.
    pub fn new(config: &HeadConfig, width: usize, outputs: usize, init: &Init) -> Self {
        let hidden = config.hidden.unwrap_or(width);
        let before = (hidden > 0).then_some(hidden);
        Self {
            hidden: before.map(|hidden| Linear::new(width, hidden, &init.at("hidden"))),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            output: Linear::new(before.unwrap_or(width), outputs, &init.at("output")),
            activation: config.activation,
        }
    }

    /// [rows, width] → [rows, outputs]
    pub fn forward(&self, summary: Tensor<2>, pass: &Pass) -> Tensor<2> {
        let hidden = match (&self.hidden, self.activation) {
            (None, _) => summary,
            (Some(hidden), HiddenActivation::Relu) => relu(hidden.forward(summary)),
            (Some(hidden), HiddenActivation::Tanh) => hidden.forward(summary).tanh(),
        };
        self.output.forward(self.dropout.forward(hidden, pass))
    }
}
