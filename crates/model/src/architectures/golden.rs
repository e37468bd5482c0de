//! Architectures against what `transformers` makes of the same checkpoints (`reference/architectures/make.py`).

use super::golden_captions::WRITERS;
use super::golden_chats::{HEARS, SEES_ANY};
use super::golden_llava::ANSWERERS;
use super::golden_pictures::{ENCODERS, SPACES, assert_resized, encoded};
use super::golden_smolvlm::TILERS;
use super::golden_t5::READERS;
use super::golden_wav2vec2::SPEAKERS;
use super::{Checkpoint, KNOWN, Target};
use crate::checkpoint::to_vec;
use crate::encoder::{Encoder, EncoderConfig};
use crate::init::Init;
use crate::pass::Pass;
use crate::pipeline::{Answers, Pipeline};
use crate::run_directory::RunDirectory;
use crate::tasks::{Answer, Task};
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::processors::{Collated, FeatureShape};
use sensorium_data::{InputBatch, Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Case {
    tokens: Vec<Vec<i32>>,
    /// How many tokens of each text are real.
    lengths: Vec<usize>,
    /// The states of the real tokens of all texts.
    expected: Vec<f32>,
    texts: Vec<String>,
    embeddings: Vec<Vec<f32>>,
}

/// What a picture is answered.
#[derive(Deserialize)]
struct Picture {
    embedding: Vec<f32>,
    /// Of large.png, which is brought to the size that is read.
    large: Option<Vec<f32>>,
    labels: BTreeMap<String, f64>,
}

/// What a sound is encoded to and answered.
#[derive(Deserialize)]
struct Sound {
    states: Vec<f32>,
    /// The tokens before a text without times.
    prompt: Vec<u32>,
    /// Behind each of these, of every sixteenth token.
    logits: Vec<f32>,
    text: String,
}

const TEXTS: [&str; 2] = ["bert", "roberta"];
/// The architecture of each folder.
const PICTURES: [(&str, &str); 3] = [
    ("efficientnet-lite", "efficientnet-lite"),
    ("resnet", "resnet"),
    ("resnet", "resnet-basic"),
];
const SOUNDS: [&str; 1] = ["whisper"];
/// The same checkpoints in CTranslate2's layout.
const CONVERTED: [(&str, &str); 1] = [("whisper", "whisper-ctranslate2")];

#[test]
fn every_architecture_is_compared() {
    let spaces = SPACES.map(|(architecture, _)| architecture);
    let mut compared = [
        &TEXTS[..],
        &PICTURES.map(|(architecture, _)| architecture),
        &SOUNDS,
        &ENCODERS,
        &ANSWERERS,
        &HEARS,
        &SEES_ANY,
        &TILERS,
        &spaces,
        &WRITERS.map(|(architecture, _)| architecture),
        &SPEAKERS.map(|(architecture, _)| architecture),
        &READERS.map(|(architecture, _)| architecture),
        &super::language::KINDS,
    ]
    .concat();
    compared.sort_unstable();
    compared.dedup();
    assert_eq!(compared, KNOWN);
}

pub(super) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../reference/architectures")
        .join(name)
}

pub(super) fn case<T: DeserializeOwned>(folder: &Path) -> T {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

pub(super) fn assert_near(found: &[f32], expected: &[f32], place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    for (found, expected) in found.iter().zip(expected) {
        let close = (found - expected).abs() < 1e-4 * (1.0 + expected.abs());
        assert!(close, "{place}: {found}, not {expected}");
    }
}

pub(super) fn import(folder: &Path) -> Pipeline {
    let checkpoint = Checkpoint::open(folder).unwrap();
    checkpoint.import("imported", &Device::flex()).unwrap().pipeline
}

/// The same as a run that was written, and read to answer.
pub(super) fn saved_and_packed(pipeline: &Pipeline) -> Pipeline {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::new(folder.path().join("run"));
    pipeline.save(&run).unwrap();
    Pipeline::load_packed(&run, &Device::flex(), Precision::Float32).unwrap()
}

/// What an imported checkpoint answers values of its one input.
pub(super) fn answers(folder: &Path, input: &str, values: &[String]) -> Vec<Answers> {
    let pipeline = import(folder);
    let sample = |value: &String| Sample {
        row: 0,
        values: BTreeMap::from([(input.into(), Value::Text(value.clone()))]),
    };
    let answers = pipeline.predict(values.iter().map(sample).collect(), folder);
    answers.into_iter().map(Result::unwrap).collect()
}

fn assert_embedding(answers: &Answers, expected: &[f32], place: &str) {
    match &answers["embedding"].value {
        Answer::Vector(found) => assert_near(found, expected, place),
        other => panic!("an embedding is a vector, not {other}"),
    }
}

#[test]
fn imported_checkpoints_answer_as_their_originals() {
    for name in TEXTS {
        let case: Case = case(&folder(name));
        let found = answers(&folder(name), "text", &case.texts);
        for ((found, expected), text) in found.iter().zip(&case.embeddings).zip(&case.texts) {
            assert_embedding(found, expected, &format!("{name}, {text:?}"));
        }
    }
    for (_, name) in PICTURES {
        let case: Picture = case(&folder(name));
        let found = &answers(&folder(name), "image", &["picture.png".into()])[0];
        assert_embedding(found, &case.embedding, name);
        if let Some(large) = case.large {
            let tokens = encoded(&import(&folder(name)), "image", &["large.png"], &folder(name));
            let found = to_vec(tokens.pooled());
            let length = found.iter().map(|value| value * value).sum::<f32>().sqrt();
            let direction: Vec<f32> = found.iter().map(|value| value / length).collect();
            assert_resized(&direction, &large, name);
        }
        for label in &found["label"].top {
            let expected = case.labels[&label.value];
            assert!((label.probability - expected).abs() < 1e-4, "{name}, {}", label.value);
        }
    }
}

#[test]
fn checkpoints_give_the_states_of_their_originals() {
    for name in TEXTS {
        let folder = folder(name);
        let case: Case = case(&folder);
        let checkpoint = Checkpoint::open(&folder).unwrap();
        let config = EncoderConfig {
            stem: checkpoint.architecture().stem.clone(),
            trunk: checkpoint.architecture().trunk.clone(),
            ..EncoderConfig::default()
        };
        let length = case.tokens[0].len();
        let shape = FeatureShape::Text {
            vocabulary: 40,
            max_length: length,
        };
        let encoder = Encoder::new(&config, shape, &Init::new(1, &Device::flex())).unwrap();
        let (encoder, _) = checkpoint
            .fill(
                encoder,
                Target {
                    fresh: None,
                    encoder: Some(""),
                    head: None,
                },
            )
            .unwrap();
        let batch = InputBatch {
            medium_of_row: (0..case.tokens.len()).map(Some).collect(),
            media: Some(Collated::Text {
                shape: [case.tokens.len(), length],
                tokens: case.tokens.concat(),
                lengths: case.lengths.clone(),
            }),
        };
        let tokens = encoder.forward(&batch, &Pass::evaluation()).tokens();
        let width = tokens.width();
        let found = to_vec(tokens.embeddings);
        let rows = found.chunks(length * width).zip(&case.lengths);
        let found: Vec<f32> = rows.flat_map(|(row, real)| row[..real * width].to_vec()).collect();
        assert_near(&found, &case.expected, name);
    }
}

#[test]
fn speech_is_written_as_by_its_original() {
    let folders = SOUNDS.map(|name| (name, name)).into_iter().chain(CONVERTED);
    for (original, name) in folders {
        let case: Sound = case(&folder(original));
        let sound = folder(original).join("sound.wav");
        let answers = answers(&folder(name), "audio", &[sound.display().to_string()]);
        assert_eq!(answers[0]["text"].value, Answer::Text(case.text.clone()), "{name}");
        let pipeline = import(&folder(name));
        let processor = &pipeline.inputs()[0].processor;
        let feature = processor.listen(&processor.record(&sound).unwrap(), 0..16_000).unwrap();
        let batch = InputBatch {
            medium_of_row: vec![Some(0)],
            media: Some(processor.collate(&[&feature])),
        };
        let memory = pipeline.model().encode_media("audio", &batch);
        assert_near(&to_vec(memory.embeddings.clone()), &case.states, name);
        let Task::Generate(task) = pipeline.model().task("text") else {
            panic!("a text is written")
        };
        let tokens: Vec<i64> = case.prompt.iter().map(|&token| i64::from(token)).collect();
        let shape = [1, tokens.len()];
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &Device::flex());
        let logits = task.decoder().forward(tokens, Some(&memory), &Pass::evaluation());
        let rows = to_vec(logits);
        let rows = rows.chunks(task.vocabulary().size);
        let found: Vec<f32> = rows.flat_map(|row| row.iter().copied().step_by(16)).collect();
        assert_near(&found, &case.logits, name);
    }
}
