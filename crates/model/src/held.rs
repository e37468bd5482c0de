//! Weights that stay as they are in training: what is learnt beside them, and the bits in which they are held.

use crate::config::{ModelConfig, OutputConfig};
use crate::tasks::TaskConfig;
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// The bits in which weights are held that are not trained; activations stay in 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldIn {
    /// Whole multiples of a scale for each output.
    Int8,
    /// Whole multiples of a scale for each 32 neighbouring weights of an output.
    Int4,
}

impl From<HeldIn> for Precision {
    fn from(bits: HeldIn) -> Self {
        match bits {
            HeldIn::Int8 => Self::Int8,
            HeldIn::Int4 => Self::Int4,
        }
    }
}

impl ModelConfig {
    /// Whether adapters are trained beside weights.
    pub(crate) fn has_adapters(&self) -> bool {
        let mut encoders = self.inputs.values().filter_map(|input| input.encoder.as_ref());
        let adapted = |output: &OutputConfig| match &output.task {
            TaskConfig::Generate(task) => task.lora.is_some(),
            TaskConfig::LanguageModel(task) => task.lora.is_some(),
            _ => false,
        };
        encoders.any(|encoder| encoder.lora.is_some()) || self.outputs.values().any(adapted)
    }

    /// What is built once adapters are merged into weights.
    pub(crate) fn forget_adapters(&mut self) {
        let encoders = self.inputs.values_mut().filter_map(|input| input.encoder.as_mut());
        encoders.for_each(|encoder| (encoder.lora, encoder.precision) = (None, None));
        for output in self.outputs.values_mut() {
            match &mut output.task {
                TaskConfig::Generate(task) => (task.lora, task.precision) = (None, None),
                TaskConfig::LanguageModel(task) => (task.lora, task.precision) = (None, None),
                _ => {}
            }
        }
    }

    /// How the maps of the part are held in training in which the parameter at `path` lies; none where their weights are
    /// parameters themselves.
    pub fn held(&self, path: &str) -> Option<Precision> {
        let (kind, name) = path.split_once('.')?;
        let name = name.split('.').next()?;
        let held = match kind {
            "inputs" => self.inputs.get(name)?.encoder.as_ref()?.precision,
            "outputs" => match &self.outputs.get(name)?.task {
                TaskConfig::Generate(task) => task.precision,
                TaskConfig::LanguageModel(task) => task.precision,
                _ => None,
            },
            _ => None,
        };
        held.map(Precision::from)
    }

    /// Whether any weights are held in few bits in training.
    pub fn holds(&self) -> bool {
        let inputs = self.inputs.keys().map(|name| format!("inputs.{name}"));
        let outputs = self.outputs.keys().map(|name| format!("outputs.{name}"));
        inputs.chain(outputs).any(|part| self.held(&part).is_some())
    }
}
