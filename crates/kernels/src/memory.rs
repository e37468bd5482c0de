//! How freed memory is kept for the next step.

/// Lets the allocator keep up to a gigabyte of freed memory, for all threads together, instead of returning it to the
/// system after every operation. Training frees and asks for the same buffers at every step, and pages that come back
/// have to be zeroed and mapped again: a quarter of the time of small steps. Call it once, before any large buffer
/// exists; it does nothing where the allocator is not glibc's.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// The largest that glibc takes: larger buffers are mapped one by one.
        const MAPPED_FROM: i32 = 32 << 20;
        const KEPT: i32 = 1 << 30;
        // SAFETY: the function only stores numbers in the allocator's settings, under its lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            // A second arena would keep a second set of the same buffers.
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Returns freed memory to the system: after a large model was loaded or packed, when what that took is not needed
/// again. It does nothing where the allocator is not glibc's.
pub fn release_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the function takes the allocator's lock and touches only free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}
