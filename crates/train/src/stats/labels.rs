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
/// By how much a split's share of a label may differ before it is pointed out.
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
                far: (share - of_all).abs() > FAR,
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
