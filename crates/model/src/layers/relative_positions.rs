//! A learned number for each head and each distance between two tokens.

use crate::init::Init;
use crate::tokens::plain;
use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

/// What scores are moved by where a token attends to another (Raffel et al. 2020, 2.1): near distances have numbers of their own, and
/// far ones share them in buckets that widen with the logarithm of the distance.
#[derive(Module, Debug)]
pub struct RelativePositions {
    /// [buckets, heads]
    weight: Param<Tensor<2>>,
    #[module(skip)]
    buckets: Buckets,
}

/// Which distances share a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Buckets {
    /// Four or more.
    pub count: usize,
    /// From here on all distances share one; more than half of `count`.
    pub farthest: usize,
    /// Whether those behind a token have half of the buckets; else they share the one of the token itself.
    pub both_sides: bool,
}

impl Buckets {
    /// The bucket of a token that stands so many places behind the one that attends to it.
    pub fn of(self, behind: i64) -> usize {
        let (first, count) = match (self.both_sides, behind > 0) {
            (true, true) => (self.count / 2, self.count / 2),
            (true, false) => (0, self.count / 2),
            (false, _) => (0, self.count),
        };
        let distance = match self.both_sides {
            true => behind.unsigned_abs() as usize,
            false => behind.min(0).unsigned_abs() as usize,
        };
        let exact = count / 2;
        if distance < exact {
            return first + distance;
        }
        // In 32 bits, as in the original: where the borders of buckets lie must not depend on rounding.
        let share = (distance as f32 / exact as f32).ln() / (self.farthest as f64 / exact as f64).ln() as f32;
        let far = exact + (share * (count - exact) as f32) as usize;
        first + far.min(count - 1)
    }
}

impl RelativePositions {
    pub fn new(buckets: Buckets, heads: usize, init: &Init) -> Self {
        Self {
            weight: init.normal("weight", [buckets.count, heads], 1.0),
            buckets,
        }
    }

    /// What is added to the scores of the last `queries` of so many `keys`, as
    /// [`AttentionOptions`](sensorium_kernels::AttentionOptions) has it: [heads, queries + keys − 1].
    pub fn bias(&self, queries: usize, keys: usize) -> Tensor<2> {
        // From the first key behind the last query, which is the last key too, to the last one behind the first query.
        let behind = (1 - keys as i64)..queries as i64;
        let buckets: Vec<i64> = behind.map(|behind| self.buckets.of(behind) as i64).collect();
        let (count, device) = (buckets.len(), plain(&self.weight.device()));
        let buckets = Tensor::<1, Int>::from_data(TensorData::new(buckets, [count]), &device);
        self.weight.val().select(0, buckets).swap_dims(0, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(buckets: Buckets, expected: &[(i64, usize)]) {
        for (behind, bucket) in expected {
            assert_eq!(buckets.of(*behind), *bucket, "{buckets:?}: {behind}");
        }
    }

    #[test]
    fn near_distances_are_told_apart_and_far_ones_share() {
        let mut buckets = Buckets {
            count: 32,
            farthest: 128,
            both_sides: true,
        };
        check(
            buckets,
            &[(0, 0), (-1, 1), (1, 17), (-7, 7), (7, 23), (-8, 8), (-11, 8), (-12, 9)],
        );
        check(buckets, &[(-127, 15), (-128, 15), (-5000, 15), (16, 26), (5000, 31)]);
        buckets.both_sides = false;
        check(
            buckets,
            &[(3, 0), (0, 0), (-15, 15), (-16, 16), (-19, 17), (-127, 31), (-900, 31)],
        );
    }
}
