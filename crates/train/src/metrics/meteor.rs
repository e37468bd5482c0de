//! The exact-match part of METEOR (Lavie and Agarwal 2007): no stems, no synonyms, and so no word lists.

use super::words::words;
use std::collections::HashMap;

/// The weight of precision in the mean of precision and recall.
const ALPHA: f64 = 0.9;

/// The most that a scrambled order costs.
const GAMMA: f64 = 0.5;

/// METEOR of one row in 0..1 when only words match that are equal but for capitals: the best over the references. Equals
/// NLTK's `meteor_score` without stemmer and WordNet, and is not to be compared with full METEOR. Texts are cut at white
/// space; a set's score is the mean over its rows.
pub fn meteor_exact(hypothesis: &str, references: &[impl AsRef<str>]) -> f64 {
    let hypothesis = hypothesis.to_lowercase();
    let one = |reference: &str| single(&hypothesis, &reference.to_lowercase());
    references
        .iter()
        .map(|reference| one(reference.as_ref()))
        .fold(0.0, f64::max)
}

fn single(hypothesis: &str, reference: &str) -> f64 {
    let hypothesis: Vec<&str> = words(hypothesis).collect();
    let reference: Vec<&str> = words(reference).collect();
    let matches = aligned(&hypothesis, &reference);
    if matches.is_empty() {
        return 0.0;
    }
    let matched = matches.len() as f64;
    let precision = matched / hypothesis.len() as f64;
    let recall = matched / reference.len() as f64;
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    let adjacent = |pair: &&[(usize, usize)]| pair[1] == (pair[0].0 + 1, pair[0].1 + 1);
    let chunks = matched - matches.windows(2).filter(adjacent).count() as f64;
    (1.0 - GAMMA * (chunks / matched).powi(3)) * mean
}

/// Places of equal words in both texts, in the order of the first. From its end, each word takes the last place in the
/// second that is free, as NLTK does; it does not look for the fewest crossings.
fn aligned(hypothesis: &[&str], reference: &[&str]) -> Vec<(usize, usize)> {
    let mut free: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, word) in reference.iter().enumerate() {
        free.entry(word).or_default().push(place);
    }
    let mut pairs = Vec::new();
    for (place, word) in hypothesis.iter().enumerate().rev() {
        if let Some(other) = free.get_mut(word).and_then(Vec::pop) {
            pairs.push((place, other));
        }
    }
    pairs.reverse();
    pairs
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, hostile, number, text, texts};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_nltks_without_stems_and_synonyms() {
        for row in golden("captions")["rows"].as_array().unwrap() {
            let found = meteor_exact(text(&row["hypothesis_words"]), &texts(&row["reference_words"]));
            close(found, number(&row["meteor_exact"]));
        }
        assert_eq!(meteor_exact("a", &Vec::<String>::new()), 0.0);
    }

    proptest! {
        #[test]
        fn no_text_scores_better_than_the_reference(hypothesis in hostile(), reference in hostile()) {
            let score = meteor_exact(&hypothesis, &[&reference]);
            let best = 1.0 - GAMMA / (words(&reference).count().max(1) as f64).powi(3);
            prop_assert!(score >= 0.0 && score <= best + 1e-12);
            let expected = if words(&reference).next().is_some() { best } else { 0.0 };
            prop_assert!((meteor_exact(&reference, &[&reference]) - expected).abs() < 1e-12);
            let scrambled = words(&reference).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join(" ");
            prop_assert!(meteor_exact(&scrambled, &[&reference]) <= expected + 1e-12);
        }
    }
}
