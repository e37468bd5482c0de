//! Models that write about pictures, against what `transformers` makes of the same checkpoints
//! (`reference/architectures/make_captions.py`).

use super::golden::{case, folder, import};
use crate::checkpoint::to_vec;
use crate::decoding::search::{BeamConfig, MethodConfig};
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use crate::tasks::{Answer, Generate, Prediction, Task, TaskConfig};
use crate::tokens::Tokens;
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::{Batch, Dataset, Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use std::path::Path;

/// The architecture of each folder.
pub(super) const WRITERS: [(&str, &str); 2] = [("blip", "blip"), ("blip", "blip-vqa")];
/// How far the largest number may be from the original's, beside the largest one.
const NEAR: f32 = 5e-5;
/// As far for a picture that was resized: pixels differ by one at most.
const RESIZED: f32 = 0.02;

#[derive(Deserialize)]
struct Case {
    /// All last states of `picture.png`, and of `large.png` that of the class.
    states: Vec<f32>,
    large: Vec<f32>,
    tokens: Vec<Vec<i64>>,
    /// Behind each of these, about the first row and the middle one.
    logits: Vec<Vec<f32>>,
    rows: Vec<Row>,
}

/// A picture, and what is written about it or answered to a question.
#[derive(Deserialize)]
struct Row {
    picture: String,
    question: Option<String>,
    /// The last states of the question's tokens.
    states: Option<Vec<f32>>,
    greedy: Written,
    beam: Written,
}

#[derive(Deserialize)]
struct Written {
    written: Vec<u32>,
    text: String,
}

/// The largest difference must be small beside the largest number.
fn assert_near(found: &[f32], expected: &[f32], most: f32, place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let error = differences.fold(0.0f32, f32::max) / largest;
    assert!(error < most, "{place}: a relative error of {error}");
}

impl Row {
    fn sample(&self) -> Sample {
        sample(&self.picture, self.question.as_deref())
    }
}

fn sample(picture: &str, question: Option<&str>) -> Sample {
    let question = question.map(|question| ("text", question));
    let values = std::iter::once(("image", picture)).chain(question);
    Sample {
        row: 0,
        values: values
            .map(|(name, value)| (name.into(), Value::Text(value.into())))
            .collect(),
    }
}

/// What goes into the model for some samples with pictures of a folder.
fn batch(pipeline: &Pipeline, folder: &Path, samples: impl Iterator<Item = Sample>) -> Batch {
    let samples: Vec<Sample> = samples
        .enumerate()
        .map(|(row, sample)| Sample { row, ..sample })
        .collect();
    let rows: Vec<usize> = (0..samples.len()).collect();
    let dataset = Dataset::new(samples, folder.to_path_buf(), pipeline.inputs().to_vec(), Vec::new());
    let (batch, failed) = dataset.batch(&rows, None);
    assert!(failed.is_empty(), "{failed:?}");
    batch
}

fn task(pipeline: &Pipeline) -> &Generate {
    let Task::Generate(task) = pipeline.model().task("text") else {
        panic!("a text is written")
    };
    task
}

/// What the decoder of each row reads.
fn memory(pipeline: &Pipeline, folder: &Path, case: &Case) -> Tokens {
    let batch = batch(pipeline, folder, case.rows.iter().map(Row::sample));
    let encoded = pipeline.model().encode(&batch, &Pass::evaluation());
    let source = &pipeline.description.model.outputs["text"].from;
    encoded.tokens(source, encoded.rows("text"))
}

#[test]
fn pictures_are_seen_as_by_the_original() {
    for (_, name) in WRITERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
            let seen = |picture: &str| {
                let batch = batch(&pipeline, &folder, [sample(picture, None)].into_iter());
                pipeline.model().encode_media("image", &batch.inputs["image"])
            };
            assert_near(&to_vec(seen("picture.png").embeddings), &case.states, NEAR, name);
            assert_near(&to_vec(seen("large.png").pooled()), &case.large, RESIZED, name);
        }
    }
}

#[test]
fn questions_attend_to_pictures_as_in_the_original() {
    let folder = folder("blip-vqa");
    let case: Case = case(&folder);
    for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
        let tokens = memory(&pipeline, &folder, &case);
        let [_, length, width] = tokens.embeddings.dims();
        let (states, real) = (to_vec(tokens.embeddings), to_vec(tokens.mask.float()));
        let found = states.chunks(length * width).zip(real.chunks(length));
        for ((states, real), row) in found.zip(&case.rows) {
            let real = real.iter().sum::<f32>() as usize;
            let expected = row.states.as_ref().expect("a question has states");
            assert_near(&states[..real * width], expected, NEAR, &row.picture);
        }
    }
}

#[test]
fn logits_are_those_of_the_original() {
    for (_, name) in WRITERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
            let rows = [0, case.rows.len() / 2];
            let index = Tensor::<1, Int>::from_ints(rows.map(|row| row as i64), &Device::flex());
            let memory = memory(&pipeline, &folder, &case).select(index);
            let shape = [rows.len(), case.tokens[0].len()];
            let tokens = TensorData::new(case.tokens.concat(), shape);
            let tokens = Tensor::<2, Int>::from_data(tokens, &Device::flex());
            let decoder = task(&pipeline).decoder();
            let logits = to_vec(decoder.forward(tokens, Some(&memory), &Pass::evaluation()));
            assert_near(&logits, &case.logits.concat(), NEAR, name);
        }
    }
}

/// What a pipeline answers to the rows of a case, so many of them together.
fn answers(pipeline: &Pipeline, folder: &Path, case: &Case, together: usize) -> Vec<Prediction> {
    let samples = case.rows.iter().map(Row::sample).collect();
    let answers = pipeline.predict_by(together, samples, folder).into_iter();
    answers.map(|answer| answer.unwrap().remove("text").unwrap()).collect()
}

fn assert_written(found: &[Prediction], expected: impl Fn(&Row) -> &Written, case: &Case, name: &str) {
    for (found, row) in found.iter().zip(&case.rows) {
        let expected = expected(row);
        assert_eq!(
            found.value,
            Answer::Text(expected.text.clone()),
            "{name}, {}",
            row.picture
        );
        assert_eq!(found.tokens.len(), expected.written.len(), "{name}, {}", row.picture);
    }
}

/// The tokens that are written about each row by itself, the likeliest one after the other.
fn assert_tokens(pipeline: &Pipeline, folder: &Path, case: &Case, name: &str) {
    let device = Device::flex();
    let (task, memory) = (task(pipeline), memory(pipeline, folder, case));
    for (place, row) in case.rows.iter().enumerate() {
        let index = Tensor::<1, Int>::from_ints([place as i64], &device);
        let memory = memory.clone().select(index);
        let capacity = row.greedy.written.len() + 1;
        let mut state = task.decoder().start(1, Some(&memory), capacity, &device);
        let mut last = task.vocabulary().begin;
        for &expected in &row.greedy.written {
            let logits = to_vec(task.decoder().step(&[last], &mut state));
            let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
            last = best.unwrap() as u32;
            assert_eq!(last, expected, "{name}, {}", row.picture);
        }
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
    for (_, name) in WRITERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        let beam = MethodConfig::Beam(BeamConfig {
            width: 3,
            length_penalty: 0.0,
            ..BeamConfig::default()
        });
        assert_tokens(&import(&folder), &folder, &case, name);
        for together in [1, case.rows.len()] {
            for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
                let found = answers(&pipeline, &folder, &case, together);
                assert_written(&found, |row| &row.greedy, &case, name);
            }
            let found = answers(&searching(&import(&folder), beam.clone()), &folder, &case, together);
            assert_written(&found, |row| &row.beam, &case, name);
        }
    }
}
