//! What needs attention before a model is trained on a data set.

use super::labels::{keeps_apart, of_split};
use super::{NAME, counted, share, split_names};
use crate::page::format;
use sensorium_data::check::{ColumnStatistics, LabelCount, Report, Role};
use serde::Serialize;

/// One label with more than this share of the rows, or with this many times the rows of the rarest,
/// is unbalanced.
const MAJORITY: f64 = 0.8;
const RATIO: usize = 50;
/// Remarks that are shown.
const MOST: usize = 40;
/// Columns of more labels than this are open sets, whose rare labels are no surprise.
const CLASSES: usize = 100;
/// A split's labels differ from all rows' when this share of its rows would have to change, beyond
/// what a draw of that many rows explains.
const SHIFT: f64 = 0.05;

/// A remark with its weight: `bad` spoils results, `warn` may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub level: &'static str,
    pub title: String,
    pub text: String,
    /// The part of the page that says more.
    pub link: String,
}

/// The heaviest first, [`MOST`] of them at most.
pub fn notices(report: &Report) -> Vec<Notice> {
    let mut notices = Vec::new();
    notices.extend(unreadable(report));
    notices.extend(leaks(report));
    let classes = |column: &&ColumnStatistics| column.role == Role::Label && !keeps_apart(column, report);
    let of_classes = report.columns.iter().filter(classes);
    let unseen = of_classes.clone().filter_map(|column| unseen(column, report));
    notices.extend(unseen);
    notices.extend(duplicates(report));
    for column in of_classes {
        notices.extend(unbalanced(column, report));
        notices.extend(shifted(column, report));
    }
    for column in &report.columns {
        notices.extend(empty(column, report));
        notices.extend(mixed_rates(column, report));
    }
    notices.truncate(MOST);
    notices
}

fn notice(level: &'static str, title: String, text: impl Into<String>, link: &str) -> Notice {
    Notice {
        level,
        title,
        text: text.into(),
        link: link.to_string(),
    }
}

fn named(column: &ColumnStatistics) -> String {
    format::shorten(&column.name, NAME)
}

/// A remark about a column, which links to its card.
fn about(column: &ColumnStatistics, report: &Report, title: String, text: impl Into<String>) -> Notice {
    let place = report.columns.iter().position(|known| known.name == column.name);
    notice("warn", title, text, &format!("#column-{}", place.unwrap_or(0) + 1))
}

fn unreadable(report: &Report) -> Option<Notice> {
    let bad = report.quarantined.len();
    let title = format!("{} cannot be read", counted(bad, "row", "rows"));
    let text = format!(
        "{} of all rows; training leaves them out within its failure budget and stops above it.",
        format::percent(share(bad, report.rows))
    );
    (bad > 0).then(|| notice("bad", title, text, "#quarantine"))
}

fn leaks(report: &Report) -> Option<Notice> {
    let title = counted(report.leak_groups, "leak between splits", "leaks between splits");
    let text = "The same content in several splits makes a model look better than it is; “sensorium data split” \
        keeps copies together.";
    (report.leak_groups > 0).then(|| notice("bad", title, text, "#leaks"))
}

fn duplicates(report: &Report) -> Option<Notice> {
    let title = counted(report.duplicate_groups, "group of duplicates", "groups of duplicates");
    let text = "Rows with the same or nearly the same content count several times.";
    (report.duplicate_groups > 0).then(|| notice("warn", title, text, "#duplicates"))
}

fn empty(column: &ColumnStatistics, report: &Report) -> Option<Notice> {
    let title = format!("{} is empty", named(column));
    (column.role == Role::Empty).then(|| about(column, report, title, "No row has a value in this column."))
}

fn mixed_rates(column: &ColumnStatistics, report: &Report) -> Option<Notice> {
    let rates: Vec<String> = column
        .sample_rates
        .iter()
        .map(|(rate, count)| {
            format!(
                "{} Hz in {}",
                format::count(u64::from(*rate)),
                format::count(*count as u64)
            )
        })
        .collect();
    let title = format!("{} mixes sample rates", named(column));
    let text = format!("{}. Training resamples all to one.", rates.join(", "));
    (rates.len() > 1).then(|| about(column, report, title, text))
}

fn unbalanced(column: &ColumnStatistics, report: &Report) -> Option<Notice> {
    let (first, last) = (column.labels.first()?, column.labels.last()?);
    if column.labels.len() < 2 || column.labels.len() > CLASSES {
        return None;
    }
    let most = share(first.count, column.present);
    let name = format::shorten(&first.value, 40);
    let text = match () {
        () if most > MAJORITY => format!("“{name}” has {} of the rows.", format::percent(most)),
        () if first.count >= last.count * RATIO => format!(
            "“{name}” has {}, “{}” has {}.",
            counted(first.count, "row", "rows"),
            format::shorten(&last.value, 40),
            format::count(last.count as u64)
        ),
        () => return None,
    };
    let text = format!("{text} Judge by macro F1 beside accuracy.");
    Some(about(column, report, format!("{} is unbalanced", named(column)), text))
}

/// Labels of the test or validation split that no row of the training split has.
fn unseen(column: &ColumnStatistics, report: &Report) -> Option<Notice> {
    let in_split = |label: &LabelCount, split: &str| label.splits.get(split).is_some_and(|count| *count > 0);
    let train_has_some = column.labels.iter().any(|label| in_split(label, "train"));
    let measured = |label: &LabelCount| in_split(label, "test") || in_split(label, "validation");
    let unseen: Vec<&LabelCount> = column
        .labels
        .iter()
        .filter(|label| measured(label) && !in_split(label, "train"))
        .collect();
    if !train_has_some || unseen.is_empty() || column.labels.len() > CLASSES {
        return None;
    }
    let examples: Vec<String> = unseen
        .iter()
        .take(3)
        .map(|label| format!("“{}”", format::shorten(&label.value, 40)))
        .collect();
    let dots = if unseen.len() > examples.len() { ", …" } else { "" };
    let title = format!(
        "{} of {} never in training",
        counted(unseen.len(), "value", "values"),
        named(column)
    );
    let text = format!(
        "{}{dots}: a classifier cannot learn what only the other splits hold.",
        examples.join(", ")
    );
    Some(about(column, report, title, text))
}

/// Splits whose labels are distributed otherwise than all rows'.
fn shifted(column: &ColumnStatistics, report: &Report) -> Option<Notice> {
    if column.labels.len() > CLASSES {
        return None;
    }
    let names = split_names(report);
    let far: Vec<String> = names
        .iter()
        .filter_map(|split| {
            let (distance, noise) = distance(&column.labels, split)?;
            let text = format!("{} of the {split} rows", format::percent(distance));
            (distance - 2.0 * noise > SHIFT).then_some(text)
        })
        .collect();
    let title = format!("{} differs between splits", named(column));
    let text = format!(
        "{} would need another label to be distributed as all rows are.",
        far.join(", ")
    );
    (!far.is_empty()).then(|| about(column, report, title, text))
}

/// The total variation distance between a split's labels and all labels, and the distance that is expected of as
/// many labels drawn from all: half the sum of the mean absolute deviations, √(2 p (1 − p) / π n) each.
fn distance(labels: &[LabelCount], split: &str) -> Option<(f64, f64)> {
    let (all, of_split) = (
        labels.iter().map(|label| label.count).sum::<usize>(),
        of_split(labels, split),
    );
    if of_split == 0 {
        return None;
    }
    let mut sums = (0.0, 0.0);
    for label in labels {
        let expected = share(label.count, all);
        let found = share(label.splits.get(split).copied().unwrap_or(0), of_split);
        sums.0 += (found - expected).abs() / 2.0;
        sums.1 += (2.0 * expected * (1.0 - expected) / (std::f64::consts::PI * of_split as f64)).sqrt() / 2.0;
    }
    Some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(value: &str, train: usize, test: usize) -> LabelCount {
        let splits = [("train", train), ("test", test)].into_iter();
        LabelCount {
            value: value.into(),
            count: train + test,
            splits: splits
                .filter(|(_, count)| *count > 0)
                .map(|(split, count)| (split.to_string(), count))
                .collect(),
        }
    }

    /// The titles of the remarks about a column of labels.
    fn check(labels: &[LabelCount], expected: &[&str]) {
        let count = |split: &str| (split.to_string(), of_split(labels, split));
        let column = ColumnStatistics {
            name: "answer".into(),
            role: Role::Label,
            main: false,
            present: labels.iter().map(|label| label.count).sum(),
            missing: 0,
            distinct: labels.len(),
            characters: None,
            numbers: None,
            width: None,
            height: None,
            seconds: None,
            bytes: None,
            formats: Default::default(),
            sample_rates: Default::default(),
            channels: Default::default(),
            labels: labels.to_vec(),
        };
        let report = Report {
            rows: column.present,
            good: column.present,
            good_samples: Vec::new(),
            skipped: 0,
            quarantined: Vec::new(),
            duplicates: Vec::new(),
            duplicate_groups: 0,
            leaks: Vec::new(),
            leak_groups: 0,
            splits: [count("train"), count("test")].into(),
            columns: vec![column],
            media: 0,
            bytes: 0,
            seconds: 0.0,
        };
        let titles: Vec<String> = notices(&report).into_iter().map(|notice| notice.title).collect();
        assert_eq!(titles, expected);
    }

    #[test]
    fn labels_are_compared_with_each_other_and_between_splits() {
        check(&[], &[]);
        check(&[label("yes", 800, 100), label("no", 700, 90)], &[]);
        check(
            &[label("yes", 900, 110), label("no", 90, 11)],
            &["answer is unbalanced"],
        );
        check(
            &[label("a", 500, 60), label("b", 480, 60), label("c", 10, 1)],
            &["answer is unbalanced"],
        );
        check(
            &[label("yes", 500, 80), label("no", 500, 20)],
            &["answer differs between splits"],
        );
        // Ten rows say little about how a split is distributed.
        check(&[label("yes", 50, 7), label("no", 50, 3)], &[]);
        check(
            &[label("yes", 500, 50), label("no", 500, 50), label("maybe", 0, 1)],
            &["1 value of answer never in training", "answer is unbalanced"],
        );
        check(&[label("yes", 0, 50), label("no", 0, 50)], &[]);
        // Scenes of which each lies in one split are no classes; a few classes are.
        let scenes = |count: usize| -> Vec<LabelCount> {
            let scene = |number: usize| label(&number.to_string(), number % 2 * 9, (number + 1) % 2 * 9);
            (0..count).map(scene).collect()
        };
        check(&scenes(30), &[]);
        let few = ["2 values of answer never in training", "answer differs between splits"];
        check(&scenes(4), &few);
    }
}
