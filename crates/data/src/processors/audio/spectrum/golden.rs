//! The features of generated sounds beside those of openai-whisper and torchaudio
//! (`reference/audio_features/make.py`).

use super::super::{AudioConfig, AudioFeature, AudioProcessor, Waveform};
use std::path::PathBuf;

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../reference/audio_features");
    std::fs::read(folder.join(name)).unwrap()
}

fn sound(name: &str, sample_rate: u32) -> Waveform {
    let bytes = file(&format!("{name}.i16"));
    let (pairs, _) = bytes.as_chunks::<2>();
    let samples = pairs.iter().map(|&pair| f32::from(i16::from_le_bytes(pair)) / 32_768.0);
    Waveform {
        sample_rate,
        channels: vec![samples.collect()],
    }
}

/// The features of a sound are those of its golden file, within 1e-4.
fn check(name: &str, kind: &str, config: serde_json::Value) {
    let config: AudioConfig = serde_json::from_value(config).unwrap();
    let processor = AudioProcessor::new(&config).unwrap();
    let feature = processor.prepare(sound(name, config.sample_rate)).unwrap();
    assert!(matches!(feature, AudioFeature::Spectrogram(_)));
    let found = processor.collate([&feature].into_iter());
    let bytes = file(&format!("{name}.{kind}.f32"));
    let expected: Vec<f32> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&it| f32::from_le_bytes(it))
        .collect();
    assert_eq!(found.values.len(), expected.len(), "{name}.{kind}: {:?}", found.shape);
    let errors = found.values.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    let worst = errors.fold(0.0, f32::max);
    assert!(worst < 1e-4, "{name}.{kind}: differs by {worst}");
}

const SOUNDS: [&str; 7] = ["chirp", "voice", "noise", "tone", "silence", "burst", "short"];

#[test]
fn log_mel_agrees_with_whisper() {
    for name in SOUNDS {
        check(name, "log_mel_80", serde_json::json!({}));
    }
    check(
        "voice",
        "log_mel_128",
        serde_json::json!({"features": {"kind": "log_mel", "mels": 128}}),
    );
    let padded = serde_json::json!({"features": {"kind": "log_mel", "pad_to_seconds": 1}, "max_seconds": 1});
    check("voice", "log_mel_padded", padded);
}

#[test]
fn filter_banks_agree_with_kaldi() {
    for name in SOUNDS {
        check(
            name,
            "filter_bank",
            serde_json::json!({"features": {"kind": "filter_bank"}}),
        );
    }
    let telephone = serde_json::json!({"sample_rate": 8000, "features": {"kind": "filter_bank", "mels": 40}});
    check("telephone", "filter_bank_8k", telephone);
    let other = serde_json::json!({
        "kind": "filter_bank", "mels": 23, "window_milliseconds": 20, "hop_milliseconds": 12.5, "window": "hamming",
        "low_frequency": 100, "high_frequency": -400, "snip_edges": false, "pre_emphasis": 0.9, "scale": 32768,
    });
    check("voice", "filter_bank_other", serde_json::json!({"features": other}));
    let mean = serde_json::json!({"kind": "filter_bank", "mels": 23, "window": "blackman", "normalize": "mean"});
    check("voice", "filter_bank_mean", serde_json::json!({"features": mean}));
}

#[test]
fn cepstra_agree_with_kaldi() {
    for name in SOUNDS {
        check(name, "mfcc", serde_json::json!({"features": {"kind": "mfcc"}}));
    }
    let other = serde_json::json!({"kind": "mfcc", "coefficients": 20, "mels": 40, "lifter": 0});
    check("voice", "mfcc_other", serde_json::json!({"features": other}));
}
