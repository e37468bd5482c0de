//! A checkpoint as a pipeline of its own.

use super::{Checkpoint, Target};
use crate::encoder::EncoderConfig;
use crate::error::Result;
use crate::fusion::JoinConfig;
use crate::model::{Model, ModelConfig, OutputConfig};
use crate::pipeline::Pipeline;
use crate::run_directory::Description;
use crate::source::Source;
use crate::tasks::{ClassifyConfig, EmbedConfig, Fitted, HeadConfig, TaskConfig};
use crate::writer::Writers;
use burn::tensor::Device;
use sensorium_data::{Dataset, InputColumn, Processor};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What an imported encoder answers.
const EMBEDDING: &str = "embedding";
/// What its head answers.
const LABEL: &str = "label";
/// Where the head's one layer lies.
const HEAD: &str = "outputs.label.head.output.";

/// A checkpoint as a pipeline, and what it leaves out.
pub struct Imported {
    pub pipeline: Pipeline,
    /// The names of the tensors of heads that are not read.
    pub left_out: Vec<String>,
}

impl Checkpoint {
    /// The encoder with the checkpoint's weights and processor, which answers a medium with its embedding, and with a label
    /// where the head is known; `name` is the run's. Its input is called by the modality, as is its column.
    ///
    /// # Errors
    /// For a tokenizer or tensors that are missing or damaged, or do not fit the configuration.
    pub fn import(&self, name: &str, device: &Device) -> Result<Imported> {
        let processor = Processor::fit(&self.architecture().processor, &[])?;
        let input = processor.modality().to_string();
        let description = self.describe(name, &input, &processor);
        let shapes = BTreeMap::from([(input.clone(), processor.shape())]);
        let model = Model::new(&description.model, &shapes, 0, device)?;
        let target = Target {
            encoder: &format!("inputs.{input}."),
            head: description.model.outputs.contains_key(LABEL).then_some(HEAD),
        };
        let (model, left_out) = self.fill(model, target)?;
        let column = InputColumn {
            name: input.clone(),
            column: input,
            processor,
        };
        let nothing = Dataset::new(Vec::new(), PathBuf::new(), vec![column], Vec::new());
        Ok(Imported {
            pipeline: Pipeline::new(description, model, &nothing, Writers::default()),
            left_out,
        })
    }

    fn describe(&self, name: &str, input: &str, processor: &Processor) -> Description {
        let encoder = EncoderConfig {
            stem: Some(self.architecture().stem.clone()),
            trunk: Some(self.architecture().trunk.clone()),
            encoder: None,
        };
        let output = |task, fitted| OutputConfig {
            task,
            from: Source::Input(input.into()),
            fitted,
        };
        let embed = TaskConfig::Embed(EmbedConfig { inputs: [input.into()] });
        let mut outputs = BTreeMap::from([(EMBEDDING.to_string(), output(embed, Fitted::Nothing))]);
        let labels = self.architecture().sorted_labels();
        if !labels.is_empty() {
            let head = HeadConfig {
                hidden: Some(0),
                dropout: 0.0,
            };
            let classify = TaskConfig::Classify(ClassifyConfig {
                head,
                ..ClassifyConfig::default()
            });
            outputs.insert(LABEL.into(), output(classify, Fitted::Labels(labels)));
        }
        Description {
            name: name.into(),
            model: ModelConfig {
                inputs: BTreeMap::from([(input.into(), encoder)]),
                fusion: JoinConfig::default(),
                outputs,
            },
            inputs: BTreeMap::from([(input.into(), input.into())]),
            outputs: BTreeMap::new(),
            processors: BTreeMap::from([(input.into(), processor.hash())]),
            texts: BTreeMap::new(),
            turns: BTreeSet::new(),
        }
    }
}
