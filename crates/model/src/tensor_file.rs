//! Safetensors files read tensor by tensor, so that none is in memory as a whole.

use crate::error::{ModelError, Result};
use safetensors::tensor::{Metadata, TensorInfo};
use sensorium_data::DataError;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that are read at a time: whole numbers of every type.
const PART: usize = 1 << 20;
/// The length of a header is written in so many bytes.
const LENGTH: usize = 8;

/// A file whose header has been read, and fits its length.
pub(crate) struct TensorFile {
    file: File,
    /// Where the tensors begin.
    start: u64,
    metadata: Metadata,
}

impl TensorFile {
    /// # Errors
    /// Where there is no such file, and `damaged` with what is wrong for one that is cut or forged.
    pub fn open(path: &Path, damaged: impl Fn(String) -> ModelError) -> Result<Self> {
        let mut file = File::open(path).map_err(|error| DataError::io(&error, path))?;
        let length = file.metadata().map_err(|error| DataError::io(&error, path))?.len();
        let (start, metadata) = header(&mut file, length).map_err(&damaged)?;
        match start.checked_add(metadata.data_len() as u64) == Some(length) {
            true => Ok(Self { file, start, metadata }),
            false => Err(damaged("its tensors do not fill it".into())),
        }
    }

    /// The tensors by name.
    pub fn tensors(&self) -> BTreeMap<String, TensorInfo> {
        let tensors = self.metadata.tensors().into_iter();
        tensors.map(|(name, info)| (name, info.clone())).collect()
    }

    /// What else its writer said.
    pub fn remarks(&self) -> Option<&HashMap<String, String>> {
        self.metadata.metadata().as_ref()
    }

    /// Fills `bytes`, as many as a tensor has, with it.
    pub fn fill(&mut self, tensor: &TensorInfo, bytes: &mut [u8]) -> io::Result<()> {
        self.file
            .seek(SeekFrom::Start(self.start + tensor.data_offsets.0 as u64))?;
        self.file.read_exact(bytes)
    }

    /// Hands the bytes of a tensor to `take`, part by part, each with whole numbers; the next part is read meanwhile.
    pub fn read(&mut self, tensor: &TensorInfo, mut take: impl FnMut(&[u8]) + Send) -> io::Result<()> {
        let (start, end) = tensor.data_offsets;
        self.file.seek(SeekFrom::Start(self.start + start as u64))?;
        let (mut part, mut next) = (Vec::new(), Vec::new());
        for at in (start..end).step_by(PART) {
            next.resize(PART.min(end - at), 0);
            let file = &mut self.file;
            rayon::join(|| file.read_exact(&mut next), || take(&part)).0?;
            std::mem::swap(&mut part, &mut next);
        }
        take(&part);
        Ok(())
    }
}

/// Where the tensors of a file of `length` bytes begin, and what its header says of them.
fn header(file: &mut File, length: u64) -> Result<(u64, Metadata), String> {
    let mut bytes = [0; LENGTH];
    file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    let size = u64::from_le_bytes(bytes);
    let rest = length - LENGTH as u64;
    if size > rest {
        return Err(format!("a header of {size} bytes in a file of {length}"));
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(|error| error.to_string())?;
    let metadata = serde_json::from_slice(&header).map_err(|error| error.to_string())?;
    Ok((LENGTH as u64 + size, metadata))
}
