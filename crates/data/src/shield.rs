//! A decoder's fault ends the work on one medium, and nothing else.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static SHIELDED: Cell<bool> = const { Cell::new(false) };
}
static HOOK: Once = Once::new();

/// Runs `work` on bytes from outside; `None` where it panicked. The panic is not announced on stderr,
/// because the caller reports what was wrong with the bytes.
pub(crate) fn shielded<T>(work: impl FnOnce() -> T) -> Option<T> {
    HOOK.call_once(|| {
        let announce = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !SHIELDED.get() {
                announce(panic);
            }
        }));
    });
    let outer = SHIELDED.replace(true);
    // What was half done is dropped with the closure; only its result could be seen afterwards.
    let result = catch_unwind(AssertUnwindSafe(work));
    SHIELDED.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_result_and_ends_nothing_else() {
        assert_eq!(shielded(|| 7), Some(7));
        let nested = shielded(|| (shielded(|| -> u8 { panic!("inner") }), SHIELDED.get()));
        assert_eq!(nested, Some((None, true)));
        assert_eq!(shielded(|| -> u8 { panic!("outer") }), None);
        assert!(!SHIELDED.get());
    }
}
