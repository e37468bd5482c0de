//! Self-attention whose heads share keys and values in groups, and turn queries and keys by their places.

use crate::init::Init;
use crate::layers::{Dropout, Linear, MultiHeadAttention, RmsNorm};
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{AttentionOptions, Epilogue, KeyValueCache, Precision, Turns, attention, rotary_by};
use serde::{Deserialize, Serialize};

/// Which maps of an attention have a bias.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttentionBias {
    /// None of them.
    #[default]
    None,
    /// Those of queries, keys and values, as in Qwen2.
    Inputs,
    /// These and the one of what was attended to.
    All,
}

/// What a [`GroupedAttention`] is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupedAttentionOptions {
    pub width: usize,
    /// Those of queries, a multiple of `key_heads`.
    pub heads: usize,
    /// Those of keys and values.
    pub key_heads: usize,
    /// The width of each head, an even number.
    pub head_width: usize,
    pub bias: AttentionBias,
    /// What is added to the mean square of each head of queries and keys in normalising it; they are not normalised where
    /// there is none.
    pub norm: Option<f64>,
    pub dropout: f64,
}

/// Causal attention in which each head of keys and values serves several neighbouring heads of queries (Ainslie et al.
/// 2023).
#[derive(Module, Debug)]
pub struct GroupedAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    query_norm: Option<RmsNorm>,
    key_norm: Option<RmsNorm>,
    dropout: Dropout,
    #[module(skip)]
    head_width: usize,
}

impl GroupedAttention {
    pub fn new(options: GroupedAttentionOptions, init: &Init) -> Self {
        let GroupedAttentionOptions {
            width,
            heads,
            key_heads,
            head_width,
            bias,
            norm,
            dropout,
        } = options;
        let from = |name, heads| {
            let biased = bias != AttentionBias::None;
            Linear::biased_if(biased, width, heads * head_width, &init.at(name))
        };
        let norm = |name| norm.map(|epsilon| RmsNorm::new(head_width, epsilon, &init.at(name)));
        Self {
            query: from("query", heads),
            key: from("key", key_heads),
            value: from("value", key_heads),
            output: Linear::biased_if(
                bias == AttentionBias::All,
                heads * head_width,
                width,
                &init.at("output"),
            ),
            query_norm: norm("query_norm"),
            key_norm: norm("key_norm"),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            head_width,
        }
    }

    /// `x` [batch, length, width], of which each position attends to itself and those before it, where `mask` [batch, length]
    /// is true and everywhere without one; the result is added to `residual`. `turns` are those of the positions.
    pub fn forward(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        turns: &Turns,
        mask: Option<&Tensor<2, Bool>>,
        pass: &Pass,
    ) -> Tensor<3> {
        let (query, key, value) = self.heads(x, turns);
        let options = AttentionOptions {
            mask: mask.cloned(),
            ..AttentionOptions::causal()
        };
        let mixed = attention(query, key, value, options);
        self.dropout
            .add(&self.output, MultiHeadAttention::join(mixed), residual, pass)
    }

    /// The next positions of a sequence, `x` [batch, length, width]: each attends to itself and to those before it, which
    /// `cache` keeps, where `mask` [batch, positions] is true and everywhere without one. Without a gradient.
    pub fn decode(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        turns: &Turns,
        mask: Option<&Tensor<2, Bool>>,
        cache: &mut KeyValueCache,
    ) -> Tensor<3> {
        let (query, key, value) = self.heads(x, turns);
        cache.append(key, value);
        let mixed = MultiHeadAttention::join(cache.attend(query, AttentionOptions::masked(mask.cloned())));
        self.output.forward_then(mixed, Epilogue::Add(residual))
    }

    /// An empty cache for [`Self::decode`], with as many heads as keys have.
    pub fn cache(&self, batch: usize, capacity: usize, device: &Device) -> KeyValueCache {
        let heads = self.key.output_width() / self.head_width;
        KeyValueCache::new([batch, heads, capacity, self.head_width], device)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            query: self.query.pack(precision),
            key: self.key.pack(precision),
            value: self.value.pack(precision),
            output: self.output.pack(precision),
            ..self
        }
    }

    /// Queries [batch, heads, length, head width], keys and values [batch, key heads, length, head width].
    fn heads(&self, x: Tensor<3>, turns: &Turns) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let turned = |map: &Linear, norm: &Option<RmsNorm>| {
            let heads = self.split(map.forward(x.clone()));
            let heads = match norm {
                Some(norm) => norm.forward(heads),
                None => heads,
            };
            rotary_by(heads.swap_dims(1, 2), turns)
        };
        let value = self.split(self.value.forward(x.clone())).swap_dims(1, 2);
        (
            turned(&self.query, &self.query_norm),
            turned(&self.key, &self.key_norm),
            value,
        )
    }

    /// [batch, length, heads · head width] → [batch, length, heads, head width]
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        x.reshape([batch, length, width / self.head_width, self.head_width])
    }
}
