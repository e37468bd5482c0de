//! Models that read pictures whole or in tiles, against what `transformers` makes of the same checkpoints
//! (`reference/architectures/make_smolvlm.py`).

use super::golden::{case, folder, import, saved_and_packed};
use super::golden_llava::{assert_near, task};
use super::golden_pictures::batch;
use crate::checkpoint::to_vec;
use crate::decoder::Piece;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::tasks::{Answer, Seen};
use crate::tokens::Tokens;
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::processors::{Collated, Feature};
use sensorium_data::{Sample, Value};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The first reads pictures whole, the second one in tiles.
pub(super) const TILERS: [&str; 2] = ["idefics3", "smolvlm"];

#[derive(Deserialize)]
struct Case {
    /// The mapped squares of patches of the first picture.
    patches: Vec<f32>,
    texts: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    picture: String,
    text: String,
    /// All tokens, of which those of the picture have the place of one token each.
    prompt: Vec<u32>,
    /// How many tokens stand behind the picture and the token at its end.
    behind: usize,
    /// Behind each of these, of every eighth token.
    logits: Vec<f32>,
    written: Vec<u32>,
    answer: String,
}

/// The mapped tokens of a picture, and where it stands among them.
fn seen(pipeline: &Pipeline, picture: &str, folder: &Path) -> (Tokens, Vec<Seen>) {
    let batch = batch(pipeline, "image", &[picture], folder);
    let (grids, tiles) = match &batch.media {
        Some(Collated::Tiles { shape, grids, .. }) => (grids[0].clone(), shape[1]),
        _ => (vec![[1; 2]], 1),
    };
    let tokens = pipeline.model().encode_media("image", &batch);
    let tokens = task(pipeline).decoder().prepare(tokens);
    let [_, length] = tokens.mask.dims();
    let seen = Seen::in_tiles(0, length / tiles, &grids);
    (tokens, seen)
}

/// What is read of a question before its rest, and this.
fn pieces(pipeline: &Pipeline, asked: &Asked, folder: &Path) -> (Tokens, Vec<Piece>, Vec<u32>) {
    let prompt = pipeline.inputs().iter().find(|input| input.name == "text").unwrap();
    let value = Value::Text(asked.text.clone());
    let Feature::Text(prompt) = prompt.processor.prepare(&value, folder).unwrap() else {
        panic!("a prompt is a text")
    };
    let (source, seen) = seen(pipeline, &asked.picture, folder);
    let (pieces, behind) = task(pipeline).asking().unwrap().parted(&prompt, &[seen], 0);
    (source, pieces, behind)
}

#[test]
fn patches_and_logits_are_those_of_the_original() {
    for name in TILERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let (patches, _) = seen(&pipeline, "picture.png", &folder);
        assert_near(&to_vec(patches.embeddings), &case.patches, name);
        let task = task(&pipeline);
        for asked in &case.texts {
            let (source, pieces, behind) = pieces(&pipeline, asked, &folder);
            assert_eq!(behind.len(), asked.behind, "{name}, {:?}", asked.text);
            let memory = task.decoder().arranged(source, &[pieces]);
            let tokens: Vec<i64> = behind.into_iter().map(i64::from).collect();
            let shape = [1, tokens.len()];
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, shape), &Device::flex());
            let logits = to_vec(task.decoder().forward(tokens, Some(&memory), &Pass::evaluation()));
            let rows = logits.chunks(task.vocabulary().size);
            let found: Vec<f32> = rows.flat_map(|row| row.iter().copied().step_by(8)).collect();
            assert_near(&found, &asked.logits, &format!("{name}, {:?}", asked.text));
        }
    }
}

#[test]
fn prompts_have_the_tokens_of_the_original() {
    for name in TILERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let place = task(&pipeline).asking().unwrap().place;
        for asked in &case.texts {
            let (_, pieces, behind) = pieces(&pipeline, asked, &folder);
            let tokens = pieces.into_iter().flat_map(|piece| match piece {
                Piece::Tokens(tokens) => tokens,
                Piece::Source(range) | Piece::Planes(range, _) => vec![place; range.len()],
            });
            let found: Vec<u32> = tokens.chain(behind).collect();
            assert_eq!(found, asked.prompt, "{name}, {:?}", asked.text);
        }
    }
}

fn samples(case: &Case) -> Vec<Sample> {
    let sample = |asked: &Asked| {
        let values = [("image", asked.picture.as_str()), ("text", asked.text.as_str())];
        let values = values.map(|(name, value)| (name.to_string(), Value::Text(value.to_string())));
        Sample {
            row: 0,
            values: BTreeMap::from(values),
        }
    };
    case.texts.iter().map(sample).collect()
}

/// The answers to samples, and how many tokens each has.
pub(super) fn answers(pipeline: &Pipeline, samples: Vec<Sample>, folder: &Path) -> Vec<(Answer, usize)> {
    let answers = pipeline.predict(samples, folder).into_iter();
    let answers = answers.map(|answers| answers.unwrap().remove("answer").unwrap());
    answers.map(|answer| (answer.value, answer.tokens.len())).collect()
}

/// Pictures with different tiles are answered together as each by itself, by a run that was saved and packed too.
#[test]
fn answers_are_those_of_the_original() {
    for name in TILERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let expected = case.texts.iter();
        let expected: Vec<_> = expected
            .map(|asked| (Answer::Text(asked.answer.clone()), asked.written.len()))
            .collect();
        assert_eq!(answers(&pipeline, samples(&case), &folder), expected, "{name}");
        let packed = saved_and_packed(&pipeline);
        assert_eq!(answers(&packed, samples(&case), &folder), expected, "{name}");
    }
}

/// Without a picture it goes on with the text alone, whatever stands beside it; without a text it says something.
#[test]
fn a_picture_or_a_text_may_be_missing() {
    for name in TILERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let without = |name: &str| {
            let mut samples = samples(&case);
            samples.iter_mut().for_each(|sample| drop(sample.values.remove(name)));
            samples
        };
        let blind = answers(&pipeline, without("image"), &folder);
        let seeing = answers(&pipeline, samples(&case), &folder);
        assert_ne!(seeing, blind, "{name}");
        let beside = answers(&pipeline, [samples(&case), without("image")].concat(), &folder);
        assert_eq!(beside, [seeing, blind].concat(), "{name}");
        answers(&pipeline, without("text"), &folder);
    }
}
