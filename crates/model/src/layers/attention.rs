//! Multi-head attention with a padding mask.

use crate::init::Init;
use crate::layers::{Dropout, Linear, Memory, Order, Parts, Rates};
use crate::pass::Pass;
use crate::tokens::plain;
use burn::module::Module;
use burn::tensor::{Bool, Device, Tensor};
use sensorium_kernels::{
    AttentionKind, AttentionOptions, Epilogue, KeyValueCache, Precision, Turns, attention, rotary_by,
};

/// What a [`MultiHeadAttention`] is built of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionShape {
    pub width: usize,
    /// The width of what is attended to.
    pub memory: usize,
    pub heads: usize,
    pub head_width: usize,
    /// Whether the maps have a bias.
    pub biased: bool,
    /// What products of queries and keys are multiplied by; 1 / √head width by default.
    pub scale: Option<f64>,
}

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
    #[module(skip)]
    scale: Option<f64>,
}

impl MultiHeadAttention {
    /// `width` must be a multiple of `heads`; `memory` is the width of what is attended to.
    pub fn new(width: usize, memory: usize, heads: usize, rates: impl Into<Rates>, init: &Init) -> Self {
        let shape = AttentionShape {
            width,
            memory,
            heads,
            head_width: width / heads,
            biased: true,
            scale: None,
        };
        Self::of_shape(shape, rates, init)
    }

    /// As [`Self::new`] where heads need not divide the width.
    pub fn of_shape(shape: AttentionShape, rates: impl Into<Rates>, init: &Init) -> Self {
        let inner = shape.heads * shape.head_width;
        let map = |name, input, output| Linear::biased_if(shape.biased, input, output, &init.at(name));
        Self {
            query: map("query", shape.width, inner),
            key: map("key", shape.memory, inner),
            value: map("value", shape.memory, inner),
            output: map("output", inner, shape.width),
            dropout: Dropout::new(rates, &init.at("dropout")),
            heads: shape.heads,
            scale: shape.scale,
        }
    }

    /// What products of queries and keys are multiplied by, where it is not the usual factor.
    pub(super) fn scale(&self) -> Option<f64> {
        self.scale
    }

    /// What is computed of queries and keys where `mask` is true.
    fn options(&self, mask: Option<Tensor<2, Bool>>) -> AttentionOptions {
        AttentionOptions {
            scale: self.scale,
            ..AttentionOptions::masked(mask)
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
        self.cross(residual, x, memory, mask, None, pass)
    }

    /// [`Self::forward`] to a memory whose keys turn by their places. Queries stay as they are, since their places say
    /// nothing about those of another medium: a score then depends on the place of its key.
    pub fn cross(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        memory: Tensor<3>,
        mask: &Tensor<2, Bool>,
        turns: Option<&Turns>,
        pass: &Pass,
    ) -> Tensor<3> {
        let query = self.split(self.query.forward(x));
        let key = turn(self.split(self.key.forward(memory.clone())), turns);
        let value = self.split(self.value.forward(memory));
        let mixed = Self::join(attention(query, key, value, self.options(Some(mask.clone()))));
        self.dropout.add(&self.output, mixed, residual, pass)
    }

    /// `x` [batch, length, width] attends to itself where `mask` [batch, length] is true, as `order` has it.
    pub fn itself(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        mask: &Tensor<2, Bool>,
        order: &Order,
        pass: &Pass,
    ) -> Tensor<3> {
        if let Some(parts) = &order.parts {
            return self.apart(residual, x, parts, order, pass);
        }
        let batch = x.dims()[0];
        let x = order.within.fold(x);
        let [query, key, value] = self.inputs(x, order.turns.as_ref());
        let options = AttentionOptions {
            kind: if order.causal {
                AttentionKind::Causal
            } else {
                AttentionKind::Full
            },
            bias: order.bias.clone(),
            ..self.options(Some(order.within.fold_mask(mask.clone())))
        };
        let mixed = order
            .within
            .unfold(Self::join(attention(query, key, value, options)), batch);
        self.dropout.add(&self.output, mixed, residual, pass)
    }

    /// `x` [1, length, width], of which the tokens of each part attend to one another.
    fn apart(&self, residual: Tensor<3>, x: Tensor<3>, parts: &Parts, order: &Order, pass: &Pass) -> Tensor<3> {
        let inputs = self.inputs(x, order.turns.as_ref());
        let mixed = parts.each(inputs, |[query, key, value]| {
            attention(query, key, value, self.options(None))
        });
        self.dropout.add(&self.output, Self::join(mixed), residual, pass)
    }

    /// `x` [batch, length, width], of which each position attends to itself and those before it, where `mask` [batch, length]
    /// is true and everywhere without one.
    pub fn causal(&self, residual: Tensor<3>, x: Tensor<3>, mask: Option<&Tensor<2, Bool>>, pass: &Pass) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let all = || Tensor::<2>::ones([batch, length], &plain(&x.device())).bool();
        let mask = mask.cloned().unwrap_or_else(all);
        let order = Order {
            causal: true,
            ..Order::default()
        };
        self.itself(residual, x, &mask, &order, pass)
    }

    /// The next positions of a sequence, `x` [batch, length, width]: each attends to itself and to those before it, which
    /// `cache` keeps, where `mask` [batch, positions] is true and everywhere without one, with a `bias` as [`Order`] has it.
    /// Without a gradient.
    pub fn decode(
        &self,
        residual: Tensor<3>,
        x: Tensor<3>,
        mask: Option<&Tensor<2, Bool>>,
        bias: Option<&Tensor<2>>,
        cache: &mut KeyValueCache,
    ) -> Tensor<3> {
        cache.append(
            self.split(self.key.forward(x.clone())),
            self.split(self.value.forward(x.clone())),
        );
        let options = AttentionOptions {
            bias: bias.cloned(),
            ..self.options(mask.cloned())
        };
        let mixed = cache.attend(self.split(self.query.forward(x)), options);
        self.output.forward_then(Self::join(mixed), Epilogue::Add(residual))
    }

    /// The keys and values of a `memory` [batch, positions, memory width], for [`Memory`].
    pub fn remember(&self, memory: Tensor<3>) -> KeyValueCache {
        let [batch, positions, _] = memory.dims();
        let mut cache = self.cache(batch, positions, &memory.device());
        cache.append(
            self.split(self.key.forward(memory.clone())),
            self.split(self.value.forward(memory)),
        );
        cache
    }

    /// What each head finds of `memory` [batch, positions, memory width] for `x` [batch, length, width]: scores [batch, heads,
    /// length, positions], of which a softmax makes weights.
    pub fn scores(&self, x: Tensor<3>, memory: Tensor<3>) -> Tensor<4> {
        let query = self.split(self.query.forward(x));
        let key = self.split(self.key.forward(memory));
        let usual = (query.dims()[3] as f64).sqrt();
        let products = query.matmul(key.swap_dims(2, 3));
        match self.scale {
            Some(scale) => products * scale,
            None => products / usual,
        }
    }

    /// Attention of the next positions of some sequences, `x` [batch, length, width], to what they remember. Without a
    /// gradient.
    pub fn recall(&self, residual: Tensor<3>, x: Tensor<3>, memory: &Memory) -> Tensor<3> {
        let mixed = memory.attend(self.split(self.query.forward(x)));
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

    /// The queries, keys and values of `x` [batch, length, width], each [batch, heads, length, head width].
    fn inputs(&self, x: Tensor<3>, turns: Option<&Turns>) -> [Tensor<4>; 3] {
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|map| self.split(map.forward(x.clone())));
        [turn(query, turns), turn(key, turns), value]
    }

    /// [batch, length, width] → [batch, heads, length, width / heads]
    fn split(&self, x: Tensor<3>) -> Tensor<4> {
        let [batch, length, width] = x.dims();
        x.reshape([batch, length, self.heads, width / self.heads])
            .swap_dims(1, 2)
    }

    /// [batch, heads, length, width / heads] → [batch, length, width]
    pub(super) fn join(x: Tensor<4>) -> Tensor<3> {
        let [batch, heads, length, width] = x.dims();
        x.swap_dims(1, 2).reshape([batch, length, heads * width])
    }
}

fn turn(x: Tensor<4>, turns: Option<&Turns>) -> Tensor<4> {
    match turns {
        Some(turns) => rotary_by(x, turns),
        None => x,
    }
}
