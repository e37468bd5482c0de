//! T5 and mT5 against what `transformers` makes of the same checkpoints (`reference/architectures/make_t5.py`).

use super::Checkpoint;
use super::export::Export;
use super::golden::{assert_near, case, folder, import, saved_and_packed};
use crate::checkpoint::to_vec;
use crate::decoder::DecoderConfig;
use crate::decoding::search::{BeamConfig, MethodConfig};
use crate::layers::Buckets;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use crate::tasks::{Answer, Generate, Prediction, Task, TaskConfig};
use crate::tokens::Tokens;
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::processors::Collated;
use sensorium_data::{Batch, Dataset, Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The architecture of each folder.
pub(super) const READERS: [(&str, &str); 4] = [("t5", "t5"), ("t5", "t5-gated"), ("mt5", "mt5"), ("t5", "t5-encoder")];
/// Of the states of a text every third is told, and of the logits every seventh row.
const THIRD: usize = 3;
const SEVENTH: usize = 7;

#[derive(Deserialize)]
struct Case {
    rows: Vec<Row>,
    /// The tokens of long answers to the first text and to the longest.
    #[serde(default)]
    targets: Vec<Vec<i64>>,
    #[serde(default)]
    logits: Vec<Vec<f32>>,
    #[serde(default)]
    buckets: Vec<Distances>,
}

#[derive(Deserialize)]
struct Row {
    text: String,
    tokens: Vec<i32>,
    states: Vec<f32>,
    mean: Vec<f32>,
    greedy: Option<Written>,
    /// None where it depends on the width of the beam.
    beam: Option<Written>,
}

#[derive(Deserialize)]
struct Written {
    written: Vec<u32>,
    text: String,
}

/// The bucket of each distance from 300 in front to 300 behind.
#[derive(Deserialize)]
struct Distances {
    count: usize,
    farthest: usize,
    both_sides: bool,
    buckets: Vec<usize>,
}

fn writers() -> impl Iterator<Item = &'static str> {
    READERS
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| *name != "t5-encoder")
}

fn sample((row, text): (usize, &str)) -> Sample {
    Sample {
        row,
        values: BTreeMap::from([("text".into(), Value::Text(text.into()))]),
    }
}

/// What goes into the model for the rows at these places.
fn batch(pipeline: &Pipeline, case: &Case, places: &[usize]) -> Batch {
    let samples = places.iter().map(|&place| case.rows[place].text.as_str());
    let samples: Vec<Sample> = samples.enumerate().map(sample).collect();
    let rows: Vec<usize> = (0..samples.len()).collect();
    let dataset = Dataset::new(samples, Path::new("").into(), pipeline.inputs().to_vec(), Vec::new());
    let (batch, failed) = dataset.batch(&rows, None);
    assert!(failed.is_empty(), "{failed:?}");
    batch
}

fn encoded(pipeline: &Pipeline, case: &Case, places: &[usize]) -> Tokens {
    let batch = batch(pipeline, case, places);
    pipeline.model().encode_media("text", &batch.inputs["text"])
}

fn task(pipeline: &Pipeline) -> &Generate {
    let Task::Generate(task) = pipeline.model().task("text") else {
        panic!("a text is written")
    };
    task
}

#[test]
fn distances_lie_in_the_buckets_of_the_original() {
    let case: Case = case(&folder("t5"));
    for expected in case.buckets {
        let buckets = Buckets {
            count: expected.count,
            farthest: expected.farthest,
            both_sides: expected.both_sides,
        };
        let found: Vec<usize> = (-300..=300).map(|behind| buckets.of(behind)).collect();
        assert_eq!(found, expected.buckets, "{buckets:?}");
    }
}

#[test]
fn texts_have_the_tokens_and_states_of_the_original() {
    for (_, name) in READERS {
        let case: Case = case(&folder(name));
        let plain = import(&folder(name));
        for pipeline in [saved_and_packed(&plain), plain] {
            let whole = encoded(&pipeline, &case, &[0, 1, 2, 3]);
            let [_, length, width] = whole.embeddings.dims();
            let together = to_vec(whole.embeddings);
            for (place, row) in case.rows.iter().enumerate() {
                let batch = batch(&pipeline, &case, &[place]);
                let Some(Collated::Text { tokens, .. }) = &batch.inputs["text"].media else {
                    panic!("a text is read")
                };
                assert_eq!(*tokens, row.tokens, "{name}");
                let real = row.tokens.len();
                let alone = to_vec(encoded(&pipeline, &case, &[place]).embeddings);
                for states in [&together[place * length * width..][..real * width], &alone] {
                    let third = states.chunks(width).step_by(THIRD);
                    assert_near(&third.collect::<Vec<_>>().concat(), &row.states, name);
                }
            }
        }
    }
}

#[test]
fn an_encoder_alone_answers_with_the_mean() {
    let case: Case = case(&folder("t5-encoder"));
    let pipeline = import(&folder("t5-encoder"));
    let samples = case.rows.iter().map(|row| row.text.as_str()).enumerate();
    let answers = pipeline.predict(samples.map(sample).collect(), Path::new(""));
    for (answer, row) in answers.into_iter().zip(&case.rows) {
        match &answer.unwrap()["embedding"].value {
            Answer::Vector(found) => assert_near(found, &row.mean, &row.text),
            other => panic!("an embedding is a vector, not {other}"),
        }
    }
}

/// The answers are longer than all distances that are told apart.
#[test]
fn logits_are_those_of_the_original() {
    for name in writers() {
        let case: Case = case(&folder(name));
        let plain = import(&folder(name));
        for pipeline in [saved_and_packed(&plain), plain] {
            let memory = encoded(&pipeline, &case, &[0, 2]);
            let decoder = task(&pipeline).decoder();
            let [rows, length] = [case.targets.len(), case.targets[0].len()];
            let tokens = TensorData::new(case.targets.concat(), [rows, length]);
            let tokens = Tensor::<2, Int>::from_data(tokens, &Device::flex());
            let logits = to_vec(decoder.forward(tokens, Some(&memory), &Pass::evaluation()));
            let size = task(&pipeline).vocabulary().size;
            for (found, expected) in logits.chunks(length * size).zip(&case.logits) {
                let seventh = found.chunks(size).step_by(SEVENTH);
                assert_near(&seventh.collect::<Vec<_>>().concat(), expected, name);
            }
            assert_steps(&pipeline, &memory, &case, name);
        }
    }
}

/// The same token by token, and where a part of them is read at once.
fn assert_steps(pipeline: &Pipeline, memory: &Tokens, case: &Case, name: &str) {
    let decoder = task(pipeline).decoder();
    let targets = case
        .targets
        .iter()
        .map(|target| target.iter().map(|&token| token as u32).collect());
    let targets: Vec<Vec<u32>> = targets.collect();
    let (size, length) = (task(pipeline).vocabulary().size, targets[0].len());
    for first in [1, 50] {
        let mut state = decoder.start(2, Some(memory), length, &Device::flex());
        let starts: Vec<&[u32]> = targets.iter().map(|target| &target[..first]).collect();
        let mut logits = to_vec(decoder.read(&starts, &mut state));
        for place in first..=length {
            if (place - 1).is_multiple_of(SEVENTH) {
                let rows = logits.chunks(size).zip(&case.logits);
                for (found, expected) in rows {
                    assert_near(found, &expected[(place - 1) / SEVENTH * size..][..size], name);
                }
            }
            if place < length {
                let next: Vec<u32> = targets.iter().map(|target| target[place]).collect();
                logits = to_vec(decoder.step(&next, &mut state));
            }
        }
    }
}

/// What a pipeline answers to the rows of a case, so many of them together.
fn answers(pipeline: &Pipeline, case: &Case, together: usize) -> Vec<Prediction> {
    let samples = case.rows.iter().map(|row| row.text.as_str()).enumerate();
    let answers = pipeline.predict_by(together, samples.map(sample).collect(), Path::new(""));
    answers
        .into_iter()
        .map(|answer| answer.unwrap().remove("text").unwrap())
        .collect()
}

fn assert_written(found: &[Prediction], expected: impl Fn(&Row) -> &Option<Written>, case: &Case, name: &str) {
    for (found, row) in found.iter().zip(&case.rows) {
        let Some(expected) = expected(row) else {
            continue;
        };
        assert_eq!(found.value, Answer::Text(expected.text.clone()), "{name}, {}", row.text);
        assert_eq!(found.tokens.len(), expected.written.len(), "{name}, {}", row.text);
    }
}

/// The same checkpoint with another search.
fn searching(pipeline: &Pipeline, method: MethodConfig) -> Pipeline {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDirectory::new(folder.path().join("run"));
    pipeline.save(&run).unwrap();
    let mut description = pipeline.description.clone();
    let output = description.model.outputs.get_mut("text").unwrap();
    let TaskConfig::Generate(config) = &mut output.task else {
        panic!("a text is written")
    };
    config.decoding.method = method;
    description.save(&run).unwrap();
    Pipeline::load(&run, &Device::flex()).unwrap()
}

#[test]
fn texts_are_those_of_the_original() {
    for name in writers() {
        let case: Case = case(&folder(name));
        let beam = MethodConfig::Beam(BeamConfig {
            width: 3,
            length_penalty: 0.0,
            ..BeamConfig::default()
        });
        let plain = import(&folder(name));
        for together in [1, case.rows.len()] {
            for pipeline in [&plain, &saved_and_packed(&plain)] {
                let found = answers(pipeline, &case, together);
                assert_written(&found, |row| &row.greedy, &case, name);
            }
            let found = answers(&searching(&plain, beam.clone()), &case, together);
            assert_written(&found, |row| &row.beam, &case, name);
        }
    }
}

/// In few bits texts begin as they do in many, and states lie near.
#[test]
fn few_bits_are_near_the_original() {
    for (name, precision, most) in [
        ("t5", Precision::Int16, 0.02),
        ("t5-gated", Precision::Int8, 0.1),
        ("mt5", Precision::Int4, 0.7),
    ] {
        let case: Case = case(&folder(name));
        let packed = encoded(&import(&folder(name)).packed(precision), &case, &[0]);
        let plain = encoded(&import(&folder(name)), &case, &[0]);
        let apart = to_vec((packed.embeddings - plain.embeddings.clone()).powi_scalar(2).mean());
        let size = to_vec(plain.embeddings.powi_scalar(2).mean());
        let error = (apart[0] / size[0]).sqrt();
        assert!(error > 0.0 && error < most, "{name}: {error}");
    }
}

fn decoder_is_tied(checkpoint: &Checkpoint) -> bool {
    let super::Head::Text(head) = &checkpoint.architecture().head else {
        panic!("a text is written")
    };
    matches!(&head.generate.decoder, DecoderConfig::T5(decoder) if decoder.tied)
}

/// Encoder and decoder have one table of tokens until they learn apart.
#[test]
fn tables_that_learnt_apart_are_written_apart() {
    let temporary = tempfile::tempdir().unwrap();
    let run = RunDirectory::new(temporary.path().join("run"));
    let checkpoint = Checkpoint::open(&folder("t5")).unwrap();
    assert!(decoder_is_tied(&checkpoint));
    checkpoint
        .import("imported", &Device::flex())
        .unwrap()
        .save(&run)
        .unwrap();
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let mut tensors = crate::checkpoint::to_host(pipeline.model());
    let path = "inputs.text.stem.words.weight";
    assert_eq!(tensors[path], tensors["outputs.text.decoder.embedding.weight"]);
    tensors.get_mut(path).unwrap().values[3] = 0.5;
    crate::checkpoint::save(&tensors, &run.weights()).unwrap();
    let out = temporary.path().join("out");
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    Export::new(&run, &pipeline, None).unwrap().write(&out).unwrap();
    let again = Checkpoint::open(&out).unwrap();
    assert!(decoder_is_tied(&again));
    let again = again.import("again", &Device::flex()).unwrap().pipeline;
    assert!(crate::checkpoint::to_host(again.model()) == tensors);
}
