//! Parallel loops whose partition depends on the problem only, never on the number of threads.

use std::cell::RefCell;
use std::marker::PhantomData;

use rayon::prelude::*;

/// Elements that one task of an elementwise loop handles: large enough to hide the cost of a task.
pub const ELEMENTS: usize = 16_384;

/// The number of tasks that large problems are cut into.
pub const TASKS: usize = 16;

/// Runs `body` as one of the compute threads, so that the operations in it hand out their parts from where they are.
/// From any other thread, every operation would wake a compute thread and wait for it.
pub fn on_compute_threads<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| body())
}

/// Runs `body` for every index below `count`, on the current rayon pool.
pub fn for_each(count: usize, body: impl Fn(usize) + Send + Sync) {
    match count {
        0 => {}
        1 => body(0),
        _ => (0..count).into_par_iter().with_max_len(1).for_each(body),
    }
}

/// Runs `body` for every one of `parts`, on the current rayon pool.
pub fn for_each_of<T: Send>(parts: Vec<T>, body: impl Fn(T) + Send + Sync) {
    parts.into_par_iter().with_max_len(1).for_each(body);
}

/// Runs `body(index, part)` for every `chunk` elements of `values`, on the compute threads.
pub fn for_each_part(values: &mut [f32], chunk: usize, body: impl Fn(usize, &mut [f32]) + Send + Sync) {
    let parts = values.par_chunks_mut(chunk).enumerate().with_max_len(1);
    parts.for_each(|(index, part)| body(index, part));
}

/// A new vector of `length` elements, of which `body(index, part)` writes the part number `index`: `chunk` elements,
/// fewer at the end. `body` must write all of `part` before it reads any of it.
pub fn fill(length: usize, chunk: usize, body: impl Fn(usize, &mut [f32]) + Send + Sync) -> Vec<f32> {
    let mut vector = Vec::with_capacity(length);
    let target = Target::spare(&mut vector, length);
    for_each(length.div_ceil(chunk.max(1)), |index| {
        let start = index * chunk;
        // SAFETY: chunks of distinct indices are disjoint and lie within `length`.
        let part = unsafe { target.slice(start, chunk.min(length - start)) };
        body(index, part);
    });
    // SAFETY: the capacity is `length`, and every element was written above.
    unsafe { vector.set_len(length) };
    vector
}

/// The sum over `count` tasks of the `width` numbers that `body(index, partial)` adds to zeroed `partial`. Partial
/// sums are added in the order of their indices, so the bits do not depend on scheduling.
pub fn sum(count: usize, width: usize, body: impl Fn(usize, &mut [f32]) + Send + Sync) -> Vec<f32> {
    let partials = fill(count * width, width, |index, partial| {
        partial.fill(0.0);
        body(index, partial);
    });
    add_rows(partials, width)
}

/// Adds up the rows of `rows` [count, width] in order.
pub fn add_rows(rows: Vec<f32>, width: usize) -> Vec<f32> {
    if rows.len() <= width {
        let mut rows = rows;
        rows.resize(width, 0.0);
        return rows;
    }
    fill(width, ELEMENTS / 4, |index, part| {
        let start = index * (ELEMENTS / 4);
        part.copy_from_slice(&rows[start..start + part.len()]);
        for row in rows[width..].chunks_exact(width) {
            for (sum, value) in part.iter_mut().zip(&row[start..]) {
                *sum += value;
            }
        }
    })
}

/// A buffer that several tasks write at once, each its own part.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    start: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: a target only hands out pointers; its users promise that concurrent parts are disjoint.
unsafe impl Send for Target<'_> {}
// SAFETY: as above.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    /// A target over an existing slice.
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            lifetime: PhantomData,
        }
    }

    /// A target over the unused capacity of an empty vector, to be written before it is read.
    pub fn spare(vector: &'a mut Vec<f32>, length: usize) -> Self {
        assert!(
            vector.is_empty() && vector.capacity() >= length,
            "a target needs {length} spare elements"
        );
        Self {
            start: vector.as_mut_ptr(),
            length,
            lifetime: PhantomData,
        }
    }

    /// The part of `length` elements from `offset`.
    ///
    /// # Safety
    /// No other part that is alive at the same time may overlap it, and memory that was never written may only be
    /// written.
    pub unsafe fn slice(&self, offset: usize, length: usize) -> &'a mut [f32] {
        assert!(
            offset + length <= self.length,
            "part {offset}+{length} exceeds {}",
            self.length
        );
        // SAFETY: the range was checked, and the caller promises exclusive use; every bit pattern is an f32.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(offset), length) }
    }

    /// A pointer to the element at `offset`, of which the caller uses `length` elements.
    pub fn pointer(&self, offset: usize, length: usize) -> *mut f32 {
        assert!(
            offset + length <= self.length,
            "part {offset}+{length} exceeds {}",
            self.length
        );
        self.start.wrapping_add(offset)
    }
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `body` with a scratch slice of `length` elements of unspecified value that the thread keeps for reuse.
pub fn with_scratch<R>(length: usize, body: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < length {
        buffer.resize(length, 0.0);
    }
    let result = body(&mut buffer[..length]);
    SCRATCH.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fill_covers_every_element() {
        for (length, chunk) in [(0, 4), (1, 4), (9, 4), (8, 4), (5, 100)] {
            let filled = fill(length, chunk, |index, part| {
                for (offset, value) in part.iter_mut().enumerate() {
                    *value = (index * chunk + offset) as f32;
                }
            });
            assert_eq!(filled, (0..length).map(|index| index as f32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sums_have_the_same_bits_for_any_number_of_threads() {
        crate::testing::same_bits(|| {
            sum(37, 5, |index, partial| {
                for (column, value) in partial.iter_mut().enumerate() {
                    *value += ((index * 5 + column) as f32).sin() * 1e3;
                }
            })
        });
        assert_eq!(sum(0, 3, |_, _| {}), [0.0; 3]);
        assert_eq!(sum(4, 1, |index, partial| partial[0] += index as f32), [6.0]);
    }

    #[test]
    fn nested_scratch_slices_are_distinct() {
        with_scratch(3, |outer| {
            outer.fill(1.0);
            with_scratch(3, |inner| inner.fill(2.0));
            assert_eq!(outer, [1.0; 3]);
        });
    }
}
