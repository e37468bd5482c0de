//! Tensors of files that `torch.save` wrote, read as data: nothing in them is run.

use super::float::Float;
use crate::checkpoint::{HostTensor, HostTensors};
use crate::error::{ModelError, Result};
use pytorch_reader::{DType, PytorchReader};
use std::path::Path;

/// The tensors of the file at `path` by the names that `place` gives to those that are wanted.
///
/// # Errors
/// For a file that is cut or forged or holds other objects than tensors in dictionaries, and for a tensor that is wanted but
/// holds no floating numbers.
pub(super) fn read(path: &Path, mut place: impl FnMut(&str) -> Option<String>) -> Result<HostTensors> {
    let damaged = |error: String| {
        let message = format!("expected tensors as `torch.save` writes them, found {error}; fetch the file again");
        ModelError::file(path, message)
    };
    let reader = PytorchReader::new(path).map_err(|error| damaged(error.to_string()))?;
    let mut tensors = HostTensors::new();
    for (name, tensor) in reader.into_tensors() {
        let Some(ours) = place(&name) else {
            continue;
        };
        let bytes = tensor.read().map_err(|error| damaged(error.to_string()))?;
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
