//! T5 (Raffel et al. 2020), its version 1.1, Flan-T5 (Chung et al. 2022) and mT5 (Xue et al. 2021), as `transformers` names and
//! configures them: an encoder of texts, and the decoder that answers them.

mod names;
mod public;
mod stem;

pub(super) use public::{KINDS, read, settle};
pub use stem::{T5Stem, T5StemConfig};

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{T5Stack, T5StackConfig};
use crate::trunks::Space;

/// T5's encoder over a sequence; `input` is the stem's width.
///
/// # Errors
/// For tokens that are no sequence, for another width than the stem's, and for buckets that no distances can be shared out to.
pub fn trunk(config: &T5StackConfig, input: usize, space: Space, init: &Init) -> Result<T5Stack> {
    if !space.is_line() {
        let message = "a t5 reads a sequence: a text, behind the stem `t5` or `embedding`, or a sound";
        return Err(ModelError::config("trunk.kind", message));
    }
    if config.width != input {
        let message = format!("expected the width of the stem, {input}, found {}", config.width);
        return Err(ModelError::config("trunk.width", message));
    }
    T5Stack::new(config, None, false, "trunk", init)
}
