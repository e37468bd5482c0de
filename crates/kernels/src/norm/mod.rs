//! Normalisations: of rows (layer, root mean square), of channels over a batch, and of groups of channels.

mod batch;
mod channels;
mod evaluation;
mod group;
mod layer;

pub use batch::{BatchNormOutput, batch_norm};
pub use evaluation::batch_norm_evaluation;
pub use group::group_norm;
pub use layer::{layer_norm, rms_norm};
