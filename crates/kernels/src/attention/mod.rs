//! Scaled dot-product attention.

mod heads;
mod kernel;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Int, Tensor};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{booleans, extents, fused};
use kernel::Attention;

/// softmax(q·kᵀ / √width)·v (Vaswani et al. 2017): `q` [batch, heads, queries, width], `k` and `v` [batch, heads,
/// keys, width] → [batch, heads, queries, width].
///
/// `mask` [batch, keys] is true where a key is real. `causal` lets query i see keys up to i + keys − queries, so that
/// the last query sees all. A query that sees no key gives zeros. The matrix of scores is never stored.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<2, Bool>>, causal: bool) -> Tensor<4> {
    let [batch, _, keys, _] = k.dims();
    if !(fused(&q) && fused(&k) && fused(&v)) {
        return plain(q, k, v, mask, causal);
    }
    let mask = mask.unwrap_or_else(|| Tensor::<2, Int>::ones([batch, keys], &k.device()).bool());
    Tensor::from_dispatch(<Dispatch as Fused>::scaled_attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        mask.into_dispatch(),
        causal,
    ))
}

fn plain(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, mask: Option<Tensor<2, Bool>>, causal: bool) -> Tensor<4> {
    let ([batch, heads, queries, width], [_, _, keys, _]) = (q.dims(), k.dims());
    let device = q.device();
    let mut hide = Tensor::<4, Int>::zeros([batch, heads, queries, keys], &device).bool();
    if let Some(mask) = mask {
        hide = mask
            .bool_not()
            .reshape([batch, 1, 1, keys])
            .expand([batch, heads, queries, keys]);
    }
    if causal {
        let column = Tensor::<1, Int>::arange(0..keys as i64, &device).reshape([1, 1, 1, keys]);
        let shift = keys as i64 - queries as i64;
        let last = Tensor::<1, Int>::arange(shift..shift + queries as i64, &device);
        let shape = [batch, heads, queries, keys];
        let last = last.reshape([1, 1, queries, 1]).expand(shape);
        hide = hide.bool_or(column.expand(shape).greater(last));
    }
    let scores = q.matmul(k.swap_dims(2, 3)) / (width as f64).sqrt();
    // A finite filling keeps a fully hidden row free of NaN; the second one turns it to zeros.
    let weights = softmax(scores.mask_fill(hide.clone(), -1e30), 3).mask_fill(hide, 0.0);
    weights.matmul(v)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn scaled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        causal: bool,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn scaled_attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, mask: FlexTensor, causal: bool) -> FlexTensor {
        forward([q, k, v], &mask, causal).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn scaled_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        mask: BoolTensor<Self>,
        causal: bool,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([q, k, v], |inputs, _| forward(inputs, &mask, causal))
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

fn forward(inputs: [FlexTensor; 3], mask: &FlexTensor, causal: bool) -> (FlexTensor, Saved) {
    let inputs = inputs.map(|input| heads::readable(&input));
    let [batch, heads, queries, width] = extents(&inputs[0]);
    let [_, _, keys, _] = extents(&inputs[1]);
    let shapes = inputs.each_ref().map(extents::<4>);
    let expected = [batch, heads, keys, width];
    assert!(
        shapes[1] == expected && shapes[2] == expected && extents(mask) == [batch, keys],
        "attention: for queries {:?}, keys and values must be {expected:?} and the mask [{batch}, {keys}], \
         found {:?}, {:?} and {:?}",
        shapes[0],
        shapes[1],
        shapes[2],
        mask.layout().shape(),
    );
    let mask = booleans(mask);
    let padded = mask.chunks(keys.max(1)).map(|row| row.contains(&false)).collect();
    let attention = Attention {
        batch,
        heads,
        queries,
        keys,
        width,
        mask,
        padded,
        causal,
    };
    let (output, logarithms) = attention.forward(inputs.each_ref());
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

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let dy = heads::readable(&dy);
        let inputs = self.inputs.each_ref();
        let gradients = self.attention.backward(inputs, &self.output, &dy, &self.logarithms);
        let mut wanted = wanted.into_iter();
        gradients.map(|gradient| wanted.next().unwrap_or(false).then_some(gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, values};

    /// Shapes as [batch, heads, queries, keys, width].
    fn check_attention(shape: [usize; 5], hidden: Option<fn(usize, usize) -> bool>, causal: bool, strided: bool) {
        let [batch, heads, queries, keys, width] = shape;
        let leaves: Vec<Vec<f32>> = [(1, queries), (2, keys), (3, keys)]
            .iter()
            .map(|&(seed, length)| {
                values(seed, batch * heads * length * width)
                    .iter()
                    .map(|x| x * 2.0)
                    .collect()
            })
            .collect();
        let real = |b: usize, key: usize| hidden.is_none_or(|hidden| !hidden(b, key));
        let truths: Vec<bool> = (0..batch * keys).map(|at| real(at / keys, at % keys)).collect();
        let run = |layer: fn(Tensor<4>, Tensor<4>, Tensor<4>, Option<Tensor<2, Bool>>, bool) -> Tensor<4>,
                   leaves: &[Tensor<1>]| {
            let view = |leaf: usize, length: usize| {
                let leaf = leaves[leaf].clone();
                if strided {
                    leaf.reshape([batch, length, heads, width]).swap_dims(1, 2)
                } else {
                    leaf.reshape([batch, heads, length, width])
                }
            };
            let mask = Tensor::<1, Bool>::from_bool(truths.as_slice(), &leaves[0].device());
            let mask = hidden.map(|_| mask.reshape([batch, keys]));
            layer(view(0, queries), view(1, keys), view(2, keys), mask, causal).reshape([-1])
        };
        check(
            &leaves,
            |leaves| run(attention, leaves),
            |leaves| run(plain, leaves),
            |leaves| {
                let at = |leaf: usize, length: usize, [b, h, n, c]: [usize; 4]| {
                    leaves[leaf][if strided {
                        ((b * length + n) * heads + h) * width + c
                    } else {
                        ((b * heads + h) * length + n) * width + c
                    }]
                };
                let mut output = Vec::new();
                for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
                    for query in 0..queries {
                        let seen = |key: &usize| real(b, *key) && (!causal || key + queries <= query + keys);
                        let powers: Vec<(usize, f64)> = (0..keys)
                            .filter(seen)
                            .map(|key| {
                                let product = |c| at(0, queries, [b, h, query, c]) * at(1, keys, [b, h, key, c]);
                                let score = (0..width).map(product).sum::<f64>();
                                (key, (score / (width as f64).sqrt()).exp())
                            })
                            .collect();
                        let sum: f64 = powers.iter().map(|(_, power)| power).sum();
                        for c in 0..width {
                            let value = powers
                                .iter()
                                .map(|(key, power)| power / sum * at(2, keys, [b, h, *key, c]));
                            output.push(value.sum());
                        }
                    }
                }
                output
            },
        );
    }

    #[test]
    fn attention_matches_its_reference() {
        let padded: fn(usize, usize) -> bool = |row, key| key >= 2 + row;
        let all: fn(usize, usize) -> bool = |row, _| row == 0;
        check_attention([1, 1, 1, 1, 1], None, false, false);
        check_attention([2, 2, 3, 5, 4], None, false, true);
        check_attention([2, 1, 5, 5, 3], Some(padded), true, false);
        check_attention([2, 3, 4, 17, 5], Some(padded), false, true);
        check_attention([2, 1, 6, 3, 2], Some(all), true, true);
        check_attention([1, 2, 3, 7, 9], None, true, false);
        check_attention([1, 1, 70, 4, 2], None, false, true);
    }
}
