//! Losses from logits.

mod cross_entropy;
mod ctc;

pub use cross_entropy::{CrossEntropyOptions, cross_entropy};
pub use ctc::ctc_loss;
