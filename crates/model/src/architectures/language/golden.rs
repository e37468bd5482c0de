//! Language models against what `transformers` makes of the same checkpoints (`reference/architectures/languages.py`).

use super::KINDS;
use crate::architectures::Checkpoint;
use crate::checkpoint::to_vec;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use crate::tasks::{Answer, LanguageModel, Task};
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::{Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Case {
    tokens: Vec<Vec<u32>>,
    /// Behind each of these, of every eighth token.
    logits: Vec<f32>,
    texts: Vec<Text>,
}

/// A text, and what greedy search goes on with.
#[derive(Deserialize)]
struct Text {
    text: String,
    /// Its tokens, with what stands before them.
    prompt: Vec<u32>,
    written: Vec<u32>,
    continuation: String,
}

/// One more than there are kinds: Llama's rotary positions are stretched too.
const FOLDERS: [&str; 5] = ["gpt2", "llama", "llama-scaled", "qwen2", "qwen3"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../reference/architectures")
        .join(name)
}

fn case(name: &str) -> Case {
    serde_json::from_slice(&std::fs::read(folder(name).join("expected.json")).unwrap()).unwrap()
}

fn import(name: &str) -> Pipeline {
    let checkpoint = Checkpoint::open(&folder(name)).unwrap();
    let imported = checkpoint.import("imported", &Device::flex()).unwrap();
    assert!(imported.left_out.is_empty(), "{name}: {:?}", imported.left_out);
    imported.pipeline
}

fn language_model(pipeline: &Pipeline) -> &LanguageModel {
    let Task::LanguageModel(task) = pipeline.model().task("continuation") else {
        panic!("a language model goes on with a text")
    };
    task
}

/// The largest difference must be small beside the largest number.
fn assert_near(found: &[f32], expected: &[f32], place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let error = differences.fold(0.0f32, f32::max) / largest;
    assert!(error < 2e-5, "{place}: a relative error of {error}");
}

#[test]
fn every_kind_has_its_folder() {
    for kind in KINDS {
        let config = std::fs::read(folder(kind).join("config.json")).unwrap();
        let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["model_type"], kind);
        assert!(FOLDERS.contains(&kind));
    }
}

#[test]
fn logits_are_those_of_the_original() {
    for name in FOLDERS {
        let (case, pipeline) = (case(name), import(name));
        let task = language_model(&pipeline);
        let tokens: Vec<i64> = case.tokens.concat().into_iter().map(i64::from).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [2, 12]), &Device::flex());
        let logits = task.decoder().forward(tokens, None, &Pass::evaluation());
        let rows = to_vec(logits);
        let rows = rows.chunks(task.vocabulary().size);
        let found: Vec<f32> = rows.flat_map(|row| row.iter().copied().step_by(8)).collect();
        assert_near(&found, &case.logits, name);
    }
}

/// The answers of a pipeline to the texts of a case.
fn assert_answers(pipeline: &Pipeline, case: &Case, name: &str) {
    let sample = |text: &Text| Sample {
        row: 0,
        values: BTreeMap::from([("text".into(), Value::Text(text.text.clone()))]),
    };
    let answers = pipeline.predict(case.texts.iter().map(sample).collect(), Path::new(""));
    for (answer, text) in answers.into_iter().zip(&case.texts) {
        let answer = &answer.unwrap()["continuation"];
        let place = format!("{name}, {:?}", text.text);
        assert_eq!(answer.value, Answer::Text(text.continuation.clone()), "{place}");
        assert_eq!(answer.tokens.len(), text.written.len(), "{place}");
    }
}

#[test]
fn texts_go_on_as_in_the_original() {
    for name in FOLDERS {
        let (case, pipeline) = (case(name), import(name));
        assert_answers(&pipeline, &case, name);
        let run = tempfile::tempdir().unwrap();
        let run = RunDirectory::new(run.path().join("run"));
        pipeline.save(&run).unwrap();
        let packed = Pipeline::load_packed(&run, &Device::flex(), Precision::Float32).unwrap();
        assert_answers(&packed, &case, name);
    }
}

/// What stands before a text is what the original's tokenizer sets there, and the tokens are those of the original.
#[test]
fn prompts_and_answers_have_the_tokens_of_the_original() {
    for name in FOLDERS {
        let (case, pipeline) = (case(name), import(name));
        let task = language_model(&pipeline);
        let processor = &pipeline.inputs()[0].processor;
        for text in &case.texts {
            let tokens = processor.text_tokens(&text.text, true).unwrap();
            let prompt = task.prompt(&tokens);
            assert_eq!(prompt, text.prompt, "{name}, {:?}", text.text);
            assert_eq!(
                greedy(task, &prompt, text.written.len()),
                text.written,
                "{name}, {:?}",
                text.text
            );
        }
    }
}

/// The likeliest tokens, one after the other.
fn greedy(task: &LanguageModel, prompt: &[u32], count: usize) -> Vec<u32> {
    let device = Device::flex();
    let mut state = task.decoder().start(1, None, prompt.len() + count, &device);
    let (mut next, mut written) = (prompt.to_vec(), Vec::new());
    for _ in 0..count {
        let logits = to_vec(task.decoder().read(&[&next], &mut state));
        let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
        next = vec![best.unwrap() as u32];
        written.extend(&next);
    }
    written
}
