//! From an encoded sound to features, and from features to a padded batch.

use super::super::read;
use super::condition::{check, condition, cut, whole};
use super::spectrum::{self, Extractor};
use super::{AudioAugment, AudioConfig, Spectrogram, WaveAugment, Waveform, augment, decode};
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
    pub fn record(&self, bytes: &[u8]) -> Result<Waveform> {
        whole(&self.config, decode(bytes)?)
    }

    /// A part of a [`record`](Self::record)ed sound, cut where it is longer than a sound may be.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    ///
    /// # Panics
    /// When `samples` are not all in the recording.
    pub fn listen(&self, recording: &Waveform, samples: Range<usize>) -> Result<AudioFeature> {
        let part = |channel: &Vec<f32>| channel[samples.clone()].to_vec();
        let mut waveform = Waveform {
            sample_rate: recording.sample_rate,
            channels: recording.channels.iter().map(part).collect(),
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
    /// When `samples` are not all in the recording.
    pub fn window(&self, recording: &Waveform, samples: Range<usize>) -> Result<AudioFeature> {
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

#[cfg(test)]
mod tests {
    use super::super::condition::LOUDEST;
    use super::super::samples;
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn processor(config: Value) -> AudioProcessor {
        AudioProcessor::new(&serde_json::from_value(config).unwrap()).unwrap()
    }

    /// One configuration of every kind and option that decides on the number of frames.
    fn processors() -> Vec<AudioProcessor> {
        [
            json!({}),
            json!({"features": {"kind": "log_mel", "pad_to_seconds": 0.3}, "max_seconds": 0.3}),
            json!({"features": {"kind": "log_mel"}, "channels": {"keep": 2}, "sample_rate": 11_025}),
            json!({"features": {"kind": "filter_bank", "normalize": "mean_variance"}}),
            json!({"features": {"kind": "filter_bank", "snip_edges": false, "scale": 32768}, "max_seconds": 0.1}),
            json!({"features": {"kind": "filter_bank", "snip_edges": false, "hop_milliseconds": 40}}),
            json!({"features": {"kind": "mfcc", "normalize": "mean"}, "sample_rate": 8000}),
            json!({"features": {"kind": "waveform", "normalize": "mean_variance"}}),
            json!({"features": {"kind": "waveform"}, "channels": {"keep": 2}, "min_seconds": 0.05}),
            json!({"augment": [{"gain": [-6, 6]}, {"time_mask": 4}]}),
        ]
        .into_iter()
        .map(processor)
        .collect()
    }

    fn sound(processor: &AudioProcessor, samples: Vec<f32>) -> Waveform {
        Waveform {
            sample_rate: processor.config.sample_rate,
            channels: vec![samples],
        }
    }

    fn tones(count: usize) -> Vec<f32> {
        let sample = |at: usize| 0.3 * (at as f32 * 0.07).sin() + 0.1 * (at as f32 * 1.3).cos() + 0.02;
        (0..count).map(sample).collect()
    }

    fn batch(processor: &AudioProcessor, features: &[AudioFeature]) -> AudioBatch {
        processor.collate(features.iter())
    }

    #[test]
    fn the_number_of_frames_is_known_beforehand() {
        for processor in processors() {
            let (max_frames, bins) = processor.shape();
            for count in [0, 1, 200, 201, 399, 400, 401, 559, 560, 799, 800, 801, 1600, 1601, 5000] {
                let expected = processor.frames_of(count);
                assert!(expected <= max_frames);
                match processor.prepare(sound(&processor, tones(count))) {
                    Ok(feature) => {
                        let found = batch(&processor, &[feature]);
                        assert_eq!(found.shape, [1, expected, bins], "{count} of {:?}", processor.config);
                        assert_eq!((found.values.len(), found.lengths), (expected * bins, vec![expected]));
                        assert!(expected > 0);
                    }
                    Err(error) => {
                        assert_eq!((expected, error.kind), (0, ErrorKind::Invalid), "{error}");
                        assert!(error.message.contains("seconds of sound"), "{error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_sound_is_cut_at_its_longest() {
        let processor = processor(json!({"max_seconds": 0.2, "features": {"kind": "waveform"}}));
        let feature = processor.prepare(sound(&processor, tones(5000))).unwrap();
        let found = batch(&processor, &[feature]);
        assert_eq!((found.shape, processor.shape()), ([1, 3200, 1], (3200, 1)));
        assert_eq!(found.values, tones(3200));
    }

    #[test]
    fn a_part_of_a_recording_is_heard_as_a_sound_of_its_own() {
        let processor = processor(json!({"filters": ["remove_dc"], "max_seconds": 0.2}));
        let bytes = samples::golden("mono.ogg");
        let recording = processor.record(&bytes).unwrap();
        assert_eq!(recording.length(), 5000);
        let first = processor.listen(&recording, 0..5000).unwrap();
        assert_eq!(first, processor.prepare_bytes(&bytes).unwrap());
        let part = processor.listen(&recording, 1000..4000).unwrap();
        let plain = self::processor(json!({}));
        let alone = sound(&plain, recording.channels[0][1000..4000].to_vec());
        assert_eq!(part, plain.prepare(alone).unwrap());
    }

    #[test]
    fn added_silence_is_silence() {
        let padded = json!({"features": {"kind": "log_mel", "pad_to_seconds": 0.5}, "max_seconds": 0.5});
        let (padded, plain) = (processor(padded), processor(json!({})));
        for count in [1, 100, 1600, 7700, 7900, 8000] {
            let mut whole = tones(count);
            let short = padded.prepare(sound(&padded, whole.clone())).unwrap();
            whole.resize(8000, 0.0);
            let long = plain.prepare(sound(&plain, whole)).unwrap();
            assert_eq!(batch(&padded, &[short]), batch(&plain, &[long]), "{count}");
        }
    }

    #[test]
    fn a_window_has_whole_steps_and_zeros_behind_them() {
        let padded = json!({"features": {"kind": "log_mel", "pad_to_seconds": 0.5}, "max_seconds": 0.5});
        let padded = processor(padded);
        let recording = sound(&padded, tones(3000));
        let features = [padded.listen(&recording, 0..3000), padded.window(&recording, 0..3000)];
        let [heard, window] = features.map(|feature| batch(&padded, &[feature.unwrap()]));
        let bins = heard.shape[2];
        assert_eq!((window.shape, &window.lengths), (heard.shape, &heard.lengths));
        // A step has 160 samples.
        assert_eq!(window.values[..18 * bins], heard.values[..18 * bins]);
        assert!(window.values[18 * bins..].iter().all(|value| *value == 0.0));
        assert!(heard.values[18 * bins..].iter().all(|value| *value != 0.0));
    }

    #[test]
    fn several_sounds_are_each_as_alone() {
        for processor in processors() {
            let prepare = |count| processor.prepare(sound(&processor, tones(count))).unwrap();
            let features = [4000, 900, 2500].map(prepare);
            let together = batch(&processor, &features);
            let [_, frames, bins] = together.shape;
            assert_eq!(frames, *together.lengths.iter().max().unwrap());
            for (place, feature) in features.iter().enumerate() {
                let alone = batch(&processor, std::slice::from_ref(feature));
                let (real, padding) =
                    together.values[place * frames * bins..][..frames * bins].split_at(alone.values.len());
                assert_eq!(
                    (real, together.lengths[place]),
                    (alone.values.as_slice(), alone.lengths[0])
                );
                assert!(padding.iter().all(|&value| value == 0.0));
            }
        }
        assert_eq!(batch(&processors()[0], &[]).shape, [0, 0, 80]);
    }

    #[test]
    fn each_channel_has_its_own_bins() {
        let stereo = processor(json!({"channels": {"keep": 2}, "features": {"kind": "filter_bank"}}));
        let mono = processor(json!({"features": {"kind": "filter_bank"}}));
        let (left, right) = (tones(900), tones(900).into_iter().rev().collect::<Vec<_>>());
        let both = Waveform {
            sample_rate: 16_000,
            channels: vec![left.clone(), right.clone()],
        };
        let both = batch(&stereo, &[stereo.prepare(both).unwrap()]);
        let each = [left, right].map(|one| mono.prepare(sound(&mono, one)).unwrap());
        let each = each.map(|one| batch(&mono, &[one]));
        for (frame, row) in both.values.chunks_exact(160).enumerate() {
            let expected = each.each_ref().map(|one| &one.values[frame * 80..][..80]);
            assert_eq!(row, expected.concat());
        }
    }

    #[test]
    fn a_key_gives_one_feature_and_other_keys_others() {
        for augment in [
            json!([{"time_mask": 9}]),
            json!([{"frequency_mask": 9}]),
            json!([{"gain": [-6, 6]}]),
        ] {
            let changed = processor(json!({ "augment": augment }));
            let feature = changed.prepare(sound(&changed, tones(8000))).unwrap();
            let run = |key: u64| changed.augment(&feature, &Key::new(1).at(key)).into_owned();
            let results: Vec<_> = (0..10).map(run).collect();
            assert!(
                results
                    .iter()
                    .enumerate()
                    .all(|(key, result)| *result == run(key as u64))
            );
            assert!(results.iter().any(|result| *result != results[0]), "{augment}");
        }
    }

    #[test]
    fn without_changes_the_feature_is_lent_back_and_evaluation_is_the_same() {
        let (plain, changed) = (
            processor(json!({})),
            processor(json!({"augment": [{"gain": [-6, 6]}, {"time_mask": 9}]})),
        );
        let finished = plain.prepare(sound(&plain, tones(8000))).unwrap();
        assert!(matches!(plain.augment(&finished, &Key::new(1)), Cow::Borrowed(_)));
        let unfinished = changed.prepare(sound(&changed, tones(8000))).unwrap();
        assert!(matches!(unfinished, AudioFeature::Waveform(_)));
        assert_eq!(batch(&changed, &[unfinished]), batch(&plain, &[finished]));
    }

    #[test]
    fn a_mask_hides_behind_the_mean_of_the_clip() {
        let masked = processor(json!({"augment": [{"time_mask": {"width": 20, "share": 1}}]}));
        let feature = masked.prepare(sound(&masked, tones(8000))).unwrap();
        let AudioFeature::Spectrogram(before) = &feature else {
            panic!("not finished")
        };
        let found = masked.augment(&feature, &Key::new(2));
        let AudioFeature::Spectrogram(after) = &*found else {
            panic!("not finished")
        };
        let pairs = before.values.iter().zip(&after.values);
        let changed: Vec<f32> = pairs.filter(|(a, b)| a != b).map(|(_, b)| *b).collect();
        assert!(!changed.is_empty() && changed.iter().all(|&value| value == before.mean()));
    }

    #[test]
    fn files_and_uploads_read_alike_whatever_their_format() {
        let processor = processor(json!({"filters": ["remove_dc", {"peak": 0.5}], "min_seconds": 0.02}));
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/audio");
        for (name, rate, _, length) in samples::LOSSLESS.into_iter().chain(samples::LOSSY) {
            let at_rate = length * 16_000 / rate as usize;
            let upload = processor.prepare_bytes(&samples::golden(name));
            match processor.prepare_file(&folder.join(name)) {
                Ok(file) => {
                    let found = batch(&processor, std::slice::from_ref(&file));
                    assert_eq!(file, upload.unwrap(), "{name}");
                    assert!(
                        found.lengths[0].abs_diff(at_rate / 160) <= 1,
                        "{name}: {:?}",
                        found.lengths
                    );
                }
                Err(error) => assert!(at_rate < 330 && error.path.is_some(), "{name}: {error}"),
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let path = Path::new("no such folder/sound.wav");
        let error = processor(json!({})).prepare_file(path).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::Missing, Some(path)));
        assert!(error.message.contains("expected a sound"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn any_samples_give_finite_features_or_an_error(
            number in 0usize..10,
            count in prop_oneof![0usize..3, 150usize..450, 0usize..3000],
            values in proptest::collection::vec(prop_oneof![
                prop::num::f32::ANY,
                prop::num::f32::SUBNORMAL,
                -1.0f32..1.0,
                Just(LOUDEST),
                Just(-LOUDEST),
            ], 1..5),
            key: u64,
        ) {
            let processor = &processors()[number];
            let samples: Vec<f32> = values.iter().copied().cycle().take(count).collect();
            let usable = samples.iter().all(|sample| sample.abs() <= LOUDEST);
            match processor.prepare(sound(processor, samples)) {
                Ok(feature) => {
                    prop_assert!(usable);
                    let changed = processor.augment(&feature, &Key::new(key));
                    let found = processor.collate([&feature, &*changed].into_iter());
                    prop_assert!(found.values.iter().all(|value| value.is_finite()));
                    prop_assert_eq!(&found.lengths, &vec![processor.frames_of(count); 2]);
                }
                Err(error) => {
                    prop_assert_eq!(error.kind, ErrorKind::Invalid);
                    prop_assert!(!usable || processor.frames_of(count) == 0, "{}", error);
                }
            }
        }
    }
}
