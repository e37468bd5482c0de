//! Sums over the rows of row-major matrices, one for each column.

use crate::parallel;
use crate::simd::{LANES, vectorized};

/// The sums of the columns of `rows` [.., width].
pub fn column_sums(rows: &[f32], width: usize) -> Vec<f32> {
    let chunk = row_chunk(width);
    parallel::sum(rows.len().div_ceil(chunk), width, |index, sums| {
        add_columns(&rows[index * chunk..rows.len().min((index + 1) * chunk)], sums);
    })
}

/// Elements of a task that handles whole rows of `width`.
pub fn row_chunk(width: usize) -> usize {
    parallel::ELEMENTS.div_ceil(width.max(1)) * width.max(1)
}

vectorized! {
    /// Adds each row of `rows` [.., sums.len()] to `sums`.
    pub fn add_columns(rows: &[f32], sums: &mut [f32]) {
        fold(rows.len(), [sums], |at, _, count| [lanes(rows, at, count)]);
    }
}

vectorized! {
    /// Adds (row − `mean`) to `sums` and its square to `squares`, for each row of `rows` [.., mean.len()].
    pub fn add_deviations(rows: &[f32], mean: &[f32], sums: &mut [f32], squares: &mut [f32]) {
        fold(rows.len(), [sums, squares], |at, column, count| {
            let (row, mean) = (lanes(rows, at, count), lanes(mean, column, count));
            let deviation: [f32; LANES] = std::array::from_fn(|lane| row[lane] - mean[lane]);
            [deviation, deviation.map(|value| value * value)]
        });
    }
}

vectorized! {
    /// Adds each row of `left` to `sums` and each (row − `mean`) of `rows`, multiplied by that of `left`, to `products`.
    pub fn add_products(
        rows: &[f32],
        mean: &[f32],
        left: &[f32],
        sums: &mut [f32],
        products: &mut [f32],
    ) {
        fold(rows.len(), [sums, products], |at, column, count| {
            let (row, mean) = (lanes(rows, at, count), lanes(mean, column, count));
            let left = lanes(left, at, count);
            [left, std::array::from_fn(|lane| left[lane] * (row[lane] - mean[lane]))]
        });
    }
}

/// `count` ≤ 16 numbers from `start`, filled up with zeros.
#[inline(always)]
fn lanes(values: &[f32], start: usize, count: usize) -> [f32; LANES] {
    let values = &values[start..start + count];
    values.try_into().unwrap_or_else(|_| {
        let mut lanes = [0.0; LANES];
        lanes[..count].copy_from_slice(values);
        lanes
    })
}

/// Adds up `terms(offset, column, count)`, the terms of `count` neighbouring columns at an offset of a matrix of
/// `length` elements, over the rows. Sums stay in registers while the rows go by.
#[inline(always)]
fn fold<const N: usize>(
    length: usize,
    mut sums: [&mut [f32]; N],
    terms: impl Fn(usize, usize, usize) -> [[f32; LANES]; N],
) {
    let width = sums[0].len();
    for column in (0..width).step_by(LANES) {
        let count = LANES.min(width - column);
        let mut totals = [[0.0f32; LANES]; N];
        let mut add = |at: usize, count: usize| {
            for (totals, terms) in totals.iter_mut().zip(terms(at, column, count)) {
                for lane in 0..LANES {
                    totals[lane] += terms[lane];
                }
            }
        };
        // A constant count lets the compiler keep full lanes in registers.
        if count == LANES {
            (column..length).step_by(width).for_each(|at| add(at, LANES));
        } else {
            (column..length).step_by(width).for_each(|at| add(at, count));
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            for (sum, total) in sums[column..column + count].iter_mut().zip(totals) {
                *sum += total;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, same_bits, values};

    fn check(rows: usize, width: usize) {
        let (x, left, mean) = (values(1, rows * width), values(2, rows * width), values(3, width));
        let sum = |term: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
            let column = |c| (0..rows).map(|row| term(row * width + c, c)).sum::<f64>() + 1.0;
            (0..width).map(column).collect()
        };
        let centred = |at: usize, c: usize| f64::from(x[at]) - f64::from(mean[c]);
        let (mut sums, mut products) = (vec![1.0; width], vec![1.0; width]);
        add_products(&x, &mean, &left, &mut sums, &mut products);
        close("sums", &sums, &sum(&|at, _| left[at].into()), 1e-5);
        close(
            "products",
            &products,
            &sum(&|at, c| f64::from(left[at]) * centred(at, c)),
            1e-5,
        );
        let (mut deviations, mut squares) = (vec![1.0; width], vec![1.0; width]);
        add_deviations(&x, &mean, &mut deviations, &mut squares);
        close("deviations", &deviations, &sum(&centred), 1e-5);
        close("squares", &squares, &sum(&|at, c| centred(at, c).powi(2)), 1e-5);
        let mut totals = same_bits(|| column_sums(&x, width));
        totals.iter_mut().for_each(|total| *total += 1.0);
        close("column sums", &totals, &sum(&|at, _| x[at].into()), 1e-5);
    }

    #[test]
    fn column_sums_match_their_definition() {
        for (rows, width) in [(1, 1), (3, 16), (7, 5), (40, 33), (3000, 17), (0, 4)] {
            check(rows, width);
        }
    }
}
