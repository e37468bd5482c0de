//! What a step asks of a row of logits: the logarithm of their exponentials' sum, and the best few without a sort.

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
            if largest(chunk) > least {
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

/// The largest of `values`, −∞ if there are none.
fn largest(values: &[f32]) -> f32 {
    let pick = |a: f32, b: f32| if b > a { b } else { a };
    let mut most = [f32::NEG_INFINITY; 8];
    let chunks = values.chunks_exact(8);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, pick);
    for chunk in chunks {
        for (most, value) in most.iter_mut().zip(chunk) {
            *most = pick(*most, *value);
        }
    }
    most.into_iter().fold(rest, pick)
}

/// ln Σ eˣ; none where it is no number or infinite, which is where a logit is NaN or ∞, or all are −∞.
pub(super) fn log_sum_exp(logits: &[f32]) -> Option<f64> {
    let most = largest(logits);
    let sum: f64 = logits
        .chunks(CHUNK)
        .map(|chunk| f64::from(chunk.iter().map(|x| (x - most).exp()).sum::<f32>()))
        .sum();
    let result = f64::from(most) + sum.ln();
    result.is_finite().then_some(result)
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

        #[test]
        fn the_sum_is_that_of_wide_numbers(logits in prop::collection::vec(-30f32..30.0, 1..300)) {
            let expected = logits.iter().map(|x| f64::from(*x).exp()).sum::<f64>().ln();
            let found = log_sum_exp(&logits).unwrap();
            prop_assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{found} is not {expected}");
        }
    }

    #[test]
    fn what_is_no_distribution_has_no_sum() {
        let (nan, most, least) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        assert!(log_sum_exp(&[0.0, least]).is_some());
        for logits in [[0.0, nan], [nan, nan], [0.0, most], [most, most], [least, least]] {
            assert_eq!(log_sum_exp(&logits), None, "{logits:?}");
        }
    }
}
