//! The account of rows that cannot be used, as lines of `quarantine.jsonl`.

use crate::{DataError, Result, files};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A row that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Zero-based index of the record in manifest order.
    pub row: usize,
    /// The file that cannot be used: the medium, or the manifest for a record that cannot be read.
    pub path: Option<PathBuf>,
    /// The column of the bad value.
    pub field: Option<String>,
    /// Where in the file the fault was noticed, in bytes from its start, where that is known.
    pub offset: Option<u64>,
    /// The stable word for the class of the fault: see [`crate::ErrorKind::code`].
    pub code: &'static str,
    /// What was expected, what was found, and what to do.
    pub reason: String,
}

impl Quarantined {
    /// The line for an error; `None` for one that names no row.
    pub fn of(error: &DataError) -> Option<Self> {
        Some(Self {
            row: error.row?,
            path: error.path.clone(),
            field: error.field.clone(),
            offset: error.offset,
            code: error.kind.code(),
            reason: error.message.clone(),
        })
    }
}

/// Writes one JSON object a line, in the order given; no rows leave an empty file. The file appears
/// whole or not at all.
///
/// # Errors
/// [`crate::ErrorKind::Io`] with the path.
pub fn write_quarantine<'a>(path: &Path, rows: impl IntoIterator<Item = &'a Quarantined>) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        text += &serde_json::to_string(row).expect("a quarantined row has string keys only");
        text.push('\n');
    }
    files::write_atomically(path, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_line_holds_what_the_error_knows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("quarantine.jsonl");
        let error = DataError::new(ErrorKind::Damaged, "cut")
            .at_row(7)
            .at_path(Path::new("a.png"));
        let rows = [&error, &error.clone().at_offset(3).in_field("image")].map(|error| Quarantined::of(error).unwrap());
        write_quarantine(&path, &rows).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        let expected = [
            r#"{"row":7,"path":"a.png","field":null,"offset":null,"code":"damaged","reason":"cut"}"#,
            r#"{"row":7,"path":"a.png","field":"image","offset":3,"code":"damaged","reason":"cut"}"#,
        ];
        assert!(lines.lines().eq(expected), "{lines}");
        assert_eq!(Quarantined::of(&DataError::new(ErrorKind::Io, "no row")), None);
    }
}
