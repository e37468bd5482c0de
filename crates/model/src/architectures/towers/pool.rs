//! One vector of all tokens: what a learned query attends to, as SigLIP has it (Lee et al. 2019; Zhai et al. 2022).

use super::BlocksConfig;
use crate::init::Init;
use crate::layers::{Activation, LayerNorm, Linear};
use crate::tokens::plain;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use sensorium_kernels::{AttentionOptions, Epilogue, Precision, attention, linear};

/// Attention from the query, and a feed-forward network behind a norm and around a residual.
#[derive(Module, Debug)]
pub struct AttentionPool {
    /// [width]
    query: Param<Tensor<1>>,
    /// Of queries, keys and values, [3 × width, width].
    input_weight: Param<Tensor<2>>,
    /// [3 × width]
    input_bias: Param<Tensor<1>>,
    output: Linear,
    norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    #[module(skip)]
    heads: usize,
    #[module(skip)]
    activation: Activation,
}

impl AttentionPool {
    pub fn new(config: &BlocksConfig, init: &Init) -> Self {
        let width = config.width;
        let bound = 1.0 / (width as f64).sqrt();
        Self {
            query: init.normal("query", [width], 1.0),
            input_weight: init.uniform("input_weight", [3 * width, width], bound),
            input_bias: init.uniform("input_bias", [3 * width], bound),
            output: Linear::new(width, width, &init.at("output")),
            norm: config.norm(&init.at("norm")),
            expand: Linear::new(width, config.hidden, &init.at("expand")),
            contract: Linear::new(config.hidden, width, &init.at("contract")),
            heads: config.heads,
            activation: config.activation,
        }
    }

    /// The numbers that the tensors hold.
    pub fn parameters(config: &BlocksConfig) -> u128 {
        let one = BlocksConfig {
            layers: 1,
            layer_scale: false,
            ..config.clone()
        };
        // The query and one norm in the place of a block's two.
        one.parameters().saturating_sub(config.width as u128)
    }

    /// `x` [batch, length, width] → [batch, width]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let [batch, length, width] = x.dims();
        let query = self.query.val().unsqueeze::<3>().expand([batch, 1, width]);
        let mask = Tensor::<2>::ones([batch, length], &plain(&x.device())).bool();
        let mixed = attention(
            self.project(query, 0),
            self.project(x.clone(), 1),
            self.project(x, 2),
            AttentionOptions::padded(mask),
        );
        let mixed = self.output.forward(mixed.swap_dims(1, 2).reshape([batch, width]));
        let hidden = self.activation.behind(&self.expand, self.norm.forward(mixed.clone()));
        self.contract.forward_then(hidden, Epilogue::Add(mixed))
    }

    /// The queries (0), keys (1) or values (2) of `x`: [batch, length, width] → [batch, heads, length, width / heads]
    fn project(&self, x: Tensor<3>, part: usize) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        let weight = self.input_weight.val().narrow(0, part * width, width);
        let bias = self.input_bias.val().narrow(0, part * width, width);
        linear(x, weight, Some(bias))
            .reshape([batch, length, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            output: self.output.pack(precision),
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }
}
