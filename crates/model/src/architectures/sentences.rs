//! What sentence-transformers says beside a checkpoint: how long a text may be, and how its tokens become one vector.

use super::Pool;
use crate::error::{ModelError, Result};
use sensorium_data::files;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const STEPS: &str = "modules.json";
pub(super) const LENGTH: &str = "sentence_bert_config.json";

/// One of the steps that a text goes through.
#[derive(Deserialize)]
struct Step {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

impl Step {
    fn kind(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or_default()
    }

    /// Whether its settings lie in a folder within this one.
    fn is_pooling(&self) -> bool {
        let name = Path::new(&self.path).file_name();
        self.kind() == "Pooling" && name.is_some_and(|name| name == &*self.path)
    }
}

#[derive(Deserialize)]
struct Length {
    max_seq_length: Option<usize>,
}

/// The longest text in tokens, where the folder tells.
///
/// # Errors
/// For a file that cannot be read.
pub(super) fn max_length(folder: &Path) -> Result<Option<usize>> {
    let length: Option<Length> = read(&folder.join(LENGTH))?;
    Ok(length.and_then(|length| length.max_seq_length))
}

/// The files that say how tokens become one vector.
///
/// # Errors
/// For a file that cannot be read.
pub(super) fn poolings(folder: &Path) -> Result<Vec<String>> {
    let steps: Vec<Step> = read(&folder.join(STEPS))?.unwrap_or_default();
    let poolings = steps.into_iter().filter(Step::is_pooling);
    Ok(poolings.map(|step| format!("{}/config.json", step.path)).collect())
}

/// How tokens become one vector, where the folder tells.
///
/// # Errors
/// For a file that cannot be read, and for a step or a way to pool that is not known here.
pub(super) fn pool(folder: &Path) -> Result<Option<Pool>> {
    let path = folder.join(STEPS);
    let steps: Vec<Step> = read(&path)?.unwrap_or_default();
    let mut pool = None;
    for step in steps {
        match step.kind() {
            "Transformer" | "Normalize" => {}
            _ if step.is_pooling() => {
                pool = Some(read_pool(&folder.join(&step.path).join("config.json"))?);
            }
            _ => {
                let message = format!("the step `{}` at `{}` is not known here", step.kind, step.path);
                return Err(ModelError::file(&path, message));
            }
        }
    }
    Ok(pool)
}

/// The file names one of several switches, or since version 5 a word.
fn read_pool(path: &Path) -> Result<Pool> {
    let config: BTreeMap<String, serde_json::Value> = read(path)?.unwrap_or_default();
    let switched = |name: &String| name.starts_with("pooling_mode_") && config[name] == true;
    let mut modes: Vec<&str> = config
        .keys()
        .filter(|name| switched(name))
        .map(String::as_str)
        .collect();
    modes.extend(config.get("pooling_mode").and_then(|mode| mode.as_str()));
    match modes[..] {
        ["pooling_mode_mean_tokens" | "mean"] => Ok(Pool::Mean),
        ["pooling_mode_cls_token" | "cls"] => Ok(Pool::First),
        _ => {
            let message = format!("expected the mean of all tokens or the first one, found {modes:?}");
            Err(ModelError::file(path, message))
        }
    }
}

/// The content of a file, where there is one.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.exists() {
        return Ok(None);
    }
    let content = serde_json::from_slice(&files::read(path)?);
    content
        .map(Some)
        .map_err(|error| ModelError::file(path, error.to_string()))
}
