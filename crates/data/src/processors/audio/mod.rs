//! Sounds: a file or an upload becomes samples of one rate, then frames of features.

mod augment;
mod config;
mod decode;
mod filters;
mod mask;
mod resample;
mod spectrum;
mod waveform;

pub use augment::WaveAugment;
pub use config::{AudioAugment, AudioConfig, Channels};
pub use filters::Filter;
pub use mask::{FrequencyMask, SpectrumAugment, TimeMask};
pub use spectrum::{
    AudioFeatures, FilterBankConfig, KaldiFrames, LogMelConfig, MfccConfig, Normalize, Spectrogram, WaveformConfig,
    Window,
};
pub use waveform::Waveform;

use super::{invalid, read};
use crate::Result;
use crate::random::Key;
use spectrum::Extractor;
use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

/// The largest sample that features are computed of; twice that of 16-bit numbers taken for floats,
/// and far from where powers leave the range of a float.
const LOUDEST: f32 = 65_536.0;

/// One sound before augmentation, equal for every use.
///
/// Where the configuration changes samples in training these are kept, otherwise the finished
/// features, which need not be computed again in the next epoch.
#[derive(Debug, Clone, PartialEq)]
pub enum AudioFeature {
    Waveform(Waveform),
    Spectrogram(Spectrogram),
}

/// Several sounds, padded with zeros behind their last frame to the longest of them.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioBatch {
    /// [media, frames, bins].
    pub shape: [usize; 3],
    pub values: Vec<f32>,
    /// The number of real frames of each sound.
    pub lengths: Vec<usize>,
}

/// What turns sounds into features; a clone shares its windows, filters and transforms.
#[derive(Clone)]
pub struct AudioProcessor {
    config: Arc<AudioConfig>,
    extractor: Arc<Extractor>,
}

impl std::fmt::Debug for AudioProcessor {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("AudioProcessor").field(&self.config).finish()
    }
}

impl AudioProcessor {
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a setting out of bounds.
    pub fn new(config: &AudioConfig) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config: Arc::new(config.clone()),
            extractor: Arc::new(Extractor::new(config)),
        })
    }

    pub fn config(&self) -> &AudioConfig {
        &self.config
    }

    /// The largest number of frames of a sound, and the values in each.
    pub fn shape(&self) -> (usize, usize) {
        let bins = self.extractor.bins() * self.config.channel_count();
        (self.frames_of(self.config.max_samples()), bins)
    }

    /// The number of frames of so many samples of the configured rate, added silence included; 0 for
    /// a sound that is refused as too short.
    pub fn frames_of(&self, samples: usize) -> usize {
        match samples < self.fewest_samples() {
            true => 0,
            false => self.extractor.frames_of(samples.min(self.config.max_samples())),
        }
    }

    /// Reads the sound at `path`; every error carries the path.
    pub fn prepare_file(&self, path: &Path) -> Result<AudioFeature> {
        read::read(path, "a sound")
            .and_then(|bytes| self.prepare_bytes(&bytes))
            .map_err(|error| error.at_path(path))
    }

    /// Reads an encoded sound.
    pub fn prepare_bytes(&self, bytes: &[u8]) -> Result<AudioFeature> {
        self.prepare(decode::decode(bytes)?)
    }

    /// Brings decoded sound to the configured channels, rate and length, filtered, and computes its
    /// features unless training will change the samples.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for too short a sound, another number of
    /// channels than is kept, and samples that are no numbers or too large.
    pub fn prepare(&self, waveform: Waveform) -> Result<AudioFeature> {
        let mut waveform = self.at_rate(self.mixed(waveform)?);
        filters::apply(&self.config.filters, &mut waveform);
        self.cut(&mut waveform);
        self.check(&waveform)?;
        Ok(match self.changes_samples() {
            true => AudioFeature::Waveform(waveform),
            false => AudioFeature::Spectrogram(self.extract(&waveform)),
        })
    }

    /// The random part, for training only. Every draw is keyed by `key` and the operation's name, so
    /// equal keys give equal features; without anything to change the feature is lent back.
    pub fn augment<'a>(&self, feature: &'a AudioFeature, key: &Key) -> Cow<'a, AudioFeature> {
        if self.config.augment.is_empty() {
            return Cow::Borrowed(feature);
        }
        let mut spectrogram = match feature {
            AudioFeature::Waveform(waveform) => self.extract(&self.changed(waveform, key)),
            AudioFeature::Spectrogram(spectrogram) => spectrogram.clone(),
        };
        let masks = || self.config.augment.iter().filter_map(AudioAugment::spectrum);
        if masks().next().is_some() {
            let fill = spectrogram.mean();
            masks().for_each(|mask| mask.apply(&mut spectrogram, self.config.channel_count(), fill, key));
        }
        Cow::Owned(AudioFeature::Spectrogram(spectrogram))
    }

    /// Joins features into one batch, in their order. What stands beside a sound moves none of its
    /// values: zeros are added after normalisation.
    ///
    /// # Panics
    /// When a feature was prepared by a processor of another number of bins.
    pub fn collate<'a>(&self, features: impl ExactSizeIterator<Item = &'a AudioFeature>) -> AudioBatch {
        let finished: Vec<_> = features.map(|feature| self.finished(feature)).collect();
        let lengths: Vec<_> = finished.iter().map(|sound| self.length(sound)).collect();
        let (frames, bins) = (lengths.iter().copied().max().unwrap_or(0), self.shape().1);
        let mut values = Vec::with_capacity(finished.len() * frames * bins);
        for (sound, length) in finished.iter().zip(&lengths) {
            assert_eq!(sound.bins, bins, "a sound of another number of bins");
            let end = values.len();
            values.extend_from_slice(&sound.values);
            values.resize(end + length * bins, sound.silence);
            values.resize(end + frames * bins, 0.0);
        }
        AudioBatch {
            shape: [finished.len(), frames, bins],
            values,
            lengths,
        }
    }

    fn finished<'a>(&self, feature: &'a AudioFeature) -> Cow<'a, Spectrogram> {
        match feature {
            AudioFeature::Waveform(waveform) => Cow::Owned(self.extract(waveform)),
            AudioFeature::Spectrogram(spectrogram) => Cow::Borrowed(spectrogram),
        }
    }

    /// The number of frames with those of added silence.
    fn length(&self, sound: &Spectrogram) -> usize {
        sound.frames.max(self.extractor.frames_of(0))
    }

    fn extract(&self, waveform: &Waveform) -> Spectrogram {
        let channels: Vec<&[f32]> = waveform.channels.iter().map(Vec::as_slice).collect();
        self.extractor.extract(&channels)
    }

    fn changes_samples(&self) -> bool {
        self.config.augment.iter().any(|augment| augment.wave().is_some())
    }

    /// The samples after the configured changes, brought back to a length that has features.
    fn changed(&self, waveform: &Waveform, key: &Key) -> Waveform {
        let mut waveform = waveform.clone();
        for augment in self.config.augment.iter().filter_map(AudioAugment::wave) {
            augment.apply(&mut waveform, key);
        }
        self.cut(&mut waveform);
        let fewest = self.fewest_samples();
        for channel in &mut waveform.channels {
            channel.resize(channel.len().max(fewest), 0.0);
        }
        waveform
    }

    fn mixed(&self, waveform: Waveform) -> Result<Waveform> {
        let found = waveform.channels.len();
        let channels = match self.config.channels {
            Channels::Mono if found <= 1 => waveform.channels,
            Channels::Mono => vec![waveform.mono()],
            Channels::Keep(count) if found == count as usize => waveform.channels,
            Channels::Keep(count) if found == 1 => vec![waveform.mono(); count as usize],
            Channels::Keep(count) => {
                let message = format!("expected a sound of 1 or {count} channels, found {found}; mix them to mono");
                return Err(invalid(message));
            }
        };
        Ok(Waveform { channels, ..waveform })
    }

    fn at_rate(&self, waveform: Waveform) -> Waveform {
        let (from, to) = (waveform.sample_rate, self.config.sample_rate);
        if from == to {
            return waveform;
        }
        let channels = waveform
            .channels
            .iter()
            .map(|channel| resample::resample(channel, from, to));
        Waveform {
            sample_rate: to,
            channels: channels.collect(),
        }
    }

    fn cut(&self, waveform: &mut Waveform) {
        let longest = self.config.max_samples();
        waveform
            .channels
            .iter_mut()
            .for_each(|channel| channel.truncate(longest));
    }

    fn check(&self, waveform: &Waveform) -> Result<()> {
        let seconds = |samples: usize| samples as f64 / f64::from(self.config.sample_rate);
        let (length, fewest) = (waveform.channels.first().map_or(0, Vec::len), self.fewest_samples());
        if length < fewest {
            return Err(invalid(format!(
                "expected at least {:.4} seconds of sound, found {:.4}; leave the row out or lengthen the sound",
                seconds(fewest),
                seconds(length)
            )));
        }
        let unusable = |sample: &f32| !(sample.abs() <= LOUDEST);
        for channel in &waveform.channels {
            if let Some(place) = channel.iter().position(unusable) {
                return Err(invalid(format!(
                    "expected samples from -1 to 1, found {} after {:.4} seconds; encode the sound again",
                    channel[place],
                    seconds(place)
                )));
            }
        }
        Ok(())
    }

    fn fewest_samples(&self) -> usize {
        let configured = spectrum::samples_in(self.config.min_seconds, self.config.sample_rate);
        self.extractor.fewest_samples().max(configured)
    }
}
