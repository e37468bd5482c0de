//! Encoders of raw speech, and heads of letters behind them, against what `transformers` makes of the same checkpoints
//! (`reference/architectures/make_wav2vec2.py`).

use super::golden::{assert_near, case, folder, import, saved_and_packed};
use super::golden_pictures::encoded;
use super::{Checkpoint, Head, TranscriptHead};
use crate::checkpoint::to_vec;
use crate::pipeline::{Answers, Pipeline};
use crate::tasks::{Answer, Task};
use crate::tokens::{Tokens, lengths};
use sensorium_data::{Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The architecture of each folder.
pub(super) const SPEAKERS: [(&str, &str); 3] = [
    ("hubert", "hubert"),
    ("wav2vec2", "wav2vec2"),
    ("wav2vec2", "wav2vec2-large"),
];

#[derive(Deserialize)]
struct Case {
    sounds: BTreeMap<String, Sound>,
    texts: Vec<Text>,
}

/// What a sound by itself is encoded to and answered.
#[derive(Deserialize)]
struct Sound {
    states: Vec<f32>,
    /// The mean of the states, of length one; of a model without a head.
    embedding: Option<Vec<f32>>,
    /// Of each class in each frame.
    #[serde(default)]
    logits: Vec<f32>,
    /// Of the best class in each frame, repeats joined and blanks left out.
    #[serde(default)]
    tokens: Vec<u32>,
    text: Option<String>,
}

/// How a text is tokenised.
#[derive(Deserialize)]
struct Text {
    text: String,
    tokens: Vec<u32>,
}

fn head(folder: &Path) -> Option<TranscriptHead> {
    match &Checkpoint::open(folder).unwrap().architecture().head {
        Head::Transcript(head) => Some(head.as_ref().clone()),
        _ => None,
    }
}

/// Logits in the order in which they stand here.
fn ordered(logits: &[f32], head: &TranscriptHead) -> Vec<f32> {
    let order = head.order();
    let frames = logits.chunks(head.classes);
    frames
        .flat_map(|frame| order.iter().map(|&class| frame[class]))
        .collect()
}

fn logits(pipeline: &Pipeline, tokens: Tokens) -> Vec<f32> {
    match pipeline.model().task("text") {
        Task::Transcribe(task) => to_vec(task.logits(tokens.embeddings)),
        other => panic!("letters are told, not {}", other.name()),
    }
}

#[test]
fn states_and_logits_are_those_of_the_original() {
    for (_, name) in SPEAKERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
            for (sound, expected) in &case.sounds {
                let tokens = encoded(&pipeline, "audio", &[sound], &folder);
                let place = format!("{name}, {sound}");
                assert_near(&to_vec(tokens.embeddings.clone()), &expected.states, &place);
                if let Some(head) = head(&folder) {
                    let expected = ordered(&expected.logits, &head);
                    assert_near(&logits(&pipeline, tokens), &expected, &place);
                }
            }
        }
    }
}

#[test]
fn sounds_are_read_together_as_each_by_itself() {
    for (_, name) in SPEAKERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        let sounds: Vec<&str> = case.sounds.keys().map(String::as_str).collect();
        let tokens = encoded(&import(&folder), "audio", &sounds, &folder);
        let counts = lengths(&tokens.mask);
        for (row, (sound, expected)) in case.sounds.iter().enumerate() {
            let own = tokens.embeddings.clone().narrow(0, row, 1).narrow(1, 0, counts[row]);
            assert_near(&to_vec(own), &expected.states, &format!("{name}, {sound}"));
        }
    }
}

/// What is answered of all sounds together.
fn answers(pipeline: &Pipeline, case: &Case, folder: &Path) -> Vec<Answers> {
    let sample = |sound: &String| Sample {
        row: 0,
        values: BTreeMap::from([("audio".into(), Value::Text(sound.clone()))]),
    };
    let samples = case.sounds.keys().map(sample).collect();
    let answers = pipeline.predict(samples, folder);
    answers.into_iter().map(Result::unwrap).collect()
}

fn assert_answers(pipeline: &Pipeline, case: &Case, folder: &Path) {
    for (answers, (sound, expected)) in answers(pipeline, case, folder).iter().zip(&case.sounds) {
        let place = format!("{}, {sound}", folder.display());
        if let Some(text) = &expected.text {
            assert_eq!(answers["text"].value, Answer::Text(text.clone()), "{place}");
            assert_eq!(answers["text"].tokens.len(), expected.tokens.len(), "{place}");
        }
        if let Some(embedding) = &expected.embedding {
            match &answers["embedding"].value {
                Answer::Vector(found) => assert_near(found, embedding, &place),
                other => panic!("{place}: an embedding is a vector, not {other}"),
            }
        }
    }
}

#[test]
fn sounds_are_answered_as_by_the_original() {
    for (_, name) in SPEAKERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        assert_answers(&pipeline, &case, &folder);
        let packed = saved_and_packed(&pipeline);
        assert_answers(&packed, &case, &folder);
    }
}

/// As there, but for the blank, which is none of them.
#[test]
fn texts_have_the_letters_of_the_original() {
    for (_, name) in SPEAKERS {
        let folder = folder(name);
        let (case, pipeline): (Case, _) = (case(&folder), import(&folder));
        let Some(head) = head(&folder) else {
            continue;
        };
        let texts = &pipeline.outputs()[0].texts.as_ref().unwrap().processor;
        assert!(!case.texts.is_empty(), "{name}");
        for Text { text, tokens } in &case.texts {
            let place = |token: &u32| token - u32::from(*token as usize > head.blank);
            let expected: Vec<u32> = tokens.iter().map(place).collect();
            assert_eq!(texts.text_tokens(text, true).unwrap(), expected, "{name}, {text:?}");
        }
    }
}
