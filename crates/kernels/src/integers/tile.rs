//! The innermost loop of products of 16-bit integers: a tile of a few rows and up to three panels.

use crate::microkernel::{COLUMNS, ROWS, Tile};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Neighbours along the depth, whose two products are added at once.
pub const PAIR: usize = 2;
/// Most panels of a tile on any machine.
const PANELS: usize = 3;

/// The sums of a tile: those of each row, panel by panel.
pub type Sums = [[i32; PANELS * COLUMNS]; ROWS];

/// The largest tile of this machine's kernel: 24 of AVX-512's 32 registers hold sums, 12 of AVX2's 16.
pub fn extents() -> Tile {
    #[cfg(target_arch = "x86_64")]
    if crate::simd::has_vnni() {
        return Tile {
            rows: 8,
            panels: PANELS,
        };
    }
    Tile { rows: 6, panels: 1 }
}

/// Multiplies `rows` × `panels`, at most those of [`extents`]; sums that do not fit 32 bits wrap around.
///
/// # Safety
/// Each of the first `rows` pointers of `left` must be readable for `pairs` pairs; from `right` on there must be `panels`
/// panels, `stride` numbers from the start of one to that of the next, each of 16 pairs for every one of `pairs`.
pub unsafe fn tile(
    [rows, panels]: [usize; 2],
    pairs: usize,
    left: &[*const i16; ROWS],
    right: *const i16,
    stride: usize,
) -> Sums {
    debug_assert!((1..=extents().rows).contains(&rows) && (1..=extents().panels).contains(&panels));
    let mut sums = [[0; PANELS * COLUMNS]; ROWS];
    macro_rules! dispatch {
        ($kernel:ident, $panels:literal, [$($rows:literal)*]) => {
            // SAFETY: the caller's promises are passed on unchanged.
            unsafe {
                match rows {
                    $($rows => $kernel::<$rows, $panels>(pairs, left, right, stride, &mut sums),)*
                    _ => unreachable!("a tile of {rows} rows"),
                }
            }
        };
    }
    // The features that a kernel needs are detected on the line above its call.
    #[cfg(target_arch = "x86_64")]
    {
        if crate::simd::has_vnni() {
            match panels {
                1 => dispatch!(vnni, 1, [1 2 3 4 5 6 7 8]),
                2 => dispatch!(vnni, 2, [1 2 3 4 5 6 7 8]),
                _ => dispatch!(vnni, 3, [1 2 3 4 5 6 7 8]),
            }
            return sums;
        }
        if crate::simd::has_avx2() {
            dispatch!(avx2, 1, [1 2 3 4 5 6]);
            return sums;
        }
    }
    dispatch!(portable, 1, [1 2 3 4 5 6]);
    sums
}

/// # Safety
/// As for [`tile`], with `R` rows and `P` panels, on a machine with AVX-512 and its VNNI.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn vnni<const R: usize, const P: usize>(
    pairs: usize,
    left: &[*const i16; ROWS],
    right: *const i16,
    stride: usize,
    output: &mut Sums,
) {
    let mut sums = [[_mm512_setzero_si512(); P]; R];
    for pair in 0..pairs {
        // SAFETY: the caller promises that rows and panels are readable for all pairs.
        unsafe {
            let mut lines = [_mm512_setzero_si512(); P];
            for (index, line) in lines.iter_mut().enumerate() {
                *line = _mm512_loadu_si512(right.add(index * stride + pair * PAIR * COLUMNS).cast());
            }
            for row in 0..R {
                let value = _mm512_set1_epi32(left[row].add(pair * PAIR).cast::<i32>().read_unaligned());
                for index in 0..P {
                    sums[row][index] = _mm512_dpwssd_epi32(sums[row][index], value, lines[index]);
                }
            }
        }
    }
    for row in 0..R {
        for index in 0..P {
            let line = &mut output[row][index * COLUMNS..][..COLUMNS];
            // SAFETY: the slice above holds 16 numbers.
            unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), sums[row][index]) };
        }
    }
}

/// # Safety
/// As for [`tile`], with `R` rows and one panel, on a machine with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn avx2<const R: usize, const P: usize>(
    pairs: usize,
    left: &[*const i16; ROWS],
    right: *const i16,
    _stride: usize,
    output: &mut Sums,
) {
    const HALF: usize = COLUMNS / 2;
    let mut sums = [[_mm256_setzero_si256(); 2]; R];
    for pair in 0..pairs {
        // SAFETY: the caller promises that rows and the panel are readable for all pairs.
        unsafe {
            let panel = right.add(pair * PAIR * COLUMNS);
            let lines = [
                _mm256_loadu_si256(panel.cast()),
                _mm256_loadu_si256(panel.add(PAIR * HALF).cast()),
            ];
            for row in 0..R {
                let value = _mm256_set1_epi32(left[row].add(pair * PAIR).cast::<i32>().read_unaligned());
                for half in 0..2 {
                    let products = _mm256_madd_epi16(value, lines[half]);
                    sums[row][half] = _mm256_add_epi32(sums[row][half], products);
                }
            }
        }
    }
    for row in 0..R {
        for half in 0..2 {
            let line = &mut output[row][half * HALF..][..HALF];
            // SAFETY: the slice above holds eight numbers.
            unsafe { _mm256_storeu_si256(line.as_mut_ptr().cast(), sums[row][half]) };
        }
    }
}

/// # Safety
/// As for [`tile`], with `R` rows and one panel.
unsafe fn portable<const R: usize, const P: usize>(
    pairs: usize,
    left: &[*const i16; ROWS],
    right: *const i16,
    _stride: usize,
    output: &mut Sums,
) {
    let mut sums = [[0i32; COLUMNS]; R];
    for pair in 0..pairs {
        // SAFETY: the caller promises that rows and the panel are readable for all pairs.
        unsafe {
            let line = right.add(pair * PAIR * COLUMNS).cast::<[[i16; PAIR]; COLUMNS]>().read();
            for row in 0..R {
                let value = left[row].add(pair * PAIR).cast::<[i16; PAIR]>().read();
                for (sum, factor) in sums[row].iter_mut().zip(line) {
                    let products =
                        i32::from(value[0]) * i32::from(factor[0]) + i32::from(value[1]) * i32::from(factor[1]);
                    *sum = sum.wrapping_add(products);
                }
            }
        }
    }
    for (row, sums) in sums.iter().enumerate() {
        output[row][..COLUMNS].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::values;

    type Kernel = unsafe fn(usize, &[*const i16; ROWS], *const i16, usize, &mut Sums);

    fn check(kernel: Kernel, [rows, panels]: [usize; 2], pairs: usize) {
        let numbers = |seed, count| -> Vec<i16> {
            values(seed, count)
                .iter()
                .map(|value| (value * 3000.0) as i16)
                .collect()
        };
        let width = pairs * PAIR;
        let (left, stride) = (numbers(1, rows * width), width * COLUMNS + 6);
        let right = numbers(2, panels * stride);
        let starts = std::array::from_fn(|row| left[row.min(rows - 1) * width..].as_ptr());
        let mut sums = [[7; PANELS * COLUMNS]; ROWS];
        // SAFETY: the buffers above have the sizes that the extents ask for.
        unsafe { kernel(pairs, &starts, right.as_ptr(), stride, &mut sums) };
        for (row, line) in sums.iter().enumerate() {
            for (column, &sum) in line.iter().enumerate() {
                let (panel, lane) = (column / COLUMNS, column % COLUMNS);
                let product = |at: usize| {
                    let place = panel * stride + (at / PAIR * COLUMNS + lane) * PAIR + at % PAIR;
                    i32::from(left[row * width + at]) * i32::from(right[place])
                };
                let expected = if row < rows && panel < panels {
                    (0..width).map(product).sum()
                } else {
                    7
                };
                assert_eq!(
                    sum, expected,
                    "row {row}, column {column} of {rows} × {panels} × {pairs}"
                );
            }
        }
    }

    #[test]
    fn tiles_match_their_definition() {
        for pairs in [0, 1, 9] {
            check(portable::<1, 1>, [1, 1], pairs);
            check(portable::<6, 1>, [6, 1], pairs);
            #[cfg(target_arch = "x86_64")]
            if crate::simd::has_avx2() {
                check(avx2::<1, 1>, [1, 1], pairs);
                check(avx2::<6, 1>, [6, 1], pairs);
            }
            #[cfg(target_arch = "x86_64")]
            if crate::simd::has_vnni() {
                check(vnni::<1, 1>, [1, 1], pairs);
                check(vnni::<5, 2>, [5, 2], pairs);
                check(vnni::<8, 3>, [8, 3], pairs);
            }
        }
    }
}
