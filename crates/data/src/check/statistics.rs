//! What the columns of a data set hold, in numbers: counts, distributions and class balance.

use super::probe::Facts;
use super::{Column, Looked, Role, each};
use crate::split::Split;
use crate::{Manifest, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The bounds of bins for lengths, sides and sizes, which spread over orders of magnitude.
const DOUBLING: [f64; 22] = {
    let mut bounds = [1.0; 22];
    let mut place = 1;
    while place < bounds.len() {
        bounds[place] = bounds[place - 1] * 2.0;
        place += 1;
    }
    bounds
};
/// The bounds of bins for durations, in seconds.
const SECONDS: [f64; 14] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 1200.0, 3600.0,
];
/// The number of bins between the extremes of a column of numbers.
const BINS: usize = 20;
/// A column lists no more of its labels than this, the most frequent first.
const LABELS: usize = 1000;

/// How values are distributed over bins. Bin 0 holds what is below `bounds[0]`, bin i what is below
/// `bounds[i]` and not below the bound before it, and the last bin the rest: one bin more than bounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    pub count: usize,
    pub minimum: f64,
    /// A quarter of the values are below it.
    pub lower_quartile: f64,
    pub mean: f64,
    pub median: f64,
    /// A quarter of the values are above it.
    pub upper_quartile: f64,
    pub maximum: f64,
    pub sum: f64,
    pub bounds: Vec<f64>,
    pub counts: Vec<usize>,
}

impl Histogram {
    /// `None` without a value; values that are no finite numbers are left out.
    fn new(mut values: Vec<f64>, bounds: &[f64]) -> Option<Self> {
        values.retain(|value| value.is_finite());
        values.sort_unstable_by(f64::total_cmp);
        let (minimum, maximum) = (*values.first()?, *values.last()?);
        let mut counts = vec![0; bounds.len() + 1];
        for value in &values {
            counts[bounds.partition_point(|bound| bound <= value)] += 1;
        }
        let sum: f64 = values.iter().sum();
        Some(Self {
            count: values.len(),
            minimum,
            lower_quartile: values[values.len() / 4],
            mean: sum / values.len() as f64,
            median: values[values.len() / 2],
            upper_quartile: values[values.len() * 3 / 4],
            maximum,
            sum,
            bounds: bounds.to_vec(),
            counts,
        })
    }

    /// Bins of one width between the extremes.
    fn even(values: Vec<f64>) -> Option<Self> {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let low = finite().min_by(f64::total_cmp)?;
        let high = finite().max_by(f64::total_cmp)?;
        let bound = |place: usize| low + (high - low) / BINS as f64 * place as f64;
        let bounds: Vec<f64> = match high > low {
            true => (1..BINS).map(bound).collect(),
            false => Vec::new(),
        };
        Self::new(values, &bounds)
    }
}

/// A label and its rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    pub value: String,
    pub count: usize,
    /// The rows by split; empty where the rows are not divided.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub splits: BTreeMap<String, usize>,
}

/// What the good rows hold in one column. Distributions that its role does not have are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnStatistics {
    pub name: String,
    pub role: Role,
    /// Whether its texts are compared for duplicates and leaks: see [`Column::main`].
    pub main: bool,
    /// Rows with a value.
    pub present: usize,
    /// Rows without one.
    pub missing: usize,
    /// Values that differ; of media the files.
    pub distinct: usize,
    /// Lengths of texts in characters, by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub characters: Option<Histogram>,
    /// Numbers, by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numbers: Option<Histogram>,
    /// Sides of pictures and videos in pixels, by medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<Histogram>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<Histogram>,
    /// Durations of sounds and videos, by medium; `sum` is the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Histogram>,
    /// Lengths of files in bytes, by medium.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Histogram>,
    /// Media by format, sample rate and number of channels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub formats: BTreeMap<String, usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sample_rates: BTreeMap<u32, usize>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub channels: BTreeMap<u32, usize>,
    /// The labels, the most frequent first; at most 1,000 of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<LabelCount>,
}

/// Statistics of every column over the rows that `good` marks.
pub(super) fn statistics(
    manifest: &Manifest,
    columns: &[Column],
    looked: &Looked,
    good: &[bool],
    splits: &[Option<Split>],
) -> Vec<ColumnStatistics> {
    let column = |(place, column): (usize, &Column)| {
        let mut found = counted(manifest, column, good);
        match column.role {
            Role::Image | Role::Audio | Role::Video => measure(&mut found, place, looked, good),
            Role::Label | Role::Split => found.labels = labels(manifest, column, good, splits),
            Role::Text | Role::Group => found.characters = characters(manifest, column, good),
            Role::Number => found.numbers = numbers(manifest, column, good),
            Role::Empty => {}
        }
        found
    };
    columns.iter().enumerate().map(column).collect()
}

/// Visits the values of a column in the good rows, each with the index of its sample.
fn visit<'a>(manifest: &'a Manifest, column: &Column, good: &[bool], see: &mut dyn FnMut(usize, &'a Value)) {
    for (sample, _) in good.iter().enumerate().filter(|(_, good)| **good) {
        each(manifest.samples[sample].get(&column.name), &mut |value| {
            see(sample, value)
        });
    }
}

fn counted(manifest: &Manifest, column: &Column, good: &[bool]) -> ColumnStatistics {
    let mut distinct = HashSet::new();
    let mut present = BTreeSet::new();
    visit(manifest, column, good, &mut |sample, value| {
        if *value != Value::Absent {
            present.insert(sample);
            distinct.insert(digest(value));
        }
    });
    ColumnStatistics {
        name: column.name.clone(),
        role: column.role,
        main: column.main,
        present: present.len(),
        missing: good.iter().filter(|good| **good).count() - present.len(),
        distinct: distinct.len(),
        characters: None,
        numbers: None,
        width: None,
        height: None,
        seconds: None,
        bytes: None,
        formats: BTreeMap::new(),
        sample_rates: BTreeMap::new(),
        channels: BTreeMap::new(),
        labels: Vec::new(),
    }
}

fn digest(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    match value {
        Value::Bytes(bytes) => bytes.hash(&mut hasher),
        Value::Stored(stored) => stored.place().hash(&mut hasher),
        value => value.label().hash(&mut hasher),
    }
    hasher.finish()
}

/// The distributions of the distinct media in the column at `place`.
fn measure(found: &mut ColumnStatistics, place: usize, looked: &Looked, good: &[bool]) {
    let cells = looked.cells.list.iter();
    let used: BTreeSet<usize> = cells
        .filter(|cell| cell.column == place && good[cell.sample])
        .filter_map(|cell| cell.medium)
        .collect();
    let probes: Vec<_> = used
        .into_iter()
        .filter_map(|medium| looked.probes[medium].as_ref())
        .collect();
    let spread = |of: &dyn Fn(&Facts) -> Option<f64>, bounds: &[f64]| {
        Histogram::new(probes.iter().filter_map(|probe| of(&probe.facts)).collect(), bounds)
    };
    found.width = spread(&|facts| facts.width.map(f64::from), &DOUBLING);
    found.height = spread(&|facts| facts.height.map(f64::from), &DOUBLING);
    found.seconds = spread(&|facts| facts.seconds, &SECONDS);
    found.bytes = Histogram::new(probes.iter().map(|probe| probe.bytes as f64).collect(), &DOUBLING);
    for facts in probes.iter().map(|probe| &probe.facts) {
        let format = facts.format.clone().unwrap_or_else(|| "unknown".to_string());
        *found.formats.entry(format).or_default() += 1;
        facts
            .sample_rate
            .into_iter()
            .for_each(|rate| *found.sample_rates.entry(rate).or_default() += 1);
        facts
            .channels
            .into_iter()
            .for_each(|count| *found.channels.entry(count).or_default() += 1);
    }
}

fn labels(manifest: &Manifest, column: &Column, good: &[bool], splits: &[Option<Split>]) -> Vec<LabelCount> {
    let mut counts: BTreeMap<String, (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    visit(manifest, column, good, &mut |sample, value| {
        let Some(label) = value.label() else { return };
        let (count, by_split) = counts.entry(label).or_default();
        *count += 1;
        if let Some(split) = splits[sample] {
            *by_split.entry(split.to_string()).or_default() += 1;
        }
    });
    let mut labels: Vec<LabelCount> = counts
        .into_iter()
        .map(|(value, (count, splits))| LabelCount { value, count, splits })
        .collect();
    // The sort is stable: labels of one count stay in alphabetical order.
    labels.sort_by_key(|label| std::cmp::Reverse(label.count));
    labels.truncate(LABELS);
    labels
}

fn characters(manifest: &Manifest, column: &Column, good: &[bool]) -> Option<Histogram> {
    let mut lengths = Vec::new();
    visit(manifest, column, good, &mut |_, value| {
        if let Value::Text(text) = value {
            lengths.push(text.chars().count() as f64);
        }
    });
    Histogram::new(lengths, &DOUBLING)
}

fn numbers(manifest: &Manifest, column: &Column, good: &[bool]) -> Option<Histogram> {
    let mut numbers = Vec::new();
    visit(manifest, column, good, &mut |_, value| match value {
        Value::Number(number) => numbers.push(*number),
        Value::Text(text) => numbers.extend(text.trim().parse::<f64>()),
        _ => {}
    });
    Histogram::even(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{folder, png, shape};
    use crate::check::{CheckOptions, check};
    use serde_json::json;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn values_fall_into_the_bins_that_their_bounds_say() {
        let histogram = Histogram::new(vec![0.5, 1.0, 3.0, 4.0, f64::NAN, 1e9], &[1.0, 2.0, 4.0]).unwrap();
        assert_eq!(histogram.counts, [1, 1, 1, 2]);
        assert_eq!((histogram.count, histogram.minimum, histogram.median), (5, 0.5, 3.0));
        assert_eq!(Histogram::new(vec![], &[1.0]), None);
        assert_eq!((histogram.lower_quartile, histogram.upper_quartile), (1.0, 4.0));
        let even = Histogram::even((0..=100).map(f64::from).collect()).unwrap();
        assert_eq!((even.lower_quartile, even.upper_quartile), (25.0, 75.0));
        assert_eq!((even.counts.len(), even.counts.iter().sum::<usize>()), (BINS, 101));
        assert!(
            even.counts.iter().all(|count| (5..=6).contains(count)),
            "{:?}",
            even.counts
        );
        assert_eq!(Histogram::even(vec![2.0; 3]).unwrap().counts, [3]);
    }

    #[test]
    fn each_column_is_measured_by_its_role() {
        let row = |image: &str, answer: &str, split: &str| json!({"image": image, "answer": answer, "note": null, "split": split});
        let rows = [
            row("a.png", "red", "train"),
            row("a.png", "blue", "train"),
            row("b.png", "red", "test"),
            row("b.png", "red", "train"),
        ];
        let (_folder, manifest) = folder(&rows, &[("a.png", png(&shape(1))), ("b.png", png(&shape(2)))]);
        let report = check(&manifest, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {}).unwrap();
        let column = |name: &str| report.columns.iter().find(|column| column.name == name).unwrap();
        let image = column("image");
        assert_eq!((image.present, image.missing, image.distinct), (4, 0, 2));
        assert_eq!(image.formats, [("png".to_string(), 2)].into());
        let width = image.width.as_ref().unwrap();
        assert_eq!((width.count, width.minimum, width.maximum), (2, 64.0, 64.0));
        assert_eq!(image.bytes.as_ref().unwrap().sum, report.bytes as f64);
        let expected = LabelCount {
            value: "red".into(),
            count: 3,
            splits: [("test".into(), 1), ("train".into(), 2)].into(),
        };
        assert_eq!(column("answer").labels[0], expected);
        assert_eq!((column("note").role, column("note").missing), (Role::Empty, 4));
        assert_eq!(column("split").role, Role::Split);
    }
}
