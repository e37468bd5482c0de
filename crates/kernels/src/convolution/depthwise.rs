//! Filters that read one channel each: sums of taps with channels side by side in the registers.

use crate::parallel;
use crate::simd::{LANES, lanes, vectorized};

vectorized! {
    /// Writes one place of the output: the sum over the taps, at offsets `taps` of `source`, of the numbers there
    /// times those of `filters` [tap, channel], plus `bias`.
    pub fn gather(source: &[f32], taps: &[usize], filters: &[f32], bias: Option<&[f32]>, output: &mut [f32]) {
        let channels = output.len();
        let mut done = 0;
        done += gather_blocks::<4>(source, taps, filters, bias, done, output);
        done += gather_blocks::<1>(source, taps, filters, bias, done, output);
        for channel in done..channels {
            let mut sum = bias.map_or(0.0, |bias| bias[channel]);
            for (tap, offset) in taps.iter().enumerate() {
                sum += source[offset + channel] * filters[tap * channels + channel];
            }
            output[channel] = sum;
        }
    }
}

/// Writes as many groups of `N` · 16 channels as there are from channel `first`, and returns how many channels.
#[inline(always)]
fn gather_blocks<const N: usize>(
    source: &[f32],
    taps: &[usize],
    filters: &[f32],
    bias: Option<&[f32]>,
    first: usize,
    output: &mut [f32],
) -> usize {
    let channels = output.len();
    let blocks = (channels - first) / (N * LANES);
    for block in 0..blocks {
        let start = first + block * N * LANES;
        let mut sums = [[0.0f32; LANES]; N];
        if let Some(bias) = bias {
            sums = std::array::from_fn(|part| *lanes(bias, start + part * LANES));
        }
        for (tap, offset) in taps.iter().enumerate() {
            let numbers = &source[offset + start..][..N * LANES];
            let factors = &filters[tap * channels + start..][..N * LANES];
            for (part, sums) in sums.iter_mut().enumerate() {
                let (numbers, factors) = (lanes(numbers, part * LANES), lanes(factors, part * LANES));
                for lane in 0..LANES {
                    sums[lane] += numbers[lane] * factors[lane];
                }
            }
        }
        for (part, sums) in sums.iter().enumerate() {
            output[start + part * LANES..][..LANES].copy_from_slice(sums);
        }
    }
    blocks * N * LANES
}

vectorized! {
    /// Adds the part of one row of output places to `sums` [tap, channel]: `source` starts with the window of the
    /// first place, those of the others follow every `step` elements; `gradients` is [place, channel].
    pub fn add_row(source: &[f32], step: usize, taps: &[usize], gradients: &[f32], channels: usize, sums: &mut [f32]) {
        let mut done = 0;
        while done < taps.len() {
            if taps.len() - done >= 4 {
                add_taps::<4>(source, step, &taps[done..], gradients, channels, &mut sums[done * channels..]);
                done += 4;
            } else {
                add_taps::<1>(source, step, &taps[done..], gradients, channels, &mut sums[done * channels..]);
                done += 1;
            }
        }
    }
}

/// The first `N` taps of [`add_row`].
#[inline(always)]
fn add_taps<const N: usize>(
    source: &[f32],
    step: usize,
    taps: &[usize],
    gradients: &[f32],
    channels: usize,
    sums: &mut [f32],
) {
    let full = channels / LANES * LANES;
    for start in (0..full).step_by(LANES) {
        let mut totals: [[f32; LANES]; N] = std::array::from_fn(|tap| *lanes(sums, tap * channels + start));
        for (place, gradients) in gradients.chunks_exact(channels).enumerate() {
            let gradients = lanes(gradients, start);
            for (totals, offset) in totals.iter_mut().zip(taps) {
                let numbers = lanes(source, place * step + offset + start);
                for lane in 0..LANES {
                    totals[lane] += numbers[lane] * gradients[lane];
                }
            }
        }
        for (tap, totals) in totals.iter().enumerate() {
            sums[tap * channels + start..][..LANES].copy_from_slice(totals);
        }
    }
    for channel in full..channels {
        for (tap, offset) in taps[..N].iter().enumerate() {
            for (place, gradients) in gradients.chunks_exact(channels).enumerate() {
                sums[tap * channels + channel] += source[place * step + offset + channel] * gradients[channel];
            }
        }
    }
}

/// The sums of every `copies` neighbours.
pub fn add_copies(values: Vec<f32>, copies: usize) -> Vec<f32> {
    if copies == 1 {
        return values;
    }
    parallel::fill(values.len() / copies, parallel::ELEMENTS, |index, part| {
        let values = values[index * parallel::ELEMENTS * copies..].chunks_exact(copies);
        part.iter_mut()
            .zip(values)
            .for_each(|(sum, values)| *sum = values.iter().sum());
    })
}
