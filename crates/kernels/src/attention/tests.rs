//! Attention against its reference, and against burn's operations.

use super::*;
use crate::testing::{check, elements, values};

type Hidden = fn(usize, usize) -> bool;

/// One case: shapes as [batch, heads, key heads, queries, keys, width]. The bias is the last leaf.
#[derive(Clone, Copy)]
struct Case {
    shape: [usize; 6],
    hidden: Option<Hidden>,
    kind: AttentionKind,
    dropout: Option<AttentionDropout>,
    strided: bool,
    biased: bool,
    scale: Option<f64>,
}

const PLAIN: Case = Case {
    shape: [1, 1, 1, 1, 1, 1],
    hidden: None,
    kind: AttentionKind::Full,
    dropout: None,
    strided: false,
    biased: false,
    scale: None,
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
            bias: self
                .biased
                .then(|| leaves[3].clone().reshape([heads, queries + keys - 1])),
            scale: self.scale,
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
                    let scale = self.scale.unwrap_or(1.0 / (width as f64).sqrt());
                    let score = scale * (0..width).map(product).sum::<f64>();
                    let bias = |bias: &Vec<f64>| bias[h * (queries + keys - 1) + key + queries - 1 - query];
                    (key, (score + leaves.get(3).map_or(0.0, bias)).exp())
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
        let mut leaves = vec![
            leaf(1, heads, queries),
            leaf(2, key_heads, keys),
            leaf(3, key_heads, keys),
        ];
        if self.biased {
            leaves.push(values(4, heads * (queries + keys - 1)));
        }
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

#[test]
fn a_bias_of_distances_matches_its_reference() {
    let dropout = Some(AttentionDropout { rate: 0.4, seed: 7 });
    for (shape, hidden, kind, scale, dropout) in [
        ([2, 2, 2, 3, 5, 4], None, AttentionKind::Full, Some(1.0), None),
        ([2, 4, 2, 4, 17, 5], PADDED, AttentionKind::Full, None, None),
        ([2, 2, 1, 5, 5, 3], GAPS, AttentionKind::Causal, Some(1.0), None),
        ([2, 1, 1, 6, 3, 2], ALL, AttentionKind::Causal, Some(0.3), None),
        (
            [1, 2, 2, 3, 20, 4],
            PADDED,
            AttentionKind::Prefix(3),
            Some(1.0),
            dropout,
        ),
        ([1, 1, 1, 1, 1, 1], None, AttentionKind::Full, None, None),
    ] {
        let case = Case {
            shape,
            hidden,
            kind,
            dropout,
            // Both layouts.
            strided: shape[1] == 2,
            biased: true,
            scale,
        };
        case.check();
    }
}

/// Compares with burn's operations where finite differences would take too long.
#[test]
fn long_sequences_agree_with_burn() {
    let dropout = Some(AttentionDropout { rate: 0.1, seed: 3 });
    for (kind, dropout, biased) in [
        (AttentionKind::Full, None, false),
        (AttentionKind::Full, None, true),
        (AttentionKind::Causal, None, false),
        (AttentionKind::Causal, None, true),
        (AttentionKind::Prefix(150), dropout, false),
    ] {
        let case = Case {
            shape: [1, 2, 1, 130, 601, 8],
            hidden: Some(|_, key| key % 7 == 1 || key > 590),
            kind,
            dropout,
            biased,
            ..PLAIN
        };
        let [batch, heads, key_heads, queries, keys, width] = case.shape;
        let mut sizes = [heads * queries, key_heads * keys, key_heads * keys]
            .map(|rows| batch * rows * width)
            .to_vec();
        sizes.extend(biased.then_some(heads * (queries + keys - 1)));
        let run = |layer: fn(Tensor<4>, Tensor<4>, Tensor<4>, AttentionOptions) -> Tensor<4>| {
            let device = Device::flex().autodiff();
            let leaf = |(leaf, &size): (usize, &usize)| {
                let values = values(leaf as u64, size);
                Tensor::<1>::from_floats(values.as_slice(), &device).require_grad()
            };
            let leaves: Vec<_> = sizes.iter().enumerate().map(leaf).collect();
            let output = case.run(layer, &leaves);
            let gradients = (output.clone() * output.clone()).sum().backward();
            let gradients = leaves
                .iter()
                .map(|leaf| elements(leaf.grad(&gradients).expect("a gradient")));
            (elements(output), gradients.collect::<Vec<_>>())
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
