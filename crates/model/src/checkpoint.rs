//! Parameters in safetensors files that check themselves: the one metadata key is a digest of every tensor.

use crate::error::{Mismatch, ModelError, Result};
use crate::float::{Float, Numbers, flat};
use crate::parameters::{parameters, set_parameters, shapes};
use crate::tensor_file::TensorFile;
use burn::module::Module;
use burn::tensor::Tensor;
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use sensorium_data::files;
use sensorium_kernels::{PackedWeight, Precision};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const DIGEST: &str = "blake3";

/// A tensor on the host, in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl HostTensor {
    /// What changes nothing: the identity of a map, zeros of anything else.
    pub(crate) fn neutral(shape: Vec<usize>) -> Self {
        let mut values = vec![0.0; shape.iter().product()];
        if let [_, width] = shape[..] {
            values.iter_mut().step_by(width + 1).for_each(|value| *value = 1.0);
        }
        Self { values, shape }
    }

    /// As many parts of the last axis, of equal size where they can be; a matrix [input, output] becomes parts [output, input].
    pub(crate) fn cut(self, count: usize) -> Vec<Self> {
        let columns = self.shape.last().copied().unwrap_or_default();
        let bound = |part: usize| columns * part / count;
        let part = |part: usize| {
            let range = bound(part)..bound(part + 1);
            match self.shape[..] {
                [_] => Self {
                    shape: vec![range.len()],
                    values: self.values[range].to_vec(),
                },
                [rows, _] => Self {
                    shape: vec![range.len(), rows],
                    values: range
                        .flat_map(|column| self.values.iter().skip(column).step_by(columns).copied())
                        .collect(),
                },
                _ => self.clone(),
            }
        };
        (0..count).map(part).collect()
    }

    /// As many copies.
    pub(crate) fn copies(self, count: usize) -> Vec<Self> {
        vec![self; count]
    }

    /// As many parts of the first axis, of equal size where they can be.
    pub(crate) fn rows(self, count: usize) -> Vec<Self> {
        let rows = self.shape.first().copied().unwrap_or_default();
        let row = self.values.len() / rows.max(1);
        let bound = |part: usize| rows * part / count;
        let part = |part: usize| {
            let range = bound(part)..bound(part + 1);
            let other_axes = self.shape.iter().skip(1).copied();
            Self {
                shape: std::iter::once(range.len()).chain(other_axes).collect(),
                values: self.values[range.start * row..range.end * row].to_vec(),
            }
        };
        (0..count).map(part).collect()
    }

    /// What is left of a weight [output, input] that is packed with this precision.
    ///
    /// # Panics
    /// For a tensor of another rank.
    pub fn rounded(self, precision: Precision) -> Self {
        let [output, input] = self.shape[..] else {
            panic!("a weight has two axes");
        };
        let fill = |row: usize, line: &mut [f32]| line.copy_from_slice(&self.values[row * input..][..input]);
        let values = PackedWeight::from_rows(output, input, precision, fill).whole();
        Self {
            shape: self.shape,
            values,
        }
    }

    /// The rows that `order` names, one after the other.
    pub(crate) fn with_rows(&self, order: &[usize]) -> Self {
        let width = self.values.len() / order.len().max(1);
        let rows = order.iter().map(|&row| &self.values[row * width..(row + 1) * width]);
        Self {
            shape: self.shape.clone(),
            values: rows.collect::<Vec<_>>().concat(),
        }
    }

    /// The tensor of this shape that [`cut`](Self::cut) made `parts` of.
    ///
    /// # Panics
    /// When the parts do not fill the shape.
    pub(crate) fn join(parts: &[Self], shape: Vec<usize>) -> Self {
        let values = match shape[..] {
            [rows, columns] => {
                let all: Vec<&[f32]> = parts.iter().flat_map(|part| part.values.chunks(rows)).collect();
                assert_eq!(all.len(), columns, "the parts hold all columns");
                (0..rows)
                    .flat_map(|row| all.iter().map(move |column| column[row]))
                    .collect()
            }
            _ => parts.iter().flat_map(|part| part.values.iter().copied()).collect(),
        };
        Self { shape, values }
    }
}

/// Named tensors on the host; the order of names fixes the bytes of a file.
pub type HostTensors = BTreeMap<String, HostTensor>;

/// The parameters of a module by path, running statistics included.
pub fn to_host<M: Module>(module: &M) -> HostTensors {
    let host = |(path, parameter): (String, crate::Parameter)| {
        (
            path,
            HostTensor {
                shape: parameter.shape,
                values: to_vec(parameter.values),
            },
        )
    };
    parameters(module).into_iter().map(host).collect()
}

/// The values of a tensor on the host.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.try_into_vec_as().expect("float tensors can be read as f32")
}

/// Puts `tensors` into a module of the same architecture; all must fit.
pub fn from_host<M: Module>(module: M, tensors: HostTensors, path: &Path) -> Result<M> {
    let shapes = tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.shape[..]));
    compare(&module, &shapes.collect(), path)?;
    Ok(insert(module, tensors))
}

/// As [`from_host`], with each parameter in the bits that it is stored in.
pub(crate) fn from_stored<M: Module>(module: M, tensors: Vec<Stored>, path: &Path) -> Result<M> {
    let shapes = tensors.iter().map(|tensor| (tensor.name.as_str(), &tensor.shape[..]));
    compare(&module, &shapes.collect(), path)?;
    let named = tensors.into_iter().map(|tensor| (tensor.name, tensor.numbers));
    let mut numbers: HashMap<String, Numbers> = named.collect();
    Ok(set_parameters(module, |name| Some(numbers.remove(name)?.into_data())))
}

/// Puts those of the `tensors` into a module that it has a parameter for; these must fit.
pub(crate) fn insert<M: Module>(module: M, mut tensors: HostTensors) -> M {
    set_parameters(module, |name| {
        let values = tensors.remove(name)?.values;
        Some(flat(values))
    })
}

/// Refuses tensors of these shapes where a module has others.
fn compare<M: Module>(module: &M, found: &BTreeMap<&str, &[usize]>, path: &Path) -> Result<()> {
    let mut mismatch = Mismatch::default();
    let expected = shapes(module);
    for (name, shape) in &expected {
        match found.get(name.as_str()) {
            None => mismatch.missing.push(name.clone()),
            Some(found) if *found != shape => {
                let misshapen = (name.clone(), shape.clone(), found.to_vec());
                mismatch.misshapen.push(misshapen);
            }
            Some(_) => {}
        }
    }
    let unexpected = found.keys().filter(|name| !expected.contains_key(**name));
    mismatch.unexpected = unexpected.map(|name| name.to_string()).collect();
    match mismatch.is_empty() {
        true => Ok(()),
        false => Err(ModelError::Tensors {
            path: path.to_path_buf(),
            mismatch,
        }),
    }
}

/// The bytes of a safetensors file: equal tensors give equal bytes.
pub fn serialize(tensors: &HostTensors) -> Vec<u8> {
    serialize_as(tensors, |_| Float::Single)
}

/// [`serialize`], with the kind of numbers that `kind` chooses for each tensor.
fn serialize_as(tensors: &HostTensors, kind: impl Fn(&[f32]) -> Float) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    let stored = |(name, tensor): (&String, &HostTensor)| {
        let kind = kind(&tensor.values);
        let bytes = kind.write(&tensor.values);
        hash_name(&mut hasher, name, kind, &tensor.shape);
        hasher.update(&bytes);
        (name.clone(), (kind, tensor.shape.clone(), bytes))
    };
    let stored: BTreeMap<String, (Float, Vec<usize>, Vec<u8>)> = tensors.iter().map(stored).collect();
    let views = stored.iter().map(|(name, (kind, shape, bytes))| {
        let view = TensorView::new(kind.dtype(), shape.clone(), bytes);
        (name, view.expect("the bytes were made from this shape's values"))
    });
    let metadata = HashMap::from([(DIGEST.to_string(), hasher.finalize().to_hex().to_string())]);
    safetensors::serialize(views, Some(metadata)).expect("floating tensors can always be serialised")
}

/// Writes a file in the place of an older one, durably and at once.
pub fn save(tensors: &HostTensors, path: &Path) -> Result<()> {
    Ok(files::write_atomically(path, &serialize(tensors))?)
}

/// As [`save`], with each tensor in the fewest bits that hold all its numbers: published weights mostly have 16.
pub fn save_short(tensors: &HostTensors, path: &Path) -> Result<()> {
    Ok(files::write_atomically(path, &serialize_as(tensors, Float::holding))?)
}

/// A tensor as a file holds it.
pub(crate) struct Stored {
    name: String,
    shape: Vec<usize>,
    numbers: Numbers,
}

impl Stored {
    fn hash(&self, hasher: &mut blake3::Hasher) {
        hash_name(hasher, &self.name, self.numbers.kind(), &self.shape);
        hasher.update(self.numbers.bytes());
    }

    fn widened(self) -> (String, HostTensor) {
        let (shape, values) = (self.shape, self.numbers.widened());
        (self.name, HostTensor { shape, values })
    }
}

/// Reads a file that [`save`] or [`save_short`] wrote and checks its digest.
pub fn load(path: &Path) -> Result<HostTensors> {
    Ok(widened(read(path)?))
}

/// Tensors in 32 bits.
pub(crate) fn widened(tensors: Vec<Stored>) -> HostTensors {
    tensors.into_par_iter().map(Stored::widened).collect()
}

/// As [`load`], with each tensor in the bits that it is stored in.
pub(crate) fn read(path: &Path) -> Result<Vec<Stored>> {
    let damaged = |message: String| {
        ModelError::file(
            path,
            format!("{message}: the file is cut or altered; train again or restore a copy"),
        )
    };
    let mut file = TensorFile::open(path, damaged)?;
    let mut hasher = blake3::Hasher::new();
    let mut tensors: Vec<Stored> = Vec::new();
    for (name, info) in file.tensors() {
        let Some(kind) = Float::of(info.dtype) else {
            let found = info.dtype;
            return Err(damaged(format!(
                "`{name}` has the type {found:?} where F32, F16 or BF16 was expected"
            )));
        };
        let mut numbers = Numbers::zeros(kind, info.shape.iter().product());
        // One is read while the one before is hashed.
        let (read, ()) = rayon::join(
            || file.fill(&info, numbers.bytes_mut()),
            || tensors.last().into_iter().for_each(|tensor| tensor.hash(&mut hasher)),
        );
        read.map_err(|error| damaged(error.to_string()))?;
        tensors.push(Stored {
            name,
            shape: info.shape,
            numbers,
        });
    }
    tensors.last().into_iter().for_each(|tensor| tensor.hash(&mut hasher));
    let recorded = file.remarks().and_then(|remarks| remarks.get(DIGEST));
    match recorded {
        Some(recorded) if *recorded == hasher.finalize().to_hex().as_str() => Ok(tensors),
        Some(_) => Err(damaged("the tensors do not match their digest".into())),
        None => Err(damaged("no digest was found".into())),
    }
}

/// Numbers of 32 bits, which all were once, are not said to be.
fn hash_name(hasher: &mut blake3::Hasher, name: &str, kind: Float, shape: &[usize]) {
    hasher.update(format!("{name}\0{shape:?}\0").as_bytes());
    if kind != Float::Single {
        hasher.update(format!("{:?}\0", kind.dtype()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> HostTensors {
        let tensor = |shape: &[usize]| HostTensor {
            shape: shape.to_vec(),
            values: (0..shape.iter().product()).map(|value| value as f32 / 7.0).collect(),
        };
        HostTensors::from([("b.weight".into(), tensor(&[2, 3])), ("a.bias".into(), tensor(&[4]))])
    }

    #[test]
    fn a_tensor_is_cut_along_its_last_axis_and_a_matrix_turned() {
        let tensor = |shape: &[usize], values: &[u8]| HostTensor {
            shape: shape.to_vec(),
            values: values.iter().copied().map(f32::from).collect(),
        };
        let check = |whole: HostTensor, parts: &[HostTensor]| {
            assert_eq!(whole.clone().cut(parts.len()), parts);
            if whole.shape.len() < 3 && !whole.values.is_empty() {
                assert_eq!(HostTensor::join(parts, whole.shape.clone()), whole);
            }
        };
        check(
            tensor(&[4], &[1, 2, 3, 4]),
            &[tensor(&[2], &[1, 2]), tensor(&[2], &[3, 4])],
        );
        let matrix = tensor(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        check(matrix.clone(), &[tensor(&[3, 2], &[1, 4, 2, 5, 3, 6])]);
        // What does not divide has parts of other sizes, so that none is lost and each misfit shows.
        check(matrix, &[tensor(&[1, 2], &[1, 4]), tensor(&[2, 2], &[2, 5, 3, 6])]);
        let volume = tensor(&[1, 2, 1], &[1, 2]);
        check(volume.clone(), &[volume.clone(), volume]);
        check(tensor(&[2, 0], &[]), &[tensor(&[0, 2], &[])]);
    }

    #[test]
    fn rows_stay_as_they_are() {
        let tensor = |shape: &[usize], values: &[u8]| HostTensor {
            shape: shape.to_vec(),
            values: values.iter().copied().map(f32::from).collect(),
        };
        let check = |whole: HostTensor, parts: &[HostTensor]| assert_eq!(whole.rows(parts.len()), parts);
        check(
            tensor(&[4], &[1, 2, 3, 4]),
            &[tensor(&[2], &[1, 2]), tensor(&[2], &[3, 4])],
        );
        let matrix = tensor(&[3, 2], &[1, 2, 3, 4, 5, 6]);
        check(matrix, &[tensor(&[1, 2], &[1, 2]), tensor(&[2, 2], &[3, 4, 5, 6])]);
        check(tensor(&[0, 2], &[]), &[tensor(&[0, 2], &[])]);
    }

    #[test]
    fn what_is_saved_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        save(&sample(), &path).unwrap();
        assert_eq!(load(&path).unwrap(), sample());
        assert_eq!(std::fs::read(&path).unwrap(), serialize(&sample()));
        let long = std::fs::metadata(&path).unwrap().len();
        let mut mixed = sample();
        mixed.get_mut("b.weight").unwrap().values = vec![0.25, -3.0, 0.0, 65504.0, 1.0, -0.0];
        save_short(&mixed, &path).unwrap();
        assert_eq!(load(&path).unwrap(), mixed);
        assert_eq!(
            std::fs::metadata(&path).unwrap().len(),
            long - 12,
            "six numbers of two bytes"
        );
    }

    #[test]
    fn every_cut_and_every_altered_byte_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let good = serialize(&sample());
        for length in 0..good.len() {
            std::fs::write(&path, &good[..length]).unwrap();
            assert!(load(&path).is_err(), "a file cut to {length} bytes was accepted");
        }
        for place in 0..good.len() {
            let mut bytes = good.clone();
            bytes[place] ^= 0x10;
            std::fs::write(&path, &bytes).unwrap();
            // A flipped bit may only rename the padding of the header; the tensors must be the same.
            if let Ok(read) = load(&path) {
                assert_eq!(read, sample(), "an altered byte {place} was accepted");
            }
        }
    }
}
