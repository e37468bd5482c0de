//! How well the rows of an output were answered, by its task: metrics with bootstrap intervals.

mod align;
mod classify;
mod generate;
mod language_model;
mod rank;
mod regress;
mod tag;
mod transcribe;

use crate::metrics::{Confusion, Intervals, Metrics, resample_weights};
use crate::score::ScoredRow;
use sensorium_data::random::Key;
use sensorium_model::tasks::Task;
use std::borrow::Cow;
use std::ops::AddAssign;

/// The rows of one output, read once and then measured as a whole or in resamples.
pub trait Measure {
    /// The metrics of the rows, each as often as its weight says.
    fn metrics(&self, weights: &[u32]) -> Metrics;

    /// How often each label was given for each expected one, where answers are single labels.
    fn confusion(&self) -> Option<Confusion> {
        None
    }
}

/// An embedding by itself is neither right nor wrong.
struct Unmeasured;

impl Measure for Unmeasured {
    fn metrics(&self, _: &[u32]) -> Metrics {
        Metrics::new()
    }
}

/// All that is measured of one output.
pub struct Measured {
    /// Rows with a target.
    pub rows: usize,
    pub metrics: Metrics,
    pub intervals: Intervals,
    pub confusion: Option<Confusion>,
}

/// The measure of `task`, which answered `rows` as `output`.
fn of(task: &Task, output: &str, rows: &[ScoredRow]) -> Box<dyn Measure> {
    match task {
        Task::Classify(_) => Box::new(classify::Labelled::new(task.labels(), output, rows)),
        Task::Tag(_) => Box::new(tag::Tagged::new(task.labels(), output, rows)),
        Task::Regress(_) => Box::new(regress::Numbers::new(output, rows)),
        Task::Generate(_) => Box::new(generate::Written::new(output, rows)),
        Task::Transcribe(_) => Box::new(transcribe::Heard::new(output, rows)),
        Task::LanguageModel(_) => Box::new(language_model::Predicted::new(output, rows)),
        Task::Align(task) => {
            let inputs: Vec<&str> = task.inputs().collect();
            Box::new(align::Retrieved::new(&inputs, output, rows))
        }
        Task::Rank(_) => Box::new(rank::Ordered::new(output, rows)),
        Task::Embed(_) => Box::new(Unmeasured),
    }
}

/// The metrics of all rows that have a target for the output.
pub fn metrics(task: &Task, output: &str, rows: &[ScoredRow]) -> Metrics {
    let (rows, _) = with_target(output, rows, &[]);
    of(task, output, &rows).metrics(&vec![1; rows.len()])
}

/// The rows that have a target for the output, with their groups: the others are neither measured nor drawn.
fn with_target<'a>(output: &str, rows: &'a [ScoredRow], groups: &[usize]) -> (Cow<'a, [ScoredRow]>, Vec<usize>) {
    let has = |row: &ScoredRow| row.losses.contains_key(output);
    if rows.iter().all(has) {
        return (Cow::Borrowed(rows), groups.to_vec());
    }
    let groups = rows.iter().zip(groups).filter(|(row, _)| has(row));
    let groups = groups.map(|(_, group)| *group).collect();
    (rows.iter().filter(|row| has(row)).cloned().collect(), groups)
}

/// Metrics of the rows that have a target, with 95% intervals. Rows that share a medium in `groups` (the group of each row, counted from zero) are not
/// independent and drawn together.
pub fn measure(task: &Task, output: &str, rows: &[ScoredRow], groups: &[usize], key: &Key) -> Measured {
    let (rows, groups) = with_target(output, rows, groups);
    let measure = of(task, output, &rows);
    Measured {
        rows: rows.len(),
        metrics: measure.metrics(&vec![1; rows.len()]),
        intervals: resample_weights(&groups, key, |weights| measure.metrics(weights)),
        confusion: measure.confusion(),
    }
}

/// The sum of what is known of the rows, each as often as its weight says.
fn sum<S: Default + for<'a> AddAssign<&'a S>>(rows: &[Option<S>], weights: &[u32]) -> S {
    let mut sum = S::default();
    for (row, &weight) in rows.iter().zip(weights) {
        if let Some(row) = row {
            (0..weight).for_each(|_| sum += row);
        }
    }
    sum
}

/// Metrics by name.
fn named<const N: usize>(values: [(&str, f64); N]) -> Metrics {
    values.map(|(name, value)| (name.to_string(), value)).into()
}
