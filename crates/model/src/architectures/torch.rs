//! Tensors of files that `torch.save` wrote, read as data: nothing in them is run.

use crate::checkpoint::{HostTensor, HostTensors};
use crate::error::{ModelError, Result};
use crate::float::Float;
use pytorch_reader::{DType, PytorchReader};
use std::collections::BTreeMap;
use std::path::Path;

/// The shapes of the tensors of the file at `path`.
///
/// # Errors
/// For a file that is cut or forged or holds other objects than tensors in dictionaries.
pub(super) fn shapes(path: &Path) -> Result<BTreeMap<String, Vec<usize>>> {
    let tensors = open(path)?.into_tensors().into_iter();
    Ok(tensors.map(|(name, tensor)| (name, tensor.shape().to_vec())).collect())
}

fn open(path: &Path) -> Result<PytorchReader> {
    PytorchReader::new(path).map_err(|error| damaged(path, &error.to_string()))
}

fn damaged(path: &Path, error: &str) -> ModelError {
    let message = format!("expected tensors as `torch.save` writes them, found {error}; fetch the file again");
    ModelError::file(path, message)
}

/// The tensors of the file at `path` by the names that `place` gives to those that are wanted.
///
/// # Errors
/// For a file that is cut or forged or holds other objects than tensors in dictionaries, and for a tensor that is wanted but
/// holds no floating numbers.
pub(super) fn read(path: &Path, mut place: impl FnMut(&str) -> Option<String>) -> Result<HostTensors> {
    let reader = open(path)?;
    let mut tensors = HostTensors::new();
    for (name, tensor) in reader.into_tensors() {
        let Some(ours) = place(&name) else {
            continue;
        };
        let bytes = tensor.read().map_err(|error| damaged(path, &error.to_string()))?;
        let kind = match tensor.dtype() {
            DType::F32 => Float::Single,
            DType::F16 => Float::Half,
            DType::BF16 => Float::Brain,
            other => {
                let message = format!("`{name}` has the type {other:?}; expected F32, F16 or BF16");
                return Err(ModelError::file(path, message));
            }
        };
        let (shape, mut values) = (tensor.shape().to_vec(), Vec::new());
        kind.read(&bytes, &mut values);
        tensors.insert(ours, HostTensor { shape, values });
    }
    Ok(tensors)
}
