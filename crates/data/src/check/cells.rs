//! The cells that hold media, and the distinct media in them.

use super::columns::kind_of_path;
use super::probe::{Medium, Probe, Source};
use super::{Column, MediaKind, each};
use crate::{DataError, ErrorKind, Manifest, Result, Value};
use std::collections::HashMap;

/// A cell's use of a medium, or what else it holds. A list gives one for each of its items.
pub(super) struct Cell {
    /// Index into the manifest's samples.
    pub sample: usize,
    /// Index into the columns.
    pub column: usize,
    /// Index into the media; `None` where the value can be none.
    pub medium: Option<usize>,
}

/// All media cells of some rows, row by row in the order of the columns, and each distinct medium once.
pub(super) struct Cells {
    pub list: Vec<Cell>,
    pub media: Vec<Medium>,
}

/// What makes two values the same medium: the place of the file, or the bytes themselves.
#[derive(PartialEq, Eq, Hash)]
enum Identity<'a> {
    File(&'a str),
    Stored(String),
    Bytes(blake3::Hash),
}

impl Cells {
    /// The media cells of the rows that `kept` marks.
    pub fn collect(manifest: &Manifest, columns: &[Column], kept: &[bool]) -> Self {
        let mut cells = Self {
            list: Vec::new(),
            media: Vec::new(),
        };
        let mut known = HashMap::new();
        let kinds: Vec<_> = columns.iter().map(|column| column.role.media()).collect();
        for (sample, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            for (column, kind) in kinds.iter().enumerate() {
                let Some(kind) = *kind else { continue };
                let cell = manifest.samples[sample].get(&columns[column].name);
                let listed = matches!(cell, Value::List(_));
                each(cell, &mut |value| {
                    if *value != Value::Absent {
                        let kind = if listed { kind_of_item(kind, value) } else { kind };
                        let medium = cells.medium(manifest, kind, value, &mut known);
                        cells.list.push(Cell { sample, column, medium });
                    }
                });
            }
        }
        cells
    }

    fn medium<'a>(
        &mut self,
        manifest: &Manifest,
        kind: MediaKind,
        value: &'a Value,
        known: &mut HashMap<(MediaKind, Identity<'a>), usize>,
    ) -> Option<usize> {
        let (identity, source) = match value {
            Value::Text(name) => (Identity::File(name), Source::File(manifest.root.join(name))),
            Value::Stored(stored) => (Identity::Stored(stored.place()), Source::Stored(stored.clone())),
            Value::Bytes(bytes) => (Identity::Bytes(blake3::hash(bytes)), Source::Bytes(bytes.clone())),
            Value::Absent | Value::Number(_) | Value::List(_) => return None,
        };
        Some(*known.entry((kind, identity)).or_insert_with(|| {
            self.media.push(Medium { kind, source });
            self.media.len() - 1
        }))
    }

    /// For each sample the first fault among its cells, with row, field and path.
    pub fn faults(&self, manifest: &Manifest, columns: &[Column], results: &[Result<Probe>]) -> Vec<Option<DataError>> {
        let mut faults = vec![None; manifest.samples.len()];
        for cell in &self.list {
            let error = match cell.medium.map(|medium| &results[medium]) {
                Some(Ok(_)) => continue,
                Some(Err(error)) => error.clone(),
                None => not_a_medium(),
            };
            let row = manifest.samples[cell.sample].row;
            faults[cell.sample].get_or_insert_with(|| {
                let error = error.at_row(row).in_field(&columns[cell.column].name);
                error.at_path(&manifest.path)
            });
        }
        faults
    }
}

/// A list in a column of videos may be the frames of one, which are pictures.
fn kind_of_item(kind: MediaKind, value: &Value) -> MediaKind {
    match value {
        Value::Text(name) if kind == MediaKind::Video => kind_of_path(name).unwrap_or(kind),
        _ => kind,
    }
}

fn not_a_medium() -> DataError {
    let message = "expected the path of a medium, found a number; correct the value or rename the column";
    DataError::new(ErrorKind::Invalid, message)
}
