//! Integrated loudness of a programme (ITU-R BS.1770-4), mono or with equal weights of its channels.

use super::Waveform;
use biquad::{Biquad, Coefficients, DirectForm2Transposed};
use std::f64::consts::PI;

/// Blocks quieter than this, in LUFS, do not count.
const ABSOLUTE_GATE: f64 = -70.0;
/// Nor do those that lie this much below the mean of the others.
const RELATIVE_GATE: f64 = -10.0;

/// Loudness in LUFS, or `None` for silence. A sound of less than 400 ms is one block.
pub fn integrated_loudness(waveform: &Waveform) -> Option<f64> {
    let powers = block_powers(waveform);
    let audible = mean(&powers, ABSOLUTE_GATE)?;
    let gate = (loudness(audible) + RELATIVE_GATE).max(ABSOLUTE_GATE);
    mean(&powers, gate).map(loudness)
}

fn loudness(power: f64) -> f64 {
    -0.691 + 10.0 * power.log10()
}

/// The mean power of the blocks louder than `gate`.
fn mean(powers: &[f64], gate: f64) -> Option<f64> {
    let loud: Vec<f64> = powers.iter().copied().filter(|&power| loudness(power) > gate).collect();
    (!loud.is_empty()).then(|| loud.iter().sum::<f64>() / loud.len() as f64)
}

/// Power after K-weighting, summed over channels, in blocks of 400 ms every 100 ms.
fn block_powers(waveform: &Waveform) -> Vec<f64> {
    let hop = (waveform.sample_rate as usize / 10).max(1);
    // Energies of steps of 100 ms, four of which are a block; a rest belongs to no block.
    let mut steps = vec![0.0; waveform.length() / hop];
    let mut whole = 0.0;
    for channel in &waveform.channels {
        let mut chain = weighting(f64::from(waveform.sample_rate)).map(DirectForm2Transposed::<f64>::new);
        for (index, &sample) in channel.iter().enumerate() {
            let value = chain
                .iter_mut()
                .fold(f64::from(sample), |value, section| section.run(value));
            whole += value * value;
            if let Some(step) = steps.get_mut(index / hop) {
                *step += value * value;
            }
        }
    }
    match steps.len() {
        0..4 => vec![whole / waveform.length().max(1) as f64],
        _ => steps
            .windows(4)
            .map(|block| block.iter().sum::<f64>() / (4 * hop) as f64)
            .collect(),
    }
}

/// K-weighting at any rate: the analogue shelf and high pass whose digital forms at 48 kHz are the
/// tables of the recommendation, brought to this rate by the bilinear transform.
fn weighting(sample_rate: f64) -> [Coefficients<f64>; 2] {
    // Below 3.4 kHz of rate the shelf's corner lies beyond the band.
    let tangent = |frequency: f64| (PI * (frequency / sample_rate).min(0.499)).tan();
    let (k, quality) = (tangent(1_681.974_450_955_533), 0.707_175_236_955_419_6);
    let high = 10_f64.powf(3.999_843_853_973_347 / 20.0);
    let middle = high.powf(0.499_666_774_154_541_6);
    let a0 = 1.0 + k / quality + k * k;
    let shelf = Coefficients {
        b0: (high + middle * k / quality + k * k) / a0,
        b1: 2.0 * (k * k - high) / a0,
        b2: (high - middle * k / quality + k * k) / a0,
        a1: 2.0 * (k * k - 1.0) / a0,
        a2: (1.0 - k / quality + k * k) / a0,
    };
    let (k, quality) = (tangent(38.135_470_876_024_44), 0.500_327_037_323_877_3);
    let a0 = 1.0 + k / quality + k * k;
    let high_pass = Coefficients {
        b0: 1.0,
        b1: -2.0,
        b2: 1.0,
        a1: 2.0 * (k * k - 1.0) / a0,
        a2: (1.0 - k / quality + k * k) / a0,
    };
    [shelf, high_pass]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weighting_at_48_khz_is_that_of_the_recommendation() {
        let [shelf, high_pass] = weighting(48_000.0);
        for (found, expected) in [
            (shelf.b0, 1.535_124_859_586_97),
            (shelf.b1, -2.691_696_189_406_38),
            (shelf.b2, 1.198_392_810_852_85),
            (shelf.a1, -1.690_659_293_182_41),
            (shelf.a2, 0.732_480_774_215_85),
            (high_pass.a1, -1.990_047_454_833_98),
            (high_pass.a2, 0.990_072_250_366_21),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }
    }

    #[test]
    fn a_full_tone_of_one_kilohertz_has_its_known_loudness() {
        let tone = |index: usize| (2.0 * PI * 997.0 * index as f64 / 48_000.0).sin() as f32;
        let waveform = |length: usize| Waveform {
            sample_rate: 48_000,
            channels: vec![(0..length).map(tone).collect()],
        };
        for length in [96_000, 9600] {
            let found = integrated_loudness(&waveform(length)).unwrap();
            assert!((found + 3.01).abs() < 0.05, "{length}: {found}");
        }
        assert_eq!(integrated_loudness(&waveform(0)), None);
    }
}
