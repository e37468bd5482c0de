//! Media that come embedded in tables: equal ones are kept once, many of them on disk.

use crate::storage::{Packing, Stored, Unpacked};
use crate::{DataError, Result, Value};
use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is held in memory before the rest goes to a file without a name, in bytes.
const IN_MEMORY: u64 = 256 << 20;

/// Keeps embedded media.
pub(crate) struct Spill {
    /// The manifest that the media come from.
    path: PathBuf,
    known: HashMap<blake3::Hash, Value>,
    limit: u64,
    held: u64,
    file: Option<Arc<Unpacked>>,
    written: u64,
}

impl Spill {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            known: HashMap::new(),
            limit: IN_MEMORY,
            held: 0,
            file: None,
            written: 0,
        }
    }

    /// The value itself, its bytes kept once.
    pub fn keep(&mut self, value: Value) -> Result<Value> {
        match value {
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::List(items) => {
                let kept: Result<Vec<Value>> = items.into_iter().map(|item| self.keep(item)).collect();
                Ok(Value::List(kept?))
            }
            other => Ok(other),
        }
    }

    fn bytes(&mut self, bytes: Arc<[u8]>) -> Result<Value> {
        let hash = blake3::hash(&bytes);
        if let Some(value) = self.known.get(&hash) {
            return Ok(value.clone());
        }
        let length = bytes.len() as u64;
        let value = if self.held + length <= self.limit {
            self.held += length;
            Value::Bytes(bytes)
        } else {
            self.write(&bytes)?
        };
        self.known.insert(hash, value.clone());
        Ok(value)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<Value> {
        let refused = |error| DataError::io(&error, &std::env::temp_dir());
        let file = match &self.file {
            Some(file) => file.clone(),
            None => Arc::new(Unpacked {
                path: self.path.clone(),
                file: tempfile::tempfile().map_err(refused)?,
            }),
        };
        let offset = self.written;
        file.file.write_all_at(bytes, offset).map_err(refused)?;
        self.file = Some(file.clone());
        self.written += bytes.len() as u64;
        Ok(Value::Stored(Arc::new(Stored {
            source: file,
            offset,
            length: bytes.len() as u64,
            packing: Packing::Plain,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_media_are_kept_once_and_the_rest_is_read_back_from_disk() {
        let mut spill = Spill::new(Path::new("a.parquet"));
        spill.limit = 10;
        let bytes = |byte: u8| Value::Bytes(vec![byte; 6].into());
        let kept: Vec<Value> = [1, 2, 3, 2, 1].map(|byte| spill.keep(bytes(byte)).unwrap()).into();
        assert_eq!(kept[0], bytes(1));
        assert_eq!((&kept[3], &kept[4]), (&kept[1], &kept[0]));
        assert_eq!(spill.written, 12);
        for (value, byte) in [(&kept[1], 2), (&kept[2], 3)] {
            let Value::Stored(stored) = value else {
                panic!("{value:?} is not on disk")
            };
            assert_eq!(stored.read().unwrap()[..], [byte; 6]);
        }
    }
}
