//! Whisper's log-mel spectrogram (Radford et al. 2022; `log_mel_spectrogram` of openai-whisper).

use super::super::super::in_bounds;
use super::logarithm::natural_logarithm;
use super::mel::{LogMelBank, MelFilters};
use super::{MAX_MELS, MAX_SECONDS, Spectrogram};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f32::consts::LOG10_E;
use std::f64::consts::TAU;

/// Energies are raised to this before the logarithm.
const FLOOR: f32 = 1e-10;
/// The most frames of the silence behind a sound that are read.
const MOST_HEARD: usize = 1000;
/// How far the values reach below the loudest of the clip, in powers of ten.
const RANGE: f32 = 8.0;

/// Whisper's spectrogram: decimal logarithms of mel energies, at most 8 below the loudest of the
/// clip, plus 4, divided by 4.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LogMelConfig {
    /// The number of mel bins: 80, or 128 for Whisper large-v3.
    #[schemars(range(min = 1, max = 256))]
    pub mels: usize,
    /// Silence is added up to this many seconds, as Whisper's encoder expects it: 30.
    #[schemars(range(min = 0.01, max = 3600.0))]
    pub pad_to_seconds: Option<f64>,
    /// How many frames behind a sound are read, of which no more count as parts of it, silence or not: an encoder's convolutions
    /// hear them.
    #[serde(skip_serializing_if = "is_zero")]
    #[schemars(range(min = 0, max = 1000))]
    pub heard_behind: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Default for LogMelConfig {
    fn default() -> Self {
        Self {
            mels: 80,
            pad_to_seconds: None,
            heard_behind: 0,
        }
    }
}

impl LogMelConfig {
    pub(super) fn validate(&self, max_seconds: f64) -> Result<()> {
        in_bounds("features.mels", self.mels, 1..=MAX_MELS)?;
        let most = self.pad_to_seconds.map_or(0, |_| MOST_HEARD);
        in_bounds("features.heard_behind", self.heard_behind, 0..=most)?;
        match self.pad_to_seconds {
            Some(seconds) => in_bounds("features.pad_to_seconds", seconds, max_seconds..=MAX_SECONDS),
            None => Ok(()),
        }
    }
}

/// Windows of 25 ms every 10 ms, centred on their time, the ends mirrored.
pub struct LogMel {
    window: Vec<f32>,
    hop: usize,
    /// The length that clips are brought to with silence, in samples.
    padded: Option<usize>,
    /// Frames behind a sound that are read and do not count; then no others of the silence are.
    behind: usize,
    bank: LogMelBank<f32>,
}

impl LogMel {
    pub fn new(config: &LogMelConfig, sample_rate: u32) -> Self {
        // An even window, 400 samples at 16,000 Hz, has a sample at its middle.
        let length = 2 * (sample_rate as usize).div_ceil(80);
        let angle = |at: usize| at as f64 * TAU / length as f64;
        let filters = MelFilters::slaney(config.mels, sample_rate, length);
        Self {
            window: (0..length).map(|at| (0.5 - 0.5 * angle(at).cos()) as f32).collect(),
            hop: sample_rate as usize / 100,
            padded: config.pad_to_seconds.map(|it| super::samples_in(it, sample_rate)),
            behind: config.heard_behind,
            bank: LogMelBank::new(length, filters, FLOOR),
        }
    }

    pub fn bins(&self) -> usize {
        self.bank.bins()
    }

    /// The fewest samples that can be mirrored.
    pub fn fewest_samples(&self) -> usize {
        match self.padded {
            Some(_) => 1,
            None => self.window.len() / 2 + 1,
        }
    }

    /// All frames that count, those of the silence at the end included.
    pub fn frames_of(&self, samples: usize) -> usize {
        match self.behind {
            0 => self.whole(samples) / self.hop,
            _ => samples.div_ceil(self.hop),
        }
    }

    /// The frames behind those that count.
    pub fn behind(&self) -> usize {
        self.behind
    }

    pub fn steps_of(&self, samples: usize) -> usize {
        samples / self.hop
    }

    /// Frames up to the last that hears a sample, because all later ones read `silence`.
    ///
    /// The loudest value is that of the clip over all its channels, so nothing that stands beside the
    /// clip in a batch moves its values.
    pub fn extract(&self, channels: &[&[f32]]) -> Spectrogram {
        let length = channels.first().map_or(0, |channel| channel.len());
        let half = self.window.len() / 2;
        let all = self.frames_of(length) + self.behind;
        let frames = all
            .min((length + half).div_ceil(self.hop))
            .min(self.whole(length) / self.hop);
        let mut sound = Spectrogram::new(frames, self.bins() * channels.len());
        for (place, channel) in channels.iter().enumerate() {
            let fill = |frame: usize, window: &mut [f32]| self.fill(channel, frame * self.hop, window);
            self.bank
                .write(&mut sound.values, sound.bins, place * self.bins(), fill);
        }
        let quietest = natural_logarithm(FLOOR);
        let scale = Scale::below(loudest(&sound.values, quietest));
        sound.values.iter_mut().for_each(|value| *value = scale.apply(*value));
        sound.silence = self.padded.map_or(0.0, |_| scale.apply(quietest));
        if self.behind > 0 {
            sound.frames = all;
            sound.values.resize(all * sound.bins, sound.silence);
        }
        sound
    }

    fn whole(&self, samples: usize) -> usize {
        self.padded.map_or(samples, |padded| padded.max(samples))
    }

    /// The window whose middle is at `centre`.
    fn fill(&self, samples: &[f32], centre: usize, window: &mut [f32]) {
        let half = self.window.len() / 2;
        let inside = centre
            .checked_sub(half)
            .and_then(|start| samples.get(start..centre + half));
        if let Some(inside) = inside {
            for ((value, sample), weight) in window.iter_mut().zip(inside).zip(&self.window) {
                *value = sample * weight;
            }
            return;
        }
        let last = self.whole(samples.len()) - 1;
        for (at, (value, weight)) in window.iter_mut().zip(&self.window).enumerate() {
            let place = (centre + at).abs_diff(half);
            let place = if place > last { 2 * last - place } else { place };
            *value = samples.get(place).copied().unwrap_or(0.0) * weight;
        }
    }
}

/// The largest of `values` and `least`; in lanes, because each comparison waits for the one before.
fn loudest(values: &[f32], least: f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<32>();
    let mut lanes = [least; 32];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > lane { *value } else { *lane };
        }
    }
    rest.iter().chain(&lanes).copied().fold(least, f32::max)
}

/// From natural to decimal logarithms, at most `RANGE` below the loudest, brought to about −1…1.
struct Scale {
    lowest: f32,
}

impl Scale {
    fn below(loudest: f32) -> Self {
        Self {
            lowest: loudest * LOG10_E - RANGE,
        }
    }

    fn apply(&self, logarithm: f32) -> f32 {
        ((logarithm * LOG10_E).max(self.lowest) + 4.0) / 4.0
    }
}
