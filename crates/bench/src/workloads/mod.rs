//! The workloads that are compared with other programs, by the names of docs/performance.md.

mod caption;
mod speech;
mod training;
mod vision;

use crate::initial::{Initial, InitialError};
use crate::measure::{Report, measure};
use std::path::Path;

/// A model with its inputs: calling it takes one step.
type Step = Box<dyn FnMut() -> f64 + Send>;

/// A fixed model, batch and step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// ViT-Tiny in training, batch 8.
    W1,
    /// A convolutional encoder and a Transformer decoder in training, batch 32.
    W2,
    /// Convolutions and a Transformer over speech, with CTC, in training, batch 8.
    W3,
    /// Two bidirectional LSTM layers over speech, with CTC, in training, batch 8.
    W3b,
}

impl Workload {
    pub const ALL: [Self; 4] = [Self::W1, Self::W2, Self::W3, Self::W3b];

    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
            Self::W3 => "w3",
            Self::W3b => "w3b",
        }
    }

    fn build(self, initial: Option<&Initial>) -> Result<Step, InitialError> {
        match self {
            Self::W1 => vision::training(initial),
            Self::W2 => caption::training(initial),
            Self::W3 => speech::transformer(initial),
            Self::W3b => speech::recurrent(initial),
        }
    }
}

/// Takes one step that is not counted and `steps` that are, from the tensors in the file `initial` if one is given.
pub fn run(workload: Workload, steps: usize, initial: Option<&Path>) -> Result<Report, InitialError> {
    let initial = initial.map(Initial::load).transpose()?;
    let step = workload.build(initial.as_ref())?;
    drop(initial);
    Ok(measure(workload.name(), steps, step))
}

/// The exported file's path of a Transformer block's parameter.
fn block_path(path: &str) -> String {
    path.replace(".expand.", ".feed_forward.up.")
        .replace(".contract.", ".feed_forward.down.")
}
