//! Interpolated modified Kneser–Ney smoothing.
//!
//! With a(g) the adjusted count of an n-gram (how often it occurs where it is of the highest order or opens a text, else
//! how many different tokens stand before it), h the n-gram without its last token w and h' that without its first:
//! p(w | h) = (a(hw) − D(a(hw))) / Σ a(h·) + b(h) p(w | h'), where b(h) gives away what the discounts took.

use super::NgramConfig;
use super::count::Counts;
use super::trie::{ROOT, Trie};
use super::vocabulary::{BEGIN, SPECIAL};
use sensorium_data::DataError;

/// Where the closed form fails, as in `lmplz --discount_fallback`: small or artificial texts lack singletons.
const FALLBACK: [f64; 4] = [0.0, 0.5, 1.0, 1.5];

/// What smoothing makes of counts: probabilities and back-off weights of the n-grams that are not dropped.
pub(super) struct Smoothed {
    pub trie: Trie,
    /// Of each n-gram's last token after the others.
    pub probabilities: Vec<f64>,
    /// Of each n-gram below the highest order.
    pub back_offs: Vec<f64>,
}

pub(super) fn smooth(config: &NgramConfig, counted: &Counts) -> Result<Smoothed, DataError> {
    let trie = &counted.trie;
    let adjusted = adjusted(trie, &counted.counts);
    let dropped = dropped(config, counted);
    let mut smoothed = Smoothed {
        trie: Trie::new(counted.kept),
        probabilities: vec![0.0; trie.len()],
        back_offs: vec![1.0; trie.nodes(trie.order()).start],
    };
    for order in 1..=trie.order() {
        let discounts = discounts(&adjusted[trie.nodes(order)]);
        let share =
            |children: std::ops::Range<usize>| Share::new(discounts, &adjusted[children.clone()], &dropped[children]);
        if order == 1 {
            smoothed.unigrams(&adjusted, &share(trie.nodes(1)));
            continue;
        }
        for context in trie.nodes(order - 1) {
            let children = trie.children(context);
            if !children.is_empty() {
                smoothed.extensions(trie, &adjusted, context, &share(children));
            }
        }
    }
    smoothed.without(trie, &dropped)
}

impl Smoothed {
    /// What the discounts took is spread evenly, `<unk>` included; `<s>` is never predicted.
    fn unigrams(&mut self, adjusted: &[u64], share: &Share) {
        let nodes = self.trie.len();
        let even = share.back_off / (nodes - 1) as f64;
        for (probability, &count) in self.probabilities.iter_mut().zip(&adjusted[..nodes]) {
            *probability = share.of(count) + even;
        }
        self.probabilities[BEGIN as usize] = 1.0;
    }

    fn extensions(&mut self, trie: &Trie, adjusted: &[u64], context: usize, share: &Share) {
        self.back_offs[context] = share.back_off;
        for node in trie.children(context) {
            let shorter = self.probabilities[trie.suffix(node as u32) as usize];
            self.probabilities[node] = share.of(adjusted[node]) + share.back_off * shorter;
        }
    }

    /// Leaves out what is dropped: with an n-gram always all that extend it.
    fn without(mut self, all: &Trie, dropped: &[bool]) -> Result<Self, DataError> {
        let parents = all.parents();
        let mut numbers: Vec<u32> = (0..all.nodes(1).end as u32).collect();
        numbers.resize(all.len(), ROOT);
        for order in 2..=all.order() {
            let kept: Vec<usize> = all.nodes(order).filter(|&node| !dropped[node]).collect();
            if kept.is_empty() {
                break;
            }
            let first = self.trie.len();
            for (at, &node) in kept.iter().enumerate() {
                numbers[node] = (first + at) as u32;
            }
            let ngram = |&node: &usize| (numbers[parents[node] as usize], all.token(node));
            self.trie.push_order(kept.iter().map(ngram))?;
        }
        let keep = |values: &mut Vec<f64>| {
            let mut at = 0..values.len();
            values.retain(|_| at.next().is_some_and(|node| !dropped[node]));
        };
        keep(&mut self.probabilities);
        keep(&mut self.back_offs);
        self.back_offs.truncate(self.trie.nodes(self.trie.order()).start);
        Ok(self)
    }
}

/// How the extensions of one n-gram share its probability.
struct Share {
    discounts: [f64; 4],
    total: f64,
    back_off: f64,
}

impl Share {
    /// What is dropped gives all it has to the shorter n-grams.
    fn new(discounts: [f64; 4], adjusted: &[u64], dropped: &[bool]) -> Self {
        let total = adjusted.iter().sum::<u64>() as f64;
        let given = |(&count, &dropped): (&u64, &bool)| match dropped {
            true => count as f64,
            false => discounts[count.min(3) as usize],
        };
        Self {
            discounts,
            total,
            back_off: adjusted.iter().zip(dropped).map(given).sum::<f64>() / total,
        }
    }

    fn of(&self, count: u64) -> f64 {
        (count as f64 - self.discounts[count.min(3) as usize]) / self.total
    }
}

/// Occurrences become numbers of different tokens before, save where none can stand before.
fn adjusted(trie: &Trie, counts: &[u64]) -> Vec<u64> {
    let mut adjusted = counts.to_vec();
    let highest = trie.nodes(trie.order()).start;
    let parents = trie.parents();
    let mut opens = vec![false; trie.len()];
    for node in 0..trie.len() {
        opens[node] = node == BEGIN as usize || parents[node] != ROOT && opens[parents[node] as usize];
        if node < highest && !opens[node] {
            adjusted[node] = 0;
        }
    }
    for node in trie.nodes(1).end..trie.len() {
        adjusted[trie.suffix(node as u32) as usize] += 1;
    }
    adjusted[BEGIN as usize] = 0;
    adjusted
}

/// Which n-grams are dropped: the rare ones, and those with a token that is.
fn dropped(config: &NgramConfig, counted: &Counts) -> Vec<bool> {
    let trie = &counted.trie;
    let parents = trie.parents();
    let mut dropped = vec![false; trie.len()];
    for order in 1..=trie.order() {
        let threshold = if order == 1 { 0 } else { config.threshold(order) };
        for node in trie.nodes(order) {
            let special = node < SPECIAL.len();
            let rare = !special && counted.counts[node] <= threshold;
            let inherited = parents[node] != ROOT && dropped[parents[node] as usize];
            dropped[node] = rare || inherited || trie.token(node) as usize >= counted.kept;
        }
    }
    dropped
}

/// The discounts of adjusted counts 0, 1, 2 and at least 3 (Chen and Goodman 1998, equation 26).
fn discounts(adjusted: &[u64]) -> [f64; 4] {
    let mut counts = [0.0; 5];
    for &count in adjusted.iter().filter(|&&count| count < 5) {
        counts[count as usize] += 1.0;
    }
    let y = counts[1] / (counts[1] + 2.0 * counts[2]);
    let discount = |j: usize| j as f64 - (j + 1) as f64 * y * counts[j + 1] / counts[j];
    let found = [0.0, discount(1), discount(2), discount(3)];
    // A discount of zero would leave nothing for what was not seen. Where a count of counts is zero it is no number.
    let usable = (1..4).all(|j| counts[j] > 0.0 && found[j] > 0.0 && found[j] <= j as f64);
    if usable { found } else { FALLBACK }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(adjusted: &[u64], expected: [f64; 4]) {
        let found = discounts(adjusted);
        assert!(
            found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12),
            "{found:?}"
        );
    }

    #[test]
    fn discounts_follow_from_counts_of_counts() {
        // n1 = 4, n2 = 2, n3 = 1, n4 = 1: y = 1/2.
        check(&[1, 1, 1, 1, 2, 2, 3, 4, 9], [0.0, 0.5, 1.25, 1.0]);
        check(&[1, 1, 2, 2, 4], FALLBACK);
        // D3+ would be negative.
        check(&[1, 1, 1, 1, 2, 2, 3, 4, 4, 4], FALLBACK);
        check(&[], FALLBACK);
    }
}
