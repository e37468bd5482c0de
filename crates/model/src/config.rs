//! What a model is built from.

use crate::encoder::EncoderConfig;
use crate::error::{ModelError, Result};
use crate::fusion::{Fusion, JoinConfig};
use crate::init::Init;
use crate::source::Source;
use crate::tasks::{Fitted, TaskConfig};
use sensorium_data::processors::FeatureShape;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a model is built from, beside the shapes of its inputs' features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub inputs: BTreeMap<String, EncoderConfig>,
    pub fusion: JoinConfig,
    pub outputs: BTreeMap<String, OutputConfig>,
}

/// A task, where it reads, and what it learnt from the training targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputConfig {
    #[serde(flatten)]
    pub task: TaskConfig,
    /// Not looked at where the task itself names the inputs that it reads.
    pub from: Source,
    pub fitted: Fitted,
}

impl OutputConfig {
    /// The inputs that this output reads by themselves; none where it reads the fusion.
    pub(crate) fn alone(&self) -> &[String] {
        match (self.task.inputs(), &self.from) {
            (Some(inputs), _) => inputs,
            (None, Source::Input(input)) => std::slice::from_ref(input),
            (None, Source::Fusion) => &[],
        }
    }
}

impl ModelConfig {
    pub(crate) fn reads_fusion(&self) -> bool {
        self.outputs.values().any(|output| output.alone().is_empty())
    }

    /// The inputs that the fusion joins: none where no output reads it.
    pub(crate) fn joined(&self) -> impl Iterator<Item = &String> {
        let wanted = self.fusion.inputs.as_ref();
        let reads = self.reads_fusion();
        let joins = move |name: &&String| reads && wanted.is_none_or(|wanted| wanted.contains(name));
        self.inputs.keys().filter(joins)
    }

    /// The encoded inputs that are read by another one's encoder, by their names.
    ///
    /// # Errors
    /// For one that shares what is not built.
    pub(crate) fn shared(&self) -> Result<BTreeMap<String, String>> {
        let sharing = self.inputs.iter().filter(|(name, _)| self.encodes(name));
        let sharing = sharing.filter_map(|(name, encoder)| Some((name, encoder.shares.as_ref()?)));
        let checked = |(name, other): (&String, &String)| {
            let owner = self.inputs.get(other).filter(|owner| owner.shares.is_none());
            match owner.is_some() && self.encodes(other) {
                true => Ok((name.clone(), other.clone())),
                false => {
                    let message = format!("expected an input with an encoder that is read, found `{other}`");
                    Err(ModelError::config(format!("inputs.{name}.shares"), message))
                }
            }
        };
        sharing.map(checked).collect()
    }

    /// Whether an input is encoded: nothing is built that no output reads.
    pub(crate) fn encodes(&self, input: &str) -> bool {
        let mut outputs = self.outputs.values();
        outputs.any(|output| self.encoded_for(output).any(|name| name == input))
    }

    /// The inputs that an output reads: encoded ones, and the one that prompts it. A language model goes on with its only one.
    ///
    /// # Panics
    /// When no output is called `output`.
    pub fn reads(&self, output: &str) -> impl Iterator<Item = &str> {
        let output = &self.outputs[output];
        let prompt = output.task.prompt().map(String::as_str);
        let encoded = self.encoded_for(output);
        encoded.chain(prompt.filter(|prompt| !self.encoded_for(output).any(|name| name == *prompt)))
    }

    /// The encoded inputs that an output reads, alone or joined by the fusion.
    fn encoded_for<'a>(&'a self, output: &'a OutputConfig) -> impl Iterator<Item = &'a str> {
        let alone = output.alone();
        let alone = alone.iter().filter(|_| !output.task.reads_raw());
        let joined = self.joined().filter(|_| output.alone().is_empty());
        alone.chain(joined).map(String::as_str)
    }

    pub(crate) fn fusion(
        &self,
        widths: &BTreeMap<&str, usize>,
        shapes: &BTreeMap<String, FeatureShape>,
        init: &Init,
    ) -> Result<Fusion> {
        let joined = self.joined().map(|name| (name.as_str(), widths[name.as_str()]));
        let joined: Vec<(&str, usize)> = joined.collect();
        let text = |name: &&str| matches!(shapes[*name], FeatureShape::Text { .. });
        let texts: Vec<&str> = joined.iter().map(|(name, _)| *name).filter(text).collect();
        Fusion::new(&self.fusion.kind, &joined, &texts, init)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;
    use crate::parameters::shapes;
    use crate::tasks::ClassifyConfig;
    use burn::tensor::Device;

    /// A model of two pictures, of which the second is read by the encoder that `shares` names.
    fn model(shares: Option<&str>) -> Result<Model> {
        let encoder = |shares: Option<&str>| EncoderConfig {
            shares: shares.map(String::from),
            ..EncoderConfig::default()
        };
        let answer = OutputConfig {
            task: TaskConfig::Classify(ClassifyConfig::default()),
            from: Source::Fusion,
            fitted: Fitted::Labels(vec!["no".into(), "yes".into()]),
        };
        let config = ModelConfig {
            inputs: BTreeMap::from([("after".into(), encoder(shares)), ("before".into(), encoder(None))]),
            fusion: JoinConfig::default(),
            outputs: BTreeMap::from([("answer".into(), answer)]),
        };
        let shape = FeatureShape::Image {
            height: 8,
            width: 8,
            channels: 3,
        };
        let shapes = ["after", "before"].map(|name| (name.to_string(), shape));
        Model::new(&config, &shapes.into(), 1, &Device::flex())
    }

    #[test]
    fn an_encoder_that_is_shared_is_there_once() {
        let count = |shares, prefix: &str| {
            let paths = shapes(&model(shares).unwrap());
            paths.keys().filter(|path| path.starts_with(prefix)).count()
        };
        assert!(count(None, "inputs.after.") > 0);
        assert_eq!(count(Some("before"), "inputs.after."), 0);
        assert_eq!(count(Some("before"), "inputs.before."), count(None, "inputs.before."));
        assert!(model(Some("before")).unwrap().encodes("after"));
    }

    #[test]
    fn what_is_shared_must_be_there() {
        for wrong in ["after", "between"] {
            let error = model(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains("inputs.after.shares"), "{error}");
        }
    }
}
