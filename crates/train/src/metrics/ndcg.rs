//! Normalised discounted cumulative gain, as the Visual Dialog challenge defines it.

/// NDCG of one row in 0..=1: the discounted sum of the relevances of the best k candidates, divided by what the best order
/// would give, where k is how many relevances are not zero. `relevances` are at least zero, one for each of `scores`.
///
/// Candidates with the same score share the mean of their places (McSherry and Najork 2008, and scikit-learn); a score that
/// is no number is worse than all others. None where no candidate is relevant. A set's score is the mean over its rows.
pub fn ndcg(scores: &[f64], relevances: &[f64]) -> Option<f64> {
    let relevant = relevances.iter().filter(|&&relevance| relevance != 0.0).count();
    let best = gain(relevances, relevances, relevant);
    (best > 0.0).then(|| gain(scores, relevances, relevant) / best)
}

/// The discounted sum of the relevances of the first `k` candidates by score.
fn gain(scores: &[f64], relevances: &[f64], k: usize) -> f64 {
    let known = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
    let pairs = scores.iter().zip(relevances);
    let mut order: Vec<(f64, f64)> = pairs.map(|(&score, &relevance)| (known(score), relevance)).collect();
    order.sort_by(|left, right| right.0.total_cmp(&left.0));
    let mut sum = 0.0;
    let mut place = 0;
    for tied in order.chunk_by(|left, right| left.0 == right.0) {
        let relevance: f64 = tied.iter().map(|(_, relevance)| relevance).sum();
        let discounts: f64 = (place..(place + tied.len()).min(k)).map(discount).sum();
        sum += relevance / tied.len() as f64 * discounts;
        place += tied.len();
    }
    sum
}

/// `place` counts from zero.
fn discount(place: usize) -> f64 {
    1.0 / (place as f64 + 2.0).log2()
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, number, numbers};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_those_of_the_challenge_and_of_scikit_learn_for_ties() {
        let file = golden("ranks");
        let mut mean = 0.0;
        let dialogue = file["dialogue"].as_array().unwrap();
        for row in dialogue {
            let score = ndcg(&numbers(&row["scores"]), &numbers(&row["relevances"])).unwrap();
            close(score, number(&row["ndcg"]));
            mean += score / dialogue.len() as f64;
        }
        // The challenge's program adds up single-precision numbers.
        assert!((mean - number(&file["challenge_ndcg"])).abs() < 1e-6);
        for row in file["ties"].as_array().unwrap() {
            close(
                ndcg(&numbers(&row["scores"]), &numbers(&row["relevances"])).unwrap(),
                number(&row["ndcg"]),
            );
        }
    }

    #[test]
    fn without_relevant_candidates_there_is_no_score() {
        assert_eq!(ndcg(&[1.0, 2.0], &[0.0, 0.0]), None);
        assert_eq!(ndcg(&[], &[]), None);
        assert!(ndcg(&[f64::NAN, 1.0], &[1.0, 0.0]).unwrap() == 0.0);
    }

    proptest! {
        #[test]
        fn a_score_is_a_share_and_the_best_order_scores_one(rows in prop::collection::vec((-2_i8..3, 0_u8..4), 1..20)) {
            let (scores, relevances): (Vec<f64>, Vec<f64>) = rows.iter().map(|&(score, relevance)| (f64::from(score), f64::from(relevance) / 3.0)).unzip();
            if let Some(score) = ndcg(&scores, &relevances) {
                prop_assert!((0.0..=1.0 + 1e-12).contains(&score));
                prop_assert!((ndcg(&relevances, &relevances).unwrap() - 1.0).abs() < 1e-12);
                let turned = |values: &[f64]| values.iter().rev().copied().collect::<Vec<_>>();
                prop_assert!((ndcg(&turned(&scores), &turned(&relevances)).unwrap() - score).abs() < 1e-12);
            }
        }
    }
}
