//! Measures of ranks, as retrieval and visual dialogue report them.

use super::Metrics;

/// The rank of the candidate at `target`, a place in `scores`, from one. Candidates with the same score stand before it, so
/// that a model which cannot tell them apart gains nothing; a score that is no number is worse than all others.
pub fn rank(scores: &[f64], target: usize) -> usize {
    let known = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    let own = known(scores[target]);
    scores.iter().filter(|&&score| known(score) >= own).count()
}

/// The share of ranks that are at most `k`.
pub fn recall_at(ranks: &[usize], k: usize) -> f64 {
    mean(ranks, |rank| f64::from(rank <= k))
}

/// The mean of 1 / rank.
pub fn mean_reciprocal_rank(ranks: &[usize]) -> f64 {
    mean(ranks, |rank| 1.0 / rank.max(1) as f64)
}

pub fn mean_rank(ranks: &[usize]) -> f64 {
    mean(ranks, |rank| rank as f64)
}

/// The middle rank, or the mean of the middle two.
pub fn median_rank(ranks: &[usize]) -> f64 {
    let mut ranks = ranks.to_vec();
    if ranks.is_empty() {
        return 0.0;
    }
    let middle = ranks.len() / 2;
    let odd = ranks.len() % 2 == 1;
    let (below, &mut upper, _) = ranks.select_nth_unstable(middle);
    match below.iter().max() {
        Some(&lower) if !odd => (lower as f64 + upper as f64) / 2.0,
        _ => upper as f64,
    }
}

/// `recall@1`, `recall@5`, `recall@10`, `median_rank`, `mean_rank` and `mrr`; all are zero without ranks.
pub fn rank_metrics(ranks: &[usize]) -> Metrics {
    let recalls = [1, 5, 10].map(|k| (format!("recall@{k}"), recall_at(ranks, k)));
    let others = [
        ("median_rank", median_rank(ranks)),
        ("mean_rank", mean_rank(ranks)),
        ("mrr", mean_reciprocal_rank(ranks)),
    ];
    let others = others.map(|(name, value)| (name.to_string(), value));
    recalls.into_iter().chain(others).collect()
}

fn mean(ranks: &[usize], value: impl Fn(usize) -> f64) -> f64 {
    ranks.iter().map(|&rank| value(rank)).sum::<f64>() / ranks.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, counts, golden, number, numbers};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn measures_are_those_of_the_visual_dialogue_challenge() {
        let file = golden("ranks");
        let dialogue = file["dialogue"].as_array().unwrap();
        let target = |row: &serde_json::Value| row["target"].as_u64().unwrap() as usize;
        let ranks: Vec<usize> = dialogue
            .iter()
            .map(|row| rank(&numbers(&row["scores"]), target(row)))
            .collect();
        assert_eq!(ranks, counts(&file["ranks"]));
        for (name, value) in rank_metrics(&ranks) {
            close(value, number(&file["metrics"][name]));
        }
    }

    #[test]
    fn ties_and_unknown_scores_count_against_the_target() {
        for (scores, expected) in [
            (vec![1.0, 1.0, 1.0], 3),
            (vec![f64::NAN, 0.0, f64::NAN], 3),
            (vec![2.0, f64::NAN, 1.0], 1),
        ] {
            assert_eq!(rank(&scores, 0), expected);
        }
    }

    proptest! {
        #[test]
        fn measures_keep_their_bounds(ranks in prop::collection::vec(1_usize..200, 0..30)) {
            let metrics = rank_metrics(&ranks);
            for name in ["recall@1", "recall@5", "recall@10", "mrr"] {
                prop_assert!((0.0..=1.0).contains(&metrics[name]));
            }
            prop_assert!(metrics["recall@1"] <= metrics["mrr"] + 1e-12);
            let turned: Vec<usize> = ranks.iter().rev().copied().collect();
            prop_assert_eq!(metrics["median_rank"], median_rank(&turned));
            let ones = rank_metrics(&vec![1; ranks.len().max(1)]);
            prop_assert!(ones.values().all(|&value| value == 1.0));
        }
    }
}
