//! The fields of a Parquet row as values.

use super::super::{Cells, whole_number};
use crate::{Result, Value};
use parquet::record::{Field, Row};

/// The cells of a row: one for each column, and one named `COLUMN.FIELD` for each field of a
/// structure. A structure of `bytes` and `path`, which is how Hugging Face stores media, is one
/// value: the bytes, or the path where there are none.
pub(super) fn cells(row: Row) -> Result<Cells> {
    let mut cells = Cells::new();
    row.into_columns()
        .into_iter()
        .for_each(|(name, field)| add(&mut cells, name, field));
    Ok(cells)
}

fn add(cells: &mut Cells, name: String, field: Field) {
    match field {
        Field::Group(row) if !is_medium(&row) => {
            for (field, value) in row.into_columns() {
                add(cells, format!("{name}.{field}"), value);
            }
        }
        field => cells.push((name, value(field))),
    }
}

fn is_medium(row: &Row) -> bool {
    let has = |name: &str| row.get_column_iter().any(|(column, _)| column == name);
    row.len() == 2 && has("bytes") && has("path")
}

/// One value. Times are text; a structure in a list is the list of its fields, a map the list of its
/// pairs; what is not a number is absent, as data frames mean it.
fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Absent,
        Field::Bool(flag) => Value::Text(flag.to_string()),
        Field::Byte(number) => whole_number(number.into()),
        Field::Short(number) => whole_number(number.into()),
        Field::Int(number) => whole_number(number.into()),
        Field::Long(number) => whole_number(number.into()),
        Field::UByte(number) => whole_number(number.into()),
        Field::UShort(number) => whole_number(number.into()),
        Field::UInt(number) => whole_number(number.into()),
        Field::ULong(number) => whole_number(number.into()),
        Field::Float16(number) => real(number.into()),
        Field::Float(number) => real(number.into()),
        Field::Double(number) => real(number),
        Field::Str(text) => Value::Text(text),
        Field::Bytes(bytes) => Value::Bytes(bytes.data().into()),
        Field::Group(row) if is_medium(&row) => medium(row),
        Field::Group(row) => Value::List(row.into_columns().into_iter().map(|(_, field)| value(field)).collect()),
        Field::ListInternal(list) => Value::List(list.elements().iter().cloned().map(value).collect()),
        Field::MapInternal(map) => {
            let pair = |(key, held): &(Field, Field)| Value::List(vec![value(key.clone()), value(held.clone())]);
            Value::List(map.entries().iter().map(pair).collect())
        }
        time => Value::Text(time.to_string()),
    }
}

fn medium(row: Row) -> Value {
    let (mut bytes, mut path) = (Value::Absent, Value::Absent);
    for (name, field) in row.into_columns() {
        match name.as_str() {
            "bytes" => bytes = value(field),
            _ => path = value(field),
        }
    }
    if bytes == Value::Absent { path } else { bytes }
}

fn real(number: f64) -> Value {
    match number.is_nan() {
        true => Value::Absent,
        false => Value::Number(number),
    }
}
