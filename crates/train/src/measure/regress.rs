//! Numbers: errors and correlations.

use super::{Measure, sum};
use crate::metrics::{Metrics, RegressionStatistics, spearman};
use crate::score::ScoredRow;
use sensorium_model::tasks::{Answer, number};

/// Rows with a number each: those without a target are left out.
pub struct Numbers {
    /// (target, prediction)
    pairs: Vec<Option<(f64, f64)>>,
    statistics: Vec<Option<RegressionStatistics>>,
}

impl Numbers {
    pub fn new(output: &str, rows: &[ScoredRow]) -> Self {
        let pair = |row: &ScoredRow| {
            let target = row.targets.get(output).and_then(number)?;
            match row.answers[output].value {
                Answer::Number(predicted) => Some((target, predicted)),
                _ => None,
            }
        };
        let pairs: Vec<Option<(f64, f64)>> = rows.iter().map(pair).collect();
        let statistics = pairs
            .iter()
            .map(|pair| pair.map(|(target, found)| RegressionStatistics::new(target, found)));
        Self {
            statistics: statistics.collect(),
            pairs,
        }
    }
}

impl Measure for Numbers {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let mut metrics = sum(&self.statistics, weights).metrics();
        let drawn = self
            .pairs
            .iter()
            .zip(weights)
            .filter_map(|(pair, &weight)| Some((*pair.as_ref()?, weight)));
        let repeated = drawn.flat_map(|(pair, weight)| std::iter::repeat_n(pair, weight as usize));
        let (targets, found): (Vec<f64>, Vec<f64>) = repeated.unzip();
        if let Some(correlation) = spearman(&targets, &found) {
            metrics.insert("spearman".into(), correlation);
        }
        metrics
    }
}
