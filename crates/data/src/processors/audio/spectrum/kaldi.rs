//! Kaldi's log filter bank (`compute-fbank-feats`) without dither, as `torchaudio.compliance.kaldi`
//! computes it in double precision: in single precision quiet bins beside loud ones hold little but
//! rounding errors.

use super::super::super::{in_bounds, invalid};
use super::mel::{LogMelBank, MelFilters};
use super::normalize::Normalize;
use super::{MAX_MELS, Spectrogram};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// Kaldi's log filter bank.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FilterBankConfig {
    /// The number of mel bins.
    #[schemars(range(min = 4, max = 256))]
    pub mels: usize,
    /// How each bin is normalised over a clip.
    pub normalize: Normalize,
    #[serde(flatten)]
    pub frames: KaldiFrames,
}

impl Default for FilterBankConfig {
    fn default() -> Self {
        Self {
            mels: 80,
            normalize: Normalize::default(),
            frames: KaldiFrames::default(),
        }
    }
}

impl FilterBankConfig {
    pub(super) fn validate(&self, sample_rate: u32) -> Result<()> {
        in_bounds("features.mels", self.mels, 4..=MAX_MELS)?;
        self.frames.validate(sample_rate)
    }
}

/// How Kaldi's features cut a sound into windows, and which band they hear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct KaldiFrames {
    /// The length of a window in milliseconds.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub window_milliseconds: f64,
    /// The time from one window to the next in milliseconds.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub hop_milliseconds: f64,
    /// The function that a window is multiplied with.
    pub window: Window,
    /// How much of the previous sample is subtracted from each.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub pre_emphasis: f64,
    /// Where the mel scale begins, in hertz.
    #[schemars(range(min = 0.0, max = 96_000.0))]
    pub low_frequency: f64,
    /// Where the mel scale ends, in hertz; 0 or less counts from half of the sample rate.
    #[schemars(range(min = -96_000.0, max = 96_000.0))]
    pub high_frequency: f64,
    /// Whether only windows that lie whole in the sound count; otherwise its ends are mirrored.
    pub snip_edges: bool,
    /// What a sample of full scale counts as: 1, or 32,768 for models trained on 16-bit numbers.
    #[schemars(range(min = 0.001, max = 100_000.0))]
    pub scale: f64,
}

impl Default for KaldiFrames {
    fn default() -> Self {
        Self {
            window_milliseconds: 25.0,
            hop_milliseconds: 10.0,
            window: Window::default(),
            pre_emphasis: 0.97,
            low_frequency: 20.0,
            high_frequency: 0.0,
            snip_edges: true,
            scale: 1.0,
        }
    }
}

impl KaldiFrames {
    pub(super) fn validate(&self, sample_rate: u32) -> Result<()> {
        in_bounds("features.window_milliseconds", self.window_milliseconds, 1.0..=1000.0)?;
        in_bounds("features.hop_milliseconds", self.hop_milliseconds, 1.0..=1000.0)?;
        in_bounds("features.pre_emphasis", self.pre_emphasis, 0.0..=1.0)?;
        in_bounds("features.scale", self.scale, 0.001..=100_000.0)?;
        // A transform needs a few bins before filters can lie on them.
        in_bounds(
            "features.window_milliseconds (in samples)",
            self.window_samples(sample_rate),
            8..=192_000,
        )?;
        let nyquist = f64::from(sample_rate) / 2.0;
        let (low, high) = self.band(sample_rate);
        in_bounds("features.low_frequency", low, 0.0..=nyquist)?;
        in_bounds("features.high_frequency", high, 0.0..=nyquist)?;
        if low >= high {
            let message = format!("expected a frequency above `low_frequency`, {low} Hz, found {high} Hz");
            return Err(invalid(message).in_field("features.high_frequency"));
        }
        Ok(())
    }

    pub(super) fn window_samples(&self, sample_rate: u32) -> usize {
        (f64::from(sample_rate) * self.window_milliseconds * 0.001) as usize
    }

    pub(super) fn hop_samples(&self, sample_rate: u32) -> usize {
        (f64::from(sample_rate) * self.hop_milliseconds * 0.001) as usize
    }

    /// The ends of the mel scale in hertz.
    pub(super) fn band(&self, sample_rate: u32) -> (f64, f64) {
        let nyquist = f64::from(sample_rate) / 2.0;
        let high = self.high_frequency;
        (self.low_frequency, if high <= 0.0 { nyquist + high } else { high })
    }
}

/// The function that a window of samples is multiplied with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Window {
    /// Hann's to the power of 0.85.
    #[default]
    Povey,
    /// A raised cosine.
    Hann,
    /// A raised cosine that does not reach zero.
    Hamming,
    /// Three cosine terms.
    Blackman,
    /// None.
    Rectangular,
}

/// Powers of two samples, of which the window fills the first.
pub struct FilterBank {
    frames: KaldiFrames,
    window: Vec<f64>,
    hop: usize,
    bank: LogMelBank<f64>,
}

impl FilterBank {
    pub fn new(config: &FilterBankConfig, sample_rate: u32) -> Self {
        let frames = config.frames.clone();
        let length = frames.window_samples(sample_rate);
        let transform = length.next_power_of_two();
        let (low, high) = frames.band(sample_rate);
        let filters = MelFilters::kaldi(config.mels, sample_rate, transform, low, high);
        Self {
            window: weights(frames.window, length),
            hop: frames.hop_samples(sample_rate),
            bank: LogMelBank::new(transform, filters, f32::EPSILON),
            frames,
        }
    }

    pub fn bins(&self) -> usize {
        self.bank.bins()
    }

    /// The fewest samples that fill a window.
    pub fn fewest_samples(&self) -> usize {
        self.window.len()
    }

    pub fn frames_of(&self, samples: usize) -> usize {
        match self.frames.snip_edges {
            _ if samples < self.window.len() => 0,
            true => 1 + (samples - self.window.len()) / self.hop,
            false => (samples + self.hop / 2) / self.hop,
        }
    }

    pub fn extract(&self, channels: &[&[f32]]) -> Spectrogram {
        let length = channels.first().map_or(0, |channel| channel.len());
        let mut spectrogram = Spectrogram::new(self.frames_of(length), self.bins() * channels.len());
        for (place, channel) in channels.iter().enumerate() {
            let fill = |frame: usize, window: &mut [f64]| self.fill(channel, frame, window);
            self.bank
                .write(&mut spectrogram.values, spectrogram.bins, place * self.bins(), fill);
        }
        spectrogram
    }

    /// Scaled, freed of its mean, pre-emphasised, weighted and followed by zeros.
    fn fill(&self, samples: &[f32], frame: usize, transform: &mut [f64]) {
        let (window, rest) = transform.split_at_mut(self.window.len());
        self.cut(samples, frame, window);
        rest.fill(0.0);
        let mean = sum(window) / window.len() as f64;
        let pre_emphasis = self.frames.pre_emphasis;
        let mut before = window[0] - mean;
        for (value, weight) in window.iter_mut().zip(&self.window) {
            let centred = *value - mean;
            *value = (centred - pre_emphasis * before) * weight;
            before = centred;
        }
    }

    /// The samples of a frame; beyond an end the sound is mirrored, its first and last sample
    /// doubled.
    fn cut(&self, samples: &[f32], frame: usize, window: &mut [f64]) {
        let scale = self.frames.scale;
        let before = match self.frames.snip_edges {
            true => 0,
            false => self.window.len() as isize / 2 - self.hop as isize / 2,
        };
        let start = (frame * self.hop) as isize - before;
        let inside = usize::try_from(start)
            .ok()
            .and_then(|start| samples.get(start..start + window.len()));
        if let Some(inside) = inside {
            window
                .iter_mut()
                .zip(inside)
                .for_each(|(value, sample)| *value = f64::from(*sample) * scale);
            return;
        }
        for (at, value) in window.iter_mut().enumerate() {
            *value = f64::from(samples[mirrored(start + at as isize, samples.len())]) * scale;
        }
    }
}

/// … 2 1 0 0 1 2 … last last …
fn mirrored(place: isize, length: usize) -> usize {
    let place = place.rem_euclid(2 * length as isize) as usize;
    if place < length { place } else { 2 * length - 1 - place }
}

/// Eight partial sums, which can be taken at once.
fn sum(values: &[f64]) -> f64 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// The window function, symmetric as Kaldi's are.
fn weights(window: Window, length: usize) -> Vec<f64> {
    let weight = |at: usize| {
        let angle = TAU * at as f64 / (length - 1) as f64;
        match window {
            Window::Povey => (0.5 - 0.5 * angle.cos()).max(0.0).powf(0.85),
            Window::Hann => 0.5 - 0.5 * angle.cos(),
            Window::Hamming => 0.54 - 0.46 * angle.cos(),
            Window::Blackman => 0.42 - 0.5 * angle.cos() + 0.08 * (2.0 * angle).cos(),
            Window::Rectangular => 1.0,
        }
    };
    (0..length).map(weight).collect()
}
