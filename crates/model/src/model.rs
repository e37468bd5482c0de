//! The whole model: encoders, fusion, tasks.

use crate::encoder::{Encoder, EncoderConfig};
use crate::error::{ModelError, Result};
use crate::fusion::{Fusion, FusionConfig};
use crate::init::Init;
use crate::layers::Named;
use crate::pass::Pass;
use crate::tasks::{Labels, Losses, Task, TaskConfig, TaskOutput};
use burn::module::Module;
use burn::tensor::Device;
use sensorium_data::processors::FeatureShape;
use sensorium_data::{Batch, Mixed, Value};
use sensorium_kernels::on_compute_threads;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a model is built from, beside the shapes of its inputs' features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    pub inputs: BTreeMap<String, EncoderConfig>,
    pub fusion: FusionConfig,
    pub outputs: BTreeMap<String, OutputConfig>,
}

/// A task with what it learnt from the training targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputConfig {
    #[serde(flatten)]
    pub task: TaskConfig,
    pub labels: Labels,
}

/// Inputs and outputs are in the order of their names.
#[derive(Module, Debug)]
pub struct Model {
    inputs: Named<Encoder>,
    fusion: Fusion,
    outputs: Named<Task>,
}

/// What each output's head computed, by its name.
pub type Outputs = BTreeMap<String, TaskOutput>;

impl Model {
    /// `shapes` holds the features' shape of every input; parameters are drawn from `seed` and their path.
    pub fn new(
        config: &ModelConfig,
        shapes: &BTreeMap<String, FeatureShape>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let init = Init::new(seed, device);
        let mut inputs = Vec::new();
        for (name, encoder) in &config.inputs {
            let encoder = Encoder::new(encoder, shapes[name], &init.at("inputs").at(name))
                .map_err(|error| inside(error, &format!("inputs.{name}")))?;
            inputs.push((name.clone(), encoder));
        }
        let widths: Vec<_> = inputs
            .iter()
            .map(|(name, encoder)| (name.as_str(), encoder.width()))
            .collect();
        let text = |name: &&str| matches!(shapes[*name], FeatureShape::Text { .. });
        let texts: Vec<&str> = widths.iter().map(|(name, _)| *name).filter(text).collect();
        let fusion = Fusion::new(&config.fusion, &widths, &texts, &init.at("fusion"))?;
        let task = |(name, output): (&String, &OutputConfig)| {
            let init = init.at("outputs").at(name);
            (
                name.clone(),
                Task::new(&output.task, output.labels.clone(), fusion.width(), &init),
            )
        };
        let outputs = config.outputs.iter().map(task).collect();
        Ok(Self {
            inputs: inputs.into_iter().collect(),
            fusion,
            outputs,
        })
    }

    /// The outputs in evaluation, from any thread.
    pub fn infer(&self, batch: &Batch) -> Outputs {
        on_compute_threads(|| self.forward(batch, &Pass::evaluation()))
    }

    /// Each distinct medium is encoded once, the inputs are joined, and every task reads the result.
    pub fn forward(&self, batch: &Batch, pass: &Pass) -> Outputs {
        let encoders = self.inputs.iter();
        let encoded = encoders.map(|(name, encoder)| encoder.forward(&batch.inputs[name], pass));
        let fused = self.fusion.forward(encoded.collect(), pass);
        let tasks = self.outputs.iter();
        tasks
            .map(|(name, task)| (name.to_string(), task.forward(&fused, pass)))
            .collect()
    }

    /// The losses of each output against the batch's targets, of blended rows against those of both.
    pub fn losses(&self, outputs: Outputs, batch: &Batch) -> BTreeMap<String, Losses> {
        let loss = |(name, output): (String, TaskOutput)| {
            let (task, targets) = (self.task(&name), &batch.targets[&name]);
            let losses = match &batch.mixed {
                None => task.loss(output, targets),
                Some(mixed) => mixed_loss(task, output, targets, mixed),
            };
            (name, losses)
        };
        outputs.into_iter().map(loss).collect()
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

/// The losses of blended rows: against their own targets and against their partners', by the share of each.
fn mixed_loss(task: &Task, output: TaskOutput, targets: &[Value], mixed: &Mixed) -> Losses {
    let others: Vec<Value> = mixed.partners.iter().map(|&partner| targets[partner].clone()).collect();
    let own = task.loss(output.clone(), targets);
    let other = task.loss(output, &others);
    Losses {
        rows: own.rows * mixed.weight + other.rows * (1.0 - mixed.weight),
        // Partners are a permutation of the rows, so as many of them have a target.
        count: own.count,
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
