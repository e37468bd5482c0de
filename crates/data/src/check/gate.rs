//! A bound on the memory that work in progress takes together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets work in while the sum of what it will take stays below a limit. Work that alone takes more
/// than the limit is let in when nothing else is.
pub(super) struct Gate {
    limit: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// The right to take memory, given back when it is dropped.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    bytes: u64,
}

impl Gate {
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            taken: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Waits until `bytes` may be taken.
    pub fn enter(&self, bytes: u64) -> Pass<'_> {
        let bytes = bytes.min(self.limit);
        let full = |taken: &mut u64| *taken + bytes > self.limit;
        let mut taken = self
            .freed
            .wait_while(self.taken(), full)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += bytes;
        Pass { gate: self, bytes }
    }

    fn taken(&self) -> MutexGuard<'_, u64> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *self.gate.taken() -= self.bytes;
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn what_is_inside_never_exceeds_the_limit_and_everything_gets_in() {
        let gate = Gate::new(100);
        let (inside, passed) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let (gate, inside, passed) = (&gate, &inside, &passed);
                scope.spawn(move || {
                    for round in 0..200 {
                        let bytes = [10, 45, 100, 1000][((thread + round) % 4) as usize];
                        let _pass = gate.enter(bytes);
                        let now = inside.fetch_add(bytes.min(100), Ordering::SeqCst) + bytes.min(100);
                        assert!(now <= 100, "{now}");
                        inside.fetch_sub(bytes.min(100), Ordering::SeqCst);
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 800);
    }
}
