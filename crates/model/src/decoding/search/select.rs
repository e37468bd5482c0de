//! The best few of many scores, without a sort.

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Logits that are looked at together.
const CHUNK: usize = 32;

/// A token and its score. The greater is the better one: of equal scores the lower token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scored {
    pub score: f32,
    pub token: u32,
}

impl Eq for Scored {}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> Ordering {
        let scores = self.score.total_cmp(&other.score);
        scores.then(other.token.cmp(&self.token))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A selection of the best tokens whose buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Selection {
    heap: BinaryHeap<Reverse<Scored>>,
    best: Vec<Scored>,
}

impl Selection {
    /// The `count` best tokens with a score above −∞, the best first; fewer if there are no more.
    pub fn best(&mut self, scores: &[f32], count: usize) -> &[Scored] {
        self.heap.clear();
        let mut least = f32::NEG_INFINITY;
        for (index, chunk) in scores.chunks(CHUNK).enumerate() {
            // After the first few chunks hardly one has anything to offer.
            if chunk.iter().fold(false, |any, score| any | (*score > least)) {
                least = self.offer(chunk, (index * CHUNK) as u32, count, least);
            }
        }
        self.best.clear();
        self.best.extend(self.heap.drain().map(|Reverse(scored)| scored));
        self.best.sort_unstable_by(|a, b| b.cmp(a));
        &self.best
    }

    /// Takes up what is better than `least`, the score from which a token is among the best; returns the new one.
    fn offer(&mut self, chunk: &[f32], first: u32, count: usize, mut least: f32) -> f32 {
        for (token, &score) in (first..).zip(chunk) {
            if score > least {
                self.heap.push(Reverse(Scored { score, token }));
                if self.heap.len() > count {
                    self.heap.pop();
                }
                if self.heap.len() == count {
                    least = self.heap.peek().map_or(least, |worst| worst.0.score);
                }
            }
        }
        least
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(scores: &[f32], count: usize) {
        let mut expected: Vec<Scored> = (0..)
            .zip(scores)
            .map(|(token, &score)| Scored { score, token })
            .collect();
        expected.retain(|scored| scored.score > f32::NEG_INFINITY);
        expected.sort_by(|a, b| b.cmp(a));
        expected.truncate(count);
        assert_eq!(Selection::default().best(scores, count), expected);
    }

    proptest! {
        #[test]
        fn the_best_are_those_that_a_sort_puts_first(
            scores in prop::collection::vec(prop_oneof![(-8i8..8).prop_map(f32::from), Just(f32::NEG_INFINITY)], 1..300),
            count in 1usize..40,
        ) {
            check(&scores, count);
        }
    }
}
