//! Multi-head attention with a padding mask.

use crate::init::Init;
use crate::layers::{Dropout, Linear};
use crate::pass::Pass;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use sensorium_kernels::{AttentionOptions, Epilogue, KeyValueCache, Precision, attention};

/// Scaled dot-product attention in several heads (Vaswani et al. 2017).
#[derive(Module, Debug)]
pub struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    dropout: Dropout,
    #[module(skip)]
    heads: usize,
}

impl MultiHeadAttention {
    /// `width` must be a multiple of `heads`; `memory` is the width of what is attended to.
    pub fn new(width: usize, memory: usize, heads: usize, dropout: f64, init: &Init) -> Self {
        Self {
            query: Linear::new(width, width, &init.at("query")),
            key: Linear::new(memory, width, &init.at("key")),
            value: Linear::new(memory, width, &init.at("value")),
            output: Linear::new(width, width, &init.at("output")),
            dropout: Dropout::new(dropout, &init.at("dropout")),
            heads,
        }
    }

    /// `x` [batch, length, width] attends to `memory` [batch, positions, memory width] where `mask` [batch, positions]
    /// is true; the result is added to `residual`, as that of the other functions.
    pub fn forward(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        memory: Tensor<3>,
        mask: &Tensor<2, Bool>,
        pass: &Pass,
    ) -> Tensor<3> {
        self.mix(residual, x, memory, AttentionOptions::padded(mask.clone()), pass)
    }

    /// `x` [batch, length, width], of which each position attends to itself and those before it.
    pub fn causal(&self, residual: Tensor<3>, x: Tensor<3>, pass: &Pass) -> Tensor<3> {
        self.mix(residual, x.clone(), x, AttentionOptions::causal(), pass)
    }

    /// The next positions of a sequence, `x` [batch, length, width]: each attends to itself and to those before it, which
    /// `cache` keeps. Without a gradient.
    pub fn decode(&self, residual: Tensor<3>, x: Tensor<3>, cache: &mut KeyValueCache) -> Tensor<3> {
        cache.append(
            self.split(self.key.forward(x.clone())),
            self.split(self.value.forward(x.clone())),
        );
        let mixed = cache.attend(self.split(self.query.forward(x)), None);
        self.output.forward_then(Self::join(mixed), Epilogue::Add(residual))
    }

    /// The keys and values of a `memory` [batch, positions, memory width], for [`Self::recall`].
    pub fn remember(&self, memory: Tensor<3>) -> KeyValueCache {
        let [batch, positions, _] = memory.dims();
        let mut cache = self.cache(batch, positions, &memory.device());
        cache.append(
            self.split(self.key.forward(memory.clone())),
            self.split(self.value.forward(memory)),
        );
        cache
    }

    /// Attention of one position, `x` [batch, 1, width], to a remembered memory where `mask` is true. Without a gradient.
    pub fn recall(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        cache: &KeyValueCache,
        mask: &Tensor<2, Bool>,
    ) -> Tensor<3> {
        let mixed = cache.attend(self.split(self.query.forward(x)), Some(mask.clone()));
        self.output.forward_then(Self::join(mixed), Epilogue::Add(residual))
    }

    /// An empty cache for [`Self::decode`].
    pub fn cache(&self, batch: usize, capacity: usize, device: &Device) -> KeyValueCache {
        let width = self.query.output_width() / self.heads;
        KeyValueCache::new([batch, self.heads, capacity, width], device)
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

    fn mix(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        memory: Tensor<3>,
        options: AttentionOptions,
        pass: &Pass,
    ) -> Tensor<3> {
        let query = self.split(self.query.forward(x));
        let key = self.split(self.key.forward(memory.clone()));
        let value = self.split(self.value.forward(memory));
        let mixed = Self::join(attention(query, key, value, options));
        self.dropout.add(&self.output, mixed, residual, pass)
    }

    /// [batch, length, width] → [batch, heads, length, width / heads]
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        x.reshape([batch, length, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }

    /// [batch, heads, length, width / heads] → [batch, length, width]
    fn join(x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, length, width] = x.dims();
        x.swap_dims(1, 2).reshape([batch, length, heads * width])
    }
}
