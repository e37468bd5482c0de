//! Errors and correlations of predicted numbers.

use super::Metrics;
use std::ops::AddAssign;

/// What the measures need to know of some rows. Sums of rows give a corpus; means and squared deviations are merged as Chan,
/// Golub and LeVeque (1983) do, so that large numbers close together lose nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RegressionStatistics {
    count: f64,
    absolute: f64,
    squared: f64,
    /// The means of targets and predictions.
    means: [f64; 2],
    /// The sums of squared deviations from the means.
    deviations: [f64; 2],
    /// The sum of the products of both deviations.
    product: f64,
}

impl RegressionStatistics {
    /// One row.
    pub fn new(target: f64, prediction: f64) -> Self {
        let error = prediction - target;
        Self {
            count: 1.0,
            absolute: error.abs(),
            squared: error * error,
            means: [target, prediction],
            ..Self::default()
        }
    }

    /// Zero without rows, as is [`root_mean_squared_error`](Self::root_mean_squared_error).
    pub fn mean_absolute_error(&self) -> f64 {
        self.absolute / self.count.max(1.0)
    }

    pub fn root_mean_squared_error(&self) -> f64 {
        (self.squared / self.count.max(1.0)).sqrt()
    }

    /// R², the share of the targets' variance that is explained; at most one, and below zero for predictions that are worse
    /// than the mean. None where all targets are equal.
    pub fn r2(&self) -> Option<f64> {
        (self.deviations[0] > 0.0).then(|| 1.0 - self.squared / self.deviations[0])
    }

    /// Pearson's correlation in -1..=1. None where all targets or all predictions are equal.
    pub fn pearson(&self) -> Option<f64> {
        let scale = self.deviations[0].sqrt() * self.deviations[1].sqrt();
        (scale > 0.0).then(|| (self.product / scale).clamp(-1.0, 1.0))
    }

    /// `mae`, `rmse`, and `r2` and `pearson` where they have a value.
    pub fn metrics(&self) -> Metrics {
        let values = [
            ("mae", Some(self.mean_absolute_error())),
            ("rmse", Some(self.root_mean_squared_error())),
            ("r2", self.r2()),
            ("pearson", self.pearson()),
        ];
        let known = values
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_string(), value?)));
        known.collect()
    }
}

impl AddAssign<&Self> for RegressionStatistics {
    fn add_assign(&mut self, other: &Self) {
        let count = self.count + other.count;
        if count == 0.0 {
            return;
        }
        let share = other.count / count;
        let apart = [0, 1].map(|place| other.means[place] - self.means[place]);
        for place in [0, 1] {
            self.deviations[place] += other.deviations[place] + apart[place] * apart[place] * self.count * share;
            self.means[place] += apart[place] * share;
        }
        self.product += other.product + apart[0] * apart[1] * self.count * share;
        self.count = count;
        self.absolute += other.absolute;
        self.squared += other.squared;
    }
}

/// Spearman's correlation in -1..=1: Pearson's of the ranks, where equal values share the mean of their ranks. None where
/// all targets or all predictions are equal. `targets` and `predictions` have the same length.
pub fn spearman(targets: &[f64], predictions: &[f64]) -> Option<f64> {
    let mut statistics = RegressionStatistics::default();
    for (target, prediction) in mean_ranks(targets).into_iter().zip(mean_ranks(predictions)) {
        statistics += &RegressionStatistics::new(target, prediction);
    }
    statistics.pearson()
}

fn mean_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&left, &right| values[left].total_cmp(&values[right]));
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for equal in order.chunk_by(|&left, &right| values[left] == values[right]) {
        let rank = below as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, number, numbers};
    use super::*;
    use proptest::prelude::*;

    fn sum(rows: impl Iterator<Item = (f64, f64)>) -> RegressionStatistics {
        let mut sum = RegressionStatistics::default();
        rows.for_each(|(target, prediction)| sum += &RegressionStatistics::new(target, prediction));
        sum
    }

    #[test]
    fn measures_are_those_of_scikit_learn_and_scipy() {
        for case in golden("numbers").as_array().unwrap() {
            let (targets, predictions) = (numbers(&case["targets"]), numbers(&case["predictions"]));
            let pairs = || targets.iter().copied().zip(predictions.iter().copied());
            let metrics = sum(pairs()).metrics();
            assert_eq!(metrics.len(), 4);
            metrics
                .into_iter()
                .for_each(|(name, value)| close(value, number(&case[name])));
            close(spearman(&targets, &predictions).unwrap(), number(&case["spearman"]));
            let mut halves = sum(pairs().take(7));
            halves += &sum(pairs().skip(7));
            halves
                .metrics()
                .into_iter()
                .for_each(|(name, value)| close(value, number(&case[name])));
        }
    }

    #[test]
    fn constants_have_errors_but_no_correlation() {
        let metrics = sum([(2.0, 1.0), (2.0, 3.0)].into_iter()).metrics();
        assert_eq!(metrics, [("mae".to_string(), 1.0), ("rmse".to_string(), 1.0)].into());
        assert_eq!(spearman(&[], &[]), None);
        assert_eq!(RegressionStatistics::default().metrics()["mae"], 0.0);
    }

    proptest! {
        #[test]
        fn measures_keep_their_bounds(rows in prop::collection::vec((-9_i32..10, -9_i32..10), 1..30)) {
            let rows: Vec<(f64, f64)> = rows.into_iter().map(|(left, right)| (f64::from(left), f64::from(right))).collect();
            let statistics = sum(rows.iter().copied());
            prop_assert!(statistics.mean_absolute_error() <= statistics.root_mean_squared_error() + 1e-12);
            prop_assert!(statistics.r2().is_none_or(|r2| r2 <= 1.0));
            let turned = sum(rows.iter().rev().copied()).pearson();
            prop_assert!((statistics.pearson().unwrap_or(0.0) - turned.unwrap_or(0.0)).abs() < 1e-9);
            let (targets, predictions): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
            prop_assert!(spearman(&targets, &predictions).is_none_or(|value| (-1.0..=1.0).contains(&value)));
            prop_assert!(spearman(&targets, &targets).is_none_or(|value| value > 1.0 - 1e-12));
            let same = sum(rows.iter().map(|row| (row.0, row.0)));
            prop_assert!(same.mean_absolute_error() == 0.0 && same.r2().is_none_or(|r2| r2 == 1.0));
        }
    }
}
