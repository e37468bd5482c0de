//! Tensors of safetensors files that others wrote, of any floating type.

use crate::checkpoint::{HostTensor, HostTensors};
use crate::error::{ModelError, Result};
use crate::float::Float;
use crate::tensor_file::TensorFile;
use std::collections::BTreeMap;
use std::path::Path;

/// The shapes of the tensors of the file at `path`.
///
/// # Errors
/// For a file that is cut or forged.
pub(super) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>> {
    let tensors = open(path)?.tensors().into_iter();
    Ok(tensors.map(|(name, info)| (name, info.shape)).collect())
}

fn open(path: &Path) -> Result<TensorFile> {
    TensorFile::open(path, |error| damaged(path, &error))
}

fn damaged(path: &Path, error: &str) -> ModelError {
    ModelError::file(
        path,
        format!("expected a safetensors file, found {error}; fetch it again"),
    )
}

/// The tensors of the file at `path` by the names that `place` gives to those that are wanted.
///
/// # Errors
/// For a file that is cut or forged, and for a tensor that is wanted but holds no floating numbers.
pub(crate) fn read(path: &Path, mut place: impl FnMut(&str) -> Option<String>) -> Result<HostTensors> {
    let mut file = open(path)?;
    let mut tensors = HostTensors::new();
    for (name, info) in file.tensors() {
        let Some(ours) = place(&name) else {
            continue;
        };
        let kind = Float::of(info.dtype).ok_or_else(|| {
            let message = format!("`{name}` has the type {:?}; expected F32, F16 or BF16", info.dtype);
            ModelError::file(path, message)
        })?;
        let mut values = Vec::with_capacity(info.shape.iter().product());
        let take = |bytes: &[u8]| kind.read(bytes, &mut values);
        file.read(&info, take)
            .map_err(|error| damaged(path, &error.to_string()))?;
        let shape = info.shape;
        tensors.insert(ours, HostTensor { shape, values });
    }
    Ok(tensors)
}
