//! The columns of a data set, each as a card: what it holds, how that is distributed, and examples.

use super::bars::{BarsView, Subject, bars, same};
use super::labels::{LabelsView, keeps_apart, labels};
use super::pictures::{Pictures, Shown};
use super::unit::Unit;
use super::{NAME, share};
use crate::page::format;
use sensorium_data::check::{ColumnStatistics, Histogram, MediaKind, Report, Role};
use serde::Serialize;

/// Examples of a column, as many as fill a line or two.
const PICTURES: usize = 9;
const VIDEOS: usize = 4;
const SOUNDS: usize = 4;
const TEXTS: usize = 4;

#[derive(Debug, Clone, Serialize)]
pub struct ColumnView {
    pub name: String,
    pub role: Role,
    /// What the role means where its name does not say.
    pub hint: &'static str,
    /// Whether it is a medium, whose card takes the whole width.
    pub media: bool,
    pub facts: Vec<(&'static str, String)>,
    pub samples: Vec<Shown>,
    pub bars: Vec<BarsView>,
    pub labels: Option<LabelsView>,
    pub tables: Vec<TableView>,
}

/// Counts by name, the most frequent first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableView {
    pub title: &'static str,
    pub rows: Vec<(String, String, String)>,
}

pub fn view(column: &ColumnStatistics, report: &Report, pictures: &mut Pictures) -> ColumnView {
    let kind = column.role.media();
    let count = match kind {
        Some(MediaKind::Image) => PICTURES,
        Some(MediaKind::Audio) => SOUNDS,
        Some(MediaKind::Video) => VIDEOS,
        None if matches!(column.role, Role::Text | Role::Group) => TEXTS,
        None => 0,
    };
    ColumnView {
        name: format::shorten(&column.name, NAME),
        role: column.role,
        hint: hint(column, report),
        media: kind.is_some(),
        facts: facts(column, report),
        samples: pictures.spread(&column.name, kind, count),
        bars: histograms(column)
            .into_iter()
            .filter_map(|(subject, histogram)| bars(&subject, histogram))
            .collect(),
        labels: labels(column, report),
        tables: tables(column),
    }
}

fn hint(column: &ColumnStatistics, report: &Report) -> &'static str {
    match column.role {
        Role::Label if keeps_apart(column, report) => "no value in two splits",
        Role::Text if column.main => "compared for duplicates and leaks",
        Role::Split => "divides the rows",
        Role::Group => "kept together by a split",
        Role::Empty => "no row has a value",
        _ => "",
    }
}

fn facts(column: &ColumnStatistics, report: &Report) -> Vec<(&'static str, String)> {
    let count = |value: usize| format::count(value as u64);
    let mut facts = vec![("present", count(column.present))];
    if column.missing > 0 {
        let part = format::percent(share(column.missing, report.good));
        facts.push(("missing", format!("{} ({part})", count(column.missing))));
    }
    let distinct = if column.role.media().is_some() {
        "files"
    } else {
        "distinct"
    };
    facts.push((distinct, count(column.distinct)));
    for (subject, histogram) in histograms(column) {
        facts.extend(same(&subject, histogram));
    }
    facts
}

/// The column's distributions, each with how it is read.
fn histograms(column: &ColumnStatistics) -> Vec<(Subject, &Histogram)> {
    let all = [
        ("Width in pixels", "wide", Unit::Pixels, &column.width),
        ("Height in pixels", "high", Unit::Pixels, &column.height),
        ("Duration", "long", Unit::Seconds, &column.seconds),
        ("File size", "large", Unit::Bytes, &column.bytes),
        (
            "Length in characters",
            "characters",
            Unit::Characters,
            &column.characters,
        ),
        ("Values", "is the only value", Unit::Plain, &column.numbers),
    ];
    let mut found = Vec::new();
    for (title, short, unit, histogram) in all {
        let total = matches!(unit, Unit::Seconds | Unit::Bytes);
        let subject = Subject {
            title,
            short,
            unit,
            total,
        };
        found.extend(histogram.as_ref().map(|histogram| (subject, histogram)));
    }
    found
}

fn tables(column: &ColumnStatistics) -> Vec<TableView> {
    let hertz = |rate: &u32| format!("{} Hz", format::count(u64::from(*rate)));
    let channels = |count: &u32| match count {
        1 => "1 (mono)".to_string(),
        2 => "2 (stereo)".to_string(),
        count => count.to_string(),
    };
    let formats = column.formats.iter().map(|(format, count)| (format.clone(), *count));
    let rates = column.sample_rates.iter().map(|(rate, count)| (hertz(rate), *count));
    let widths = column.channels.iter().map(|(count, media)| (channels(count), *media));
    let tables = [
        table("Format", formats.collect()),
        table("Sample rate", rates.collect()),
        table("Channels", widths.collect()),
    ];
    tables.into_iter().flatten().collect()
}

fn table(title: &'static str, mut counts: Vec<(String, usize)>) -> Option<TableView> {
    // The sort is stable: names of one count keep their order.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let all = counts.iter().map(|(_, count)| count).sum();
    let row = |(name, count): &(String, usize)| {
        let part = format::percent(share(*count, all));
        (name.clone(), format::count(*count as u64), part)
    };
    (!counts.is_empty()).then(|| TableView {
        title,
        rows: counts.iter().map(row).collect(),
    })
}
