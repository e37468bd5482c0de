//! Retrieval: the embeddings of a set's rows in a common space, and what lies closest to a query there.

mod build;
mod search;
mod store;

use crate::checkpoint::HostTensors;
use crate::error::{ModelError, Result};
use crate::pipeline::Pipeline;
pub use build::Built;
pub use search::Hit;
use sensorium_data::{InputColumn, Modality, Value, identity};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The rows of a set by the embeddings of their media, with the model that made them.
pub struct Index {
    pipeline: Pipeline,
    /// The output whose space this is.
    output: String,
    rows: Vec<IndexedRow>,
    /// For each input the embeddings of its distinct media, [media, width].
    embeddings: HostTensors,
}

/// What is known of a row without its media.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexedRow {
    /// In manifest order.
    pub row: usize,
    /// By input: the text, the path of the medium, or where else it lies.
    pub values: BTreeMap<String, String>,
    /// The place of each value among the embeddings of its input.
    media: BTreeMap<String, usize>,
}

impl Index {
    /// The output that has a space to search in: `name`, or the only one.
    ///
    /// # Errors
    /// [`ModelError::Config`] where there is none, where there are several and none is named, or where `name` is no such
    /// output.
    pub fn output(pipeline: &Pipeline, name: Option<&str>) -> Result<String> {
        let tasks = pipeline.model().tasks().iter();
        let spaces = tasks.filter(|(_, task)| task.space().is_some());
        let spaces: Vec<&str> = spaces.map(|(name, _)| name).collect();
        let problem = |message: String| Err(ModelError::config("output", message));
        match (spaces.as_slice(), name) {
            ([], _) => problem(
                "only a run with an output of the task `align`, or an imported encoder of texts, has a space to search \
                 in; this one has none, so train one with such an output"
                    .into(),
            ),
            (_, Some(name)) if spaces.contains(&name) => Ok(name.to_string()),
            ([only], None) => Ok(only.to_string()),
            (many, _) => problem(format!("expected one of {}, which embed inputs", many.join(", "))),
        }
    }

    /// The inputs that can be searched, and searched for.
    pub fn inputs(&self) -> Vec<InputColumn> {
        embedded(&self.pipeline, &self.output)
    }

    /// The width of the space.
    fn width(&self) -> usize {
        let space = self.pipeline.model().task(&self.output).space();
        space.map_or(0, |(_, width)| width)
    }

    pub fn rows(&self) -> &[IndexedRow] {
        &self.rows
    }

    /// Distinct media of all inputs.
    pub fn media(&self) -> usize {
        self.embeddings.values().map(|tensor| tensor.shape[0]).sum()
    }
}

/// The columns of those inputs that `output` embeds.
fn embedded(pipeline: &Pipeline, output: &str) -> Vec<InputColumn> {
    let (names, _) = pipeline.model().task(output).space().unwrap_or_default();
    let inputs = pipeline.inputs().iter();
    let embedded = inputs.filter(|column| names.contains(&column.name.as_str()));
    embedded.cloned().collect()
}

/// How people find a value again.
fn reference(input: &InputColumn, value: &Value, root: &Path) -> String {
    if input.processor.modality() == Modality::Text {
        let config = input.processor.config();
        let text = config.training_text(value);
        return text.map_or_else(|| identity(value).to_string(), |text| text.into_owned());
    }
    match value.path(root) {
        Some(path) => std::path::absolute(&path)
            .unwrap_or(path)
            .to_string_lossy()
            .into_owned(),
        None => identity(value).to_string(),
    }
}
