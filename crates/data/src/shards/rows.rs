//! The rows of one shard in order, from any position on.

use super::spans::Spans;
use super::{Format, sample};
use crate::manifest::{self, Cells, parquet};
use crate::storage::{self, Part, ReadAt};
use crate::{DataError, Result, Value};
use std::ops::Range;
use std::sync::Arc;

/// The largest row that is read into memory, in bytes.
const MAX_ROW: u64 = 1 << 30;

/// A row as it is read.
pub(super) struct Row {
    pub cells: Result<Cells>,
    /// The memory that it takes, about.
    pub bytes: u64,
}

pub(super) struct Rows {
    source: Arc<dyn ReadAt>,
    format: Format,
    reader: Reader,
}

enum Reader {
    Spans(Spans),
    Table(Box<parquet::Rows>),
    /// A table that cannot be opened is one broken row.
    Failed(Option<DataError>),
}

impl Rows {
    pub fn open(source: &Arc<dyn ReadAt>, format: Format, at: u64) -> Self {
        let reader = match format {
            Format::Table => match parquet::Table::open(source) {
                Ok(table) => Reader::Table(Box::new(table.rows_from(at as usize))),
                Err(error) => Reader::Failed((at == 0).then_some(error)),
            },
            format => Reader::Spans(spans(source, format, at)),
        };
        let source = source.clone();
        Self { source, format, reader }
    }

    /// Where the next row is looked for: a byte, or the number of a table's row.
    pub fn position(&self) -> u64 {
        match &self.reader {
            Reader::Spans(spans) => spans.position(),
            Reader::Table(rows) => rows.row() as u64,
            Reader::Failed(error) => u64::from(error.is_none()),
        }
    }

    /// How many rows the shard has.
    pub fn count(source: &Arc<dyn ReadAt>, format: Format) -> usize {
        match format {
            Format::Table => parquet::Table::open(source).map_or(1, |table| table.rows()),
            format => spans(source, format, 0).count(),
        }
    }
}

impl Iterator for Rows {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        match &mut self.reader {
            Reader::Spans(spans) => Some(match spans.next()? {
                Ok(span) => Row {
                    bytes: span.end - span.start,
                    cells: cells(&self.source, self.format, span),
                },
                Err(error) => failed(error),
            }),
            Reader::Table(rows) => rows.next().map(|cells| Row {
                bytes: cells
                    .as_ref()
                    .map_or(0, |cells| cells.iter().map(|(_, value)| size(value)).sum()),
                cells,
            }),
            Reader::Failed(error) => error.take().map(failed),
        }
    }
}

/// The places of rows in a shard that is no table.
pub(super) fn spans(source: &Arc<dyn ReadAt>, format: Format, at: u64) -> Spans {
    match format {
        Format::Lines => Spans::lines(source.clone(), at),
        _ => Spans::samples(source.clone(), at),
    }
}

/// The row in `span` of a shard that is no table; its media are held in memory.
pub(super) fn cells(source: &Arc<dyn ReadAt>, format: Format, span: Range<u64>) -> Result<Cells> {
    let bytes = storage::read(&**source, span.start, span.end - span.start, MAX_ROW)?;
    if format == Format::Lines {
        let record = manifest::jsonl::record(&bytes, span.start);
        return record.map_err(|error| error.at_path(source.path()));
    }
    let part: Arc<dyn ReadAt> = Arc::new(Part {
        path: source.path().to_path_buf(),
        start: span.start,
        bytes,
    });
    sample::cells(&part, span)
}

fn failed(error: DataError) -> Row {
    Row {
        cells: Err(error),
        bytes: 0,
    }
}

fn size(value: &Value) -> u64 {
    let held = match value {
        Value::Text(text) => text.len() as u64,
        Value::Bytes(bytes) => bytes.len() as u64,
        Value::List(items) => items.iter().map(size).sum(),
        _ => 0,
    };
    held + size_of::<Value>() as u64
}
