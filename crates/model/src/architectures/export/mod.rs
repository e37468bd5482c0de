//! A model, or a part of one, in the layout of the checkpoint that it came from, or of the one that it could be: import
//! backwards.

mod candidate;
mod configuration;
#[cfg(test)]
mod golden;
mod kept;
mod made;
mod pictures;
mod tensors;

pub use kept::Kept;

use crate::checkpoint::{HostTensor, HostTensors, to_host};
use crate::error::{ModelError, Result};
use crate::float::Float;
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use candidate::Candidate;
use kept::CONFIGURATION;
use safetensors::View;
use safetensors::tensor::Dtype;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const TENSORS: &str = "model.safetensors";

/// What `transformers` loads: a part of a run that came from a checkpoint, as it is now, or a language model that was made here.
#[derive(Debug)]
pub struct Export {
    /// All files but the tensors, by name.
    files: BTreeMap<String, Vec<u8>>,
    tensors: HostTensors,
    name: String,
}

impl Export {
    /// The checkpoint that became `part`, which is `inputs.NAME` or `outputs.NAME`, with the weights of the run, or the language
    /// model of the output; of a run with one such part that one where none is named. `pipeline` is that of `run`.
    ///
    /// # Errors
    /// For a part that has no counterpart in `transformers`, and for what its layout has no place for.
    pub fn new(run: &RunDirectory, pipeline: &Pipeline, part: Option<&str>) -> Result<Self> {
        let wrong = |message: String| ModelError::file(run.path(), message);
        let mut kept = kept::Kept::load(run)?;
        kept.extend(made::language_models(run, pipeline, &kept)?);
        let candidate = Candidate::choose(&kept, pipeline, part).map_err(wrong)?;
        let tensors = candidate.tensors(to_host(pipeline.model())).map_err(wrong)?;
        let (files, name) = candidate.files(pipeline).map_err(wrong)?;
        Ok(Self { files, tensors, name })
    }

    /// What `transformers` calls the model.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many tensors there are, and how many numbers they hold.
    pub fn sizes(&self) -> (usize, usize) {
        let numbers = self.tensors.values().map(|tensor| tensor.values.len());
        (self.tensors.len(), numbers.sum())
    }

    /// Writes the folder, which is made where it is missing.
    ///
    /// # Errors
    /// For a folder that cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        sensorium_data::files::create_folder(folder)?;
        let path = folder.join(TENSORS);
        let views = self
            .tensors
            .iter()
            .map(|(name, tensor)| (name.as_str(), Numbers(tensor)));
        // What PyTorch's programs look for before they read a file.
        let format = HashMap::from([("format".to_string(), "pt".to_string())]);
        safetensors::serialize_to_file(views, Some(format), &path)
            .map_err(|error| ModelError::file(&path, error.to_string()))?;
        kept::write(&self.files, folder)?;
        // The library makes a file that its owner alone may read.
        let others = std::fs::metadata(folder.join(CONFIGURATION)).map(|metadata| metadata.permissions());
        let permitted = others.and_then(|others| std::fs::set_permissions(&path, others));
        permitted.map_err(|error| ModelError::io(&error, &path))
    }
}

/// A tensor whose bytes are made when they are written.
struct Numbers<'a>(&'a HostTensor);

impl View for Numbers<'_> {
    fn dtype(&self) -> Dtype {
        Float::Single.dtype()
    }

    fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Float::Single.write(&self.0.values).into()
    }

    fn data_len(&self) -> usize {
        4 * self.0.values.len()
    }
}
