//! Scaled dot-product attention.

mod backward;
mod bias;
mod cache;
mod decode;
mod dropout;
mod heads;
mod kernel;
mod options;
#[cfg(test)]
mod tests;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{booleans, extents, fused, tensor};
use bias::Bias;
pub use cache::KeyValueCache;
use dropout::Factors;
use heads::{Heads, from_rows, readable};
use kernel::{Attention, Mask};
pub use options::{AttentionDropout, AttentionKind, AttentionOptions};

/// softmax(q·kᵀ / √width)·v (Vaswani et al. 2017): `q` [batch, heads, queries, width], `k` and `v` [batch, key heads,
/// keys, width] → [batch, heads, queries, width].
///
/// The heads are a multiple of the key heads: each of those serves as many neighbouring heads of the queries (Ainslie
/// et al. 2023). A query that sees no key gives zeros. The matrix of scores is never stored.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
    if !(fused(&q) && fused(&k) && fused(&v)) {
        return plain(q, k, v, options);
    }
    let [batch, _, keys, _] = k.dims();
    let all = || Tensor::<2, Int>::ones([batch, keys], &k.device()).bool();
    let mask = options.mask.unwrap_or_else(all);
    let rule = Rule {
        kind: options.kind,
        dropout: options.dropout,
        scale: options.scale.map(|scale| scale as f32),
    };
    let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
    let mask = mask.into_dispatch();
    Tensor::from_dispatch(match options.bias {
        None => <Dispatch as Fused>::scaled_attention(q, k, v, mask, rule),
        Some(bias) => <Dispatch as Fused>::biased_attention(q, k, v, bias.into_dispatch(), mask, rule),
    })
}

fn plain(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, options: AttentionOptions) -> Tensor<4> {
    let ([batch, heads, queries, width], [_, key_heads, keys, _]) = (q.dims(), k.dims());
    let shape = [batch, heads, queries, keys];
    let device = q.device();
    let [k, v] = [k, v].map(|shared| {
        shared
            .reshape([batch, key_heads, 1, keys * width])
            .expand([batch, key_heads, heads / key_heads, keys * width])
            .reshape([batch, heads, keys, width])
    });
    let seen = |query| options.kind.seen(query, queries, keys);
    let hidden: Vec<bool> = (0..queries)
        .flat_map(|query| (0..keys).map(move |key| key >= seen(query)))
        .collect();
    let hidden = Tensor::<4, Bool>::from_bool(TensorData::new(hidden, [1, 1, queries, keys]), &device);
    let mut hide = hidden.expand(shape);
    if let Some(mask) = options.mask {
        hide = hide.bool_or(mask.bool_not().reshape([batch, 1, 1, keys]).expand(shape));
    }
    let products = q.matmul(k.swap_dims(2, 3));
    let scores = match options.scale {
        Some(scale) => products * scale,
        None => products / (width as f64).sqrt(),
    };
    let scores = match options.bias {
        Some(bias) => scores + bias::spread(bias, [queries, keys]).unsqueeze(),
        None => scores,
    };
    // A finite filling keeps a fully hidden row free of NaN; the second one turns it to zeros.
    let mut weights = softmax(scores.mask_fill(hide.clone(), -1e30), 3).mask_fill(hide, 0.0);
    if let Some(dropout) = options.dropout {
        weights = weights * factors(dropout, shape, &device);
    }
    weights.matmul(v)
}

/// What dropout multiplies the weights by.
fn factors(dropout: AttentionDropout, shape: [usize; 4], device: &Device) -> Tensor<4> {
    let mut factors = vec![0.0f32; shape.iter().product()];
    for (row, line) in factors.chunks_mut(shape[3].max(1)).enumerate() {
        Factors::new(dropout, row).write(0, line);
    }
    Tensor::from_data(TensorData::new(factors, shape), device)
}

/// The options that are no tensors.
#[derive(Clone, Copy, Debug)]
struct Rule {
    kind: AttentionKind,
    dropout: Option<AttentionDropout>,
    scale: Option<f32>,
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn scaled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        rule: Rule,
    ) -> FloatTensor<Self>;

    fn biased_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        rule: Rule,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn scaled_attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, mask: FlexTensor, rule: Rule) -> FlexTensor {
        forward([q, k, v], None, &mask, rule).0
    }

    fn biased_attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        bias: FlexTensor,
        mask: FlexTensor,
        rule: Rule,
    ) -> FlexTensor {
        forward([q, k, v], Some(&bias), &mask, rule).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn scaled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        rule: Rule,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([q, k, v], |inputs, _| forward(inputs, None, &mask, rule))
    }

    fn biased_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        rule: Rule,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 4>([q, k, v, bias], |[q, k, v, bias], _| {
            forward([q, k, v], Some(&bias), &mask, rule)
        })
    }
}

#[derive(Clone, Debug)]
struct Saved {
    attention: Attention,
    inputs: [FlexTensor; 3],
    output: FlexTensor,
    /// The logarithm of each query's sum of powers, [batch, heads, queries].
    logarithms: Vec<f32>,
}

fn forward(inputs: [FlexTensor; 3], bias: Option<&FlexTensor>, mask: &FlexTensor, rule: Rule) -> (FlexTensor, Saved) {
    let inputs = inputs.map(|input| readable(&input));
    let [batch, heads, queries, width] = extents(&inputs[0]);
    let [_, key_heads, keys, _] = extents(&inputs[1]);
    let shapes = inputs.each_ref().map(extents::<4>);
    let expected = [batch, key_heads, keys, width];
    let grouped = key_heads > 0 && heads.is_multiple_of(key_heads);
    assert!(
        shapes[1] == expected && shapes[2] == expected && extents(mask) == [batch, keys] && grouped,
        "attention: for queries {:?}, keys and values must be {expected:?} with a divisor of {heads} heads, and the \
         mask [{batch}, {keys}], found {:?}, {:?} and {:?}",
        shapes[0],
        shapes[1],
        shapes[2],
        mask.layout().shape(),
    );
    let attention = Attention {
        batch,
        heads,
        key_heads,
        queries,
        keys,
        width,
        mask: Mask::new(booleans(mask), batch, keys),
        kind: rule.kind,
        dropout: rule.dropout.filter(|dropout| dropout.rate > 0.0),
        bias: bias.map(|bias| Bias::new(bias, heads, [queries, keys])),
        scale: rule.scale.unwrap_or_else(|| usual_scale(width)),
    };
    let (output, logarithms) = attention.forward(inputs.each_ref().map(Heads::of));
    let output = from_rows(output, shapes[0]);
    (
        output.clone(),
        Saved {
            attention,
            inputs,
            output,
            logarithms,
        },
    )
}

/// 1 / √width.
fn usual_scale(width: usize) -> f32 {
    1.0 / (width as f32).sqrt()
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, [q, k, v]: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let [dq, dk, dv, _] = Gradient::<4>::gradients(self, dy, [q, k, v, false]);
        [dq, dk, dv]
    }
}

/// With a bias.
impl Gradient<4> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 4]) -> [Option<FlexTensor>; 4] {
        let dy = readable(&dy);
        let inputs = self.inputs.each_ref().map(Heads::of);
        let (output, dy) = (Heads::of(&self.output), Heads::of(&dy));
        let [dq, dk, dv, bias] = self.attention.backward(inputs, output, dy, &self.logarithms);
        let gradient = |index: usize, values| wanted[index].then(|| from_rows(values, extents(&self.inputs[index])));
        let heads = self.attention.heads;
        let distances = bias.len() / heads.max(1);
        let bias = wanted[3].then(|| tensor(bias, [heads, distances]));
        [gradient(0, dq), gradient(1, dk), gradient(2, dv), bias]
    }
}
