//! Optimisers whose state is keyed by parameter path, so that a checkpoint carries all of it.

mod adamw;
mod sgd;

pub use adamw::AdamWConfig;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_model::checkpoint::{HostTensor, HostTensors, to_vec};
use sensorium_model::{exchange_parameters, parameters};
use serde::{Deserialize, Serialize};
pub use sgd::SgdConfig;
use std::collections::{BTreeMap, BTreeSet};

/// How gradients change the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum OptimizerConfig {
    AdamW(AdamWConfig),
    Sgd(SgdConfig),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self::AdamW(AdamWConfig::default())
    }
}

/// Flattened gradients by parameter path.
pub type Gradients = BTreeMap<String, Tensor<1>>;

/// An optimiser and the moments of every parameter that has had a gradient.
pub struct Optimizer {
    config: OptimizerConfig,
    /// Matrices and kernels; weight decay spares vectors, which are biases, norms and single tokens.
    decayed: BTreeSet<String>,
    state: State,
}

/// Named moments by parameter path.
type State = BTreeMap<String, BTreeMap<String, Tensor<1>>>;

/// What one step knows beside the parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// One-based.
    pub number: u64,
    pub learning_rate: f64,
    /// What every gradient is multiplied with first, to clip or to average it.
    pub gradient_scale: f64,
}

/// One flattened parameter in a step.
struct Slot {
    values: Tensor<1>,
    gradient: Tensor<1>,
    moments: BTreeMap<String, Tensor<1>>,
    /// Whether weight decay applies.
    decay: bool,
}

impl Optimizer {
    pub fn new<M: Module>(config: OptimizerConfig, model: &M) -> Self {
        let all = parameters(model).into_iter();
        let matrices = all.filter(|(_, parameter)| parameter.shape.len() > 1);
        let decayed = matrices.map(|(path, _)| path).collect();
        Self {
            config,
            decayed,
            state: State::new(),
        }
    }

    /// The learning rate before the schedule's factor.
    pub fn learning_rate(&self) -> f64 {
        match &self.config {
            OptimizerConfig::AdamW(config) => config.learning_rate,
            OptimizerConfig::Sgd(config) => config.learning_rate,
        }
    }

    /// Changes every parameter that has a gradient.
    pub fn step<M: Module>(&mut self, model: &mut M, gradients: &Gradients, step: Step) {
        let Self { config, decayed, state } = self;
        let wanted = |path: &str| gradients.contains_key(path);
        exchange_parameters(model, wanted, |values| {
            let (paths, values): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let slot = |(path, values): (&String, _)| Slot {
                values,
                gradient: gradients[path].clone(),
                moments: state.remove(path).unwrap_or_default(),
                decay: decayed.contains(path),
            };
            let slots = paths.iter().zip(values).map(slot).collect();
            let slots = match config {
                OptimizerConfig::AdamW(config) => config.update(slots, step),
                OptimizerConfig::Sgd(config) => config.update(slots, step),
            };
            let mut keep = |(path, slot): (String, Slot)| {
                state.insert(path.clone(), slot.moments);
                (path, slot.values)
            };
            paths.into_iter().zip(slots).map(&mut keep).collect()
        });
    }

    /// Every moment as `PATH/MOMENT`.
    pub fn to_host(&self) -> HostTensors {
        let moments = self.state.iter().flat_map(|(path, moments)| {
            moments
                .iter()
                .map(move |(name, moment)| (format!("{path}/{name}"), moment.clone()))
        });
        let host = |(name, moment): (String, Tensor<1>)| {
            let values = to_vec(moment);
            (
                name,
                HostTensor {
                    shape: vec![values.len()],
                    values,
                },
            )
        };
        moments.map(host).collect()
    }

    pub fn load(&mut self, tensors: HostTensors, device: &Device) {
        self.state.clear();
        for (name, tensor) in tensors {
            let (path, moment) = name.rsplit_once('/').unwrap_or((&name, ""));
            let values = TensorData::new(tensor.values, tensor.shape);
            let moments = self.state.entry(path.to_string()).or_default();
            moments.insert(moment.to_string(), Tensor::from_data(values, device));
        }
    }
}

/// Adds `more` to `sum`, path by path.
pub fn add(mut sum: Gradients, more: Gradients) -> Gradients {
    for (path, gradient) in more {
        let total = match sum.remove(&path) {
            Some(before) => before + gradient,
            None => gradient,
        };
        sum.insert(path, total);
    }
    sum
}
