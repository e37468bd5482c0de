//! The workloads that are compared with other programs, by the names of docs/performance.md.

mod caption;
mod language;
mod speech;
mod training;
mod vision;

use crate::initial::{Initial, InitialError};
use crate::measure::{Report, measure};
use sensorium_kernels::Precision;
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
    /// ViT-Base answering, batch 1.
    W4v1,
    /// ViT-Base answering, batch 8.
    W4v8,
    /// GPT-2 124M decoding 64 tokens.
    W4g,
    /// The same with weights of 8 bits.
    W4gInt8,
}

impl Workload {
    pub const ALL: [Self; 8] = [
        Self::W1,
        Self::W2,
        Self::W3,
        Self::W3b,
        Self::W4v1,
        Self::W4v8,
        Self::W4g,
        Self::W4gInt8,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::W1 => "w1",
            Self::W2 => "w2",
            Self::W3 => "w3",
            Self::W3b => "w3b",
            Self::W4v1 => "w4v1",
            Self::W4v8 => "w4v8",
            Self::W4g => "w4g",
            Self::W4gInt8 => "w4g-int8",
        }
    }

    fn build(self, initial: Option<&Initial>) -> Result<Step, InitialError> {
        match self {
            Self::W1 => vision::training(initial),
            Self::W2 => caption::training(initial),
            Self::W3 => speech::transformer(initial),
            Self::W3b => speech::recurrent(initial),
            Self::W4v1 => vision::inference(initial, 1),
            Self::W4v8 => vision::inference(initial, 8),
            Self::W4g => language::decoding(initial, Precision::Float32),
            Self::W4gInt8 => language::decoding(initial, Precision::Int8),
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
