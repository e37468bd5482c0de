//! The layout of a run directory, and what is needed of it to load a model.

use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use sensorium_data::{Takes, files};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version of the layout that this program writes and reads.
const FORMAT: u32 = 2;

/// A folder that holds a trained model, or one in training.
#[derive(Debug, Clone, PartialEq)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The resolved recipe.
    pub fn recipe(&self) -> PathBuf {
        self.0.join("recipe.toml")
    }

    /// The processors of the inputs.
    pub fn processors(&self) -> PathBuf {
        self.0.join("processors")
    }

    /// The processors of the texts that outputs write or choose from.
    pub fn output_processors(&self) -> PathBuf {
        self.processors().join("outputs")
    }

    /// The n-gram model of an output's training texts.
    pub fn language_model(&self, output: &str) -> PathBuf {
        self.output_processors().join(format!("{output}.arpa"))
    }

    /// The parameters of the best checkpoint.
    pub fn weights(&self) -> PathBuf {
        self.0.join("model.safetensors")
    }

    pub fn description(&self) -> PathBuf {
        self.0.join("model.json")
    }

    /// What is known of the checkpoints that parts of the model came from.
    pub fn pretrained(&self) -> PathBuf {
        self.0.join("pretrained")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// What the training took: time, memory, parameters.
    pub fn facts(&self) -> PathBuf {
        self.0.join("facts.json")
    }

    pub fn metrics(&self) -> PathBuf {
        self.0.join("metrics.jsonl")
    }

    pub fn tensorboard(&self) -> PathBuf {
        self.0.join("tensorboard")
    }

    pub fn report(&self) -> PathBuf {
        self.0.join("report.html")
    }

    pub fn quarantine(&self) -> PathBuf {
        self.0.join("quarantine.jsonl")
    }

    /// Real inputs for people to try.
    pub fn examples(&self) -> PathBuf {
        self.0.join("examples")
    }

    /// The result of evaluating a split.
    pub fn evaluation(&self, split: &str) -> PathBuf {
        self.0.join("evaluation").join(format!("{split}.json"))
    }

    /// The predictions for a split, one JSON object a line.
    pub fn predictions(&self, split: &str) -> PathBuf {
        self.0.join("predictions").join(format!("{split}.jsonl"))
    }

    /// The name of the folder, for people.
    pub fn name(&self) -> String {
        let path = self.0.canonicalize().unwrap_or_else(|_| self.0.clone());
        path.file_name()
            .map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }
}

/// `model.json`: what the model is, which columns it reads, and which processors it was trained with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    pub name: String,
    pub model: ModelConfig,
    /// The column that each input reads.
    pub inputs: BTreeMap<String, String>,
    /// The column that each output is compared with, where it has one.
    pub outputs: BTreeMap<String, String>,
    /// The hash of each input's processor.
    pub processors: BTreeMap<String, String>,
    /// What each output that reads texts reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, TextDescription>,
    /// The inputs that were trained on dialogues, `[[question, answer], …]`: they are asked with what was said before.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub turns: BTreeSet<String>,
}

/// The texts of an output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TextDescription {
    pub column: String,
    pub takes: Takes,
    /// The hash of their processor.
    pub processor: String,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u32,
    /// The hash of the description, so that an edit by hand is noticed.
    checksum: String,
    #[serde(flatten)]
    description: Description,
}

impl Description {
    /// The names of its inputs and outputs, as `inputs.NAME` and `outputs.NAME`.
    pub(crate) fn parts(&self) -> Vec<String> {
        let inputs = self.model.inputs.keys().map(|name| format!("inputs.{name}"));
        let outputs = self.model.outputs.keys().map(|name| format!("outputs.{name}"));
        inputs.chain(outputs).collect()
    }

    pub fn save(&self, run: &RunDirectory) -> Result<()> {
        let envelope = Envelope {
            format: FORMAT,
            checksum: self.checksum(),
            description: self.clone(),
        };
        let text = serde_json::to_vec_pretty(&envelope).expect("a description is plain data");
        Ok(files::write_atomically(&run.description(), &text)?)
    }

    pub fn load(run: &RunDirectory) -> Result<Self> {
        let path = run.description();
        if !run.path().is_dir() {
            let message = "there is no such run directory; `sensorium train` makes one";
            return Err(ModelError::file(run.path(), message));
        }
        let bytes = files::read(&path)?;
        let envelope: Envelope = serde_json::from_slice(&bytes)
            .map_err(|error| ModelError::file(&path, format!("not a model description: {error}")))?;
        if envelope.format != FORMAT {
            let message = format!("format {} is not {FORMAT}, which this program reads", envelope.format);
            return Err(ModelError::file(&path, message));
        }
        if envelope.checksum != envelope.description.checksum() {
            let message = "the description does not match its checksum: the file was altered";
            return Err(ModelError::file(&path, message));
        }
        Ok(envelope.description)
    }

    fn checksum(&self) -> String {
        let text = serde_json::to_vec(self).expect("a description is plain data");
        blake3::hash(&text).to_hex().to_string()
    }
}
