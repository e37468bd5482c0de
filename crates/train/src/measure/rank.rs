//! Candidates in order: where the right one stands, and the gain of the order as visual dialogue measures it.

use super::{Measure, named};
use crate::metrics::{Metrics, ndcg, rank, rank_metrics};
use crate::score::ScoredRow;
use sensorium_data::relevances;
use std::collections::HashMap;

/// The rank of each row's right candidate with the gain of its order; rows without a target are left out. Of several
/// right candidates the first of the most relevant ones is ranked, and all of them have a gain.
pub struct Ordered(Vec<Option<(usize, Option<f64>)>>);

impl Ordered {
    pub fn new(output: &str, rows: &[ScoredRow]) -> Self {
        let row = |row: &ScoredRow| {
            let candidates = row.candidates.get(output)?;
            let relevances = relevances(row.targets.get(output)?, candidates).ok()??;
            let top = &row.answers[output].top;
            let probabilities: HashMap<&str, f64> =
                top.iter().map(|one| (one.value.as_str(), one.probability)).collect();
            let scores: Vec<f64> = candidates.iter().map(|text| probabilities[text.as_str()]).collect();
            let most = relevances.iter().copied().fold(0.0, f64::max);
            let target = relevances.iter().position(|relevance| *relevance == most)?;
            Some((rank(&scores, target), ndcg(&scores, &relevances)))
        };
        Self(rows.iter().map(row).collect())
    }
}

impl Measure for Ordered {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let (mut ranks, mut gain, mut rows) = (Vec::new(), 0.0, 0u32);
        for (row, &weight) in self.0.iter().zip(weights) {
            let Some((rank, ndcg)) = row else { continue };
            ranks.extend(std::iter::repeat_n(*rank, weight as usize));
            if let Some(ndcg) = ndcg {
                gain += ndcg * f64::from(weight);
                rows += weight;
            }
        }
        let mut metrics = rank_metrics(&ranks);
        metrics.remove("median_rank");
        let right = metrics["recall@1"];
        metrics.extend(named([("accuracy", right), ("ndcg", gain / f64::from(rows.max(1)))]));
        metrics
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::Value;
    use sensorium_model::tasks::{Alternative, Answer, Prediction};

    fn scored(probabilities: &[(&str, f64)], target: Value) -> ScoredRow {
        let mut row = ScoredRow::empty(0);
        let mut top: Vec<Alternative> = probabilities
            .iter()
            .map(|(value, probability)| Alternative {
                value: value.to_string(),
                probability: *probability,
            })
            .collect();
        top.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        let order = top.iter().map(|one| one.value.clone()).collect();
        let prediction = Prediction {
            top,
            ..Prediction::new(Answer::List(order), None)
        };
        row.answers.insert("answer".into(), prediction);
        row.targets.insert("answer".into(), target);
        let candidates = probabilities.iter().map(|(value, _)| value.to_string()).collect();
        row.candidates.insert("answer".into(), candidates);
        row
    }

    const GIVEN: [(&str, f64); 3] = [("a", 0.2), ("b", 0.5), ("c", 0.3)];

    fn check(targets: &[Value], expected: [(&str, f64); 4]) {
        let rows: Vec<ScoredRow> = targets.iter().map(|target| scored(&GIVEN, target.clone())).collect();
        let metrics = Ordered::new("answer", &rows).metrics(&vec![1; rows.len()]);
        for (name, expected) in expected {
            assert!((metrics[name] - expected).abs() < 1e-9, "{name}: {metrics:?}");
        }
    }

    #[test]
    fn the_rank_of_the_right_candidate_and_the_gain_of_the_order_are_measured() {
        let text = |text: &str| Value::Text(text.into());
        let best = [("accuracy", 1.0), ("mrr", 1.0), ("mean_rank", 1.0), ("ndcg", 1.0)];
        check(&[text("b")], best);
        check(&[Value::Number(1.0), Value::Absent], best);
        // With one right candidate only the first place has a gain.
        let half = [("accuracy", 0.5), ("mrr", 0.75), ("mean_rank", 1.5), ("ndcg", 0.5)];
        check(&[text("b"), text("c")], half);
        // The order b, c, a of the relevances 0, 1 and ½: two are relevant, so that the first two places count.
        let dense = Value::List([0.5, 0.0, 1.0].map(Value::Number).to_vec());
        let second = 1.0 / 3f64.log2();
        let gain = second / (1.0 + 0.5 * second);
        check(
            &[dense],
            [("accuracy", 0.0), ("mrr", 0.5), ("mean_rank", 2.0), ("ndcg", gain)],
        );
    }
}
