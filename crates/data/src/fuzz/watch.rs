//! What the harness watches: the faults of decoders, the time of a thread, the memory of the process.

use crate::shield::shielded;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;
use std::time::Duration;

thread_local! {
    /// Where code panicked since the watch began, on threads that watch.
    static FAULTS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs `work` and lists where code panicked meanwhile, whoever caught it.
pub fn faults<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // The shield's own hook comes first, so that this one sees also what is not announced.
        shielded(|| ());
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let place = || panic.location().map(ToString::to_string).unwrap_or_default();
            let watched = FAULTS.with_borrow_mut(|faults| faults.as_mut().map(|faults| faults.push(place())));
            if watched.is_none() {
                next(panic);
            }
        }));
    });
    FAULTS.set(Some(Vec::new()));
    let result = work();
    (result, FAULTS.take().unwrap_or_default())
}

/// The time that this thread has computed; nothing where the system does not say.
pub fn thread_time() -> Duration {
    let words = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = words.split(' ').next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Forgets the highest memory so far.
pub fn reset_peak() {
    // Where this is refused the peak is that of the whole process, which bounds it just as well.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that was resident since [`reset_peak`], in megabytes; 0 where the system does not
/// say.
pub fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}
