//! Normalisations over the last axis (layer) and over all other axes (batch).

mod batch;
mod layer;

pub use batch::{BatchNormOutput, batch_norm};
pub use layer::{layer_norm, rms_norm};
