//! One row of a data set: named values, none of them decoded yet.

use crate::storage::Stored;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null` or a missing key. Not an error: every input may be absent.
    Absent,
    /// Text, or the path of a medium (relative to the manifest's folder), as the input's modality says.
    Text(String),
    Number(f64),
    /// An encoded medium that came without a file: an upload, or a table with embedded bytes.
    Bytes(Arc<[u8]>),
    /// An encoded medium inside of an archive, a shard or a table, read when it is needed.
    Stored(Arc<Stored>),
    /// Several labels, references, candidates or turns.
    List(Vec<Value>),
}

impl Value {
    /// The text of a label: numbers print without a trailing `.0`.
    pub fn label(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// The file that a media value names.
    pub fn path(&self, root: &Path) -> Option<PathBuf> {
        match self {
            Self::Text(text) => Some(root.join(text)),
            _ => None,
        }
    }
}

/// Visits a value, or each value in a list, however deep.
pub(crate) fn each<'a>(value: &'a Value, visit: &mut dyn FnMut(&'a Value)) {
    match value {
        Value::List(items) => items.iter().for_each(|item| each(item, visit)),
        value => visit(value),
    }
}

/// A row by its zero-based place in manifest order.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    pub row: usize,
    pub values: BTreeMap<String, Value>,
}

impl Sample {
    /// The value in `column`; a missing column reads as absent.
    pub fn get(&self, column: &str) -> &Value {
        self.values.get(column).unwrap_or(&Value::Absent)
    }
}
