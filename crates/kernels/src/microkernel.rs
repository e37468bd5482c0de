//! The innermost loop of every matrix product: a tile of a few rows and up to three packed panels.
//!
//! A tile is Σ over depth of (one number of each row) × (16 numbers of each panel). The rows are given by pointers that
//! move in lockstep along a path of segments, so that the same loop serves plain matrices, transposed ones and the
//! sliding windows of a convolution, none of which needs to be copied into a matrix first. Every element is one chain
//! of additions in the order of the depth, so its bits do not depend on the tile that it falls into.

use half::f16;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Most rows of a tile on any machine.
pub const ROWS: usize = 8;
/// Columns of a packed panel.
pub const COLUMNS: usize = 16;

/// The largest tile of a machine's kernel: as many sums as its registers hold beside the factors.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    pub rows: usize,
    pub panels: usize,
}

impl Tile {
    /// 8 rows × 48 columns fill 24 of 32 registers of AVX-512; 6 × 16 fill 12 of 16 of AVX2.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if crate::simd::has_avx512() {
            return Self { rows: 8, panels: 3 };
        }
        Self { rows: 6, panels: 1 }
    }

    /// The half-open ranges of panels that tiles take together: as even as possible, so that no tile is thin.
    pub fn groups(self, first: usize, last: usize) -> impl Iterator<Item = (usize, usize)> {
        let count = last - first;
        let groups = count.div_ceil(self.panels);
        (0..groups).map(move |group| (first + group * count / groups, first + (group + 1) * count / groups))
    }
}

/// Panels side by side, and the elements from the start of one to that of the next.
#[derive(Clone, Copy, Debug)]
pub struct Right<E = f32> {
    pub panel: *const E,
    pub stride: usize,
}

/// How a row pointer moves along the depth: `segments` runs of `length` steps, each of `step` elements, with starts
/// `stride` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub segments: usize,
    pub length: usize,
    pub step: usize,
    pub stride: usize,
}

impl Path {
    /// One run of `length` steps of `step` elements.
    pub fn line(length: usize, step: usize) -> Self {
        Self {
            segments: 1,
            length,
            step,
            stride: 0,
        }
    }

    /// The number of steps, which is the depth of the product.
    pub fn depth(&self) -> usize {
        self.segments * self.length
    }

    /// How far from its start a row pointer reads, in elements: one past the farthest.
    pub fn reach(&self) -> usize {
        if self.depth() == 0 {
            return 0;
        }
        (self.segments - 1) * self.stride + (self.length - 1) * self.step + 1
    }
}

/// What numbers lie in memory as.
pub trait Element: Copy + Default + Send + Sync {
    fn widen(self) -> f32;

    /// Eight numbers.
    ///
    /// # Safety
    /// They must be readable, on a machine with AVX2 and F16C.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_8(numbers: *const Self) -> __m256;

    /// Sixteen numbers.
    ///
    /// # Safety
    /// They must be readable, on a machine with AVX-512F.
    #[cfg(target_arch = "x86_64")]
    unsafe fn load_16(numbers: *const Self) -> __m512;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_8(numbers: *const Self) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(numbers) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_16(numbers: *const Self) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(numbers) }
    }
}

impl Element for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32_const()
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_8(numbers: *const Self) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(numbers.cast())) }
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn load_16(numbers: *const Self) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(numbers.cast())) }
    }
}

/// What a tile does to the output.
#[derive(Clone, Copy, Debug)]
pub enum Store<'a> {
    /// Overwrites it.
    Set,
    /// Adds to it.
    Add,
    /// Overwrites it with the product plus one number a column; holds at least as many as the tile has columns.
    Bias(&'a [f32]),
}

/// Computes a tile of `rows` and `columns`, at most those of [`Tile::detect`].
///
/// # Safety
/// Each of the first `rows` pointers of `left` must be readable along `path`; each panel that `columns` reach into must
/// hold 16 numbers for every step of `path`; each of the first `rows` pointers of `output` must be writable for
/// `columns` numbers that nothing else accesses, and initialised if `store` is `Add`.
pub unsafe fn tile<E: Element>(
    rows: usize,
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    right: Right<E>,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    debug_assert!((1..=Tile::detect().rows).contains(&rows));
    debug_assert!((1..=Tile::detect().panels * COLUMNS).contains(&columns));
    macro_rules! dispatch {
        ($kernel:ident, $panels:literal, [$($rows:literal)*]) => {
            // SAFETY: the caller's promises are passed on unchanged.
            unsafe {
                match rows {
                    $($rows => $kernel::<$rows, $panels, E>(columns, left, path, right, output, store),)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            }
        };
    }
    // The features that a kernel needs are detected on the line above its call.
    #[cfg(target_arch = "x86_64")]
    {
        if crate::simd::has_avx512() {
            match columns.div_ceil(COLUMNS) {
                1 => dispatch!(avx512, 1, [1 2 3 4 5 6 7 8]),
                2 => dispatch!(avx512, 2, [1 2 3 4 5 6 7 8]),
                _ => dispatch!(avx512, 3, [1 2 3 4 5 6 7 8]),
            }
            return;
        }
        if crate::simd::has_avx2() {
            dispatch!(avx2, 1, [1 2 3 4 5 6]);
            return;
        }
    }
    dispatch!(portable, 1, [1 2 3 4 5 6]);
}

/// # Safety
/// As for [`tile`], with `R` rows and one panel, on a machine with AVX2, FMA and F16C.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn avx2<const R: usize, const P: usize, E: Element>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    right: Right<E>,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let mut panel = right.panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panel and rows are readable at every step of the path.
            unsafe {
                let low = E::load_8(panel);
                let high = E::load_8(panel.add(8));
                for row in 0..R {
                    let value = _mm256_broadcast_ss(&*left[row].add(offset));
                    sums[row][0] = _mm256_fmadd_ps(value, low, sums[row][0]);
                    sums[row][1] = _mm256_fmadd_ps(value, high, sums[row][1]);
                }
                panel = panel.add(COLUMNS);
            }
            offset = offset.wrapping_add(path.step);
        }
    }
    for row in 0..R {
        let mut line = [0.0; COLUMNS];
        let target = output[row];
        if columns < COLUMNS {
            // SAFETY: the array holds 16 numbers, and the caller promises `columns` writable ones.
            unsafe {
                _mm256_storeu_ps(line.as_mut_ptr(), sums[row][0]);
                _mm256_storeu_ps(line.as_mut_ptr().add(8), sums[row][1]);
                store_line(&line[..columns], target, store);
            }
            continue;
        }
        // SAFETY: a full tile has 16 writable numbers in each row of the output, and a bias as many.
        unsafe {
            let source = match store {
                Store::Set => None,
                Store::Add => Some(target.cast_const()),
                Store::Bias(bias) => Some(bias[..COLUMNS].as_ptr()),
            };
            if let Some(source) = source {
                sums[row][0] = _mm256_add_ps(sums[row][0], _mm256_loadu_ps(source));
                sums[row][1] = _mm256_add_ps(sums[row][1], _mm256_loadu_ps(source.add(8)));
            }
            _mm256_storeu_ps(target, sums[row][0]);
            _mm256_storeu_ps(target.add(8), sums[row][1]);
        }
    }
}

/// The same sums in the same order as [`avx2`], so the bits are the same.
///
/// # Safety
/// As for [`tile`], with `R` rows and `P` panels, on a machine with AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize, const P: usize, E: Element>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    right: Right<E>,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    let mut sums = [[_mm512_setzero_ps(); P]; R];
    let mut panel = right.panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panels and rows are readable at every step of the path.
            unsafe {
                let mut lines = [_mm512_setzero_ps(); P];
                for (index, line) in lines.iter_mut().enumerate() {
                    *line = E::load_16(panel.add(index * right.stride));
                }
                for row in 0..R {
                    let value = _mm512_set1_ps(*left[row].add(offset));
                    for index in 0..P {
                        sums[row][index] = _mm512_fmadd_ps(value, lines[index], sums[row][index]);
                    }
                }
                panel = panel.add(COLUMNS);
            }
            offset = offset.wrapping_add(path.step);
        }
    }
    // Loops of constant length and small bodies keep the sums in registers.
    let masks: [u16; P] = std::array::from_fn(|index| u16::MAX >> (COLUMNS - COLUMNS.min(columns - index * COLUMNS)));
    match store {
        Store::Set => {}
        Store::Add => {
            for row in 0..R {
                for index in 0..P {
                    // SAFETY: the mask keeps to the columns that the caller promises in the output.
                    let old = unsafe { _mm512_maskz_loadu_ps(masks[index], output[row].add(index * COLUMNS)) };
                    sums[row][index] = _mm512_add_ps(sums[row][index], old);
                }
            }
        }
        Store::Bias(bias) => {
            for (index, mask) in masks.into_iter().enumerate() {
                // SAFETY: the slice holds the columns that the mask keeps to.
                let bias = unsafe { _mm512_maskz_loadu_ps(mask, bias[index * COLUMNS..columns].as_ptr()) };
                for sums in &mut sums {
                    sums[index] = _mm512_add_ps(sums[index], bias);
                }
            }
        }
    }
    for row in 0..R {
        for index in 0..P {
            // SAFETY: the mask keeps to the columns that the caller promises in the output.
            unsafe { _mm512_mask_storeu_ps(output[row].add(index * COLUMNS), masks[index], sums[row][index]) };
        }
    }
}

/// # Safety
/// As for [`tile`], with `R` rows and one panel.
unsafe fn portable<const R: usize, const P: usize, E: Element>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    right: Right<E>,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    let mut sums = [[0.0f32; COLUMNS]; R];
    let mut panel = right.panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panel and rows are readable at every step of the path.
            unsafe {
                let line = (*panel.cast::<[E; COLUMNS]>()).map(E::widen);
                for row in 0..R {
                    let value = *left[row].add(offset);
                    for (sum, factor) in sums[row].iter_mut().zip(line) {
                        *sum += value * factor;
                    }
                }
                panel = panel.add(COLUMNS);
            }
            offset = offset.wrapping_add(path.step);
        }
    }
    for (sums, &target) in sums.iter().zip(output) {
        // SAFETY: the caller promises `columns` writable numbers.
        unsafe { store_line(&sums[..columns], target, store) };
    }
}

/// # Safety
/// `target` must be writable for as many numbers as `line` has, and initialised if `store` is `Add`.
unsafe fn store_line(line: &[f32], target: *mut f32, store: Store) {
    for (index, &value) in line.iter().enumerate() {
        // SAFETY: `index` is within the line.
        unsafe {
            let target = target.add(index);
            *target = match store {
                Store::Set => value,
                Store::Add => *target + value,
                Store::Bias(bias) => value + bias[index],
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, values};

    type Kernel<E> = unsafe fn(usize, &[*const f32; ROWS], Path, Right<E>, &[*mut f32; ROWS], Store);

    /// Checks a kernel of `panels` panels with every way to store, and returns what it stored.
    fn check<E: Element + From<i8>>(kernel: Kernel<E>, rows: usize, panels: usize, path: Path) -> Vec<f32> {
        let full = panels * COLUMNS;
        let stored = [full - 15, full - 7, full].map(|columns| check_columns(kernel, rows, columns, path));
        stored.concat()
    }

    fn check_columns<E: Element + From<i8>>(kernel: Kernel<E>, rows: usize, columns: usize, path: Path) -> Vec<f32> {
        let spread = path.reach().max(1);
        let left = values(1, rows * spread);
        let stride = path.depth() * COLUMNS + 5;
        let width = columns.next_multiple_of(COLUMNS);
        let right = values(2, width / COLUMNS * stride + COLUMNS);
        let right: Vec<E> = right.iter().map(|value| E::from((value * 100.0) as i8)).collect();
        let start = values(3, ROWS * width);
        let bias = values(4, columns);
        let offsets: Vec<usize> = (0..path.segments)
            .flat_map(|segment| (0..path.length).map(move |at| segment * path.stride + at * path.step))
            .collect();
        let mut stored = Vec::new();
        for store in [Store::Set, Store::Add, Store::Bias(&bias)] {
            let mut output = start.clone();
            let starts = std::array::from_fn(|row| left[row.min(rows - 1) * spread..].as_ptr());
            let base = output.as_mut_ptr();
            let targets = std::array::from_fn(|row| base.wrapping_add(row * width));
            let panels = Right {
                panel: right.as_ptr(),
                stride,
            };
            // SAFETY: the buffers above have the sizes that the path asks for.
            unsafe { kernel(columns, &starts, path, panels, &targets, store) };
            let expected: Vec<f64> = (0..ROWS * width)
                .map(|index| {
                    let (row, column) = (index / width, index % width);
                    if row >= rows || column >= columns {
                        return start[index].into();
                    }
                    let first = column / COLUMNS * stride + column % COLUMNS;
                    let factors = offsets.iter().zip(right[first..].iter().step_by(COLUMNS));
                    let product: f64 = factors
                        .map(|(offset, factor)| f64::from(left[row * spread + offset]) * f64::from(factor.widen()))
                        .sum();
                    product
                        + match store {
                            Store::Set => 0.0,
                            Store::Add => start[index].into(),
                            Store::Bias(bias) => bias[column].into(),
                        }
                })
                .collect();
            close("tile", &output, &expected, 1e-6);
            stored.extend(output);
        }
        stored
    }

    #[test]
    fn tiles_match_their_definition() {
        let paths = [
            Path::line(0, 1),
            Path::line(1, 1),
            Path::line(37, 1),
            Path::line(5, 7),
            Path {
                segments: 3,
                length: 4,
                step: 2,
                stride: 11,
            },
        ];
        for path in paths {
            check(portable::<1, 1, f32>, 1, 1, path);
            check(portable::<4, 1, f32>, 4, 1, path);
            check(portable::<6, 1, f32>, 6, 1, path);
            check(portable::<5, 1, f16>, 5, 1, path);
            #[cfg(target_arch = "x86_64")]
            if crate::simd::has_avx2() {
                check(avx2::<1, 1, f32>, 1, 1, path);
                check(avx2::<3, 1, f32>, 3, 1, path);
                check(avx2::<6, 1, f32>, 6, 1, path);
                check(avx2::<5, 1, f16>, 5, 1, path);
            }
            #[cfg(target_arch = "x86_64")]
            if crate::simd::has_avx512() {
                check(avx512::<1, 3, f32>, 1, 3, path);
                check(avx512::<3, 2, f32>, 3, 2, path);
                check(avx512::<8, 3, f32>, 8, 3, path);
                check(avx512::<5, 2, f16>, 5, 2, path);
                let wide = check(avx512::<6, 1, f32>, 6, 1, path);
                assert_eq!(wide, check(avx2::<6, 1, f32>, 6, 1, path), "AVX2 and AVX-512 differ");
            }
        }
    }

    #[test]
    fn groups_are_even_and_cover_all_panels() {
        let tile = Tile { rows: 8, panels: 3 };
        let groups = |first, last| tile.groups(first, last).collect::<Vec<_>>();
        assert_eq!(groups(2, 2), []);
        assert_eq!(groups(0, 3), [(0, 3)]);
        assert_eq!(groups(1, 5), [(1, 3), (3, 5)]);
        assert_eq!(groups(0, 7), [(0, 2), (2, 4), (4, 7)]);
    }
}
