//! The one error of this crate: what was wrong, where, and what to do.

use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// The class of a [`DataError`]; its [`code`](ErrorKind::code) is part of the JSON contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// A file, folder, row or column that was named does not exist.
    Missing,
    /// The bytes are not what they claim to be: cut, altered, or another type.
    Damaged,
    /// Well formed, but of a kind this program does not read.
    Unsupported,
    /// Beyond a limit that protects memory and time.
    TooLarge,
    /// A value that cannot be used where it stands.
    Invalid,
    /// More bad rows than the failure budget allows.
    Budget,
    /// A package could not be fetched or does not have the expected checksum.
    Fetch,
    /// The operating system refused a read or a write.
    Io,
}

impl ErrorKind {
    /// The stable word for this kind in JSON output.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Budget => "budget",
            Self::Fetch => "fetch",
            Self::Io => "io",
        }
    }
}

/// What was wrong, with the path, the row, the field and the byte offset where they are known.
#[derive(Debug, Clone)]
pub struct DataError {
    pub kind: ErrorKind,
    pub message: String,
    pub path: Option<PathBuf>,
    /// Zero-based index of the record in manifest order.
    pub row: Option<usize>,
    pub field: Option<String>,
    pub offset: Option<u64>,
}

impl DataError {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            path: None,
            row: None,
            field: None,
            offset: None,
        }
    }

    /// Wraps a refusal of the operating system; a missing file becomes [`ErrorKind::Missing`].
    pub fn io(error: &std::io::Error, path: &Path) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::Missing,
            _ => ErrorKind::Io,
        };
        Self::new(kind, error.to_string()).at_path(path)
    }

    /// Adds the path, unless an inner call has already named a closer one.
    pub fn at_path(mut self, path: &Path) -> Self {
        self.path.get_or_insert_with(|| path.to_path_buf());
        self
    }

    pub fn at_row(mut self, row: usize) -> Self {
        self.row.get_or_insert(row);
        self
    }

    pub fn in_field(mut self, field: &str) -> Self {
        self.field.get_or_insert_with(|| field.to_string());
        self
    }

    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset.get_or_insert(offset);
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(out, "{}: ", path.display())?;
        }
        if let Some(row) = self.row {
            write!(out, "row {row}: ")?;
        }
        if let Some(field) = &self.field {
            write!(out, "`{field}`: ")?;
        }
        out.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(out, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DataError {}
