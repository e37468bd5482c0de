//! Language models: how likely they find the texts.

use super::{Measure, sum};
use crate::metrics::{Likelihood, Metrics};
use crate::score::ScoredRow;

/// Rows with a text each: those without one are left out.
pub struct Predicted(Vec<Option<Likelihood>>);

impl Predicted {
    pub fn new(output: &str, rows: &[ScoredRow]) -> Self {
        let likelihood = |row: &ScoredRow| {
            let text = row.targets.get(output)?.label()?;
            let (nats, tokens) = row.losses[output];
            Some(Likelihood {
                nats,
                tokens: tokens as u64,
                bytes: text.len() as u64,
            })
        };
        Self(rows.iter().map(likelihood).collect())
    }
}

impl Measure for Predicted {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        sum(&self.0, weights).metrics()
    }
}
