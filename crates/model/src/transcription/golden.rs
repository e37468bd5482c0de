//! A small random Whisper against what `transformers` makes of the same recording (`reference/architectures/make.py`).

use super::recording::Recording;
use super::tokens::Purpose;
use super::window::{Language, Listener};
use super::*;
use crate::architectures::Checkpoint;
use burn::tensor::Device;
use serde::Deserialize;
use std::path::PathBuf;

#[derive(Deserialize)]
struct Case {
    language: String,
    /// What greedy search writes of the first window, with times.
    timed: Vec<u32>,
    /// The mean of their log-probabilities, without an end.
    log_probability: f64,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reference/architectures/whisper")
}

fn pipeline() -> Pipeline {
    let checkpoint = Checkpoint::open(&folder()).unwrap();
    checkpoint.import("imported", &Device::flex()).unwrap().pipeline
}

fn transcriber(pipeline: &Pipeline, beam: usize) -> Transcriber<'_> {
    let settings = Settings {
        beam,
        ..Settings::default()
    };
    Transcriber::new(pipeline, &settings).unwrap()
}

#[test]
fn a_window_is_written_as_by_the_original() {
    let content = std::fs::read(folder().join("expected.json")).unwrap();
    let case: Case = serde_json::from_slice(&content).unwrap();
    let pipeline = pipeline();
    let transcriber = transcriber(&pipeline, 1);
    let mut recording = Recording::open(transcriber.input.1, &folder().join("sound.wav")).unwrap();
    recording.hear(1.0);
    let memory = transcriber
        .model
        .encode_media("audio", &recording.part([0.0, 1.0]).unwrap());
    let mut language = None;
    let heard = transcriber.listener.first_attempt(&memory, &[], &mut language).unwrap();
    assert_eq!(language.map(|language: Language| language.code), Some(case.language));
    assert_eq!(heard.tokens, case.timed);
    let sum = heard.log_probability * (heard.tokens.len() + 1) as f64;
    let expected = case.log_probability * case.timed.len() as f64;
    assert!((sum - expected).abs() < 1e-3, "{sum}, not {expected}");
    // A wider search finds nothing worse.
    let wider = Listener {
        beam: 5,
        ..transcriber.listener
    };
    let wider = wider.first_attempt(&memory, &[], &mut None).unwrap();
    assert!(wider.log_probability >= heard.log_probability);
}

/// A text and when its words are spoken.
#[derive(Deserialize)]
struct Spoken {
    language: String,
    /// The length of the window.
    seconds: f64,
    tokens: Vec<u32>,
    /// Each with its begin, its end and its probability.
    words: Vec<(String, f64, f64, f64)>,
}

#[test]
fn words_are_spoken_when_the_original_says() {
    let content = std::fs::read(folder().join("words.json")).unwrap();
    let cases: Vec<Spoken> = serde_json::from_slice(&content).unwrap();
    let pipeline = pipeline();
    let transcriber = transcriber(&pipeline, 1);
    let mut recording = Recording::open(transcriber.input.1, &folder().join("sound.wav")).unwrap();
    recording.hear(1.0);
    let memory = transcriber
        .model
        .encode_media("audio", &recording.part([0.0, 1.0]).unwrap());
    for case in cases {
        let token = transcriber.listener.speech.language(&case.language).unwrap();
        let code = case.language;
        let language = Language { token, code };
        let found = transcriber
            .listener
            .timed(&memory, &[case.tokens], &language, case.seconds)
            .remove(0);
        assert_eq!(found.len(), case.words.len(), "{found:?}");
        for (found, (text, begin, end, probability)) in found.iter().zip(case.words) {
            assert_eq!((&found.spelt.text, found.span), (&text, [begin, end]), "{found:?}");
            assert!(
                (found.probability - probability).abs() < 1e-5,
                "{found:?}, not {probability}"
            );
        }
    }
}

#[test]
fn words_are_told_where_they_are_asked_for() {
    let pipeline = pipeline();
    let settings = Settings {
        beam: 1,
        words: true,
        ..Settings::default()
    };
    let told = Transcriber::new(&pipeline, &settings).unwrap();
    let sound = folder().join("sound.wav");
    let told = told.transcribe(&sound, &mut |_| true).unwrap().unwrap();
    let plain = transcriber(&pipeline, 1)
        .transcribe(&sound, &mut |_| true)
        .unwrap()
        .unwrap();
    assert_eq!(told.text, plain.text);
    for (told, plain) in told.segments.iter().zip(&plain.segments) {
        let text: String = told.words.iter().map(|word| word.word.as_str()).collect();
        assert_eq!(text.trim(), told.text);
        assert!(plain.words.is_empty() && told.words.iter().all(|word| word.start <= word.end));
    }
}

#[test]
fn a_recording_is_heard_to_its_end() {
    let pipeline = pipeline();
    let transcriber = transcriber(&pipeline, 2);
    let (mut heeded, mut heard) = (Vec::new(), 0);
    let mut report = |one: Heeded| {
        heeded.push(one.seconds);
        heard += usize::from(!one.hearing.is_empty());
        true
    };
    let found = transcriber
        .transcribe(&folder().join("sound.wav"), &mut report)
        .unwrap()
        .unwrap();
    assert_eq!(heeded.last(), Some(&2.5));
    assert!(
        heeded.is_sorted() && heeded.len() >= 3 && heard > 0,
        "{heeded:?} {heard}"
    );
    let times = found.segments.iter().flat_map(|segment| [segment.start, segment.end]);
    assert!(times.is_sorted() && !found.text.is_empty(), "{found:?}");
    // The same recording, and the same draws.
    let again = transcriber
        .transcribe(&folder().join("sound.wav"), &mut |_| true)
        .unwrap();
    assert_eq!(again, Some(found));
    assert_eq!(
        transcriber
            .transcribe(&folder().join("sound.wav"), &mut |_| false)
            .unwrap(),
        None
    );
}

#[test]
fn what_a_model_does_not_know_is_refused() {
    let pipeline = pipeline();
    let check = |settings: Settings, field: &str| match Transcriber::new(&pipeline, &settings).err() {
        Some(ModelError::Config { field: found, .. }) => assert_eq!(found, field),
        other => panic!("{other:?}"),
    };
    let language = |code: &str| Settings {
        language: Some(code.into()),
        ..Settings::default()
    };
    check(language("cs"), "language");
    let translate = Settings {
        purpose: Purpose::Translate,
        ..language("zh")
    };
    assert!(Transcriber::new(&pipeline, &translate).is_ok());
}
