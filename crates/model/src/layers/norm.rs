//! Layer and batch normalisation.

use crate::init::Init;
use crate::parameters::map_parameters;
use crate::pass::{Pass, Statistics};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// What is usually added to the variance.
pub const EPSILON: f64 = 1e-5;
/// The weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Normalises the last axis (Ba et al. 2016).
#[derive(Module, Debug)]
pub struct LayerNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    #[module(skip)]
    epsilon: f64,
}

impl LayerNorm {
    pub fn new(width: usize, init: &Init) -> Self {
        Self::with_epsilon(width, EPSILON, init)
    }

    /// `epsilon` is added to the variance.
    pub fn with_epsilon(width: usize, epsilon: f64, init: &Init) -> Self {
        Self {
            weight: init.constant([width], 1.0),
            bias: init.constant([width], 0.0),
            epsilon,
        }
    }

    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        sensorium_kernels::layer_norm(x, self.weight.val(), self.bias.val(), self.epsilon)
    }
}

/// Normalises each channel of a channels-last tensor (Ioffe and Szegedy 2015).
#[derive(Module, Debug)]
pub struct BatchNorm {
    weight: Param<Tensor<1>>,
    bias: Param<Tensor<1>>,
    running_mean: Param<Tensor<1>>,
    running_var: Param<Tensor<1>>,
    #[module(skip)]
    path: String,
    #[module(skip)]
    epsilon: f64,
}

impl BatchNorm {
    pub fn new(channels: usize, init: &Init) -> Self {
        Self::with_epsilon(channels, EPSILON, init)
    }

    /// `epsilon` is added to the variance.
    pub fn with_epsilon(channels: usize, epsilon: f64, init: &Init) -> Self {
        Self {
            weight: init.constant([channels], 1.0),
            bias: init.constant([channels], 0.0),
            running_mean: init.constant([channels], 0.0).set_require_grad(false),
            running_var: init.constant([channels], 1.0).set_require_grad(false),
            path: init.path().to_string(),
            epsilon,
        }
    }

    /// Uses the batch's statistics in training, and hands them to `pass`; the running ones in evaluation.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if pass.is_training() {
            let shape = x.dims();
            let count = (shape.iter().product::<usize>() / shape[D - 1]) as f64;
            let result = sensorium_kernels::batch_norm(x, weight, bias, self.epsilon);
            let unbiased = result.variance * (count / (count - 1.0).max(1.0));
            pass.record(&self.path, (result.mean, unbiased));
            return result.output;
        }
        let (mean, variance) = (self.running_mean.val(), self.running_var.val());
        sensorium_kernels::batch_norm_evaluation(x, weight, bias, mean, variance, self.epsilon)
    }
}

/// Moves the running statistics of every batch normalisation of `module` towards those of a pass.
pub fn absorb_statistics<M: Module>(module: M, statistics: &BTreeMap<String, Statistics>) -> M {
    if statistics.is_empty() {
        return module;
    }
    let blend = |old: Tensor<1>, new: &Tensor<1>| old * (1.0 - MOMENTUM) + new.clone().without_autodiff() * MOMENTUM;
    map_parameters(module, |path, values| {
        let (layer, name) = path.rsplit_once('.')?;
        let (mean, variance) = statistics.get(layer)?;
        match name {
            "running_mean" => Some(blend(values, mean)),
            "running_var" => Some(blend(values, variance)),
            _ => None,
        }
    })
}
