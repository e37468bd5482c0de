//! The whole model: encoders, fusion, tasks.

use crate::encoded::{Encoded, Reading};
use crate::encoder::{Encoder, EncoderConfig};
use crate::error::{ModelError, Result};
use crate::fusion::{Fusion, FusionConfig};
use crate::init::Init;
use crate::layers::Named;
use crate::pass::Pass;
use crate::source::Source;
use crate::tasks::{Decoded, Fitted, Losses, Task, TaskConfig};
use crate::writer::Writers;
use burn::module::Module;
use burn::tensor::Device;
use sensorium_data::processors::FeatureShape;
use sensorium_data::{Batch, Mixed, Targets};
use sensorium_kernels::on_compute_threads;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a model is built from, beside the shapes of its inputs' features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub inputs: BTreeMap<String, EncoderConfig>,
    pub fusion: FusionConfig,
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

/// Inputs and outputs are in the order of their names.
#[derive(Module, Debug)]
pub struct Model {
    inputs: Named<Encoder>,
    /// Absent where no output reads it.
    fusion: Option<Fusion>,
    outputs: Named<Task>,
    #[module(skip)]
    sources: BTreeMap<String, Source>,
    /// Those inputs that an output reads by themselves.
    #[module(skip)]
    alone: BTreeSet<String>,
}

impl Model {
    /// `shapes` holds the features' shape of every input; parameters are drawn from `seed` and their path.
    pub fn new(
        config: &ModelConfig,
        shapes: &BTreeMap<String, FeatureShape>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        config.check_sources()?;
        let init = Init::new(seed, device);
        let mut inputs = Vec::new();
        for (name, encoder) in config.inputs.iter().filter(|(name, _)| config.encodes(name)) {
            let encoder = Encoder::new(encoder, shapes[name], &init.at("inputs").at(name))
                .map_err(|error| inside(error, &format!("inputs.{name}")))?;
            inputs.push((name.clone(), encoder));
        }
        let widths: BTreeMap<&str, usize> = inputs
            .iter()
            .map(|(name, encoder)| (name.as_str(), encoder.width()))
            .collect();
        let fusion = config
            .reads_fusion()
            .then(|| config.fusion(&widths, shapes, &init.at("fusion")));
        let fusion = fusion.transpose()?;
        let mut outputs = Vec::new();
        for (name, output) in &config.outputs {
            let width = match &output.from {
                Source::Fusion => fusion.as_ref().map(Fusion::width).unwrap_or_default(),
                Source::Input(input) => widths.get(input.as_str()).copied().unwrap_or_default(),
            };
            let init = init.at("outputs").at(name);
            let task = Task::new(&output.task, &output.fitted, width, &widths, &init)
                .map_err(|error| inside(error, &format!("outputs.{name}")))?;
            outputs.push((name.clone(), task));
        }
        let sources = config.outputs.iter();
        Ok(Self {
            sources: sources
                .map(|(name, output)| (name.clone(), output.from.clone()))
                .collect(),
            alone: config.outputs.values().flat_map(OutputConfig::alone).cloned().collect(),
            inputs: inputs.into_iter().collect(),
            fusion,
            outputs: outputs.into_iter().collect(),
        })
    }

    /// Each distinct medium is encoded once, and the inputs are joined where an output reads them together.
    pub fn encode<'a>(&self, batch: &'a Batch, pass: &Pass) -> Encoded<'a> {
        let encoders = self.inputs.iter();
        let mut inputs: BTreeMap<String, _> = encoders
            .map(|(name, encoder)| (name.to_string(), encoder.forward(&batch.inputs[name], pass)))
            .collect();
        let fused = self.fusion.as_ref().map(|fusion| {
            let kept: BTreeMap<_, _> = inputs
                .iter()
                .filter(|(name, _)| self.alone.contains(*name))
                .map(|(name, input)| (name.clone(), input.clone()))
                .collect();
            let joined = std::mem::replace(&mut inputs, kept);
            fusion.forward(joined.into_values().collect(), pass)
        });
        Encoded { batch, inputs, fused }
    }

    /// The losses of each output against the batch's targets, of blended rows against those of both.
    pub fn losses(&self, encoded: &Encoded, pass: &Pass) -> BTreeMap<String, Losses> {
        let loss = |(name, task): (&str, &Task)| {
            let targets = &encoded.batch.targets[name];
            let reading = self.reading(encoded, name);
            let losses = match &encoded.batch.mixed {
                None => task.losses(reading, targets, pass),
                Some(mixed) => mixed_losses(task, reading, targets, mixed, pass),
            };
            (name.to_string(), losses)
        };
        self.outputs.iter().map(loss).collect()
    }

    /// The answers of each output, one for each row; `writers` read and write the texts among them.
    pub fn decode(&self, encoded: &Encoded, writers: &Writers) -> BTreeMap<String, Vec<Decoded>> {
        self.decode_where(encoded, writers, |_| true)
    }

    /// The answers of those outputs that are measured by them.
    pub fn decode_measured(&self, encoded: &Encoded, writers: &Writers) -> BTreeMap<String, Vec<Decoded>> {
        self.decode_where(encoded, writers, Task::is_answered)
    }

    fn decode_where(
        &self,
        encoded: &Encoded,
        writers: &Writers,
        wanted: impl Fn(&Task) -> bool,
    ) -> BTreeMap<String, Vec<Decoded>> {
        let decode = |(name, task): (&str, &Task)| {
            let answers = task.decode(self.reading(encoded, name), writers.get(name));
            (name.to_string(), answers)
        };
        let wanted = self.outputs.iter().filter(|(_, task)| wanted(task));
        wanted.map(decode).collect()
    }

    /// The answers in evaluation, from any thread.
    pub fn infer(&self, batch: &Batch, writers: &Writers) -> BTreeMap<String, Vec<Decoded>> {
        on_compute_threads(|| self.decode(&self.encode(batch, &Pass::evaluation()), writers))
    }

    /// The embeddings of the inputs that each row has, in the common space of `output`; in evaluation, from any thread. No
    /// other output is asked, and no other input encoded.
    ///
    /// # Panics
    /// When `output` aligns no inputs.
    pub fn embed(&self, batch: &Batch, output: &str) -> Vec<BTreeMap<String, Vec<f32>>> {
        let Task::Align(task) = self.task(output) else {
            panic!("`{output}` aligns no inputs");
        };
        let encode = |name: &str| {
            let encoder = self.inputs.get(name).expect("the sources were checked");
            (
                name.to_string(),
                encoder.forward(&batch.inputs[name], &Pass::evaluation()),
            )
        };
        on_compute_threads(|| {
            let encoded = Encoded {
                batch,
                inputs: task.inputs().map(encode).collect(),
                fused: None,
            };
            let decoded = task.decode(self.reading(&encoded, output)).into_iter();
            decoded.map(|row| row.embeddings).collect()
        })
    }

    fn reading<'a>(&'a self, encoded: &'a Encoded, output: &str) -> Reading<'a> {
        Reading {
            encoded,
            source: &self.sources[output],
            targets: encoded.batch.targets.get(output),
        }
    }

    /// Whether the input is encoded: one that is only read as it stands is not.
    pub fn encodes(&self, input: &str) -> bool {
        self.inputs.get(input).is_some()
    }

    pub fn tasks(&self) -> &Named<Task> {
        &self.outputs
    }

    /// # Panics
    /// When no output is called `name`.
    pub fn task(&self, name: &str) -> &Task {
        self.outputs.get(name).expect("outputs are named by the model itself")
    }
}

impl OutputConfig {
    /// The inputs that this output reads by themselves; none where it reads the fusion.
    fn alone(&self) -> &[String] {
        match (self.task.inputs(), &self.from) {
            (Some(inputs), _) => inputs,
            (None, Source::Input(input)) => std::slice::from_ref(input),
            (None, Source::Fusion) => &[],
        }
    }
}

impl ModelConfig {
    fn reads_fusion(&self) -> bool {
        self.outputs.values().any(|output| output.alone().is_empty())
    }

    /// Whether an input is encoded: nothing is built that no output reads.
    fn encodes(&self, input: &str) -> bool {
        let reads = |output: &OutputConfig| !output.task.reads_raw() && output.alone().iter().any(|name| name == input);
        self.reads_fusion() || self.outputs.values().any(reads)
    }

    /// Every source must be there, and every input must be read.
    fn check_sources(&self) -> Result<()> {
        let known: Vec<&str> = self.inputs.keys().map(String::as_str).collect();
        let mut read = Vec::new();
        for (name, output) in &self.outputs {
            for input in output.alone() {
                if !self.inputs.contains_key(input) {
                    let message = format!("no input is called `{input}`; the inputs are {}", known.join(", "));
                    let key = output.task.inputs().map_or("from", |_| "inputs");
                    return Err(ModelError::config(format!("outputs.{name}.{key}"), message));
                }
                read.push(input.as_str());
            }
            self.check_length(name, output)?;
        }
        let unread = known.iter().find(|input| !self.reads_fusion() && !read.contains(input));
        match unread {
            None => Ok(()),
            Some(input) => {
                let message = "no output reads this input; leave it out, or let an output read `fusion`";
                Err(ModelError::config(format!("inputs.{input}"), message))
            }
        }
    }

    /// A transcript is read off a sequence, of which each token may say one token of the text.
    fn check_length(&self, name: &str, output: &OutputConfig) -> Result<()> {
        let transcribes = matches!(output.task, TaskConfig::Transcribe(_));
        if !(transcribes && output.from == Source::Fusion && self.fusion.is_one_token()) {
            return Ok(());
        }
        let message = "a transcript is read off a sequence, but this fusion makes one token of a row; read one input with \
                       from = \"inputs.NAME\", or join the inputs by `concat`, `cross_attention` or `bottleneck`";
        Err(ModelError::config(format!("outputs.{name}.from"), message))
    }

    fn fusion(
        &self,
        widths: &BTreeMap<&str, usize>,
        shapes: &BTreeMap<String, FeatureShape>,
        init: &Init,
    ) -> Result<Fusion> {
        let widths: Vec<_> = widths.iter().map(|(name, width)| (*name, *width)).collect();
        let text = |name: &&str| matches!(shapes[*name], FeatureShape::Text { .. });
        let texts: Vec<&str> = widths.iter().map(|(name, _)| *name).filter(text).collect();
        Fusion::new(&self.fusion, &widths, &texts, init)
    }
}

/// The losses of blended rows: against their own targets and against their partners', by the share of each.
fn mixed_losses(task: &Task, reading: Reading, targets: &Targets, mixed: &Mixed, pass: &Pass) -> Losses {
    let others = mixed.partners.iter().map(|&partner| targets.values[partner].clone());
    let others = Targets {
        values: others.collect(),
        texts: None,
    };
    let own = task.losses(reading, targets, pass);
    let other = task.losses(reading, &others, pass);
    Losses {
        rows: own.rows * mixed.weight + other.rows * (1.0 - mixed.weight),
        // Partners are a permutation of the rows, so as many of them have a target.
        counts: own.counts,
    }
}

fn inside(error: ModelError, place: &str) -> ModelError {
    match error {
        ModelError::Config { field, message } => ModelError::Config {
            field: format!("{place}.{field}"),
            message,
        },
        other => other,
    }
}
