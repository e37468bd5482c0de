//! How well the rows of an output were answered, by its task: metrics with bootstrap intervals.

mod classify;

use crate::metrics::{Confusion, Intervals, Metrics};
use crate::score::ScoredRow;
use classify::Labelled;
use rand::RngExt;
use sensorium_data::random::Key;
use sensorium_model::tasks::Task;
use std::collections::BTreeMap;

const RESAMPLES: u64 = 1000;

/// The rows of one output, read once and then measured as a whole or in resamples.
pub trait Measure {
    /// The metrics of the rows at `places`, each as often as its place occurs.
    fn metrics(&self, places: &[usize]) -> Metrics;

    /// How often each label was given for each expected one, where answers are single labels.
    fn confusion(&self) -> Option<Confusion> {
        None
    }
}

/// All that is measured of one output.
pub struct Measured {
    pub metrics: Metrics,
    pub intervals: Intervals,
    pub confusion: Option<Confusion>,
}

/// The measure of `task`, which answered `rows` as `output`.
pub fn of(task: &Task, output: &str, rows: &[ScoredRow]) -> Box<dyn Measure> {
    match task {
        Task::Classify(_) => Box::new(Labelled::new(task.labels(), output, rows)),
        _ => unimplemented!(),
    }
}

/// The metrics of all rows.
pub fn metrics(task: &Task, output: &str, rows: &[ScoredRow]) -> Metrics {
    of(task, output, rows).metrics(&(0..rows.len()).collect::<Vec<_>>())
}

/// Metrics with intervals; rows that share a medium in `groups` (the group of each row) are drawn together.
pub fn measure(task: &Task, output: &str, rows: &[ScoredRow], groups: &[usize], key: &Key) -> Measured {
    let measure = of(task, output, rows);
    let mut by_group: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, group) in groups.iter().enumerate() {
        by_group.entry(*group).or_default().push(place);
    }
    let by_group: Vec<Vec<usize>> = by_group.into_values().collect();
    Measured {
        metrics: measure.metrics(&(0..rows.len()).collect::<Vec<_>>()),
        intervals: bootstrap(&by_group, &*measure, key),
        confusion: measure.confusion(),
    }
}

/// 95% percentile intervals of every metric (Efron 1979). `groups` hold the places of rows that are not independent, such
/// as the questions about one picture: groups are drawn, never single rows.
fn bootstrap(groups: &[Vec<usize>], measure: &dyn Measure, key: &Key) -> Intervals {
    let mut samples: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    if groups.is_empty() {
        return Intervals::new();
    }
    for resample in 0..RESAMPLES {
        let mut generator = key.with("bootstrap").at(resample).generator();
        let drawn = (0..groups.len()).flat_map(|_| &groups[generator.random_range(0..groups.len())]);
        let places: Vec<usize> = drawn.copied().collect();
        for (name, value) in measure.metrics(&places) {
            samples.entry(name).or_default().push(value);
        }
    }
    samples
        .into_iter()
        .map(|(name, values)| (name, interval(values)))
        .collect()
}

fn interval(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of rows that are right.
    struct Share(Vec<bool>);

    impl Measure for Share {
        fn metrics(&self, places: &[usize]) -> Metrics {
            let right = places.iter().filter(|&&place| self.0[place]).count();
            [("accuracy".to_string(), right as f64 / places.len() as f64)].into()
        }
    }

    /// 90 right of 100 independent rows: the normal interval is 0.90 ± 0.059.
    #[test]
    fn the_interval_of_a_share_is_near_the_normal_one() {
        let share = Share((0..100).map(|row| row >= 10).collect());
        let groups: Vec<Vec<usize>> = (0..100).map(|row| vec![row]).collect();
        let [low, high] = bootstrap(&groups, &share, &Key::new(1))["accuracy"];
        assert!(
            (low - 0.841).abs() < 0.02 && (high - 0.959).abs() < 0.02,
            "{low} {high}"
        );
    }
}
