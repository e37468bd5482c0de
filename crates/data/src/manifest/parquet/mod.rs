//! Parquet tables, one row group at a time (<https://parquet.apache.org/docs/file-format/>).

mod claims;
mod fields;
mod thrift;

use super::Cells;
use crate::shield::shielded;
use crate::storage::{self, Cursor, ReadAt};
use crate::{DataError, ErrorKind, Result};
use bytes::Bytes;
use claims::{check_footer, check_pages, damaged};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use parquet::record::reader::{ReaderIter, TreeBuilder};
use std::io::BufReader;
use std::sync::Arc;

/// The rows that one byte of a file may stand for: equal values take almost no room, but a table of
/// nothing else is forged.
const ROWS_PER_BYTE: u64 = 16;
/// How many rows are unpacked at once.
const BATCH: usize = 32;
/// The largest packed page, in bytes.
const MAX_PACKED: u64 = 1 << 30;

/// An open table.
pub(crate) struct Table {
    source: Arc<dyn ReadAt>,
    reader: SerializedFileReader<Chunks>,
    /// The rows of each row group.
    groups: Vec<usize>,
}

impl Table {
    /// Reads the footer.
    ///
    /// Fails with `Damaged` for a cut or forged file, and `Unsupported` for an encrypted one.
    pub fn open(source: &Arc<dyn ReadAt>) -> Result<Self> {
        Self::read(source).map_err(|error| error.at_path(source.path()).at_offset(0))
    }

    fn read(source: &Arc<dyn ReadAt>) -> Result<Self> {
        check_footer(&**source)?;
        let chunks = Chunks(source.clone());
        let reader = guarded(|| SerializedFileReader::new(chunks))?;
        let rows = reader.metadata().row_groups().iter().map(|group| group.num_rows());
        let groups: Option<Vec<usize>> = rows.map(|rows| usize::try_from(rows).ok()).collect();
        let groups = groups.ok_or_else(|| damaged("expected numbers of rows, found negative ones"))?;
        let rows = groups.iter().fold(0u64, |sum, rows| sum.saturating_add(*rows as u64));
        if rows > source.length().saturating_mul(ROWS_PER_BYTE) {
            let message = format!(
                "expected a table, found the claim of {rows} rows in {} bytes",
                source.length()
            );
            return Err(damaged(&message));
        }
        let source = source.clone();
        Ok(Self { source, reader, groups })
    }

    pub fn rows(&self) -> usize {
        self.groups.iter().sum()
    }

    /// The columns that the rows have, in the order of the file.
    pub fn columns(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema();
        let mut columns = Vec::new();
        for field in schema.get_fields() {
            fields::name_columns(field.name(), field, &mut columns);
        }
        columns
    }

    /// The rows from number `row` on.
    pub fn rows_from(self, row: usize) -> Rows {
        let mut rows = Rows {
            table: self,
            group: 0,
            position: 0,
            current: Group::default(),
        };
        // Whole row groups are passed over unread.
        while rows
            .table
            .groups
            .get(rows.group)
            .is_some_and(|count| rows.position + count <= row)
        {
            rows.position += rows.table.groups[rows.group];
            rows.group += 1;
        }
        while rows.position < row && rows.next().is_some() {}
        rows
    }

    fn open_group(&self, group: usize) -> Result<ReaderIter> {
        let metadata = self.reader.metadata().row_group(group);
        for column in metadata.columns() {
            let (start, length) = guarded(|| Ok(column.byte_range()))?;
            check_pages(&*self.source, start, length)?;
        }
        guarded(|| {
            let group = self.reader.get_row_group(group)?;
            let columns = group.metadata().schema_descr_ptr();
            TreeBuilder::new().with_batch_size(BATCH).as_iter(columns, &*group)
        })
    }
}

/// The rows of a table in order, exactly as many as its footer says. Damage fails the rest of its
/// row group, each row on its own.
pub(crate) struct Rows {
    table: Table,
    /// The row group that comes after the current one.
    group: usize,
    position: usize,
    current: Group,
}

#[derive(Default)]
struct Group {
    left: usize,
    start: u64,
    reader: Option<ReaderIter>,
    failed: Option<DataError>,
}

impl Rows {
    /// The number of the next row.
    pub fn row(&self) -> usize {
        self.position
    }

    fn open_next(&mut self) -> Option<()> {
        let left = *self.table.groups.get(self.group)?;
        let columns = self.table.reader.metadata().row_group(self.group).columns();
        let start = columns
            .first()
            .map_or(0, |column| column.data_page_offset().max(0) as u64);
        let start = start.min(self.table.source.length());
        let (reader, failed) = match self.table.open_group(self.group) {
            Ok(reader) => (Some(reader), None),
            Err(error) => (None, Some(error)),
        };
        self.group += 1;
        self.current = Group {
            left,
            start,
            reader,
            failed,
        };
        Some(())
    }

    fn read(&mut self) -> Result<Cells> {
        let group = &mut self.current;
        if let Some(error) = &group.failed {
            return Err(error.clone());
        }
        let reader = group.reader.as_mut();
        let row = guarded(|| reader.and_then(Iterator::next).transpose());
        match row.and_then(|row| row.ok_or_else(|| damaged("expected more rows, found the end of the row group"))) {
            Ok(row) => fields::cells(row),
            Err(error) => {
                group.reader = None;
                group.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Cells>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.current.left == 0 {
            self.open_next()?;
        }
        self.current.left -= 1;
        self.position += 1;
        let row = self.read();
        Some(row.map_err(|error| error.at_path(self.table.source.path()).at_offset(self.current.start)))
    }
}

/// Runs a part of the library, whose faults end the work on this table, not the program.
fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    match shielded(work) {
        Some(Ok(value)) => Ok(value),
        Some(Err(ParquetError::NYI(error))) => {
            let message = format!("expected a common kind of Parquet, found {error}; write the table anew");
            Err(DataError::new(ErrorKind::Unsupported, message))
        }
        Some(Err(error)) => Err(damaged(&format!("expected a whole Parquet file, found: {error}"))),
        None => Err(damaged("expected a whole Parquet file; the reader failed on its bytes")),
    }
}

/// A source in the words of the library.
struct Chunks(Arc<dyn ReadAt>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.length()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::with_capacity(1 << 12, Cursor::new(self.0.clone(), start)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let read = storage::read(&*self.0, start, length as u64, MAX_PACKED);
        read.map(Bytes::from)
            .map_err(|error| ParquetError::General(error.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::storage::Part;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/tables");
        std::fs::read(std::path::Path::new(folder).join(name)).unwrap()
    }

    fn table(bytes: Vec<u8>) -> Result<Table> {
        let path = "a.parquet".into();
        let source: Arc<dyn ReadAt> = Arc::new(Part { path, start: 0, bytes });
        Table::open(&source)
    }

    fn column(name: &str, file: &str) -> Vec<Value> {
        let value = |row: Result<Cells>| row.unwrap().into_iter().find(|(column, _)| column == name).unwrap().1;
        table(golden(file)).unwrap().rows_from(0).map(value).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn check(name: &str, expected: [Value; 4]) {
        assert_eq!(column(name, "types.parquet"), expected, "{name}");
    }

    #[test]
    fn each_type_has_one_reading() {
        let (none, number) = (Value::Absent, Value::Number);
        let list = |items: &[Value]| Value::List(items.to_vec());
        check("text", [text("café"), text(""), none.clone(), text("x")]);
        check("flag", [text("true"), none.clone(), text("false"), text("true")]);
        check("small", [number(-128.0), number(127.0), none.clone(), number(0.0)]);
        check("count", [number(1.0), number(2.0), none.clone(), number(4.0)]);
        let large = "9007199254740993";
        check(
            "identity",
            [text(large), text(&format!("-{large}")), none.clone(), number(7.0)],
        );
        check(
            "unsigned",
            [text("18446744073709551615"), number(1.0), none.clone(), number(0.0)],
        );
        check("real", [number(0.5), none.clone(), none.clone(), number(-1e300)]);
        check("single", [number(0.25), number(1.0), none.clone(), number(-2.0)]);
        let bytes = |bytes: &[u8]| Value::Bytes(bytes.into());
        check("bytes", [bytes(b"\0\xff"), bytes(b""), none.clone(), bytes(b"z")]);
        check(
            "day",
            [text("2024-02-29"), none.clone(), none.clone(), text("1970-01-01")],
        );
        let moment = text("2024-02-29 12:30:15.250000 +00:00");
        check("moment", [moment.clone(), none.clone(), none.clone(), moment]);
        check("price", [text("1.50"), none.clone(), none.clone(), text("-0.25")]);
        let turns = list(&[list(&[text("q"), text("1")]), list(&[text("a"), text("2")])]);
        check(
            "tags",
            [
                list(&[text("a"), text("b")]),
                list(&[]),
                none.clone(),
                list(&[text("c")]),
            ],
        );
        check("turns", [turns, list(&[]), none.clone(), list(&[])]);
        check("word", [text("red"), text("blue"), none, text("red")]);
    }

    #[test]
    fn the_fields_of_a_structure_are_columns_and_a_medium_is_one_value() {
        let row = table(golden("types.parquet"))
            .unwrap()
            .rows_from(3)
            .next()
            .unwrap()
            .unwrap();
        assert!(row.contains(&("place.y".into(), Value::Number(4.0))), "{row:?}");
        let first = Value::Bytes(b"first"[..].into());
        assert_eq!(
            column("image", "media.parquet"),
            [first.clone(), text("b.png"), Value::Absent, first]
        );
    }

    #[test]
    fn every_packing_is_read_from_any_row_on() {
        for name in ["snappy", "zstd", "lz4", "gzip", "second_version"] {
            let open = || table(golden(&format!("{name}.parquet"))).unwrap();
            assert_eq!(open().rows(), 300, "{name}");
            for start in [0, 1, 99, 100, 250, 299, 300, 400] {
                let rows: Vec<_> = open().rows_from(start).map(|row| row.unwrap()[1].1.clone()).collect();
                let expected: Vec<_> = (start..300)
                    .map(|row| text(&format!("the text of row {row}")))
                    .collect();
                assert_eq!(rows, expected, "{name} from {start}");
            }
        }
    }

    /// The rows that can be read; all of them are accounted for, the broken ones by place.
    fn readable(bytes: Vec<u8>) -> Option<Vec<bool>> {
        let length = bytes.len() as u64;
        let table = table(bytes).ok()?;
        let rows = table.rows();
        let read: Vec<bool> = table
            .rows_from(0)
            .map(|row| {
                let placed = |error: &DataError| error.path.is_some() && error.offset.unwrap() <= length;
                row.map_or_else(|error| !placed(&error), |_| true)
            })
            .collect();
        assert_eq!(read.len(), rows);
        Some(read)
    }

    #[test]
    fn a_damaged_row_group_leaves_the_other_alone() {
        let mut bytes = golden("types.parquet");
        assert_eq!(readable(bytes.clone()), Some(vec![true; 4]));
        bytes[4..24].fill(0xff);
        assert_eq!(readable(bytes), Some(vec![false, false, true, true]));
    }

    #[test]
    fn every_cut_is_damaged() {
        for name in ["types", "media", "second_version"] {
            let whole = golden(&format!("{name}.parquet"));
            for cut in 0..whole.len() {
                let error = table(whole[..cut].to_vec()).err().unwrap();
                assert_eq!(error.kind, ErrorKind::Damaged, "{name} cut at {cut}");
            }
        }
    }
}
