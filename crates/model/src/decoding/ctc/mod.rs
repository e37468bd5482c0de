//! Decoding of connectionist temporal classification (Graves et al. 2006): from log probabilities of classes in each
//! frame to tokens with their places in time.

mod align;
mod beam;
mod forward;
mod frames;
mod greedy;
mod language;
mod prefixes;
mod scorer;
#[cfg(test)]
mod testing;

pub use align::{AlignedToken, Alignment, align};
pub use beam::{BeamConfig, BeamSearch, Hypothesis};
pub use forward::log_probability;
pub use frames::Frames;
pub use greedy::greedy;
pub use language::NgramScorer;
pub use scorer::{Score, Scorer, Unscored};
