//! Initial parameters and inputs that another program exported, so that both start from the same numbers.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::tensor::{Dtype, SafeTensors};
use sensorium_model::map_parameters;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum InitialError {
    #[error("cannot read the initial tensors {path}: {cause}; write them with `benches/peers/workloads.py --export`")]
    File { path: PathBuf, cause: String },
    #[error(
        "{path} lacks `{name}` with {elements} elements: it was exported from another workload or another version of it"
    )]
    Tensor {
        path: PathBuf,
        name: String,
        elements: usize,
    },
}

/// Named tensors in PyTorch's layouts; without a file, inputs are made up.
pub struct Initial {
    path: PathBuf,
    floats: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Initial {
    pub fn load(path: &Path) -> Result<Self, InitialError> {
        let file = |cause: String| InitialError::File {
            path: path.to_path_buf(),
            cause,
        };
        let bytes = std::fs::read(path).map_err(|error| file(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| file(error.to_string()))?;
        let floats = tensors
            .iter()
            .filter(|(_, view)| view.dtype() == Dtype::F32)
            .map(|(name, view)| {
                let values = view
                    .data()
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes));
                (name.to_string(), (view.shape().to_vec(), values.collect()))
            })
            .collect();
        Ok(Self {
            path: path.to_path_buf(),
            floats,
        })
    }

    fn missing(&self, name: &str, elements: usize) -> InitialError {
        InitialError::Tensor {
            path: self.path.clone(),
            name: name.to_string(),
            elements,
        }
    }

    /// The input `name`, as it was exported.
    pub fn input<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>, InitialError> {
        let name = format!("input.{name}");
        match self.floats.get(&name) {
            Some((found, values)) if found == &shape => {
                let data = TensorData::new(values.clone(), shape);
                Ok(Tensor::from_data(data, &Device::flex()))
            }
            _ => Err(self.missing(&name, shape.iter().product())),
        }
    }

    /// The values of `name`, a parameter of `elements` numbers.
    pub fn values(&self, name: &str, elements: usize) -> Result<&[f32], InitialError> {
        match self.floats.get(name) {
            Some((_, values)) if values.len() == elements => Ok(values),
            _ => Err(self.missing(name, elements)),
        }
    }

    /// Puts every trainable parameter of `module` in place; `rename` turns its path here into the file's.
    pub fn apply<M: Module>(&self, module: M, rename: impl Fn(&str) -> String) -> Result<M, InitialError> {
        let mut error = None;
        let module = map_parameters(module, |path, old| {
            if path.ends_with("running_mean") || path.ends_with("running_var") {
                return None;
            }
            let (name, elements) = (rename(path), old.dims()[0]);
            match self.values(&name, elements) {
                Ok(values) => {
                    let data = TensorData::new(values.to_vec(), [elements]);
                    Some(Tensor::from_data(data, &old.device()))
                }
                Err(found) => {
                    error.get_or_insert(found);
                    None
                }
            }
        });
        error.map_or(Ok(module), Err)
    }
}

/// A number that looks normally distributed with deviation one, by a fixed rule: the scaled sum of four uniform ones.
pub fn made_up_number(index: usize) -> f32 {
    let mix = |bits: u64| {
        let bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    };
    let bits = mix((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xFFFF).sum();
    (sum as f32 / 65_536.0 - 2.0) * 3f32.sqrt()
}

/// A tensor of such numbers.
pub fn made_up<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(made_up_number).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// `step`·i + `first` modulo `count`, for i from 0.
pub fn cycle<const D: usize>(shape: [usize; D], step: usize, count: usize, first: usize) -> Tensor<D, Int> {
    let values: Vec<i64> = (0..shape.iter().product())
        .map(|index: usize| ((index * step) % count + first) as i64)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}
