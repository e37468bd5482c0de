//! The one error of this crate: a run directory or a model that cannot be used, and why.

use sensorium_data::DataError;
use std::fmt;
use std::path::{Path, PathBuf};

pub type Result<T, E = ModelError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A configuration that no model can be built from.
    #[error("{field}: {message}")]
    Config { field: String, message: String },
    /// A file of a run directory is missing, cut or altered.
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    /// Tensors that do not fit the model.
    #[error("{}: {mismatch}", path.display())]
    Tensors { path: PathBuf, mismatch: Mismatch },
    #[error(transparent)]
    Data(#[from] DataError),
}

impl ModelError {
    pub fn config(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Config {
            field: field.into(),
            message: message.into(),
        }
    }

    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File {
            path: path.to_path_buf(),
            message: message.into(),
        }
    }

    pub fn io(error: &std::io::Error, path: &Path) -> Self {
        Self::file(path, error.to_string())
    }
}

/// How a file's tensors differ from the model's.
#[derive(Debug, Default)]
pub struct Mismatch {
    pub missing: Vec<String>,
    pub unexpected: Vec<String>,
    /// (name, expected shape, found shape)
    pub misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Mismatch {
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the tensors do not fit the model")?;
        for name in &self.missing {
            write!(out, "\n  missing: {name}")?;
        }
        for name in &self.unexpected {
            write!(out, "\n  unexpected: {name}")?;
        }
        for (name, expected, found) in &self.misshapen {
            write!(out, "\n  {name}: expected shape {expected:?}, found {found:?}")?;
        }
        Ok(())
    }
}
