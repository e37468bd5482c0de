//! Statistics and affine maps of the channels of channels-last tensors.

use crate::columns::{add_columns, add_deviations, add_products, row_chunk};
use crate::parallel;
use crate::simd::{LANES, lanes, vectorized};

/// Mean and biased variance of each column. Tasks centre their rows on their own mean before they square them, and
/// are merged in order in double precision (Chan et al. 1979), so that a large mean does not cancel the variance.
pub fn statistics(values: &[f32], rows: usize, channels: usize) -> [Vec<f64>; 2] {
    let chunk = row_chunk(channels);
    let tasks = values.len().div_ceil(chunk);
    let width = (3 * channels).max(1);
    let parts = parallel::fill(tasks * width, width, |index, part| {
        let part_values = &values[index * chunk..values.len().min((index + 1) * chunk)];
        let count = (part_values.len() / channels) as f32;
        part.fill(0.0);
        let (mean, rest) = part.split_at_mut(channels);
        let (deviations, squares) = rest.split_at_mut(channels);
        add_columns(part_values, mean);
        mean.iter_mut().for_each(|sum| *sum /= count);
        add_deviations(part_values, mean, deviations, squares);
    });
    let mut mean = vec![0.0; channels];
    let mut squares = vec![0.0; channels];
    for (index, part) in parts.chunks_exact(width).enumerate() {
        let before = (index * chunk / channels) as f64;
        let count = (chunk.min(values.len() - index * chunk) / channels) as f64;
        for c in 0..channels {
            // The centre of a task was rounded; what its deviations add up to corrects it.
            let rest = f64::from(part[channels + c]) / count;
            let own_squares = f64::from(part[2 * channels + c]) - rest * rest * count;
            let delta = f64::from(part[c]) + rest - mean[c];
            mean[c] += delta * count / (before + count);
            squares[c] += own_squares + delta * delta * before * count / (before + count);
        }
    }
    squares.iter_mut().for_each(|sum| *sum /= rows as f64);
    [mean, squares]
}

/// The sums over the rows of `dy` and of dy·(x − `mean`), one after the other, for each channel.
pub fn products(x: &[f32], mean: &[f32], dy: &[f32]) -> Vec<f32> {
    let channels = mean.len();
    let chunk = row_chunk(channels);
    parallel::sum(x.len().div_ceil(chunk), 2 * channels, |index, part| {
        let range = index * chunk..x.len().min((index + 1) * chunk);
        let (sums, products) = part.split_at_mut(channels);
        add_products(&x[range.clone()], mean, &dy[range], sums, products);
    })
}

vectorized! {
    /// (x − mean) · scale + bias on every row.
    pub fn scale_rows(x: &[f32], mean: &[f32], scale: &[f32], bias: &[f32], output: &mut [f32]) {
        let width = mean.len();
        map_rows(width, output, |at, c| (x[at] - mean[c]) * scale[c] + bias[c], |at, c| {
            let (x, mean) = (lanes(x, at), lanes(mean, c));
            let (scale, bias) = (lanes(scale, c), lanes(bias, c));
            std::array::from_fn(|lane| (x[lane] - mean[lane]) * scale[lane] + bias[lane])
        });
    }
}

vectorized! {
    /// a·dy + b·(x − mean) + offset on every row.
    pub fn combine_rows(
        x: &[f32],
        dy: &[f32],
        mean: &[f32],
        a: &[f32],
        b: &[f32],
        offset: &[f32],
        output: &mut [f32],
    ) {
        let width = mean.len();
        let one = |at: usize, c: usize| a[c] * dy[at] + b[c] * (x[at] - mean[c]) + offset[c];
        map_rows(width, output, one, |at, c| {
            let (x, dy, mean) = (lanes(x, at), lanes(dy, at), lanes(mean, c));
            let (a, b, offset) = (lanes(a, c), lanes(b, c), lanes(offset, c));
            std::array::from_fn(|lane| {
                a[lane] * dy[lane] + b[lane] * (x[lane] - mean[lane]) + offset[lane]
            })
        });
    }
}

/// Writes `one(place, column)`, or `many(place, column)` for sixteen columns at a time, to every place of `output`
/// [.., width].
#[inline(always)]
fn map_rows(
    width: usize,
    output: &mut [f32],
    one: impl Fn(usize, usize) -> f32,
    many: impl Fn(usize, usize) -> [f32; LANES],
) {
    let full = width / LANES * LANES;
    for (row, line) in output.chunks_exact_mut(width).enumerate() {
        for c in (0..full).step_by(LANES) {
            line[c..c + LANES].copy_from_slice(&many(row * width + c, c));
        }
        for (c, value) in line.iter_mut().enumerate().skip(full) {
            *value = one(row * width + c, c);
        }
    }
}
