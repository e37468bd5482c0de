//! A program that is run for a fetch.

use std::process::Child;

/// A child that does not outlive its handle: an error or a panic on the way ends it too.
pub(super) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A child that has ended cannot be stopped, and need not be.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
