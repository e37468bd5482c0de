//! The whole model: encoders, fusion, tasks.

use crate::config::ModelConfig;
use crate::decoding::ctc::BeamConfig;
use crate::encoded::{Encoded, Fused, Reading};
use crate::encoder::{EncodedInput, Encoder};
use crate::error::{ModelError, Result};
use crate::fusion::Fusion;
use crate::init::Init;
use crate::layers::Named;
use crate::parts::{Part, parts};
use crate::pass::Pass;
use crate::source::Source;
use crate::tasks::{Decoded, Losses, Task};
use crate::tokens::Tokens;
use crate::writer::Writers;
use burn::module::Module;
use burn::tensor::Device;
use sensorium_data::processors::FeatureShape;
use sensorium_data::{Batch, InputBatch, Mixed, Targets};
use sensorium_kernels::{Precision, on_compute_threads};
use std::collections::{BTreeMap, BTreeSet};

/// Inputs and outputs are in the order of their names.
#[derive(Module, Debug)]
pub struct Model {
    inputs: Named<Encoder>,
    /// Absent where no output reads it.
    fusion: Option<Fusion>,
    outputs: Named<Task>,
    /// The inputs that are read by the encoders of other ones.
    #[module(skip)]
    shared: BTreeMap<String, String>,
    #[module(skip)]
    sources: BTreeMap<String, Source>,
    /// Those inputs that each output reads by themselves; none where it reads the fusion.
    #[module(skip)]
    alone: BTreeMap<String, Vec<String>>,
    /// The inputs that the fusion joins.
    #[module(skip)]
    joined: BTreeSet<String>,
}

impl Model {
    /// `shapes` holds the features' shape of every input; parameters are drawn from `seed` and their path.
    pub fn new(
        config: &ModelConfig,
        shapes: &BTreeMap<String, FeatureShape>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        Self::build(config, shapes, &Init::new(seed, device))
    }

    /// A model whose parameters are read afterwards.
    pub fn blank(config: &ModelConfig, shapes: &BTreeMap<String, FeatureShape>, device: &Device) -> Result<Self> {
        Self::build(config, shapes, &Init::blank(device))
    }

    fn build(config: &ModelConfig, shapes: &BTreeMap<String, FeatureShape>, init: &Init) -> Result<Self> {
        config.check_sources()?;
        let mut inputs = Vec::new();
        let shared = config.shared()?;
        let builds = |name: &String| config.encodes(name) && !shared.contains_key(name);
        for (name, encoder) in config.inputs.iter().filter(|(name, _)| builds(name)) {
            let encoder = Encoder::new(encoder, shapes[name], &init.at("inputs").at(name))
                .map_err(|error| inside(error, &format!("inputs.{name}")))?;
            inputs.push((name.clone(), encoder));
        }
        let own = inputs.iter().map(|(name, encoder)| (name.as_str(), encoder.width()));
        let mut widths: BTreeMap<&str, usize> = own.collect();
        for (name, other) in &shared {
            widths.insert(name, widths[other.as_str()]);
        }
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
            alone: config
                .outputs
                .iter()
                .map(|(name, output)| (name.clone(), output.alone().to_vec()))
                .collect(),
            joined: config.joined().cloned().collect(),
            inputs: inputs.into_iter().collect(),
            shared,
            fusion,
            outputs: outputs.into_iter().collect(),
        })
    }

    /// Prepared for inference: it no longer trains or saves.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            inputs: self.inputs.convert(|encoder| encoder.pack(precision)),
            fusion: self.fusion.map(|fusion| fusion.pack(precision)),
            outputs: self.outputs.convert(|task| task.pack(precision)),
            ..self
        }
    }

    /// Holds the weights of the maps that are not trained in the few bits that `config` asks for: they are no parameters any
    /// more.
    pub fn hold(self, config: &ModelConfig) -> Self {
        let held = |path: String| config.held(&path);
        Self {
            inputs: self
                .inputs
                .convert_by_name(|name, encoder| match held(format!("inputs.{name}")) {
                    Some(precision) => encoder.pack(precision),
                    None => encoder,
                }),
            outputs: self
                .outputs
                .convert_by_name(|name, task| match held(format!("outputs.{name}")) {
                    Some(precision) => task.hold(precision),
                    None => task,
                }),
            ..self
        }
    }

    /// Encodes what is needed to answer every row by every output.
    pub fn encode<'a>(&self, batch: &'a Batch, pass: &Pass) -> Encoded<'a> {
        let all: Vec<usize> = (0..batch.rows.len()).collect();
        let names = self.outputs.iter().map(|(name, _)| (name.to_string(), all.clone()));
        self.encode_rows(batch, names.collect(), pass)
    }

    /// Encodes what is needed to compare the outputs of `part` with their targets: in training and when a model is measured,
    /// rows without a target for an output cost it nothing.
    pub fn encode_targets<'a>(&self, part: &Part, batch: &'a Batch, pass: &Pass) -> Encoded<'a> {
        let rows = part.iter().map(|name| {
            let rows = match (&batch.mixed, batch.targets.get(name)) {
                // The targets of a row's partner count too.
                (Some(_), _) => (0..batch.rows.len()).collect(),
                (None, Some(targets)) => self.task(name).rows_with_target(batch, targets),
                (None, None) => Vec::new(),
            };
            (name.clone(), rows)
        });
        self.encode_rows(batch, rows.collect(), pass)
    }

    /// Each distinct medium is encoded once, and the inputs are joined in the rows in which an output reads them together.
    fn encode_rows<'a>(&self, batch: &'a Batch, rows: BTreeMap<String, Vec<usize>>, pass: &Pass) -> Encoded<'a> {
        let fused: BTreeSet<usize> = rows
            .iter()
            .filter(|(name, _)| self.alone[*name].is_empty())
            .flat_map(|(_, rows)| rows.iter().copied())
            .collect();
        let fused: Vec<usize> = fused.into_iter().collect();
        let asked = rows.iter().filter(|(_, rows)| !rows.is_empty());
        let alone: BTreeSet<&String> = asked.flat_map(|(name, _)| &self.alone[name]).collect();
        let joined = |name: &str| !fused.is_empty() && self.joined.contains(name);
        let needed = |name: &&str| joined(name) || alone.contains(&name.to_string());
        let names = self.inputs.iter().map(|(name, _)| name);
        let names = names.chain(self.shared.keys().map(String::as_str)).filter(needed);
        let encode = |name: &str| {
            let encoder = self.encoder(name).expect("an input that is encoded");
            (name.to_string(), encoder.forward(&batch.inputs[name], pass))
        };
        let inputs: BTreeMap<String, EncodedInput> = names.map(encode).collect();
        let fusion = self.fusion.as_ref().filter(|_| !fused.is_empty());
        let fused = fusion.map(|fusion| {
            let joined = inputs.iter().filter(|(name, _)| self.joined.contains(*name));
            Fused {
                tokens: fusion.forward(joined.map(|(_, input)| input.at(&fused)).collect(), pass),
                rows: fused,
            }
        });
        Encoded {
            batch,
            rows,
            inputs: inputs.into_iter().filter(|(name, _)| alone.contains(name)).collect(),
            fused,
        }
    }

    /// The losses of each encoded output against the batch's targets, of blended rows against those of both. An output for
    /// which no row has a target is left out.
    pub fn losses(&self, encoded: &Encoded, pass: &Pass) -> BTreeMap<String, Losses> {
        let loss = |(name, task): (&str, &Task)| {
            let targets = encoded.batch.targets.get(name)?;
            let losses = match &encoded.batch.mixed {
                None => self.losses_against(encoded, name, task, targets, pass),
                Some(mixed) => self.mixed_losses(encoded, name, task, targets, mixed, pass),
            };
            Some((name.to_string(), losses?))
        };
        self.encoded_outputs(encoded).filter_map(loss).collect()
    }

    fn encoded_outputs<'a>(&'a self, encoded: &'a Encoded) -> impl Iterator<Item = (&'a str, &'a Task)> {
        self.outputs.iter().filter(|(name, _)| encoded.rows.contains_key(*name))
    }

    /// The losses of those rows that have a target, zero in the others; none where no row has one.
    fn losses_against(
        &self,
        encoded: &Encoded,
        name: &str,
        task: &Task,
        targets: &Targets,
        pass: &Pass,
    ) -> Option<Losses> {
        let rows = task.rows_with_target(encoded.batch, targets);
        if rows.is_empty() {
            return None;
        }
        let targets = targets.select(&rows);
        let reading = Reading {
            encoded,
            source: &self.sources[name],
            rows: &rows,
            targets: Some(&targets),
        };
        let losses = task.losses(reading, &targets, pass);
        Some(losses.spread(&rows, encoded.batch.rows.len()))
    }

    /// The losses of blended rows: against their own targets and against their partners', by the share of each.
    fn mixed_losses(
        &self,
        encoded: &Encoded,
        name: &str,
        task: &Task,
        targets: &Targets,
        mixed: &Mixed,
        pass: &Pass,
    ) -> Option<Losses> {
        let others = mixed.partners.iter().map(|&partner| targets.values[partner].clone());
        let others = Targets {
            values: others.collect(),
            texts: None,
        };
        let own = self.losses_against(encoded, name, task, targets, pass)?;
        let other = self.losses_against(encoded, name, task, &others, pass)?;
        Some(Losses {
            rows: own.rows * mixed.weight + other.rows * (1.0 - mixed.weight),
            // Partners are a permutation of the rows, so as many of them have a target.
            counts: own.counts,
        })
    }

    /// The answers of each encoded output, one for each row that it was encoded to answer; `writers` read and write the
    /// texts among them.
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
            let answers = self.decode_rows(encoded, name, task, writers);
            (name.to_string(), answers)
        };
        let wanted = self.encoded_outputs(encoded).filter(|(_, task)| wanted(task));
        wanted.map(decode).collect()
    }

    fn decode_rows(&self, encoded: &Encoded, name: &str, task: &Task, writers: &Writers) -> Vec<Decoded> {
        let rows = encoded.rows(name);
        if rows.is_empty() {
            return Vec::new();
        }
        let targets = encoded.batch.targets.get(name).map(|targets| targets.select(rows));
        let reading = Reading {
            encoded,
            source: &self.sources[name],
            rows,
            targets: targets.as_ref(),
        };
        task.decode(reading, writers.get(name))
    }

    /// The answers in evaluation, from any thread.
    pub fn infer(&self, batch: &Batch, writers: &Writers) -> BTreeMap<String, Vec<Decoded>> {
        on_compute_threads(|| self.decode(&self.encode(batch, &Pass::evaluation()), writers))
    }

    /// The embeddings of the inputs that each row has, in the common space of `output`; in evaluation, from any thread. No
    /// other output is asked, and no other input encoded.
    ///
    /// # Panics
    /// When `output` has no space.
    pub fn embed(&self, batch: &Batch, output: &str) -> Vec<BTreeMap<String, Vec<f32>>> {
        let task = self.task(output);
        assert!(task.space().is_some(), "`{output}` embeds no inputs");
        on_compute_threads(|| {
            let encoded = self.encode_for(batch, output);
            let reading = Reading {
                encoded: &encoded,
                source: &self.sources[output],
                rows: encoded.rows(output),
                targets: None,
            };
            task.decode(reading, None)
                .into_iter()
                .map(|row| row.embeddings)
                .collect()
        })
    }

    /// The answers of one output in evaluation, from any thread. No other output is asked, and no other input encoded.
    pub fn infer_output(&self, batch: &Batch, output: &str, writers: &Writers) -> Vec<Decoded> {
        on_compute_threads(|| self.decode_rows(&self.encode_for(batch, output), output, self.task(output), writers))
    }

    /// Encodes what is needed to answer every row by one output.
    fn encode_for<'a>(&self, batch: &'a Batch, output: &str) -> Encoded<'a> {
        let rows = (0..batch.rows.len()).collect();
        self.encode_rows(batch, BTreeMap::from([(output.to_string(), rows)]), &Pass::evaluation())
    }

    /// The tokens of some media of one input, as they are encoded in evaluation.
    ///
    /// # Panics
    /// When the model encodes no input called `input`.
    pub(crate) fn encode_media(&self, input: &str, media: &InputBatch) -> Tokens {
        let encoder = self.encoder(input).expect("an input that is encoded");
        encoder.forward(media, &Pass::evaluation()).tokens()
    }

    /// Whether the input is encoded: one that is only read as it stands is not.
    pub fn encodes(&self, input: &str) -> bool {
        self.encoder(input).is_some()
    }

    /// What reads an input, its own or another one's.
    fn encoder(&self, input: &str) -> Option<&Encoder> {
        self.inputs.get(self.shared.get(input).map_or(input, String::as_str))
    }

    /// The outputs in parts that share no encoder, by their first outputs: each can be computed beside the others.
    pub fn parts(&self) -> Vec<Part> {
        let owner = |input: &String| self.shared.get(input).unwrap_or(input).clone();
        let reads = |name: &str| match &self.alone[name][..] {
            [] => self.joined.iter().map(owner).collect(),
            alone => alone.iter().map(owner).collect(),
        };
        parts(self.outputs.iter().map(|(name, _)| (name.to_string(), reads(name))))
    }

    pub fn tasks(&self) -> &Named<Task> {
        &self.outputs
    }

    /// The same model with other searches for transcripts, by output.
    pub fn searching(mut self, beams: &BTreeMap<String, BeamConfig>) -> Self {
        let change = |(name, task): (&str, &Task)| {
            let task = match (task.clone(), beams.get(name)) {
                (Task::Transcribe(task), Some(beam)) => Task::Transcribe(task.searching(beam.clone())),
                (task, _) => task,
            };
            (name.to_string(), task)
        };
        self.outputs = self.outputs.iter().map(change).collect();
        self
    }

    /// # Panics
    /// When no output is called `name`.
    pub fn task(&self, name: &str) -> &Task {
        self.outputs.get(name).expect("outputs are named by the model itself")
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
