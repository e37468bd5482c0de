//! From an encoded sound to features, and from features to a padded batch.

#[cfg(test)]
mod tests;

use super::super::read;
use super::condition::{check, condition, cut};
use super::spectrum::{self, Extractor};
use super::{AudioAugment, AudioConfig, Recording, Spectrogram, WaveAugment, Waveform, augment, decode};
use crate::Result;
use crate::random::Key;
use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

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
        self.prepare(decode(bytes)?)
    }

    /// Brings decoded sound to the configured channels, rate and length, filtered, and computes its
    /// features unless training will change the samples.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for too short a sound, another number of
    /// channels than is kept, and samples that are no numbers or too large.
    pub fn prepare(&self, waveform: Waveform) -> Result<AudioFeature> {
        self.finish(condition(&self.config, waveform)?)
    }

    /// A recording from its encoded bytes, however long: what [`prepare`](Self::prepare) makes of a sound before it is cut.
    pub fn record(&self, bytes: &[u8]) -> Result<Recording> {
        Recording::new(&self.config, decode(bytes)?)
    }

    /// A part of what was heard of a [`record`](Self::record)ed sound, cut where it is longer than a sound may be.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    ///
    /// # Panics
    /// When not all `samples` were heard.
    pub fn listen(&self, recording: &Recording, samples: Range<usize>) -> Result<AudioFeature> {
        let heard = recording.heard();
        let part = |channel: &Vec<f32>| channel[samples.clone()].to_vec();
        let mut waveform = Waveform {
            sample_rate: heard.sample_rate,
            channels: heard.channels.iter().map(part).collect(),
        };
        cut(&self.config, &mut waveform);
        self.finish(waveform)
    }

    /// As [`listen`](Self::listen), but of whole steps alone, and with zeros in the place of added silence.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    ///
    /// # Panics
    /// When not all `samples` were heard.
    pub fn window(&self, recording: &Recording, samples: Range<usize>) -> Result<AudioFeature> {
        let steps = self.extractor.steps_of(samples.len()).max(1);
        let mut feature = self.listen(recording, samples)?;
        if let AudioFeature::Spectrogram(spectrogram) = &mut feature {
            spectrogram.frames = spectrogram.frames.min(steps);
            spectrogram.values.truncate(spectrogram.frames * spectrogram.bins);
            spectrogram.silence = 0.0;
        }
        Ok(feature)
    }

    fn finish(&self, waveform: Waveform) -> Result<AudioFeature> {
        check(&waveform, self.fewest_samples())?;
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

    /// Joins features into one batch, in their order; frames that do not count stand behind the length. What stands beside a sound moves none of its
    /// values: zeros are added after normalisation.
    ///
    /// # Panics
    /// When a feature was prepared by a processor of another number of bins.
    pub fn collate<'a>(&self, features: impl ExactSizeIterator<Item = &'a AudioFeature>) -> AudioBatch {
        let finished: Vec<_> = features.map(|feature| self.finished(feature)).collect();
        let lengths: Vec<_> = finished.iter().map(|sound| self.length(sound)).collect();
        let (longest, bins) = (lengths.iter().copied().max().unwrap_or(0), self.shape().1);
        let frames = longest + self.extractor.behind();
        let mut values = Vec::with_capacity(finished.len() * frames * bins);
        for (sound, length) in finished.iter().zip(&lengths) {
            assert_eq!(sound.bins, bins, "a sound of another number of bins");
            let end = values.len();
            values.extend_from_slice(&sound.values);
            values.resize(end + (length + self.extractor.behind()) * bins, sound.silence);
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

    /// The number of frames that count, with those of added silence.
    fn length(&self, sound: &Spectrogram) -> usize {
        let frames = sound.frames.saturating_sub(self.extractor.behind());
        frames.max(self.extractor.frames_of(0))
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
        let changes: Vec<WaveAugment> = self.config.augment.iter().filter_map(AudioAugment::wave).collect();
        let mut waveform = waveform.clone();
        for channel in &mut waveform.channels {
            augment(&changes, channel, waveform.sample_rate, key);
        }
        cut(&self.config, &mut waveform);
        let fewest = self.fewest_samples();
        for channel in &mut waveform.channels {
            channel.resize(channel.len().max(fewest), 0.0);
        }
        waveform
    }

    fn fewest_samples(&self) -> usize {
        let configured = spectrum::samples_in(self.config.min_seconds, self.config.sample_rate);
        self.extractor.fewest_samples().max(configured)
    }
}
