//! Models that are asked about several pictures, about a video, about a sound, and in a dialogue, against what `transformers` makes
//! of the same checkpoints (`reference/architectures/make_chats.py`, `make_qwen2_5_vl.py`, `make_qwen2_audio.py` and `make_llava.py`).

use super::golden::{case, folder, import, saved_and_packed};
use super::golden_llava::{assert_near, task};
use super::golden_smolvlm::answers;
use crate::checkpoint::to_vec;
use crate::decoder::Piece;
use crate::encoded::Reading;
use crate::pass::Pass;
use crate::pipeline::Pipeline;
use crate::source::Source;
use crate::tasks::Answer;
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::processors::PatchGrid;
use sensorium_data::{Collated, Dataset, Sample, Value};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One that sees, and its folder.
const SEES: (&str, &str) = ("image", "smolvlm-chat");
/// The architecture of one that hears, which is its folder too.
pub(super) const HEARS: [&str; 1] = ["qwen2_audio"];
/// The architecture of one that sees pictures of any size, which is its folder too, and the name of what stands for a video.
pub(super) const SEES_ANY: [&str; 1] = ["qwen2_5_vl"];
const VIDEO: &str = "<|video_pad|>";
/// Tokens at the end of a prompt whose logits are kept.
const BEHIND: usize = 8;

#[derive(Deserialize)]
struct Case {
    chats: Vec<Chat>,
    /// Every seventh byte of the frames that are read of a video.
    #[serde(default)]
    frames: Vec<f32>,
}

#[derive(Deserialize)]
struct Chat {
    #[serde(default)]
    images: Vec<String>,
    video: Option<String>,
    sound: Option<String>,
    /// None where the text is the whole prompt.
    #[serde(default)]
    turns: Vec<Vec<String>>,
    text: Option<String>,
    /// All tokens, of which those of pictures have the place of one token each.
    prompt: Vec<u32>,
    /// Behind each of the last tokens, of every eighth token.
    #[serde(default)]
    logits: Vec<f32>,
    /// What the decoder reads of what it is asked about.
    #[serde(default)]
    states: Vec<f32>,
    /// The time, row and column of each token.
    #[serde(default)]
    places: Vec<Vec<usize>>,
    written: Vec<u32>,
    answer: String,
}

impl Chat {
    fn sample(&self) -> Sample {
        let text = |text: &String| Value::Text(text.clone());
        let turn = |turn: &Vec<String>| Value::List(turn.iter().map(text).collect());
        let asked = match &self.text {
            Some(whole) => text(whole),
            None => Value::List(self.turns.iter().map(turn).collect()),
        };
        let mut values = BTreeMap::from([("text".into(), asked)]);
        if !self.images.is_empty() {
            values.insert("image".into(), Value::List(self.images.iter().map(text).collect()));
        }
        values.extend(self.video.iter().map(|video| ("video".into(), text(video))));
        values.extend(self.sound.iter().map(|sound| ("audio".into(), text(sound))));
        Sample { row: 0, values }
    }
}

fn dataset(pipeline: &Pipeline, samples: Vec<Sample>, folder: &Path) -> Dataset {
    Dataset::new(samples, folder.into(), pipeline.inputs().to_vec(), Vec::new())
}

fn chatters() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sees = SEES_ANY.map(|name| ("image", name));
    std::iter::once(SEES)
        .chain(sees)
        .chain(HEARS.map(|name| ("audio", name)))
}

#[test]
fn prompts_and_logits_are_those_of_the_original() {
    for (input, name) in chatters() {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        for chat in &case.chats {
            assert_chat(&pipeline, input, chat, &folder);
        }
    }
}

fn assert_chat(pipeline: &Pipeline, input: &str, chat: &Chat, folder: &Path) {
    let (task, place) = (task(pipeline), task(pipeline).asking().unwrap().place);
    let (batch, failed) = dataset(pipeline, vec![chat.sample()], folder).batch(&[0], None);
    assert!(failed.is_empty(), "{failed:?}");
    let encoded = pipeline.model().encode(&batch, &Pass::evaluation());
    let source = Source::Input(input.into());
    let reading = Reading {
        encoded: &encoded,
        source: &source,
        rows: &[0],
        targets: None,
    };
    let (sources, parts) = task.pieces(&reading).unwrap();
    let (pieces, behind) = parts.into_iter().next().unwrap();
    let real: Vec<bool> = sources.mask.clone().into_data().iter::<bool>().collect();
    let tokens = pieces.iter().flat_map(|piece| match piece {
        Piece::Tokens(tokens) => tokens.clone(),
        Piece::Source(range) | Piece::Planes(range, _) => {
            vec![place; real[range.clone()].iter().filter(|real| **real).count()]
        }
    });
    let found: Vec<u32> = tokens.chain(behind.iter().copied()).collect();
    let prompt = pipeline.inputs().iter().find(|input| input.name == "text").unwrap();
    let video = prompt.processor.token(VIDEO);
    let expected = chat.prompt.iter();
    let expected: Vec<u32> = expected
        .map(|&token| if Some(token) == video { place } else { token })
        .collect();
    assert_eq!(found, expected, "{:?}", chat.turns);
    if !chat.states.is_empty() {
        let states = to_vec(sources.embeddings.clone());
        let width = states.len() / real.len();
        let states = states.chunks(width).zip(&real).filter(|(_, real)| **real);
        let states: Vec<f32> = states.flat_map(|(state, _)| state.to_vec()).collect();
        assert_near(&states, &chat.states, &format!("{:?}", chat.turns));
    }
    let memory = task.decoder().arranged(sources, &[pieces]);
    for (token, found) in memory.places.iter().flat_map(|places| places[0].iter()).enumerate() {
        let expected: Vec<usize> = chat.places.iter().map(|axis| axis[token]).collect();
        assert_eq!(found[..], expected, "{:?}, token {token}", chat.turns);
    }
    let tokens: Vec<i64> = behind.into_iter().map(i64::from).collect();
    let tokens = TensorData::new(tokens.clone(), [1, tokens.len()]);
    let tokens = Tensor::<2, Int>::from_data(tokens, &Device::flex());
    let logits = to_vec(task.decoder().forward(tokens, Some(&memory), &Pass::evaluation()));
    let rows: Vec<&[f32]> = logits.chunks(task.vocabulary().size).collect();
    let last = rows[rows.len().saturating_sub(BEHIND)..].iter();
    let found: Vec<f32> = last.flat_map(|row| row.iter().copied().step_by(8)).collect();
    let expected = &chat.logits[chat.logits.len() - found.len()..];
    assert_near(&found, expected, &format!("{:?}", chat.turns));
}

/// Chats about different media are answered together as each by itself, by a run that was saved and packed too.
#[test]
fn answers_are_those_of_the_original() {
    for (_, name) in chatters() {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let samples = || case.chats.iter().map(Chat::sample).collect::<Vec<_>>();
        let expected = case.chats.iter();
        let expected: Vec<_> = expected
            .map(|chat| (Answer::Text(chat.answer.clone()), chat.written.len()))
            .collect();
        assert_eq!(answers(&pipeline, samples(), &folder), expected);
        for (sample, expected) in samples().into_iter().zip(&expected) {
            assert_eq!(
                answers(&pipeline, vec![sample], &folder),
                std::slice::from_ref(expected)
            );
        }
        let (batch, _) = dataset(&pipeline, samples(), &folder).batch(&(0..expected.len()).collect::<Vec<_>>(), None);
        let found = pipeline.answer(&batch).into_iter();
        let found: Vec<Answer> = found.map(|mut row| row.remove("answer").unwrap().value).collect();
        let texts: Vec<Answer> = expected.iter().map(|(text, _)| text.clone()).collect();
        assert_eq!(found, texts);
        let packed = saved_and_packed(&pipeline);
        assert_eq!(answers(&packed, samples(), &folder), expected);
    }
}

/// Every seventh number of the patches that are read of a picture or a video.
#[derive(Deserialize)]
struct Patches {
    medium: String,
    /// The groups of frames, and the rows and columns of patches.
    grid: [usize; 3],
    #[serde(default)]
    seconds: f32,
    values: Vec<f32>,
}

/// Pictures are scaled as Pillow does it; frames by the original otherwise, which rounds a few bytes to a neighbour.
#[test]
fn patches_are_those_of_the_original() {
    #[derive(Deserialize)]
    struct Case {
        patches: BTreeMap<String, Patches>,
    }
    let folder = folder(SEES_ANY[0]);
    let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
    for (name, expected) in case.patches {
        let (medium, most) = (&expected.medium, if name == "image" { 1e-5 } else { 0.016 });
        let input = pipeline.inputs().iter().find(|input| input.name == name).unwrap();
        let feature = input.processor.prepare(&Value::Text(medium.clone()), &folder).unwrap();
        let Collated::Patches {
            values, grids, square, ..
        } = input.processor.collate(&[&feature])
        else {
            panic!("no patches")
        };
        let [time, rows, columns] = expected.grid;
        let grid = PatchGrid {
            time,
            rows: rows / square,
            columns: columns / square,
            seconds: expected.seconds,
        };
        assert_eq!(grids, [vec![grid]], "{medium}");
        let found: Vec<f32> = values.iter().step_by(7).copied().collect();
        let apart = found
            .iter()
            .zip(&expected.values)
            .map(|(found, expected)| (found - expected).abs());
        let furthest = apart.fold(0.0, f32::max);
        assert!(
            found.len() == expected.values.len() && furthest < most,
            "{medium}: {furthest}"
        );
    }
}

/// The prompts of LLaVA with one token for each picture.
#[test]
fn dialogues_of_llava_are_those_of_its_template() {
    let folder = folder("llava");
    let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
    for chat in &case.chats {
        let (batch, _) = dataset(&pipeline, vec![chat.sample()], &folder).batch(&[0], None);
        let Some(Collated::Text { tokens, .. }) = &batch.inputs["text"].media else {
            panic!("a prompt is a text")
        };
        let found: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        assert_eq!(found, chat.prompt, "{:?} {:?}", chat.text, chat.turns);
    }
    let samples = case.chats.iter().map(Chat::sample).collect();
    let expected = case.chats.iter();
    let expected: Vec<_> = expected
        .map(|chat| (Answer::Text(chat.answer.clone()), chat.written.len()))
        .collect();
    assert_eq!(answers(&pipeline, samples, &folder), expected);
}

/// Frames are scaled as the original scales them, whose arithmetic rounds a few bytes otherwise.
#[test]
fn frames_have_the_bytes_of_the_original() {
    let folder = folder(SEES.1);
    let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
    let video = pipeline.inputs().iter().find(|input| input.name == "video").unwrap();
    let feature = video
        .processor
        .prepare(&Value::Text("large.png".into()), &folder)
        .unwrap();
    let Collated::Video { pixels, lengths, .. } = video.processor.collate(&[&feature]) else {
        panic!("not a video")
    };
    assert_eq!(lengths, [4]);
    let found: Vec<f32> = pixels
        .iter()
        .step_by(7)
        .map(|value| (value * 0.5 + 0.5) * 255.0)
        .collect();
    let apart = found
        .iter()
        .zip(&case.frames)
        .map(|(found, expected)| (found - expected).abs());
    let most = apart.fold(0.0, f32::max);
    assert!(found.len() == case.frames.len() && most < 1.5, "{most}");
}

#[test]
fn pictures_that_a_text_does_not_name_are_refused_with_their_row() {
    let folder = folder(SEES.1);
    let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
    let mut sample = case.chats[0].sample();
    sample.values.insert("image".into(), Value::Text("picture.png".into()));
    let error = pipeline
        .predict(vec![case.chats[6].sample(), sample], &folder)
        .remove(1)
        .unwrap_err();
    assert_eq!((error.row, error.field.as_deref()), (Some(1), Some("text")));
    assert!(error.message.contains("as often as there are pictures (1)"), "{error}");
}
