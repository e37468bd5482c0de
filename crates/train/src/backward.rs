//! The loss of some outputs in a batch, and its gradients.

use crate::optimizer::Gradients;
use burn::tensor::Tensor;
use sensorium_data::Batch;
use sensorium_data::random::Key;
use sensorium_model::checkpoint::to_vec;
use sensorium_model::{Model, Part, Pass, Statistics, gradients};
use std::collections::BTreeMap;

/// What a batch says of the parameters.
#[derive(Default)]
pub(crate) struct Backward {
    /// The weighted sum of the outputs' mean losses.
    pub loss: f64,
    /// None where the loss is not finite.
    pub gradients: Gradients,
    /// Of each batch normalisation, by its path.
    pub statistics: BTreeMap<String, Statistics>,
    /// The losses of each output, [rows].
    pub per_row: Vec<Tensor<1>>,
}

impl Backward {
    /// Of the outputs in `part`, each with its weight. `key` is that of the batch's randomness.
    pub fn new(model: &Model, part: &Part, batch: &Batch, key: &Key, weight: impl Fn(&str) -> f64) -> Self {
        let pass = Pass::training(key.clone());
        let encoded = model.encode_targets(part, batch, &pass);
        let mut total: Option<Tensor<1>> = None;
        let mut found = Self::default();
        for (name, losses) in model.losses(&encoded, &pass) {
            let weight = weight(&name) / losses.count().max(1) as f64;
            found.per_row.push(losses.rows.clone().without_autodiff());
            let mean = losses.rows.sum() * weight;
            total = Some(match total {
                Some(total) => total + mean,
                None => mean,
            });
        }
        found.statistics = pass.into_statistics();
        // Without one, no row has a target.
        if let Some(total) = total {
            found.loss = f64::from(total.clone().into_scalar::<f32>());
            if found.loss.is_finite() {
                found.gradients = gradients(model, &mut total.backward());
            }
        }
        found
    }

    /// The rows whose own loss is not finite.
    pub fn culprits(self, batch: &Batch) -> Vec<usize> {
        let losses: Vec<Vec<f32>> = self.per_row.into_iter().map(to_vec).collect();
        let bad = |place: &usize| losses.iter().any(|rows| !rows[*place].is_finite());
        (0..batch.rows.len())
            .filter(bad)
            .map(|place| batch.rows[place])
            .collect()
    }
}
