//! Models that answer about pictures, against what `transformers` makes of the same checkpoint
//! (`reference/architectures/make_llava.py`).

use super::golden::{case, folder, import, saved_and_packed};
use super::golden_pictures::encoded;
use crate::checkpoint::to_vec;
use crate::decoder::Piece;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::tasks::{Answer, Generate, Task};
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::processors::Feature;
use sensorium_data::{Sample, Value};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) const ANSWERERS: [&str; 1] = ["llava"];

#[derive(Deserialize)]
struct Case {
    /// The projected patches of `picture.png`.
    patches: Vec<f32>,
    texts: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    text: String,
    /// The tokens on either side of the picture.
    front: Vec<u32>,
    behind: Vec<u32>,
    /// Behind each of the latter, of every eighth token.
    logits: Vec<f32>,
    written: Vec<u32>,
    answer: String,
}

/// The largest difference must be small beside the largest number.
pub(super) fn assert_near(found: &[f32], expected: &[f32], place: &str) {
    assert_eq!(found.len(), expected.len(), "{place}");
    let largest = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    let error = differences.fold(0.0f32, f32::max) / largest;
    assert!(error < 2e-5, "{place}: a relative error of {error}");
}

pub(super) fn task(pipeline: &Pipeline) -> &Generate {
    let Task::Generate(task) = pipeline.model().task("answer") else {
        panic!("an answer is written")
    };
    task
}

#[test]
fn patches_and_logits_are_those_of_the_original() {
    for name in ANSWERERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let task = task(&pipeline);
        let patches = || encoded(&pipeline, "image", &["picture.png"], &folder);
        assert_near(
            &to_vec(task.decoder().prepare(patches()).embeddings),
            &case.patches,
            name,
        );
        for asked in &case.texts {
            let place = format!("{name}, {:?}", asked.text);
            let source = task.decoder().prepare(patches());
            let [_, length] = source.mask.dims();
            let pieces = vec![Piece::Tokens(asked.front.clone()), Piece::Source(0..length)];
            let memory = task.decoder().arranged(source, &[pieces]);
            let tokens: Vec<i64> = asked.behind.iter().copied().map(i64::from).collect();
            let shape = [1, tokens.len()];
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &Device::flex());
            let logits = to_vec(task.decoder().forward(tokens, Some(&memory), &Pass::evaluation()));
            let rows = logits.chunks(task.vocabulary().size);
            let found: Vec<f32> = rows.flat_map(|row| row.iter().copied().step_by(8)).collect();
            assert_near(&found, &asked.logits, &place);
        }
    }
}

#[test]
fn prompts_have_the_tokens_of_the_original() {
    for name in ANSWERERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let prompt = pipeline.inputs().iter().find(|input| input.name == "text").unwrap();
        for asked in &case.texts {
            let found = prompt
                .processor
                .prepare(&Value::Text(asked.text.clone()), &folder)
                .unwrap();
            let Feature::Text(found) = found else {
                panic!("a prompt is a text")
            };
            let at = asked.front.len();
            let around = (&found[..at], &found[at + 1..]);
            assert_eq!(
                around,
                (&asked.front[..], &asked.behind[..]),
                "{name}, {:?}",
                asked.text
            );
        }
    }
}

fn samples(case: &Case) -> Vec<Sample> {
    let sample = |asked: &Asked| {
        let values = [("image", "picture.png"), ("text", asked.text.as_str())];
        let values = values.map(|(name, value)| (name.to_string(), Value::Text(value.to_string())));
        Sample {
            row: 0,
            values: BTreeMap::from(values),
        }
    };
    case.texts.iter().map(sample).collect()
}

/// The answers to all prompts together.
fn assert_answers(pipeline: &Pipeline, case: &Case, folder: &Path) {
    let answers = pipeline.predict(samples(case), folder);
    for (answer, asked) in answers.into_iter().zip(&case.texts) {
        let answer = &answer.unwrap()["answer"];
        assert_eq!(answer.value, Answer::Text(asked.answer.clone()), "{:?}", asked.text);
        assert_eq!(answer.tokens.len(), asked.written.len(), "{:?}", asked.text);
    }
}

#[test]
fn answers_are_those_of_the_original() {
    for name in ANSWERERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        assert_answers(&pipeline, &case, &folder);
        let packed = saved_and_packed(&pipeline);
        assert_answers(&packed, &case, &folder);
    }
}

/// Without a picture it goes on with the text alone, whatever stands beside it; without a text it says something.
#[test]
fn a_picture_or_a_text_may_be_missing() {
    for name in ANSWERERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let without = |name: &str, mut samples: Vec<Sample>| {
            samples.iter_mut().for_each(|sample| drop(sample.values.remove(name)));
            samples
        };
        let answers = |samples| -> Vec<Answer> {
            let answers = pipeline.predict(samples, &folder).into_iter();
            answers.map(|answer| answer.unwrap()["answer"].value.clone()).collect()
        };
        let blind = answers(without("image", samples(&case)));
        let beside = answers([samples(&case), without("image", samples(&case))].concat());
        assert_eq!(beside[case.texts.len()..], blind, "{name}");
        let seeing = answers(samples(&case));
        assert_ne!(seeing, blind, "{name}");
        assert_eq!(beside[..case.texts.len()], seeing, "{name}");
        answers(without("text", samples(&case)));
    }
}
