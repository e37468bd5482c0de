//! Labels and their balance: how many rows each has, in all and in each split.

use super::{counted, share, split_names};
use crate::page::format;
use sensorium_data::check::{ColumnStatistics, LabelCount, Report, Role};
use serde::Serialize;

/// Labels that are shown, the most frequent first.
const SHOWN: usize = 30;
/// Labels that are shown at once; the others open.
const OPEN: usize = 12;
const CHARACTERS: usize = 80;
/// Fewer values than this are classes, which every split should have.
const GROUPS: usize = 20;
/// By how much a split's share of a label may differ before it is pointed out, beside two standard
/// errors of a share of that many rows.
const FAR: f64 = 0.05;

#[derive(Debug, Clone, Serialize)]
pub struct LabelsView {
    /// The splits whose shares are given.
    pub splits: Vec<String>,
    pub first: Vec<LabelView>,
    pub others: Vec<LabelView>,
    /// How many labels are not shown at all, or empty.
    pub more: String,
    /// What a guess without looking would reach, or empty where a row may have several labels.
    pub note: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct LabelView {
    pub value: String,
    pub rows: String,
    pub share: String,
    /// The length of the bar in percent.
    pub bar: String,
    pub splits: Vec<Cell>,
}

/// The share of a split's rows that have the label, and whether it stands out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cell {
    pub share: String,
    pub far: bool,
}

/// `None` for a column without labels.
pub fn labels(column: &ColumnStatistics, report: &Report) -> Option<LabelsView> {
    let most = column.labels.first()?.count;
    let splits = match column.role {
        Role::Split => Vec::new(),
        _ => split_names(report),
    };
    // Where rows have several labels, a share is one of all rows.
    let several = several(column);
    let whole = if several { report.good } else { column.present };
    let total = |split: &&str| match several {
        true => report.splits[*split],
        false => of_split(&column.labels, split),
    };
    let totals: Vec<usize> = splits.iter().map(total).collect();
    let view = |label: &LabelCount| {
        let of_all = share(label.count, whole);
        let cell = |(split, total): (&&str, &usize)| {
            let share = share(label.splits.get(*split).copied().unwrap_or(0), *total);
            Cell {
                share: format::percent(share),
                far: (share - of_all).abs() > FAR + 2.0 * (of_all * (1.0 - of_all) / *total as f64).sqrt(),
            }
        };
        LabelView {
            value: format::shorten(&label.value, CHARACTERS),
            rows: format::count(label.count as u64),
            share: format::percent(of_all),
            bar: format!("{:.1}", share(label.count, most) * 100.0),
            splits: splits.iter().zip(&totals).map(cell).collect(),
        }
    };
    let shown: Vec<LabelView> = column.labels.iter().take(SHOWN).map(view).collect();
    let all = column.distinct.max(column.labels.len());
    let open = if shown.len() > OPEN + 3 { OPEN } else { shown.len() };
    Some(LabelsView {
        more: match all - shown.len() {
            0 => String::new(),
            more => format!("… {} more", format::count(more as u64)),
        },
        first: shown[..open].to_vec(),
        others: shown[open..].to_vec(),
        splits: splits.iter().map(|split| split.to_string()).collect(),
        note: note(column),
    })
}

/// The labels that a split has, each row's counted.
pub fn of_split(labels: &[LabelCount], split: &str) -> usize {
    labels.iter().filter_map(|label| label.splits.get(split)).sum()
}

/// Whether a row may have more than one label.
fn several(column: &ColumnStatistics) -> bool {
    let sum: usize = column.labels.iter().map(|label| label.count).sum();
    sum > column.present
}

/// Whether many labels lie in one split each: the column is what the rows were divided by.
pub fn keeps_apart(column: &ColumnStatistics, report: &Report) -> bool {
    let divided = report.splits.len() > 1 && column.labels.len() > GROUPS;
    divided && column.labels.iter().all(|label| label.splits.len() <= 1)
}

fn note(column: &ColumnStatistics) -> String {
    if column.role == Role::Split || several(column) || column.labels.len() < 2 {
        return String::new();
    }
    let first = &column.labels[0];
    format!(
        "Always answering “{}” is right in {} of {}.",
        format::shorten(&first.value, 40),
        format::percent(share(first.count, column.present)),
        counted(column.present, "row", "rows")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::Manifest;
    use sensorium_data::check::{CheckOptions, check as look};
    use serde_json::{Value, json};
    use std::sync::atomic::AtomicBool;

    /// The labels in the first column of `rows` with their shares of all rows and of each split.
    fn check(rows: &[Value], expected: &[(&str, &str, &[&str])], note: &str) {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.path().join("rows.jsonl"), lines).unwrap();
        let manifest = Manifest::open(&folder.path().join("rows.jsonl")).unwrap();
        let report = look(&manifest, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {}).unwrap();
        let view = labels(&report.columns[0], &report).unwrap();
        let found: Vec<(&str, &str, Vec<&str>)> = view
            .first
            .iter()
            .map(|label| {
                assert!(label.splits.iter().all(|cell| !cell.far), "a few rows say little");
                let cells = label.splits.iter().map(|cell| cell.share.as_str());
                (label.value.as_str(), label.share.as_str(), cells.collect())
            })
            .collect();
        let expected: Vec<(&str, &str, Vec<&str>)> = expected
            .iter()
            .map(|(value, share, cells)| (*value, *share, cells.to_vec()))
            .collect();
        assert_eq!((found, view.note.as_str()), (expected, note));
    }

    #[test]
    fn shares_are_of_the_rows_of_each_split() {
        let row = |answer: Value, split: &str| json!({"answer": answer, "split": split});
        let single = [("yes", "train"), ("yes", "train"), ("no", "train"), ("no", "test")];
        let mut rows: Vec<Value> = single.iter().map(|(answer, split)| row(json!(answer), split)).collect();
        rows.push(row(Value::Null, "train"));
        check(
            &rows,
            &[
                ("no", "50.0%", &["33.3%", "100.0%"]),
                ("yes", "50.0%", &["66.7%", "0.0%"]),
            ],
            "Always answering “no” is right in 50.0% of 4 rows.",
        );
        let several = [
            (json!(["red", "round"]), "train"),
            (json!(["red"]), "train"),
            (json!(["red", "round"]), "test"),
        ];
        let rows: Vec<Value> = several.into_iter().map(|(tags, split)| row(tags, split)).collect();
        check(
            &rows,
            &[
                ("red", "100.0%", &["100.0%", "100.0%"]),
                ("round", "66.7%", &["50.0%", "100.0%"]),
            ],
            "",
        );
    }
}
