//! The innermost loop of every matrix product: a tile of up to 6 rows and 16 columns.
//!
//! A tile is Σ over depth of (one number of each row) × (16 numbers of a packed panel). The rows are given by
//! pointers that move in lockstep along a path of segments, so that the same loop serves plain matrices, transposed
//! ones and the sliding windows of a convolution, none of which needs to be copied into a matrix first.

/// Rows of a tile.
pub const ROWS: usize = 6;
/// Columns of a tile and of a packed panel.
pub const COLUMNS: usize = 16;

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

/// Computes a tile of `rows` ≤ 6 rows and `columns` ≤ 16 columns.
///
/// # Safety
/// Each of the first `rows` pointers of `left` must be readable along `path`; `panel` must hold 16 numbers for every
/// step of `path`; each of the first `rows` pointers of `output` must be writable for `columns` numbers that nothing
/// else accesses, and initialised if `store` is `Add`.
pub unsafe fn tile(
    rows: usize,
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    panel: *const f32,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    debug_assert!((1..=ROWS).contains(&rows) && (1..=COLUMNS).contains(&columns));
    macro_rules! dispatch {
        ($kernel:ident) => {
            // SAFETY: the caller's promises are passed on unchanged.
            unsafe {
                match rows {
                    1 => $kernel::<1>(columns, left, path, panel, output, store),
                    2 => $kernel::<2>(columns, left, path, panel, output, store),
                    3 => $kernel::<3>(columns, left, path, panel, output, store),
                    4 => $kernel::<4>(columns, left, path, panel, output, store),
                    5 => $kernel::<5>(columns, left, path, panel, output, store),
                    _ => $kernel::<6>(columns, left, path, panel, output, store),
                }
            }
        };
    }
    // The features that a kernel needs are detected on the line above its call.
    #[cfg(target_arch = "x86_64")]
    {
        if crate::simd::has_avx512() {
            dispatch!(avx512);
            return;
        }
        if crate::simd::has_avx2() {
            dispatch!(avx2);
            return;
        }
    }
    dispatch!(portable);
}

/// # Safety
/// As for [`tile`], with `R` rows, on a machine with AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<const R: usize>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    panel: *const f32,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    use std::arch::x86_64::*;
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    let mut panel = panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panel and rows are readable at every step of the path.
            unsafe {
                let low = _mm256_loadu_ps(panel);
                let high = _mm256_loadu_ps(panel.add(8));
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
/// As for [`tile`], with `R` rows, on a machine with AVX-512F.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn avx512<const R: usize>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    panel: *const f32,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    use std::arch::x86_64::*;
    let mut sums = [_mm512_setzero_ps(); R];
    let mut panel = panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panel and rows are readable at every step of the path.
            unsafe {
                let line = _mm512_loadu_ps(panel);
                for row in 0..R {
                    let value = _mm512_set1_ps(*left[row].add(offset));
                    sums[row] = _mm512_fmadd_ps(value, line, sums[row]);
                }
                panel = panel.add(COLUMNS);
            }
            offset = offset.wrapping_add(path.step);
        }
    }
    let mask = u16::MAX >> (COLUMNS - columns);
    for row in 0..R {
        // SAFETY: the mask keeps to the columns that the caller promises in output and bias.
        unsafe {
            let source = match store {
                Store::Set => None,
                Store::Add => Some(output[row].cast_const()),
                Store::Bias(bias) => Some(bias[..columns].as_ptr()),
            };
            if let Some(source) = source {
                sums[row] = _mm512_add_ps(sums[row], _mm512_maskz_loadu_ps(mask, source));
            }
            _mm512_mask_storeu_ps(output[row], mask, sums[row]);
        }
    }
}

/// # Safety
/// As for [`tile`], with `R` rows.
unsafe fn portable<const R: usize>(
    columns: usize,
    left: &[*const f32; ROWS],
    path: Path,
    panel: *const f32,
    output: &[*mut f32; ROWS],
    store: Store,
) {
    let mut sums = [[0.0f32; COLUMNS]; R];
    let mut panel = panel;
    for segment in 0..path.segments {
        let mut offset = segment * path.stride;
        for _ in 0..path.length {
            // SAFETY: the caller promises that panel and rows are readable at every step of the path.
            unsafe {
                let line = &*panel.cast::<[f32; COLUMNS]>();
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

    type Kernel = unsafe fn(usize, &[*const f32; ROWS], Path, *const f32, &[*mut f32; ROWS], Store);

    /// Checks a kernel with every way to store, and returns what it stored.
    fn check(kernel: Kernel, rows: usize, columns: usize, path: Path) -> Vec<f32> {
        let spread = path.reach().max(1);
        let left = values(1, rows * spread);
        let panel = values(2, path.depth() * COLUMNS);
        let start = values(3, ROWS * COLUMNS);
        let bias = values(4, COLUMNS);
        let offsets: Vec<usize> = (0..path.segments)
            .flat_map(|segment| (0..path.length).map(move |at| segment * path.stride + at * path.step))
            .collect();
        let mut stored = Vec::new();
        for store in [Store::Set, Store::Add, Store::Bias(&bias)] {
            let mut output = start.clone();
            let starts = std::array::from_fn(|row| left[row.min(rows - 1) * spread..].as_ptr());
            let base = output.as_mut_ptr();
            let targets = std::array::from_fn(|row| base.wrapping_add(row * COLUMNS));
            // SAFETY: the buffers above have the sizes that the path asks for.
            unsafe { kernel(columns, &starts, path, panel.as_ptr(), &targets, store) };
            let expected: Vec<f64> = (0..ROWS * COLUMNS)
                .map(|index| {
                    let (row, column) = (index / COLUMNS, index % COLUMNS);
                    if row >= rows || column >= columns {
                        return start[index].into();
                    }
                    let factors = offsets.iter().zip(panel.chunks(COLUMNS));
                    let product: f64 = factors
                        .map(|(offset, line)| f64::from(left[row * spread + offset]) * f64::from(line[column]))
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
            for columns in [1, 9, 16] {
                check(portable::<1>, 1, columns, path);
                check(portable::<4>, 4, columns, path);
                check(portable::<6>, 6, columns, path);
                #[cfg(target_arch = "x86_64")]
                if crate::simd::has_avx2() {
                    check(avx2::<1>, 1, columns, path);
                    check(avx2::<3>, 3, columns, path);
                    check(avx2::<6>, 6, columns, path);
                }
                #[cfg(target_arch = "x86_64")]
                if crate::simd::has_avx512() {
                    check(avx512::<1>, 1, columns, path);
                    check(avx512::<3>, 3, columns, path);
                    let wide = check(avx512::<6>, 6, columns, path);
                    assert_eq!(wide, check(avx2::<6>, 6, columns, path), "AVX2 and AVX-512 differ");
                }
            }
        }
    }
}
