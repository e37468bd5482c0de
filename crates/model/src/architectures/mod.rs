//! Public architectures: stems and trunks built from the project's own layers, whose weights are read from checkpoints that
//! others trained.

mod bert;
mod checkpoint;
mod efficientnet;
mod float;
#[cfg(test)]
mod golden;
mod import;
mod safetensors;
mod sentences;
mod torch;

pub use bert::{BertStem, BertStemConfig, BertTrunk, BertTrunkConfig, Pool};
pub use checkpoint::{Checkpoint, Target};
pub use efficientnet::{EfficientNetConfig, EfficientNetTrunk};
pub use import::Imported;

use crate::error::{ModelError, Result};
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use std::path::Path;

/// The words of `model_type` in a `config.json` that are known here.
const KNOWN: [&str; 3] = ["bert", "efficientnet-lite", "roberta"];

/// What a checkpoint's `config.json` says of its encoder.
#[derive(Debug, Clone)]
pub struct Architecture {
    pub stem: StemConfig,
    pub trunk: TrunkConfig,
    /// How its inputs are read; of texts everything but the tokenizer.
    pub processor: ProcessorConfig,
    /// What its head tells apart, by class; none where it has no head that is known.
    pub labels: Vec<String>,
    /// The numbers that its tensors hold.
    pub parameters: u128,
    /// Where a tensor of the checkpoint goes.
    place: fn(&str) -> Place,
}

/// Where a tensor of a checkpoint goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The path of a parameter, from its encoder on.
    Parameter(String),
    /// A parameter of the linear head that labels are read off.
    Head(String),
    /// A part that is not read, such as another head that a model was trained with.
    Unused,
    /// What follows from the configuration.
    Known,
    Unknown,
}

impl Architecture {
    fn sorted_labels(&self) -> Vec<String> {
        self.order()
            .into_iter()
            .map(|class| self.labels[class].clone())
            .collect()
    }

    /// The classes in the order of their labels.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        order.sort_by_key(|class| &self.labels[*class]);
        order
    }

    /// Reads the content of a `config.json`, which lies at `path`.
    ///
    /// # Errors
    /// For what is no such file, and for an architecture that is not known here or differs from what it is known as.
    fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let wrong = |message: String| ModelError::file(path, message);
        let config: serde_json::Value = serde_json::from_slice(bytes)
            .map_err(|error| wrong(format!("expected the configuration of a checkpoint, found {error}")))?;
        let kind = config
            .get("model_type")
            .and_then(|kind| kind.as_str())
            .unwrap_or_default();
        let kind = kind.to_string();
        match kind.as_str() {
            "bert" | "roberta" => bert::read(&kind, config).map_err(wrong),
            "efficientnet-lite" => efficientnet::read(config).map_err(wrong),
            _ => Err(wrong(format!(
                "the architecture `{kind}` is not known; those that are: {}",
                KNOWN.join(", ")
            ))),
        }
    }
}
