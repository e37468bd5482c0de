//! The settings of an audio input, as a recipe writes them.

use super::super::{in_bounds, invalid};
use super::augment::WaveAugment;
use super::filters::Filter;
use super::mask::SpectrumAugment;
use super::spectrum::{AudioFeatures, MAX_SECONDS, samples_in};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How sounds are read: decoded by content, brought to one rate and number of channels, filtered,
/// cut, and turned into frames of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AudioConfig {
    /// The samples a second that every sound is brought to.
    #[schemars(range(min = 1000, max = 192_000))]
    pub sample_rate: u32,
    /// What becomes of several channels.
    pub channels: Channels,
    /// Filters that every sound goes through, in this order.
    pub filters: Vec<Filter>,
    /// What the samples become.
    pub features: AudioFeatures,
    /// The length in seconds under which a sound is refused.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub min_seconds: f64,
    /// The length in seconds after which a sound is cut.
    #[schemars(range(min = 0.01, max = 3600.0))]
    pub max_seconds: f64,
    /// Random changes made to training sounds only, each at most once: those of the samples in this
    /// order, then those of the spectrum in this order.
    pub augment: Vec<AudioAugment>,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            channels: Channels::default(),
            filters: Vec::new(),
            features: AudioFeatures::default(),
            min_seconds: 0.0,
            max_seconds: 30.0,
            augment: Vec::new(),
        }
    }
}

impl AudioConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        in_bounds("sample_rate", self.sample_rate, 1000..=192_000)?;
        in_bounds("max_seconds", self.max_seconds, 0.01..=MAX_SECONDS)?;
        in_bounds("min_seconds", self.min_seconds, 0.0..=self.max_seconds)?;
        if let Channels::Keep(count) = self.channels {
            in_bounds("channels.keep", count, 1..=16)?;
        }
        self.features.validate(self.sample_rate, self.max_seconds)?;
        for filter in &self.filters {
            filter.validate(self.sample_rate)?;
        }
        for (index, augment) in self.augment.iter().enumerate() {
            augment.validate()?;
            let same = |other: &AudioAugment| other.name() == augment.name();
            if self.augment[..index].iter().any(same) {
                let message = format!("`{}` is listed twice; keep one of them", augment.name());
                return Err(invalid(message).in_field("augment"));
            }
        }
        Ok(())
    }

    /// The number of channels after mixing.
    pub fn channel_count(&self) -> usize {
        match self.channels {
            Channels::Mono => 1,
            Channels::Keep(count) => count as usize,
        }
    }

    /// The length after which a sound is cut, in samples.
    pub fn max_samples(&self) -> usize {
        samples_in(self.max_seconds, self.sample_rate)
    }
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Their mean.
    #[default]
    Mono,
    /// This many are kept side by side; a sound of one channel is repeated, another number is
    /// refused.
    Keep(#[schemars(range(min = 1, max = 16))] u32),
}

/// One random change of a training sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a change of the samples or of the spectrum such as { gain = 6 } or { time_mask = 40 }"
)]
pub enum AudioAugment {
    /// A change of the samples.
    Wave(WaveAugment),
    /// A change of the spectrum.
    Spectrum(SpectrumAugment),
}

impl AudioAugment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wave(augment) => augment.name(),
            Self::Spectrum(augment) => augment.name(),
        }
    }

    /// The change, if it is one of the samples.
    pub fn wave(&self) -> Option<&WaveAugment> {
        match self {
            Self::Wave(augment) => Some(augment),
            Self::Spectrum(_) => None,
        }
    }

    /// The change, if it is one of the spectrum.
    pub fn spectrum(&self) -> Option<&SpectrumAugment> {
        match self {
            Self::Wave(_) => None,
            Self::Spectrum(augment) => Some(augment),
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            Self::Wave(augment) => augment.validate(),
            Self::Spectrum(augment) => augment.validate(),
        }
    }
}
