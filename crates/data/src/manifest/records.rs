//! Records as they are read: each takes the next row number, whether it is readable or not.

use super::Manifest;
use super::spill::Spill;
use super::{csv, extension, jsonl, parquet};
use crate::storage::{self, ReadAt};
use crate::{DataError, ErrorKind, Result, Sample, Value};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The largest table that is read whole, in bytes.
const MAX_TABLE: u64 = 4 << 30;

/// The columns and values of one record.
pub(crate) type Cells = Vec<(String, Value)>;

#[derive(Debug, Default)]
pub(super) struct Records {
    pub columns: Vec<String>,
    known: HashSet<String>,
    pub samples: Vec<Sample>,
    pub broken: Vec<DataError>,
}

impl Records {
    /// Reads the table that `source` is, its format by the extension of `path`; embedded media go
    /// to `spill`.
    ///
    /// Fails where nothing of it can be used.
    pub fn read(source: &Arc<dyn ReadAt>, path: &Path, spill: &mut Spill) -> Result<Self> {
        let whole = || storage::read(&**source, 0, source.length(), MAX_TABLE);
        match extension(path).as_str() {
            "jsonl" | "ndjson" => Ok(jsonl::parse(&whole()?)),
            "csv" => csv::parse(&whole()?, b','),
            "tsv" => csv::parse(&whole()?, b'\t'),
            "parquet" => Self::embedded(source, spill),
            _ => Err(super::unsupported(path)),
        }
    }

    fn embedded(source: &Arc<dyn ReadAt>, spill: &mut Spill) -> Result<Self> {
        let table = parquet::Table::open(source)?;
        let mut records = Self::default();
        table.columns().iter().for_each(|column| records.declare(column));
        for row in table.rows_from(0) {
            let kept = |(column, value): (String, Value)| Ok((column, spill.keep(value)?));
            records.push(match row {
                Ok(cells) => Ok(cells.into_iter().map(kept).collect::<Result<Cells>>()?),
                Err(error) => Err(error),
            });
        }
        Ok(records)
    }

    pub fn push(&mut self, record: Result<Cells>) {
        let row = self.rows();
        match record {
            Err(error) => self.broken.push(error.at_row(row)),
            Ok(cells) => {
                cells.iter().for_each(|(column, _)| self.declare(column));
                let values: BTreeMap<String, Value> = cells.into_iter().collect();
                self.samples.push(Sample { row, values });
            }
        }
    }

    pub fn declare(&mut self, column: &str) {
        if !self.known.contains(column) {
            self.known.insert(column.to_string());
            self.columns.push(column.to_string());
        }
    }

    pub fn has(&self, column: &str) -> bool {
        self.known.contains(column)
    }

    pub fn rows(&self) -> usize {
        self.samples.len() + self.broken.len()
    }

    /// Gives every readable record that has none a value in `column`.
    pub fn fill(&mut self, column: &str, value: &Value) {
        self.declare(column);
        for sample in &mut self.samples {
            sample.values.entry(column.to_string()).or_insert_with(|| value.clone());
        }
    }

    /// Changes every readable record; one that cannot be changed is broken, and keeps its row.
    pub fn change(&mut self, mut change: impl FnMut(&mut Sample) -> Result<()>) {
        let mut broken = Vec::new();
        self.samples.retain_mut(|sample| match change(sample) {
            Ok(()) => true,
            Err(error) => {
                broken.push(error.at_row(sample.row));
                false
            }
        });
        self.broken.extend(broken);
        self.broken.sort_by_key(|error| error.row);
    }

    /// Adds the records of another file behind these.
    pub fn extend(&mut self, other: Self, file: &Path) {
        let before = self.rows();
        other.columns.iter().for_each(|column| self.declare(column));
        self.samples.extend(other.samples.into_iter().map(|mut sample| {
            sample.row += before;
            sample
        }));
        self.broken.extend(other.broken.into_iter().map(|mut error| {
            error.row = error.row.map(|row| row + before);
            error.at_path(file)
        }));
    }

    pub fn into_manifest(self, path: &Path, root: &Path) -> Manifest {
        let broken = self.broken.into_iter();
        Manifest {
            path: path.to_path_buf(),
            root: root.to_path_buf(),
            columns: self.columns,
            samples: self.samples,
            broken: broken.map(|error| error.at_path(path)).collect(),
        }
    }
}

/// The text after the byte order mark that some editors write, with the number of bytes left out.
pub(super) fn without_mark(bytes: &[u8]) -> (&[u8], usize) {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, 3),
        None => (bytes, 0),
    }
}

/// Bytes as text; the error names the first one that is none.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let message = "expected UTF-8 text, found other bytes; save the file as UTF-8";
        DataError::new(ErrorKind::Damaged, message).at_offset(error.valid_up_to() as u64)
    })
}
