//! Tensors of safetensors files that others wrote, of any floating type.

use super::float::Float;
use crate::checkpoint::{HostTensor, HostTensors};
use crate::error::{ModelError, Result};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use sensorium_data::files;
use std::path::Path;

/// The tensors of the file at `path` by the names that `place` gives to those that are wanted.
///
/// # Errors
/// For a file that is cut or forged, and for a tensor that is wanted but holds no floating numbers.
pub(super) fn read(path: &Path, mut place: impl FnMut(&str) -> Option<String>) -> Result<HostTensors> {
    let bytes = files::read(path)?;
    let damaged = |error| {
        ModelError::file(
            path,
            format!("expected a safetensors file, found {error}; fetch it again"),
        )
    };
    let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
    let mut tensors = HostTensors::new();
    for (name, view) in file.iter() {
        let Some(ours) = place(name) else {
            continue;
        };
        let values = values(&view).ok_or_else(|| {
            let message = format!("`{name}` has the type {:?}; expected F32, F16 or BF16", view.dtype());
            ModelError::file(path, message)
        })?;
        let shape = view.shape().to_vec();
        tensors.insert(ours, HostTensor { shape, values });
    }
    Ok(tensors)
}

fn values(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let kind = match view.dtype() {
        Dtype::F32 => Float::Single,
        Dtype::F16 => Float::Half,
        Dtype::BF16 => Float::Brain,
        _ => return None,
    };
    Some(kind.read(view.data()))
}
