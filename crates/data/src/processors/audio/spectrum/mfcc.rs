//! Kaldi's mel-frequency cepstral coefficients (`compute-mfcc-feats`), as `torchaudio.compliance.kaldi`
//! computes them.

use super::super::super::in_bounds;
use super::kaldi::{FilterBank, FilterBankConfig, KaldiFrames};
use super::normalize::Normalize;
use super::{MAX_MELS, Spectrogram};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Kaldi's mel-frequency cepstral coefficients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MfccConfig {
    /// The number of coefficients, the zeroth included; at most `mels`.
    #[schemars(range(min = 1, max = 256))]
    pub coefficients: usize,
    /// The number of mel bins that they are computed from.
    #[schemars(range(min = 4, max = 256))]
    pub mels: usize,
    /// How strongly higher coefficients are raised; 0 for not at all.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub lifter: f32,
    /// How each coefficient is normalised over a clip.
    pub normalize: Normalize,
    #[serde(flatten)]
    pub frames: KaldiFrames,
}

impl Default for MfccConfig {
    fn default() -> Self {
        Self {
            coefficients: 13,
            mels: 23,
            lifter: 22.0,
            normalize: Normalize::default(),
            frames: KaldiFrames::default(),
        }
    }
}

impl MfccConfig {
    pub(super) fn validate(&self, sample_rate: u32) -> Result<()> {
        in_bounds("features.mels", self.mels, 4..=MAX_MELS)?;
        in_bounds("features.coefficients", self.coefficients, 1..=self.mels)?;
        in_bounds("features.lifter", self.lifter, 0.0..=1000.0)?;
        self.frames.validate(sample_rate)
    }
}

/// The cosine transform of the log filter bank, liftered.
pub struct Mfcc {
    bank: FilterBank,
    coefficients: usize,
    /// The transform with its lifter, [mels, coefficients].
    transform: Vec<f32>,
}

impl Mfcc {
    pub fn new(config: &MfccConfig, sample_rate: u32) -> Self {
        let bank = FilterBankConfig {
            mels: config.mels,
            frames: config.frames.clone(),
            ..Default::default()
        };
        let places = (0..config.mels).flat_map(|mel| (0..config.coefficients).map(move |it| (mel, it)));
        let weight = |(mel, coefficient): (usize, usize)| {
            cosine(mel, coefficient, config.mels) * lifter(config.lifter, coefficient)
        };
        Self {
            bank: FilterBank::new(&bank, sample_rate),
            coefficients: config.coefficients,
            transform: places.map(weight).collect(),
        }
    }

    pub fn bins(&self) -> usize {
        self.coefficients
    }

    pub fn fewest_samples(&self) -> usize {
        self.bank.fewest_samples()
    }

    pub fn frames_of(&self, samples: usize) -> usize {
        self.bank.frames_of(samples)
    }

    pub fn extract(&self, channels: &[&[f32]]) -> Spectrogram {
        let mels = self.bank.extract(channels);
        let mut cepstrum = Spectrogram::new(mels.frames, self.coefficients * channels.len());
        let rows = cepstrum.values.chunks_exact_mut(self.coefficients);
        for (row, mels) in rows.zip(mels.values.chunks_exact(self.bank.bins())) {
            for (mel, weights) in mels.iter().zip(self.transform.chunks_exact(self.coefficients)) {
                row.iter_mut()
                    .zip(weights)
                    .for_each(|(value, weight)| *value += mel * weight);
            }
        }
        cepstrum
    }
}

/// The orthonormal cosine transform, type II, with its angles in single precision as torchaudio has them:
/// over the floor of silent bins, which are the largest values, their rounding shows.
fn cosine(mel: usize, coefficient: usize, mels: usize) -> f32 {
    if coefficient == 0 {
        return (mels as f64).recip().sqrt() as f32;
    }
    let angle = (PI / mels as f64) as f32 * (mel as f32 + 0.5) * coefficient as f32;
    angle.cos() * (2.0 / mels as f64).sqrt() as f32
}

/// 1 + Q/2·sin(π·i / Q); a lifter of 0 changes nothing.
fn lifter(lifter: f32, coefficient: usize) -> f32 {
    if lifter == 0.0 {
        return 1.0;
    }
    1.0 + 0.5 * lifter * (PI as f32 * coefficient as f32 / lifter).sin()
}
