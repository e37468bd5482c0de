//! Tables with a header row, their cells apart by a comma or a tab.

use super::records::{Cells, Records, without_mark};
use crate::{DataError, ErrorKind, Result, Value};
use csv::ByteRecord;
use std::collections::HashSet;

/// Reads one record per row after the header; an empty cell is absent, all else is text.
///
/// Offsets count from the start of `bytes`. Fails only where the header cannot be used.
pub(super) fn parse(bytes: &[u8], delimiter: u8) -> Result<Records> {
    let (text, mark) = without_mark(bytes);
    let mut table = Table::new(text, delimiter);
    let mut records = Records::default();
    let Some(first) = table.next() else {
        return Ok(records);
    };
    let header = header(&first)?;
    header.iter().for_each(|column| records.declare(column));
    while let Some(row) = table.next() {
        if header.len() > 1 && is_blank(&row.cells) {
            continue;
        }
        let offset = (mark + row.start) as u64;
        records.push(cells(&row, &header).map_err(|error| error.at_offset(offset)));
    }
    Ok(records)
}

/// The raw rows of a table.
struct Table<'a> {
    text: &'a [u8],
    delimiter: u8,
    reader: csv::Reader<&'a [u8]>,
}

struct Row {
    cells: ByteRecord,
    start: usize,
    /// The row holds an opening quote whose closing one never comes, and so the rest of the file.
    unclosed: bool,
}

impl<'a> Table<'a> {
    fn new(text: &'a [u8], delimiter: u8) -> Self {
        let reader = reader(text, delimiter);
        Self {
            text,
            delimiter,
            reader,
        }
    }

    fn next(&mut self) -> Option<Row> {
        let mut cells = ByteRecord::new();
        // Reading from memory with a flexible row length leaves the reader nothing to refuse.
        if !self.reader.read_byte_record(&mut cells).unwrap_or(false) {
            return None;
        }
        let before = cells.position().map_or(0, |position| position.byte() as usize);
        let raw = &self.text[before.min(self.text.len())..];
        // The reader counts the line breaks before a row as a part of it.
        let breaks = raw.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let last = self.reader.position().byte() as usize >= self.text.len();
        let unclosed = last && is_unclosed(raw, self.delimiter);
        Some(Row {
            cells,
            start: before + breaks,
            unclosed,
        })
    }
}

fn reader(text: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(text)
}

/// Whether a row put behind the last row would be read as a part of it.
fn is_unclosed(raw: &[u8], delimiter: u8) -> bool {
    let extended = [raw, b"\nx"].concat();
    reader(&extended, delimiter).byte_records().count() < 2
}

fn is_blank(cells: &ByteRecord) -> bool {
    cells.len() == 1 && cells[0].trim_ascii().is_empty()
}

/// The column names; one without a name is called `column_N` by its place.
fn header(row: &Row) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut known = HashSet::new();
    for (place, cell) in row.cells.iter().enumerate() {
        let name = match std::str::from_utf8(cell).map(str::trim) {
            Ok("") => format!("column_{place}"),
            Ok(name) => name.to_string(),
            Err(_) => return Err(not_text().in_field(&format!("column_{place}"))),
        };
        if !known.insert(name.clone()) {
            let message = "expected every column name once, found it twice; rename one of the two";
            return Err(DataError::new(ErrorKind::Invalid, message).in_field(&name));
        }
        names.push(name);
    }
    match row.unclosed {
        true => Err(not_closed()),
        false => Ok(names),
    }
}

fn cells(row: &Row, header: &[String]) -> Result<Cells> {
    if row.unclosed {
        return Err(not_closed());
    }
    if row.cells.len() != header.len() {
        let message = format!(
            "expected {} cells, as in the header, found {}; put cells that hold the delimiter in \
             double quotes",
            header.len(),
            row.cells.len()
        );
        return Err(DataError::new(ErrorKind::Damaged, message));
    }
    let cell = |(column, cell): (&String, &[u8])| match std::str::from_utf8(cell) {
        Ok("") => Ok((column.clone(), Value::Absent)),
        Ok(text) => Ok((column.clone(), Value::Text(text.to_string()))),
        Err(_) => Err(not_text().in_field(column)),
    };
    header.iter().zip(row.cells.iter()).map(cell).collect()
}

fn not_text() -> DataError {
    let message = "expected UTF-8 text, found other bytes; save the file as UTF-8";
    DataError::new(ErrorKind::Damaged, message)
}

fn not_closed() -> DataError {
    let message = "expected a closing double quote, found the end of the file; the rows after the \
        opening quote are lost in its cell";
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected` holds a row's second cell, or the offset and a part of the reason.
    fn check(text: &[u8], expected: &[Result<Value, (u64, &str)>]) {
        let records = parse(text, b',').unwrap();
        assert_eq!(records.columns, ["image", "label"]);
        assert_eq!(records.samples.len() + records.broken.len(), expected.len());
        for (row, expected) in expected.iter().enumerate() {
            let sample = records.samples.iter().find(|sample| sample.row == row);
            match expected {
                Ok(value) => assert_eq!(sample.unwrap().get("label"), value),
                Err((offset, part)) => {
                    assert!(sample.is_none());
                    let wanted = |error: &&DataError| error.row == Some(row);
                    let error = records.broken.iter().find(wanted).unwrap();
                    assert_eq!(error.offset, Some(*offset), "{error}");
                    assert!(error.message.contains(part), "{error}");
                }
            }
        }
    }

    fn text(text: &str) -> Result<Value, (u64, &'static str)> {
        Ok(Value::Text(text.into()))
    }

    #[test]
    fn cells_are_text_and_empty_ones_absent() {
        check(b"image,label\na.png,007\nb.png,\n", &[text("007"), Ok(Value::Absent)]);
        check(
            b"\xef\xbb\xbfimage, label\r\na.png,\"a, \"\"b\"\"\nc\"\r\n",
            &[text("a, \"b\"\nc")],
        );
        check(b"image,label\n\n  \na.png,5\" pipe", &[text("5\" pipe")]);
    }

    #[test]
    fn a_broken_row_leaves_the_others_alone() {
        check(
            b"image,label\na.png\n\nb.png,x,y\nc.png,\xff\nd.png,ok\n",
            &[
                Err((12, "found 1")),
                Err((19, "found 3")),
                Err((29, "UTF-8")),
                text("ok"),
            ],
        );
        check(
            b"image,label\na.png,x\nb.png,\"never closed\nc.png,y\n",
            &[text("x"), Err((20, "closing"))],
        );
    }

    #[test]
    fn a_header_must_name_each_column_once() {
        assert!(parse(b"a,b,a\n1,2,3\n", b',').unwrap_err().message.contains("twice"));
        assert!(parse(b"a,\"b\n1,2\n", b',').unwrap_err().message.contains("closing"));
        assert!(parse(b"a,\xff\n1,2\n", b',').is_err());
        assert_eq!(parse(b",a\n0,x\n", b',').unwrap().columns, ["column_0", "a"]);
    }
}
