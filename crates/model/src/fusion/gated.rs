//! The product of one projected vector from each input (low-rank bilinear pooling, Kim et al. 2017).

use super::branch::{Branch, branches};
use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{Dropout, Named};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatedConfig {
    /// The width of the product.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// Dropout of the product.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for GatedConfig {
    fn default() -> Self {
        Self {
            width: 128,
            dropout: 0.0,
        }
    }
}

#[derive(Module, Debug)]
pub struct GatedFusion {
    inputs: Named<Branch>,
    dropout: Dropout,
    width: usize,
}

impl GatedFusion {
    pub fn new(config: &GatedConfig, inputs: &[(&str, usize)], init: &Init) -> Self {
        Self {
            inputs: branches(inputs, config.width, init),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            width: config.width,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// A single token for each row, which is also the summary.
    pub fn forward(&self, inputs: &[EncodedInput], pass: &Pass) -> Tokens {
        let branches = self.inputs.iter().zip(inputs);
        let vectors = branches.map(|((_, branch), input)| branch.forward(input));
        let product = vectors.reduce(Tensor::mul).expect("a model has at least one input");
        let product = self.dropout.forward(product, pass);
        let rows = product.dims()[0];
        let sequence = product.clone().reshape([rows, 1, self.width]);
        Tokens::full(sequence, Layout::Sequence).with_summary(product)
    }
}
