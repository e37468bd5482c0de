//! The fields of a Parquet row as values.

use super::super::{Cells, whole_number};
use crate::{Result, Value};
use parquet::basic::{ConvertedType, Repetition};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

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

/// Adds the names of the columns that `field` becomes.
pub(super) fn name_columns(name: &str, field: &Type, columns: &mut Vec<String>) {
    let info = field.get_basic_info();
    let is_value = field.is_primitive()
        || info.repetition() == Repetition::REPEATED
        || info.converted_type() != ConvertedType::NONE
        || is_pair(field.get_fields().iter().map(|inner| inner.name()));
    match is_value {
        true => columns.push(name.to_string()),
        false => {
            let inner = field.get_fields().iter();
            inner.for_each(|inner| name_columns(&format!("{name}.{}", inner.name()), inner, columns));
        }
    }
}

fn is_medium(row: &Row) -> bool {
    is_pair(row.get_column_iter().map(|(name, _)| name.as_str()))
}

/// Whether the fields are `bytes` and `path`, in either order.
fn is_pair<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names == ["bytes", "path"]
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
