//! Duplicates, leaks, and the rows that cannot be used.

use super::pictures::{Pictures, Shown};
use super::{NAME, split_names};
use crate::page::format;
use sensorium_data::Manifest;
use sensorium_data::check::{Duplicate, Leak, Likeness, Quarantined, Report, Role};
use serde::Serialize;

/// Groups that are shown, and rows of each that are named.
const GROUPS: usize = 24;
const ROWS: usize = 8;
/// Near copies of a group that are shown; exact ones look the same.
const COPIES: usize = 4;
const QUARANTINED: usize = 200;
const CHARACTERS: usize = 300;

#[derive(Debug, Clone, Serialize)]
pub struct CopiesView {
    pub count: String,
    pub groups: Vec<GroupView>,
    /// How many groups are not shown, or empty.
    pub more: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct GroupView {
    pub exact: bool,
    pub column: String,
    pub role: Role,
    /// `rows 3, 17 and 2 more`.
    pub rows: String,
    /// Splits with their rows; empty for duplicates.
    pub splits: Vec<(String, String)>,
    pub shown: Vec<Shown>,
}

#[derive(Debug, Clone, Serialize)]
pub struct QuarantineView {
    pub count: String,
    pub rows: Vec<BadRow>,
    /// How many rows are not shown, or empty.
    pub more: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct BadRow {
    pub row: String,
    /// Relative to the manifest's folder where it lies below.
    pub path: String,
    pub field: String,
    pub reason: String,
}

pub fn leaks(report: &Report, pictures: &mut Pictures) -> CopiesView {
    let names = split_names(report);
    let view = |leak: &Leak| {
        let in_split = |name: &&str| Some((name.to_string(), format::count(*leak.splits.get(*name)? as u64)));
        GroupView {
            splits: names.iter().filter_map(in_split).collect(),
            ..group(
                report,
                leak.kind,
                &leak.column,
                &leak.rows,
                leak.splits.values().sum(),
                pictures,
            )
        }
    };
    copies(report.leaks.iter().take(GROUPS).map(view).collect(), report.leak_groups)
}

pub fn duplicates(report: &Report, pictures: &mut Pictures) -> CopiesView {
    let view = |found: &Duplicate| group(report, found.kind, &found.column, &found.rows, found.count, pictures);
    copies(
        report.duplicates.iter().take(GROUPS).map(view).collect(),
        report.duplicate_groups,
    )
}

/// A group of `count` rows, of which `listed` are known.
fn group(
    report: &Report,
    likeness: Likeness,
    column: &str,
    listed: &[usize],
    count: usize,
    pictures: &mut Pictures,
) -> GroupView {
    let of_column = report.columns.iter().find(|known| known.name == column);
    let role = of_column.map_or(Role::Text, |column| column.role);
    let exact = likeness == Likeness::Exact;
    GroupView {
        exact,
        column: format::shorten(column, NAME),
        role,
        rows: rows(listed, count),
        splits: Vec::new(),
        shown: pictures.of_rows(listed, column, role.media(), if exact { 1 } else { COPIES }),
    }
}

fn copies(groups: Vec<GroupView>, count: usize) -> CopiesView {
    CopiesView {
        count: format::count(count as u64),
        more: more(count - groups.len().min(count)),
        groups,
    }
}

/// `… 12 more`, or nothing.
fn more(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!("… {} more", format::count(count as u64)),
    }
}

fn rows(listed: &[usize], count: usize) -> String {
    let named: Vec<String> = listed.iter().take(ROWS).map(|row| format::count(*row as u64)).collect();
    match count - named.len().min(count) {
        0 => format!("rows {}", named.join(", ")),
        others => format!("rows {} and {} more", named.join(", "), format::count(others as u64)),
    }
}

pub fn quarantine(report: &Report, manifest: &Manifest) -> QuarantineView {
    let rows = report.quarantined.iter().take(QUARANTINED);
    QuarantineView {
        count: format::count(report.quarantined.len() as u64),
        rows: rows.map(|row| bad_row(row, manifest)).collect(),
        more: more(report.quarantined.len().saturating_sub(QUARANTINED)),
    }
}

fn bad_row(bad: &Quarantined, manifest: &Manifest) -> BadRow {
    let path = bad
        .path
        .as_deref()
        .map(|path| path.strip_prefix(&manifest.root).unwrap_or(path));
    let path = path.map(|path| path.display().to_string()).unwrap_or_default();
    let place = bad.offset.map(|offset| format!(" (at byte {})", format::count(offset)));
    BadRow {
        row: format::count(bad.row as u64),
        path: format::shorten(&path, CHARACTERS),
        field: bad.field.clone().unwrap_or_default(),
        reason: format::shorten(&bad.reason, CHARACTERS) + &place.unwrap_or_default(),
    }
}
