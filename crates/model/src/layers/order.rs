//! What a self-attention knows of its tokens beside their mask: rotary positions, order, and who may see whom.

use crate::tokens::plain;
use burn::tensor::{Bool, Int, Tensor};
use sensorium_kernels::Turns;
use std::sync::Arc;

/// By default every token sees every other, and their places do not matter.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// By what queries and keys turn: rotary positions.
    pub turns: Option<Turns>,
    /// Each token sees itself and those before it only.
    pub causal: bool,
    /// What is added to the scores of each head by how far a token stands from another, see [`AttentionOptions`](sensorium_kernels::AttentionOptions).
    pub bias: Option<Tensor<2>>,
    pub within: Within,
    /// Which neighbours attend to one another alone, of the one sequence that there is, all of whose tokens are real.
    pub parts: Option<Parts>,
}

/// Parts of a sequence, one after the other.
#[derive(Debug, Clone)]
pub struct Parts(Arc<Vec<Run>>);

/// Neighbouring parts of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    count: usize,
    length: usize,
}

impl Parts {
    pub fn new(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut runs: Vec<Run> = Vec::new();
        for length in lengths {
            match runs.last_mut().filter(|run| run.length == length) {
                Some(run) => run.count += 1,
                None => runs.push(Run { count: 1, length }),
            }
        }
        Self(Arc::new(runs))
    }

    /// What `attend` makes of the queries, keys and values of each part, [1, heads, length, width] of all of them: those of
    /// neighbouring parts of one length are given together, [parts, heads, length, width].
    pub(super) fn each(&self, x: [Tensor<4>; 3], attend: impl Fn([Tensor<4>; 3]) -> Tensor<4>) -> Tensor<4> {
        let [_, heads, _, width] = x[0].dims();
        let x = x.map(|x| x.swap_dims(1, 2));
        let mut first = 0;
        let run = |&Run { count, length }: &Run| {
            let part = |x: &Tensor<4>| {
                let part = x.clone().narrow(1, first, count * length);
                part.reshape([count, length, heads, width]).swap_dims(1, 2)
            };
            let mixed = attend(x.each_ref().map(part));
            first += count * length;
            mixed.swap_dims(1, 2).reshape([1, count * length, heads, width])
        };
        Tensor::cat(self.0.iter().map(run).collect(), 1).swap_dims(1, 2)
    }
}

/// The real tokens of a batch as one sequence, so that nothing is computed of what fills it up.
pub struct Filled {
    /// [1, tokens, width]
    pub x: Tensor<3>,
    /// Those of each sample.
    pub parts: Parts,
    /// For each place of the batch that of its token; of padding that of another one.
    back: Tensor<1, Int>,
    shape: [usize; 3],
}

impl Filled {
    /// Of `x` [batch, length, width], whose tokens are real where `mask` [batch, length] is true; none where all are, or a sample has
    /// none.
    pub fn new(x: &Tensor<3>, mask: &Tensor<2, Bool>) -> Option<Self> {
        let shape @ [batch, length, width] = x.dims();
        let real: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
        let lengths = real
            .chunks(length.max(1))
            .map(|row| row.iter().filter(|&&real| real).count());
        let lengths: Vec<usize> = lengths.collect();
        if lengths.contains(&0) || lengths.iter().all(|&own| own == length) {
            return None;
        }
        let places: Vec<i64> = (0..real.len())
            .filter(|&place| real[place])
            .map(|place| place as i64)
            .collect();
        let mut back = vec![0; real.len()];
        for (token, &place) in places.iter().enumerate() {
            back[place as usize] = token as i64;
        }
        let index = |places: &[i64]| Tensor::<1, Int>::from_ints(places, &plain(&x.device()));
        let tokens = x.clone().reshape([batch * length, width]).select(0, index(&places));
        Some(Self {
            x: tokens.reshape([1, places.len(), width]),
            parts: Parts::new(lengths),
            back: index(&back),
            shape,
        })
    }

    /// What became of the tokens, `x` [1, tokens, width], in their places [batch, length, width].
    pub fn restored(self, x: Tensor<3>) -> Tensor<3> {
        let [_, tokens, width] = x.dims();
        x.reshape([tokens, width]).select(0, self.back).reshape(self.shape)
    }
}

/// The tokens that form one sequence of a self-attention.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Within {
    /// All of a sample.
    #[default]
    Sample,
    /// Those of a frame, of which each has `places` tokens.
    Frame { places: usize },
    /// Those of the same place in all frames.
    Place { places: usize },
}

impl Within {
    /// [batch, length, width] → [sequences, tokens of a sequence, width]
    pub(super) fn fold(self, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        match self {
            Self::Sample => x,
            Self::Frame { places } => x.reshape([batch * length / places, places, width]),
            Self::Place { places } => x
                .reshape([batch, length / places, places, width])
                .swap_dims(1, 2)
                .reshape([batch * places, length / places, width]),
        }
    }

    /// Back to `batch` samples.
    pub(super) fn unfold(self, x: Tensor<3>, batch: usize) -> Tensor<3> {
        let [sequences, tokens, width] = x.dims();
        let length = sequences * tokens / batch;
        match self {
            Self::Sample => x,
            Self::Frame { .. } => x.reshape([batch, length, width]),
            Self::Place { places } => x
                .reshape([batch, places, tokens, width])
                .swap_dims(1, 2)
                .reshape([batch, length, width]),
        }
    }

    /// [batch, length] → [sequences, tokens of a sequence]
    pub(super) fn fold_mask(self, mask: Tensor<2, Bool>) -> Tensor<2, Bool> {
        let [batch, length] = mask.dims();
        match self {
            Self::Sample => mask,
            Self::Frame { places } => mask.reshape([batch * length / places, places]),
            Self::Place { places } => mask
                .reshape([batch, length / places, places])
                .swap_dims(1, 2)
                .reshape([batch * places, length / places]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::{Device, Int};

    /// Two samples of three frames with two places: the tokens of each sequence, by their numbers.
    fn check(within: Within, expected: &[&[u8]]) {
        let numbers = Tensor::<1, Int>::arange(0..12, &Device::flex()).float();
        let x = numbers.clone().reshape([2, 6, 1]);
        let folded = within.fold(x.clone());
        assert_eq!(folded.dims(), [expected.len(), expected[0].len(), 1]);
        let expected: Vec<f32> = expected.concat().into_iter().map(f32::from).collect();
        assert_eq!(to_vec(folded.clone()), expected, "{within:?}");
        assert_eq!(to_vec(within.unfold(folded, 2)), to_vec(x), "{within:?}");
        let mask = numbers.reshape([2, 6]).lower_elem(7.0);
        let seen: Vec<f32> = expected.iter().map(|number| f32::from(*number < 7.0)).collect();
        assert_eq!(to_vec(within.fold_mask(mask).float()), seen, "{within:?}");
    }

    #[test]
    fn padding_is_left_out_and_comes_back() {
        let device = Device::flex();
        let x = Tensor::<1, Int>::arange(0..6, &device).float().reshape([2, 3, 1]);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], &device).greater_elem(0.5);
        let filled = Filled::new(&x, &mask).unwrap();
        assert_eq!(to_vec(filled.x.clone()), [0.0, 1.0, 3.0, 4.0, 5.0]);
        let doubled = filled.x.clone() * 2.0;
        assert_eq!(to_vec(filled.restored(doubled)), [0.0, 2.0, 0.0, 6.0, 8.0, 10.0]);
        assert!(Filled::new(&x, &mask.clone().bool_or(mask.bool_not())).is_none());
    }

    #[test]
    fn parts_of_one_length_are_given_together() {
        let parts = Parts::new([2, 2, 3, 1]);
        let x = Tensor::<1, Int>::arange(0..16, &Device::flex())
            .float()
            .reshape([1, 2, 8, 1]);
        let seen = std::cell::RefCell::new(Vec::new());
        let found = parts.each([x.clone(), x.clone(), x.clone()], |[query, key, value]| {
            seen.borrow_mut().push((query.dims(), to_vec(key)));
            value
        });
        assert_eq!(to_vec(found), to_vec(x));
        let seen = seen.into_inner();
        assert_eq!(seen[0], ([2, 2, 2, 1], vec![0.0, 1.0, 8.0, 9.0, 2.0, 3.0, 10.0, 11.0]));
        assert_eq!([seen[1].0, seen[2].0], [[1, 2, 3, 1], [1, 2, 1, 1]]);
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn frames_and_places_are_sequences_of_their_own() {
        check(Within::Sample, &[&[0, 1, 2, 3, 4, 5], &[6, 7, 8, 9, 10, 11]]);
        let frames: [&[u8]; 6] = [&[0, 1], &[2, 3], &[4, 5], &[6, 7], &[8, 9], &[10, 11]];
        check(Within::Frame { places: 2 }, &frames);
        let places: [&[u8]; 4] = [&[0, 2, 4], &[1, 3, 5], &[6, 8, 10], &[7, 9, 11]];
        check(Within::Place { places: 2 }, &places);
    }
}
