//! JSON lines: one object per line, its keys the columns.

use super::records::{Cells, Records, text_of, without_mark};
use crate::{DataError, ErrorKind, Result, Value};

/// The largest magnitude up to which every whole number has its own `f64`.
const EXACT: u64 = 1 << 53;

/// Reads one record per line that is not blank; offsets count from the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Records {
    let mut records = Records::default();
    let (text, mut offset) = without_mark(bytes);
    for line in text.split(|byte| *byte == b'\n') {
        if !line.trim_ascii().is_empty() {
            records.push(record(line, offset as u64));
        }
        offset += line.len() + 1;
    }
    records
}

/// Reads one line that starts at byte `offset` of its file.
pub(crate) fn record(line: &[u8], offset: u64) -> Result<Cells> {
    let damaged = |message, within| Err(DataError::new(ErrorKind::Damaged, message).at_offset(offset + within as u64));
    let text = text_of(line).map_err(|error| {
        let within = error.offset.unwrap_or(0);
        DataError { offset: None, ..error }.at_offset(offset + within)
    })?;
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => cells(object, offset),
        Ok(other) => damaged(format!("expected a JSON object, found {}", kind(&other)), 0),
        Err(error) => {
            let message = format!("expected a JSON object on one line: {}", reason(&error));
            damaged(message, error.column().saturating_sub(1).min(line.len()))
        }
    }
}

fn cells(object: serde_json::Map<String, serde_json::Value>, offset: u64) -> Result<Cells> {
    let cell = |(column, json): (String, serde_json::Value)| match value(json) {
        Some(value) => Ok((column, value)),
        None => Err(DataError::new(
            ErrorKind::Unsupported,
            "expected text, a number, true, false, null or a list of these, found an object; give \
             each of its keys a column of its own",
        )
        .in_field(&column)
        .at_offset(offset)),
    };
    object.into_iter().map(cell).collect()
}

/// The value of a cell; `None` for an object.
fn value(json: serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Null => Value::Absent,
        serde_json::Value::Bool(flag) => Value::Text(flag.to_string()),
        serde_json::Value::Number(number) => numeric(&number),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value).collect::<Option<_>>()?),
        serde_json::Value::Object(_) => return None,
    })
}

/// A whole number that `f64` would round is an identifier, and stays as it is written.
fn numeric(number: &serde_json::Number) -> Value {
    let magnitude = number.as_u64().or(number.as_i64().map(i64::unsigned_abs));
    match (magnitude, number.as_f64()) {
        (Some(magnitude), _) if magnitude > EXACT => Value::Text(number.to_string()),
        (_, Some(float)) => Value::Number(float),
        (_, None) => Value::Text(number.to_string()),
    }
}

/// A whole number of a table with types, by the same rule.
pub(crate) fn whole_number(number: i128) -> Value {
    match number.unsigned_abs() > u128::from(EXACT) {
        true => Value::Text(number.to_string()),
        false => Value::Number(number as f64),
    }
}

/// The value of any JSON; an object, and a list with one in it, stays JSON text.
pub(crate) fn parse_json(json: serde_json::Value) -> Value {
    let text = json.to_string();
    value(json).unwrap_or(Value::Text(text))
}

fn kind(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "true or false",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}

/// The parser's own words without its line number, which would always be 1.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Value) {
        let records = parse(format!("{{\"x\":{json}}}").as_bytes());
        assert!(records.broken.is_empty(), "{:?}", records.broken);
        assert_eq!(records.samples[0].get("x"), &expected, "{json}");
    }

    #[test]
    fn each_json_type_has_one_reading() {
        check("null", Value::Absent);
        check("\"caf\\u00e9\"", Value::Text("café".into()));
        check("true", Value::Text("true".into()));
        check("3", Value::Number(3.0));
        check("-2.5e-1", Value::Number(-0.25));
        check("9007199254740993", Value::Text("9007199254740993".into()));
        check("-9007199254740993", Value::Text("-9007199254740993".into()));
        let turn = Value::List(vec![Value::Text("q".into()), Value::Number(1.0)]);
        check("[[\"q\",1],null]", Value::List(vec![turn, Value::Absent]));
    }

    #[test]
    fn broken_lines_keep_their_rows_and_leave_the_others_alone() {
        let bytes =
            b"\xef\xbb\xbf{\"a\":1}\n\n  \r\n{\"a\": 1,}\r\n{\"b\":\"\xff\"}\n[1]\n{\"c\":{\"d\":1}}\n{\"b\":2}";
        let records = parse(bytes);
        assert_eq!(records.columns, ["a", "b"]);
        assert_eq!(records.samples.iter().map(|s| s.row).collect::<Vec<_>>(), [0, 5]);
        let found: Vec<_> = records
            .broken
            .iter()
            .map(|error| (error.row.unwrap(), error.offset.unwrap(), error.message.as_str()))
            .collect();
        let expected = [
            (1, 24, "trailing comma"),
            (2, 33, "UTF-8"),
            (3, 37, "found a list"),
            (4, 41, "found an object"),
        ];
        assert_eq!(found.len(), expected.len());
        for ((row, offset, message), (row_wanted, offset_wanted, part)) in found.into_iter().zip(expected) {
            assert_eq!((row, offset), (row_wanted, offset_wanted), "{message}");
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(records.broken[3].field.as_deref(), Some("c"));
    }

    #[test]
    fn deep_nesting_is_refused_without_exhausting_the_stack() {
        let records = parse(&b"[".repeat(1 << 20));
        assert_eq!(records.broken.len(), 1);
        let listed = format!("{{\"x\":{}{}}}", "[".repeat(1 << 16), "]".repeat(1 << 16));
        assert_eq!(parse(listed.as_bytes()).broken.len(), 1);
    }
}
