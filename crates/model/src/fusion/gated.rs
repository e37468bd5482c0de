//! The product of one projected vector from each input (low-rank bilinear pooling, Kim et al. 2017).

use crate::encoder::EncodedInput;
use crate::init::Init;
use crate::layers::{Dropout, LayerNorm, Linear, Named};
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

/// Normalised, so that no branch can saturate or silence the product.
#[derive(Module, Debug)]
struct Branch {
    projection: Linear,
    norm: LayerNorm,
}

impl GatedFusion {
    pub fn new(config: &GatedConfig, inputs: &[(&str, usize)], init: &Init) -> Self {
        let branch = |&(name, input): &(&str, usize)| {
            let init = init.at("inputs").at(name);
            let projection = Linear::new(input, config.width, &init.at("projection"));
            let norm = LayerNorm::new(config.width, &init.at("norm"));
            (name.to_string(), Branch { projection, norm })
        };
        Self {
            inputs: inputs.iter().map(branch).collect(),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            width: config.width,
        }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// A single token for each row, which is also the summary.
    pub fn forward(&self, inputs: &[EncodedInput], pass: &Pass) -> Tokens {
        let vector =
            |branch: &Branch, input: &EncodedInput| branch.norm.forward(branch.projection.forward(input.pooled()));
        let vectors = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|((_, branch), input)| vector(branch, input));
        let product = vectors.reduce(Tensor::mul).expect("a model has at least one input");
        let product = self.dropout.forward(product, pass);
        let rows = product.dims()[0];
        let sequence = product.clone().reshape([rows, 1, self.width]);
        Tokens::full(sequence, Layout::Sequence).with_summary(product)
    }
}
