//! Optimisers whose state is keyed by parameter path, so that a checkpoint carries all of it.

mod adamw;
mod rates;
mod sgd;

pub use adamw::AdamWConfig;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
pub(crate) use rates::rates;
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
    /// What the learning rate of a parameter is multiplied by, where it is another than one.
    rates: BTreeMap<String, f64>,
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

impl Step {
    /// The same at another learning rate.
    fn scaled(self, rate: f64) -> Self {
        Self {
            learning_rate: self.learning_rate * rate,
            ..self
        }
    }
}

impl OptimizerConfig {
    fn update(&self, slots: Vec<Slot>, step: Step) -> Vec<Slot> {
        match self {
            Self::AdamW(config) => config.update(slots, step),
            Self::Sgd(config) => config.update(slots, step),
        }
    }
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
            rates: BTreeMap::new(),
            state: State::new(),
        }
    }

    /// The same with factors of the learning rate by the path of a parameter; of one that is not named it is one.
    pub fn with_rates(self, rates: BTreeMap<String, f64>) -> Self {
        Self { rates, ..self }
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
        let Self {
            config,
            decayed,
            rates,
            state,
        } = self;
        let wanted = |path: &str| gradients.contains_key(path);
        exchange_parameters(model, wanted, |values| {
            let mut groups: BTreeMap<u64, (Vec<String>, Vec<Slot>)> = BTreeMap::new();
            for (path, values) in values {
                let slot = Slot {
                    values,
                    gradient: gradients[&path].clone(),
                    moments: state.remove(&path).unwrap_or_default(),
                    decay: decayed.contains(&path),
                };
                let rate = rates.get(&path).copied().unwrap_or(1.0);
                let (paths, slots) = groups.entry(rate.to_bits()).or_default();
                paths.push(path);
                slots.push(slot);
            }
            let mut changed = BTreeMap::new();
            for (rate, (paths, slots)) in groups {
                let slots = config.update(slots, step.scaled(f64::from_bits(rate)));
                for (path, slot) in paths.into_iter().zip(slots) {
                    state.insert(path.clone(), slot.moments);
                    changed.insert(path, slot.values);
                }
            }
            changed
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
