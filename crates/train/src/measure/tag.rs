//! Several labels at once: average precision, AUROC and F1.

use super::{Measure, sum};
use crate::metrics::{Metrics, TagCounts, Tagging};
use crate::score::ScoredRow;
use sensorium_model::tasks::{Answer, tags};
use std::collections::HashMap;

/// Rows with any number of labels: those without a target are left out. A label that was not seen in training is none
/// of those that are measured.
pub struct Tagged {
    /// Of the rows with a target.
    tagging: Tagging,
    counts: Vec<Option<TagCounts>>,
    /// Which rows have a target.
    known: Vec<bool>,
}

impl Tagged {
    pub fn new(labels: &[String], output: &str, rows: &[ScoredRow]) -> Self {
        let place: HashMap<&str, usize> = labels
            .iter()
            .enumerate()
            .map(|(place, label)| (label.as_str(), place))
            .collect();
        let marked = |names: &[String]| {
            let mut marks = vec![false; labels.len()];
            names
                .iter()
                .filter_map(|name| place.get(name.as_str()))
                .for_each(|&place| marks[place] = true);
            marks
        };
        let (mut scores, mut truths, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let Some(expected) = row.targets.get(output).and_then(tags) else {
                counts.push(None);
                continue;
            };
            let answer = &row.answers[output];
            let mut probabilities = vec![0.0; labels.len()];
            for one in &answer.top {
                probabilities[place[one.value.as_str()]] = one.probability;
            }
            let given = match &answer.value {
                Answer::List(given) => marked(given),
                _ => marked(&[]),
            };
            let given: Vec<f64> = given.into_iter().map(f64::from).collect();
            let truth = marked(&expected);
            counts.push(Some(TagCounts::new(&given, &truth, 0.5)));
            scores.push(probabilities);
            truths.push(truth);
        }
        Self {
            tagging: Tagging::new(&scores, &truths),
            known: counts.iter().map(Option::is_some).collect(),
            counts,
        }
    }
}

impl Measure for Tagged {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let counts = sum(&self.counts, weights);
        let known = weights.iter().zip(&self.known).filter(|(_, known)| **known);
        let weights: Vec<u32> = known.map(|(weight, _)| *weight).collect();
        let mut metrics = self.tagging.metrics(&weights);
        metrics.extend(counts.metrics());
        metrics
    }
}
