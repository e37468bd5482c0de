//! Samples become frames of features: log-mel, Kaldi's filter bank and cepstral coefficients, or the
//! samples themselves.

#[cfg(test)]
mod golden;
mod kaldi;
mod log_mel;
mod logarithm;
mod mel;
mod mfcc;
mod normalize;

pub use kaldi::{FilterBankConfig, KaldiFrames, Window};
pub use log_mel::LogMelConfig;
pub use mfcc::MfccConfig;
pub use normalize::Normalize;

use super::config::AudioConfig;
use crate::Result;
use kaldi::FilterBank;
use log_mel::LogMel;
use mfcc::Mfcc;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest sound that is read, in seconds.
pub(super) const MAX_SECONDS: f64 = 3600.0;
const MAX_MELS: usize = 256;

/// What samples become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AudioFeatures {
    /// Whisper's spectrogram on the mel scale: windows of 25 ms every 10 ms.
    LogMel(LogMelConfig),
    /// Kaldi's log filter bank on the mel scale.
    FilterBank(FilterBankConfig),
    /// Kaldi's mel-frequency cepstral coefficients.
    Mfcc(MfccConfig),
    /// The samples as they are, for encoders with filters of their own.
    Waveform(WaveformConfig),
}

impl Default for AudioFeatures {
    fn default() -> Self {
        Self::LogMel(LogMelConfig::default())
    }
}

impl AudioFeatures {
    /// Checks the bounds of every setting.
    pub(super) fn validate(&self, sample_rate: u32, max_seconds: f64) -> Result<()> {
        match self {
            Self::LogMel(features) => features.validate(max_seconds),
            Self::FilterBank(features) => features.validate(sample_rate),
            Self::Mfcc(features) => features.validate(sample_rate),
            Self::Waveform(_) => Ok(()),
        }
    }
}

/// Raw samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WaveformConfig {
    /// How each channel is normalised over a clip; wav2vec 2.0 takes `mean_variance`.
    pub normalize: Normalize,
}

/// A sequence of frames, each of as many values; of raw samples a frame is one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrogram {
    pub frames: usize,
    /// Values in a frame: those of the first channel, then those of the next.
    pub bins: usize,
    /// [frames, bins].
    pub values: Vec<f32>,
    /// What all bins read in the silence that a configuration adds behind the last frame.
    pub silence: f32,
}

impl Spectrogram {
    fn new(frames: usize, bins: usize) -> Self {
        Self {
            frames,
            bins,
            values: vec![0.0; frames * bins],
            silence: 0.0,
        }
    }

    /// The mean of all values; 0 if there are none.
    pub fn mean(&self) -> f32 {
        let sum: f64 = self.values.iter().copied().map(f64::from).sum();
        (sum / self.values.len().max(1) as f64) as f32
    }
}

/// The number of samples nearest to a time.
pub fn samples_in(seconds: f64, sample_rate: u32) -> usize {
    (seconds * f64::from(sample_rate)).round() as usize
}

/// Windows, filters and transforms of one configuration, made once.
pub struct Extractor {
    kind: Kind,
    normalize: Normalize,
}

enum Kind {
    LogMel(LogMel),
    FilterBank(FilterBank),
    Mfcc(Mfcc),
    Waveform,
}

impl Extractor {
    /// `config` must be valid.
    pub fn new(config: &AudioConfig) -> Self {
        let rate = config.sample_rate;
        let (kind, normalize) = match &config.features {
            AudioFeatures::LogMel(config) => (Kind::LogMel(LogMel::new(config, rate)), Normalize::None),
            AudioFeatures::FilterBank(config) => (Kind::FilterBank(FilterBank::new(config, rate)), config.normalize),
            AudioFeatures::Mfcc(config) => (Kind::Mfcc(Mfcc::new(config, rate)), config.normalize),
            AudioFeatures::Waveform(config) => (Kind::Waveform, config.normalize),
        };
        Self { kind, normalize }
    }

    /// Values in a frame of one channel.
    pub fn bins(&self) -> usize {
        match &self.kind {
            Kind::LogMel(kind) => kind.bins(),
            Kind::FilterBank(kind) => kind.bins(),
            Kind::Mfcc(kind) => kind.bins(),
            Kind::Waveform => 1,
        }
    }

    /// The fewest samples that [`extract`](Self::extract) takes.
    pub fn fewest_samples(&self) -> usize {
        match &self.kind {
            Kind::LogMel(kind) => kind.fewest_samples(),
            Kind::FilterBank(kind) => kind.fewest_samples(),
            Kind::Mfcc(kind) => kind.fewest_samples(),
            Kind::Waveform => 1,
        }
    }

    /// The number of frames of so many samples, those of added silence included.
    pub fn frames_of(&self, samples: usize) -> usize {
        match &self.kind {
            Kind::LogMel(kind) => kind.frames_of(samples),
            Kind::FilterBank(kind) => kind.frames_of(samples),
            Kind::Mfcc(kind) => kind.frames_of(samples),
            Kind::Waveform => samples,
        }
    }

    /// The frames behind a sound that are read and do not count.
    pub fn behind(&self) -> usize {
        match &self.kind {
            Kind::LogMel(kind) => kind.behind(),
            _ => 0,
        }
    }

    /// The steps from one frame to the next that are whole in so many samples.
    pub fn steps_of(&self, samples: usize) -> usize {
        match &self.kind {
            Kind::LogMel(kind) => kind.steps_of(samples),
            _ => self.frames_of(samples),
        }
    }

    /// The features of channels of one length, at least [`fewest_samples`](Self::fewest_samples).
    /// Frames of added silence are left out.
    pub fn extract(&self, channels: &[&[f32]]) -> Spectrogram {
        let mut spectrogram = match &self.kind {
            Kind::LogMel(kind) => kind.extract(channels),
            Kind::FilterBank(kind) => kind.extract(channels),
            Kind::Mfcc(kind) => kind.extract(channels),
            Kind::Waveform => interleaved(channels),
        };
        normalize::normalize(&mut spectrogram, self.normalize);
        spectrogram
    }
}

fn interleaved(channels: &[&[f32]]) -> Spectrogram {
    let length = channels.first().map_or(0, |channel| channel.len());
    let mut sound = Spectrogram::new(length, channels.len());
    for (place, channel) in channels.iter().enumerate() {
        let column = sound.values.iter_mut().skip(place).step_by(channels.len());
        column.zip(*channel).for_each(|(value, sample)| *value = *sample);
    }
    sound
}
