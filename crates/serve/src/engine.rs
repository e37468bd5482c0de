//! The thin interface between the server and what computes.

use crate::wire::{Description, Inputs, ItemError, Outputs};

/// A model that answers batches of samples.
///
/// One compute thread calls [`Engine::predict`]; the other methods may run on any thread at the
/// same time. A panic costs only the samples that cause it: the thread lives on and the engine is
/// called again, so an engine must not hold a lock that a panic would poison.
pub trait Engine: Send + Sync + 'static {
    /// What the model takes and gives. Called once, when the server starts.
    fn describe(&self) -> Description;

    /// Answers each sample, in order: the result has exactly `samples.len()` entries.
    ///
    /// A sample holds one input or more, under names that [`Engine::describe`] lists; any of the
    /// others may be absent. A text comes as [`InputValue::Text`](crate::InputValue::Text), or as
    /// [`InputValue::Turns`](crate::InputValue::Turns) where the input takes turns; every other
    /// modality as the bytes of a media file that nobody has looked into yet. A sample that cannot be
    /// used is an [`ItemError`] in its own place and leaves its neighbours alone.
    fn predict(&self, samples: Vec<Inputs>) -> Vec<Result<Outputs, ItemError>>;

    /// The example picture `index`, below [`Description::example_images`]: its bytes and media type
    /// (`image/png`).
    fn example(&self, _index: usize) -> Option<(Vec<u8>, &'static str)> {
        None
    }
}
