//! What a forward pass needs to know beside its inputs: the mode, keyed randomness, and where statistics go.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use sensorium_data::random::Key;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Mean and unbiased variance of one batch, [channels] each.
pub type Statistics = (Tensor<1>, Tensor<1>);

/// One forward pass. Layers stay pure: what batch normalisation measures is collected here and absorbed afterwards.
pub struct Pass {
    /// The key of this step's randomness; none in evaluation.
    key: Option<Key>,
    statistics: RefCell<BTreeMap<String, Statistics>>,
}

impl Pass {
    pub fn evaluation() -> Self {
        Self {
            key: None,
            statistics: RefCell::default(),
        }
    }

    /// `key` is narrowed by seed and step.
    pub fn training(key: Key) -> Self {
        Self {
            key: Some(key),
            statistics: RefCell::default(),
        }
    }

    pub fn is_training(&self) -> bool {
        self.key.is_some()
    }

    /// Zeroes each element with `probability` and scales the rest (Srivastava et al. 2014). The mask depends on the
    /// step, the layer's `path` and the element only.
    pub fn dropout<const D: usize>(&self, x: Tensor<D>, probability: f64, path: &str) -> Tensor<D> {
        let Some(key) = self.key.as_ref().filter(|_| probability > 0.0) else {
            return x;
        };
        let mut generator = key.with(path).generator();
        let threshold = (probability * f64::from(u32::MAX)) as u32;
        let scale = (1.0 / (1.0 - probability)) as f32;
        let shape = x.shape();
        let draw = |_| if generator.next_u32() < threshold { 0.0 } else { scale };
        let mask: Vec<f32> = (0..shape.num_elements()).map(draw).collect();
        let device = crate::tokens::plain(&x.device());
        x * Tensor::from_data(TensorData::new(mask, shape), &device)
    }

    pub fn record(&self, path: &str, statistics: Statistics) {
        self.statistics.borrow_mut().insert(path.to_string(), statistics);
    }

    /// The statistics of every batch normalisation of this pass, by the layer's path.
    pub fn into_statistics(self) -> BTreeMap<String, Statistics> {
        self.statistics.into_inner()
    }
}
