//! What a run keeps of a checkpoint that it came from: its settings, and the names and shapes of its tensors.

use super::super::wav2vec2::VOCABULARY;
use super::super::{Checkpoint, sentences};
use crate::error::{ModelError, Result};
use crate::run_directory::RunDirectory;
use sensorium_data::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that an architecture is read from.
pub const CONFIGURATION: &str = "config.json";
/// The files that are kept as they are, where a checkpoint has them.
const SETTINGS: [&str; 13] = [
    CONFIGURATION,
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    sentences::STEPS,
    sentences::LENGTH,
    "config_sentence_transformers.json",
];
const TENSORS: &str = "tensors.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// A checkpoint without its numbers.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Its files of settings by name, which may be one in a folder.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) tensors: Tensors,
}

/// What is kept of its tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tensors {
    /// The parts of the run that they became, `inputs.NAME` and `outputs.NAME`.
    pub parts: Vec<String>,
    pub shapes: BTreeMap<String, Vec<usize>>,
}

impl Checkpoint {
    /// What a run keeps of the checkpoint whose `parts`, `inputs.NAME` and `outputs.NAME`, were read from it; none of a layout
    /// that is not Hugging Face's.
    ///
    /// # Errors
    /// For files that cannot be read.
    pub fn kept(&self, parts: Vec<String>) -> Result<Option<Kept>> {
        let Some(shapes) = self.shapes()? else {
            return Ok(None);
        };
        Ok(Some(Kept {
            files: settings(self.folder())?,
            tensors: Tensors { parts, shapes },
        }))
    }
}

impl Kept {
    /// Writes it to the run.
    ///
    /// # Errors
    /// For a folder that cannot be written to.
    pub fn save(&self, run: &RunDirectory) -> Result<()> {
        let folder = run.pretrained().join(&self.tensors.parts[0]);
        write(&self.files, &folder)?;
        let tensors = serde_json::to_vec(&self.tensors).expect("names and shapes are plain data");
        Ok(files::write_atomically(&folder.join(TENSORS), &tensors)?)
    }

    /// All that a run keeps, with their settings read.
    ///
    /// # Errors
    /// For files that were altered or cannot be read.
    pub(super) fn load(run: &RunDirectory) -> Result<Vec<(Self, Checkpoint)>> {
        let Ok(entries) = std::fs::read_dir(run.pretrained()) else {
            return Ok(Vec::new());
        };
        let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        let load = |folder: &PathBuf| Ok((Self::read(folder)?, Checkpoint::described(folder)?));
        folders.iter().map(load).collect()
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(TENSORS);
        let tensors = serde_json::from_slice(&files::read(&path)?).map_err(|error| {
            let message = format!("expected the names and shapes of tensors, found {error}");
            ModelError::file(&path, message)
        })?;
        Ok(Self {
            files: settings(folder)?,
            tensors,
        })
    }
}

/// The files of settings in a folder.
fn settings(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let names = SETTINGS
        .map(String::from)
        .into_iter()
        .chain(sentences::poolings(folder)?);
    // Beside a tokenizer of its own a vocabulary says nothing more.
    let letters = Some(VOCABULARY.to_string()).filter(|_| !folder.join(TOKENIZER).exists());
    let found = names.chain(letters).filter(|name| folder.join(name).exists());
    found
        .map(|name| Ok((name.clone(), files::read(&folder.join(&name))?)))
        .collect()
}

/// Writes files to a folder, which is made where it is missing; the configuration last.
pub(super) fn write(content: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<()> {
    files::create_folder(folder)?;
    let last = content.get_key_value(CONFIGURATION);
    let first = content.iter().filter(|(name, _)| *name != CONFIGURATION);
    for (name, bytes) in first.chain(last) {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            files::create_folder(parent)?;
        }
        files::write_atomically(&path, bytes)?;
    }
    Ok(())
}
