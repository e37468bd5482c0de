//! Scaled dot-product attention.

mod backward;
mod cache;
mod decode;
mod dropout;
mod heads;
mod kernel;
mod options;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{BoolTensor, FloatTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{booleans, extents, fused};
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
    };
    Tensor::from_dispatch(<Dispatch as Fused>::scaled_attention(
        q.into_dispatch(),
        k.into_dispatch(),
        v.into_dispatch(),
        mask.into_dispatch(),
        rule,
    ))
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
    let scores = q.matmul(k.swap_dims(2, 3)) / (width as f64).sqrt();
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
}

impl Fused for Flex {
    fn scaled_attention(q: FlexTensor, k: FlexTensor, v: FlexTensor, mask: FlexTensor, rule: Rule) -> FlexTensor {
        forward([q, k, v], &mask, rule).0
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
        record::<C, Saved, 3>([q, k, v], |inputs, _| forward(inputs, &mask, rule))
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

fn forward(inputs: [FlexTensor; 3], mask: &FlexTensor, rule: Rule) -> (FlexTensor, Saved) {
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

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let dy = readable(&dy);
        let inputs = self.inputs.each_ref().map(Heads::of);
        let (output, dy) = (Heads::of(&self.output), Heads::of(&dy));
        let [dq, dk, dv] = self.attention.backward(inputs, output, dy, &self.logarithms);
        let gradient = |index: usize, values| wanted[index].then(|| from_rows(values, extents(&self.inputs[index])));
        [gradient(0, dq), gradient(1, dk), gradient(2, dv)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, values};

    type Hidden = fn(usize, usize) -> bool;

    /// One case: shapes as [batch, heads, key heads, queries, keys, width].
    #[derive(Clone, Copy)]
    struct Case {
        shape: [usize; 6],
        hidden: Option<Hidden>,
        kind: AttentionKind,
        dropout: Option<AttentionDropout>,
        strided: bool,
    }

    const PLAIN: Case = Case {
        shape: [1, 1, 1, 1, 1, 1],
        hidden: None,
        kind: AttentionKind::Full,
        dropout: None,
        strided: false,
    };

    impl Case {
        fn real(&self, b: usize, key: usize) -> bool {
            self.hidden.is_none_or(|hidden| !hidden(b, key))
        }

        fn run(
            &self,
            layer: fn(Tensor<4>, Tensor<4>, Tensor<4>, AttentionOptions) -> Tensor<4>,
            leaves: &[Tensor<1>],
        ) -> Tensor<1> {
            let [batch, heads, key_heads, queries, keys, width] = self.shape;
            let view = |leaf: usize, heads: usize, length: usize| {
                let leaf = leaves[leaf].clone();
                if self.strided {
                    leaf.reshape([batch, length, heads, width]).swap_dims(1, 2)
                } else {
                    leaf.reshape([batch, heads, length, width])
                }
            };
            let truths: Vec<bool> = (0..batch * keys).map(|at| self.real(at / keys, at % keys)).collect();
            let mask = Tensor::<1, Bool>::from_bool(truths.as_slice(), &Device::flex()).to_device(&leaves[0].device());
            let options = AttentionOptions {
                mask: self.hidden.map(|_| mask.reshape([batch, keys])),
                kind: self.kind,
                dropout: self.dropout,
            };
            let (k, v) = (view(1, key_heads, keys), view(2, key_heads, keys));
            layer(view(0, heads, queries), k, v, options).reshape([-1])
        }

        fn reference(&self, leaves: &[Vec<f64>]) -> Vec<f64> {
            let [batch, heads, key_heads, queries, keys, width] = self.shape;
            let at = |leaf: usize, heads: usize, length: usize, [b, h, n, c]: [usize; 4]| {
                leaves[leaf][if self.strided {
                    ((b * length + n) * heads + h) * width + c
                } else {
                    ((b * heads + h) * length + n) * width + c
                }]
            };
            let mut output = Vec::new();
            for row in 0..batch * heads * queries {
                let (b, h, query) = (row / (heads * queries), row / queries % heads, row % queries);
                let shared = h / (heads / key_heads);
                let seen = |key: usize| match self.kind {
                    AttentionKind::Full => true,
                    AttentionKind::Causal => key + queries <= query + keys,
                    AttentionKind::Prefix(length) => key < length || key + queries <= query + keys,
                };
                let powers: Vec<(usize, f64)> = (0..keys)
                    .filter(|&key| self.real(b, key) && seen(key))
                    .map(|key| {
                        let product =
                            |c| at(0, heads, queries, [b, h, query, c]) * at(1, key_heads, keys, [b, shared, key, c]);
                        let score = (0..width).map(product).sum::<f64>();
                        (key, (score / (width as f64).sqrt()).exp())
                    })
                    .collect();
                let sum: f64 = powers.iter().map(|(_, power)| power).sum();
                let mut factors = vec![1.0; keys];
                if let Some(dropout) = self.dropout {
                    Factors::new(dropout, row).write(0, &mut factors);
                }
                output.extend((0..width).map(|c| {
                    let value = |&(key, power): &(usize, f64)| {
                        power / sum * f64::from(factors[key]) * at(2, key_heads, keys, [b, shared, key, c])
                    };
                    powers.iter().map(value).sum::<f64>()
                }));
            }
            output
        }

        fn check(self) {
            let [batch, heads, key_heads, queries, keys, width] = self.shape;
            let leaf = |seed, heads: usize, length: usize| {
                let leaf = values(seed, batch * heads * length * width);
                leaf.iter().map(|x| x * 2.0).collect()
            };
            let leaves = [
                leaf(1, heads, queries),
                leaf(2, key_heads, keys),
                leaf(3, key_heads, keys),
            ];
            check(
                &leaves,
                |leaves| self.run(attention, leaves),
                |leaves| self.run(plain, leaves),
                |leaves| self.reference(leaves),
            );
        }
    }

    const PADDED: Option<Hidden> = Some(|row, key| key >= 2 + row);
    const GAPS: Option<Hidden> = Some(|row, key| key % 3 == row);
    const ALL: Option<Hidden> = Some(|row, _| row == 0);

    #[test]
    fn attention_matches_its_reference() {
        for (shape, hidden, strided) in [
            ([1, 1, 1, 1, 1, 1], None, false),
            ([2, 2, 2, 3, 5, 4], None, true),
            ([2, 3, 3, 4, 17, 5], PADDED, true),
            ([2, 1, 1, 4, 18, 3], GAPS, false),
            ([2, 1, 1, 6, 3, 2], ALL, true),
            ([1, 1, 1, 100, 4, 2], None, true),
        ] {
            let case = Case {
                shape,
                hidden,
                strided,
                ..PLAIN
            };
            case.check();
        }
    }

    #[test]
    fn causal_and_prefix_attention_match_their_reference() {
        for kind in [AttentionKind::Causal, AttentionKind::Prefix(3)] {
            for (shape, hidden) in [
                ([2, 1, 1, 5, 5, 3], PADDED),
                ([1, 2, 2, 3, 7, 9], None),
                ([2, 1, 1, 6, 3, 2], GAPS),
                ([2, 1, 1, 7, 4, 2], ALL),
            ] {
                let case = Case {
                    shape,
                    hidden,
                    kind,
                    ..PLAIN
                };
                case.check();
            }
        }
    }

    #[test]
    fn heads_share_keys() {
        for (shape, strided) in [([2, 4, 2, 3, 5, 4], false), ([1, 3, 1, 4, 2, 3], true)] {
            let case = Case {
                shape,
                strided,
                ..PLAIN
            };
            case.check();
        }
    }

    #[test]
    fn dropout_matches_its_reference() {
        let dropout = Some(AttentionDropout { rate: 0.4, seed: 7 });
        for (shape, hidden) in [([2, 2, 1, 3, 5, 4], None), ([1, 1, 1, 4, 40, 2], PADDED)] {
            let case = Case {
                shape,
                hidden,
                dropout,
                ..PLAIN
            };
            case.check();
        }
    }

    /// Compares with burn's operations where finite differences would take too long.
    #[test]
    fn long_sequences_agree_with_burn() {
        let dropout = Some(AttentionDropout { rate: 0.1, seed: 3 });
        for (kind, dropout) in [
            (AttentionKind::Full, None),
            (AttentionKind::Causal, None),
            (AttentionKind::Prefix(150), dropout),
        ] {
            let case = Case {
                shape: [1, 2, 1, 130, 601, 8],
                hidden: Some(|_, key| key % 7 == 1 || key > 590),
                kind,
                dropout,
                ..PLAIN
            };
            let [batch, heads, key_heads, queries, keys, width] = case.shape;
            let sizes = [heads * queries, key_heads * keys, key_heads * keys].map(|rows| batch * rows * width);
            let run = |layer: fn(Tensor<4>, Tensor<4>, Tensor<4>, AttentionOptions) -> Tensor<4>| {
                let device = Device::flex().autodiff();
                let leaves = [0, 1, 2].map(|leaf| {
                    let values = values(leaf as u64, sizes[leaf]);
                    Tensor::<1>::from_floats(values.as_slice(), &device).require_grad()
                });
                let output = case.run(layer, &leaves);
                let gradients = (output.clone() * output.clone()).sum().backward();
                let gradients = leaves.map(|leaf| elements(leaf.grad(&gradients).expect("a gradient")));
                (elements(output), gradients)
            };
            let fused = crate::testing::same_bits(|| {
                let (output, gradients) = run(attention);
                gradients
                    .into_iter()
                    .fold(output, |all, gradient| [all, gradient].concat())
            });
            let (output, gradients) = run(plain);
            let mut start = 0;
            for part in [output].into_iter().chain(gradients) {
                let wide: Vec<f64> = part.iter().map(|&value| value.into()).collect();
                crate::testing::close("part", &fused[start..start + part.len()], &wide, 2e-5);
                start += part.len();
            }
        }
    }

    #[test]
    fn empty_lengths_give_zeros() {
        let device = Device::flex();
        let empty = |length| Tensor::<4>::zeros([2, 3, length, 4], &device);
        let output = attention(empty(2), empty(0), empty(0), AttentionOptions::default());
        assert_eq!(elements(output), vec![0.0; 2 * 3 * 2 * 4]);
        let output = attention(empty(0), empty(5), empty(5), AttentionOptions::default());
        assert_eq!(output.dims(), [2, 3, 0, 4]);
    }
}
