//! Optimisers whose state is keyed by parameter path, so that a checkpoint carries all of it.

mod adamw;
mod sgd;

pub use adamw::AdamWConfig;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_model::checkpoint::{HostTensor, HostTensors, to_vec};
use sensorium_model::{map_parameters, parameters};
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

/// What one update knows beside the values and their gradient.
struct Update<'a> {
    learning_rate: f64,
    /// One-based.
    step: u64,
    decay: bool,
    moments: &'a mut BTreeMap<String, Tensor<1>>,
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

    /// Changes every parameter that has a gradient. `step` counts from one.
    pub fn step<M: Module>(&mut self, model: M, mut gradients: Gradients, learning_rate: f64, step: u64) -> M {
        let Self { config, decayed, state } = self;
        map_parameters(model, |path, values| {
            let gradient = gradients.remove(path)?;
            let moments = state.entry(path.to_string()).or_default();
            let update = Update {
                learning_rate,
                step,
                decay: decayed.contains(path),
                moments,
            };
            Some(match config {
                OptimizerConfig::AdamW(config) => config.update(values, gradient, update),
                OptimizerConfig::Sgd(config) => config.update(values, gradient, update),
            })
        })
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

/// The norm of all gradients together, summed in the order of their paths.
pub fn global_norm(gradients: &Gradients) -> f64 {
    let square = |gradient: &Tensor<1>| {
        let values = to_vec(gradient.clone());
        values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>()
    };
    gradients.values().map(square).sum::<f64>().sqrt()
}

/// Multiplies every gradient by `factor`.
pub fn scale(gradients: Gradients, factor: f64) -> Gradients {
    gradients
        .into_iter()
        .map(|(path, gradient)| (path, gradient * factor))
        .collect()
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
