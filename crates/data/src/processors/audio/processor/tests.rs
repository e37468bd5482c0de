//! Sounds as features: the same however they come, and beside whatever stands with them.

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
    let alone = sound(&plain, recording.heard().channels[0][1000..4000].to_vec());
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
fn what_is_heard_behind_a_sound_is_no_part_of_it() {
    let config = |behind: usize| {
        let features = json!({"kind": "log_mel", "pad_to_seconds": 0.5, "heard_behind": behind});
        processor(json!({"features": features, "max_seconds": 0.5}))
    };
    let (heard, whole) = (config(2), config(0));
    let counts = [1, 160, 161, 3000, 7700, 8000, 9000];
    let prepare = |processor: &AudioProcessor| {
        let sounds = counts.map(|count| processor.prepare(sound(processor, tones(count))).unwrap());
        batch(processor, &sounds)
    };
    let (found, expected) = (prepare(&heard), prepare(&whole));
    assert_eq!(found.lengths, [1, 1, 2, 19, 49, 50, 50]);
    assert_eq!((found.shape, expected.shape), ([7, 52, 80], [7, 50, 80]));
    for (place, length) in found.lengths.iter().enumerate() {
        let values = |batch: &AudioBatch| batch.values[place * batch.shape[1] * 80..].to_vec();
        let real = 80 * (length + 2).min(50);
        assert_eq!(values(&found)[..real], values(&expected)[..real], "{place}");
    }
    let alone = json!({"features": {"kind": "log_mel", "heard_behind": 2}});
    let error = AudioProcessor::new(&serde_json::from_value(alone).unwrap()).unwrap_err();
    assert!(error.to_string().contains("heard_behind"), "{error}");
}

#[test]
fn a_window_has_whole_steps_and_zeros_behind_them() {
    let padded = json!({"features": {"kind": "log_mel", "pad_to_seconds": 0.5}, "max_seconds": 0.5});
    let padded = processor(padded);
    let recording = Recording::from(sound(&padded, tones(3000)));
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
