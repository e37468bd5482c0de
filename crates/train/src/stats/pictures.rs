//! A few values of a data set as people see or read them, in a page of bounded size.

use crate::page::format;
use crate::page::picture::embed;
use sensorium_data::check::{MediaKind, Report, thumbnail};
use sensorium_data::{Manifest, Sample, Value};
use serde::Serialize;
use std::collections::HashMap;

/// What the pictures of a page may take together, in characters.
const BUDGET: usize = 1_100_000;
/// The side of a thumbnail in pixels, in the columns and in the groups of copies.
const LARGE: usize = 112;
const SMALL: usize = 72;
/// Pictures up to this side are enlarged without blurring their pixels.
const PIXELS: usize = 64;
const CHARACTERS: usize = 240;

/// A value ready for the template.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub row: String,
    /// The text, or the name of a medium's file.
    pub text: String,
    pub picture: Option<Picture>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Picture {
    pub base64: String,
    pub tiny: bool,
    /// Width over height.
    pub aspect: String,
}

/// Reads the values of a manifest's rows while there is room for pictures.
pub struct Pictures<'a> {
    manifest: &'a Manifest,
    good: &'a [usize],
    /// Samples by row.
    by_row: HashMap<usize, &'a Sample>,
    left: usize,
}

impl<'a> Pictures<'a> {
    pub fn new(manifest: &'a Manifest, report: &'a Report) -> Self {
        Self {
            manifest,
            good: &report.good_samples,
            by_row: manifest.samples.iter().map(|sample| (sample.row, sample)).collect(),
            left: BUDGET,
        }
    }

    /// Up to `count` different values of a column from good rows that are spread evenly over the set.
    pub fn spread(&mut self, column: &str, kind: Option<MediaKind>, count: usize) -> Vec<Shown> {
        let mut samples: Vec<&Sample> = Vec::new();
        for part in 0..count {
            let (start, end) = (self.good.len() * part / count, self.good.len() * (part + 1) / count);
            let new = |sample: &&Sample| {
                let value = sample.get(column);
                *value != Value::Absent && samples.iter().all(|known| known.get(column) != value)
            };
            let rows = self.good[start..end].iter().map(|index| &self.manifest.samples[*index]);
            samples.extend(rows.into_iter().find(new));
        }
        samples
            .into_iter()
            .map(|sample| self.show(sample, column, kind, LARGE))
            .collect()
    }

    /// Up to `count` different values of a column in `rows`.
    pub fn of_rows(&mut self, rows: &[usize], column: &str, kind: Option<MediaKind>, count: usize) -> Vec<Shown> {
        let mut samples: Vec<&Sample> = Vec::new();
        for sample in rows.iter().filter_map(|row| self.by_row.get(row)) {
            if samples.len() < count && samples.iter().all(|known| known.get(column) != sample.get(column)) {
                samples.push(sample);
            }
        }
        samples
            .into_iter()
            .map(|sample| self.show(sample, column, kind, SMALL))
            .collect()
    }

    fn show(&mut self, sample: &Sample, column: &str, kind: Option<MediaKind>, side: usize) -> Shown {
        let value = sample.get(column);
        Shown {
            row: format::count(sample.row as u64),
            text: format::shorten(&text(value), CHARACTERS),
            picture: kind.and_then(|kind| self.picture(value, kind, side)),
        }
    }

    /// `None` beyond the budget, and for a medium that has changed since it was checked.
    fn picture(&mut self, value: &Value, kind: MediaKind, side: usize) -> Option<Picture> {
        if self.left == 0 {
            return None;
        }
        let picture = thumbnail(value, kind, &self.manifest.root, side).ok()?;
        let embedded = embed(&picture.to_png(), None);
        let Some(left) = self.left.checked_sub(embedded.base64.len()) else {
            self.left = 0;
            return None;
        };
        self.left = left;
        Some(Picture {
            tiny: kind == MediaKind::Image && picture.height.max(picture.width) <= PIXELS,
            base64: embedded.base64,
            aspect: embedded.aspect,
        })
    }
}

/// A value in words; lists by their items.
fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Absent => String::new(),
        Value::Bytes(bytes) => format!("{} bytes", format::count(bytes.len() as u64)),
        Value::Stored(stored) => stored.place(),
        Value::List(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
    }
}
