//! The transforms of F(2×2, 3×3), with channels side by side in the registers.

use std::marker::PhantomData;

use crate::simd::vectorized;

/// Points of a transformed window, 4 × 4.
pub const POINTS: usize = 16;

/// Numbers that are transformed together: a register of AVX2.
const WIDTH: usize = 8;

/// The numbers of `N` places, of one length.
#[derive(Clone, Copy)]
pub struct Source<'a, const N: usize> {
    starts: [*const f32; N],
    length: usize,
    lifetime: PhantomData<&'a [f32]>,
}

impl<'a, const N: usize> Source<'a, N> {
    #[inline(always)]
    pub fn new(places: [&'a [f32]; N]) -> Self {
        let length = places[0].len();
        let mut starts = [std::ptr::null(); N];
        for (start, place) in starts.iter_mut().zip(places) {
            assert!(place.len() == length, "places of one length");
            *start = place.as_ptr();
        }
        Self {
            starts,
            length,
            lifetime: PhantomData,
        }
    }

    /// # Safety
    /// `start` + 8 must lie within the length.
    #[inline(always)]
    unsafe fn load(&self, place: usize, start: usize) -> Lanes {
        // SAFETY: each place has the length, and the caller keeps to it.
        unsafe { self.starts[place].add(start).cast::<Lanes>().read_unaligned() }
    }
}

/// `N` places of one length to be written, a stride apart.
pub struct Places<'a, const N: usize> {
    start: *mut f32,
    stride: usize,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

impl<const N: usize> Places<'_, N> {
    /// # Safety
    /// `length` numbers from `start` and from each of the next `N` − 1 strides must be writable while this exists, and
    /// nothing else may access them.
    #[inline(always)]
    pub unsafe fn new(start: *mut f32, stride: usize, length: usize) -> Self {
        Self {
            start,
            stride,
            length,
            lifetime: PhantomData,
        }
    }

    /// # Safety
    /// `start` + 8 must lie within the length, and `place` below `N`.
    #[inline(always)]
    unsafe fn store(&mut self, place: usize, start: usize, numbers: Lanes) {
        // SAFETY: each place has the length, and the caller keeps to it.
        unsafe {
            self.start
                .add(place * self.stride + start)
                .cast::<Lanes>()
                .write_unaligned(numbers)
        };
    }
}

type Lanes = [f32; WIDTH];

#[inline(always)]
fn add<const W: usize>(mut a: [f32; W], b: [f32; W]) -> [f32; W] {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
    a
}

#[inline(always)]
fn subtract<const W: usize>(mut a: [f32; W], b: [f32; W]) -> [f32; W] {
    for (a, b) in a.iter_mut().zip(b) {
        *a -= b;
    }
    a
}

#[inline(always)]
fn half<const W: usize>(mut a: [f32; W]) -> [f32; W] {
    for a in &mut a {
        *a *= 0.5;
    }
    a
}

vectorized! {
    /// Bᵀ d B of the 4 × 4 places of a window.
    pub fn from_window(window: Source<POINTS>, output: Places<POINTS>) {
        let mut output = output;
        assert!(window.length == output.length, "places of one length");
        let mut start = 0;
        while start + WIDTH <= window.length {
            let mut rows = [[0.0; WIDTH]; POINTS];
            for column in 0..4 {
                // SAFETY: the loop keeps within the length.
                let (a, b) = unsafe { (window.load(column, start), window.load(4 + column, start)) };
                // SAFETY: as above.
                let (c, d) = unsafe { (window.load(8 + column, start), window.load(12 + column, start)) };
                rows[column] = subtract(a, c);
                rows[4 + column] = add(b, c);
                rows[8 + column] = subtract(c, b);
                rows[12 + column] = subtract(b, d);
            }
            for row in 0..4 {
                let at = row * 4;
                let (a, b, c, d) = (rows[at], rows[at + 1], rows[at + 2], rows[at + 3]);
                // SAFETY: as above.
                unsafe {
                    output.store(at, start, subtract(a, c));
                    output.store(at + 1, start, add(b, c));
                    output.store(at + 2, start, subtract(c, b));
                    output.store(at + 3, start, subtract(b, d));
                }
            }
            start += WIDTH;
        }
    }
}

vectorized! {
    /// Aᵀ m A of the sums at 16 points, plus `bias`: the 2 × 2 outputs.
    pub fn from_sums(sums: Source<POINTS>, bias: &[f32], output: Places<4>) {
        let mut output = output;
        assert!(sums.length == output.length && bias.len() == sums.length, "places of one length");
        let mut start = 0;
        while start + WIDTH <= sums.length {
            let bias: Lanes = bias[start..start + WIDTH].try_into().expect("eight numbers");
            let mut rows = [[0.0; WIDTH]; 8];
            for column in 0..4 {
                // SAFETY: the loop keeps within the length.
                let (a, b) = unsafe { (sums.load(column, start), sums.load(4 + column, start)) };
                // SAFETY: as above.
                let (c, d) = unsafe { (sums.load(8 + column, start), sums.load(12 + column, start)) };
                rows[column] = add(add(a, b), c);
                rows[4 + column] = subtract(subtract(b, c), d);
            }
            for row in 0..2 {
                let at = row * 4;
                let (a, b, c, d) = (rows[at], rows[at + 1], rows[at + 2], rows[at + 3]);
                // SAFETY: as above.
                unsafe {
                    output.store(row * 2, start, add(add(add(a, b), c), bias));
                    output.store(row * 2 + 1, start, add(subtract(subtract(b, c), d), bias));
                }
            }
            start += WIDTH;
        }
    }
}

vectorized! {
    /// A dy Aᵀ of the gradients of 2 × 2 outputs.
    pub fn from_gradients(gradients: Source<4>, output: Places<POINTS>) {
        let mut output = output;
        assert!(gradients.length == output.length, "places of one length");
        let mut start = 0;
        while start + WIDTH <= gradients.length {
            let mut rows = [[0.0; WIDTH]; 8];
            for column in 0..2 {
                // SAFETY: the loop keeps within the length.
                let (a, b) = unsafe { (gradients.load(column, start), gradients.load(2 + column, start)) };
                rows[column] = a;
                rows[2 + column] = add(a, b);
                rows[4 + column] = subtract(a, b);
                rows[6 + column] = subtract([0.0; WIDTH], b);
            }
            for row in 0..4 {
                let (a, b) = (rows[row * 2], rows[row * 2 + 1]);
                // SAFETY: as above.
                unsafe {
                    output.store(row * 4, start, a);
                    output.store(row * 4 + 1, start, add(a, b));
                    output.store(row * 4 + 2, start, subtract(a, b));
                    output.store(row * 4 + 3, start, subtract([0.0; WIDTH], b));
                }
            }
            start += WIDTH;
        }
    }
}

vectorized! {
    /// G g Gᵀ of the 3 × 3 taps of sixteen filters.
    pub fn from_filter(taps: &[[f32; 16]; 9], points: &mut [[f32; 16]; POINTS]) {
        let mut rows = [[0.0; 16]; 12];
        for column in 0..3 {
            let (a, b, c) = (taps[column], taps[3 + column], taps[6 + column]);
            let (outer, inner) = (half(add(a, c)), half(b));
            rows[column] = a;
            rows[3 + column] = add(outer, inner);
            rows[6 + column] = subtract(outer, inner);
            rows[9 + column] = c;
        }
        for row in 0..4 {
            let (a, b, c) = (rows[row * 3], rows[row * 3 + 1], rows[row * 3 + 2]);
            let (outer, inner) = (half(add(a, c)), half(b));
            points[row * 4] = a;
            points[row * 4 + 1] = add(outer, inner);
            points[row * 4 + 2] = subtract(outer, inner);
            points[row * 4 + 3] = c;
        }
    }
}

vectorized! {
    /// Gᵀ u G of the sums at 16 points: the gradients of 3 × 3 taps of sixteen filters.
    pub fn to_filter(points: &[[f32; 16]; POINTS], taps: &mut [[f32; 16]; 9]) {
        let mut rows = [[0.0; 16]; 12];
        for column in 0..4 {
            let (a, d) = (points[column], points[12 + column]);
            let (b, c) = (points[4 + column], points[8 + column]);
            let sum = half(add(b, c));
            rows[column] = add(a, sum);
            rows[4 + column] = half(subtract(b, c));
            rows[8 + column] = add(sum, d);
        }
        for row in 0..3 {
            let at = row * 4;
            let (a, b, c, d) = (rows[at], rows[at + 1], rows[at + 2], rows[at + 3]);
            let sum = half(add(b, c));
            taps[row * 3] = add(a, sum);
            taps[row * 3 + 1] = half(subtract(b, c));
            taps[row * 3 + 2] = add(sum, d);
        }
    }
}
