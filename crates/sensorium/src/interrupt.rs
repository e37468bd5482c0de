//! Ctrl-C and SIGTERM as a flag that long work looks at.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether a signal has come.
pub fn is_set() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// From now on a first signal sets the flag; a second one ends the process at once.
pub fn listen() -> anyhow::Result<&'static AtomicBool> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(&INTERRUPTED)
}
