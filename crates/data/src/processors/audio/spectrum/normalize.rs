//! Normalisation of each bin over one clip: cepstral mean and variance normalisation.

use super::Spectrogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Added to variances, so that a bin that never changes becomes zero; that of wav2vec 2.0.
const SMALLEST_VARIANCE: f64 = 1e-7;

/// Normalisation of each bin over the frames of one clip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// As computed.
    #[default]
    None,
    /// The mean becomes 0.
    Mean,
    /// The mean becomes 0 and the variance 1.
    MeanVariance,
}

/// Brings the mean of each bin to zero, and its variance to one if asked to.
pub fn normalize(spectrogram: &mut Spectrogram, kind: Normalize) {
    if kind == Normalize::None || spectrogram.frames == 0 {
        return;
    }
    let means = column_means(spectrogram, |value, _| value);
    let factors = match kind {
        Normalize::MeanVariance => column_means(spectrogram, |value, bin| (value - means[bin]).powi(2))
            .into_iter()
            .map(|variance| (variance + SMALLEST_VARIANCE).sqrt().recip())
            .collect(),
        _ => vec![1.0; spectrogram.bins],
    };
    for row in spectrogram.values.chunks_exact_mut(spectrogram.bins) {
        for ((value, mean), factor) in row.iter_mut().zip(&means).zip(&factors) {
            *value = ((f64::from(*value) - mean) * factor) as f32;
        }
    }
}

/// The mean over all frames of what `read` makes of a value and its bin.
fn column_means(spectrogram: &Spectrogram, read: impl Fn(f64, usize) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; spectrogram.bins];
    for row in spectrogram.values.chunks_exact(spectrogram.bins) {
        for (bin, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
            *sum += read(f64::from(value), bin);
        }
    }
    sums.iter().map(|sum| sum / spectrogram.frames as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Normalize, expected: [f32; 8]) {
        let mut found = Spectrogram {
            values: vec![1.0, 5.0, 2.0, 5.0, 3.0, 5.0, 6.0, 5.0],
            ..Spectrogram::new(4, 2)
        };
        normalize(&mut found, kind);
        for (found, expected) in found.values.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn each_bin_is_normalised_over_the_frames() {
        check(Normalize::None, [1.0, 5.0, 2.0, 5.0, 3.0, 5.0, 6.0, 5.0]);
        check(Normalize::Mean, [-2.0, 0.0, -1.0, 0.0, 0.0, 0.0, 3.0, 0.0]);
        let deviation = 3.5f32.sqrt();
        check(
            Normalize::MeanVariance,
            [-2.0, 0.0, -1.0, 0.0, 0.0, 0.0, 3.0, 0.0].map(|it| it / deviation),
        );
    }

    #[test]
    fn no_frames_stay_none() {
        let mut none = Spectrogram::new(0, 3);
        normalize(&mut none, Normalize::MeanVariance);
        assert_eq!(none, Spectrogram::new(0, 3));
    }
}
