//! Encoders of pictures, and those of pictures and texts in one space, against what `transformers` makes of the same
//! checkpoints (`reference/architectures/make_pictures.py`).

use super::golden::{answers, assert_near, case, folder, import};
use crate::checkpoint::to_vec;
use crate::pipeline::Pipeline;
use crate::tasks::{Answer, Task};
use crate::tokens::{Layout, Tokens};
use sensorium_data::{Dataset, InputBatch, Sample, Value};
use sensorium_kernels::Precision;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How far the vector of a picture that was resized may be from the original's: pixels differ by one at most.
const RESIZED: f32 = 0.02;

/// What `picture.png` and `large.png` are encoded to.
#[derive(Deserialize)]
struct Case {
    /// Of the patches alone.
    states: Vec<f32>,
    pooled: Vec<f32>,
    large: Vec<f32>,
    #[serde(default)]
    labels: BTreeMap<String, f64>,
}

/// What pictures and texts are encoded to in one space.
#[derive(Deserialize)]
struct Aligned {
    states: Vec<f32>,
    pooled: Vec<f32>,
    image: Vec<f32>,
    large: Vec<f32>,
    texts: Vec<String>,
    text_states: Vec<Vec<f32>>,
    embeddings: Vec<Vec<f32>>,
    similarities: Vec<f32>,
}

pub(super) const ENCODERS: [&str; 3] = ["dinov2", "dinov2_with_registers", "vit"];
/// The architecture of each folder.
pub(super) const SPACES: [(&str, &str); 3] = [("clip", "clip"), ("clip", "clip-gelu"), ("siglip", "siglip")];

/// What the encoder of `input` makes of some values, and of pictures that lie on a grid.
pub(super) fn encoded(pipeline: &Pipeline, input: &str, values: &[&str], folder: &Path) -> Tokens {
    let batch = batch(pipeline, input, values, folder);
    pipeline.model().encode_media(input, &batch)
}

pub(super) fn batch(pipeline: &Pipeline, input: &str, values: &[&str], folder: &Path) -> InputBatch {
    let sample = |(row, value): (usize, &&str)| Sample {
        row,
        values: BTreeMap::from([(input.into(), Value::Text(value.to_string()))]),
    };
    let samples = values.iter().enumerate().map(sample).collect();
    let dataset = Dataset::new(samples, folder.to_path_buf(), pipeline.inputs().to_vec(), Vec::new());
    let rows: Vec<usize> = (0..values.len()).collect();
    let (mut batch, failed) = dataset.batch(&rows, None);
    assert!(failed.is_empty(), "{failed:?}");
    batch.inputs.remove(input).unwrap()
}

/// The states of the patches alone stand in the layout, and the class is the summary.
fn check_picture(name: &str, tokens: Tokens, states: &[f32], pooled: &[f32]) {
    let [_, length, width] = tokens.embeddings.dims();
    let Layout::Grid { height, width: columns } = tokens.layout else {
        panic!("{name}: patches lie on a grid, not {:?}", tokens.layout)
    };
    assert_eq!((height * columns, length * width), (length, states.len()), "{name}");
    assert_near(&to_vec(tokens.embeddings), states, name);
    assert_near(&to_vec(tokens.summary.expect("a summary")), pooled, name);
}

pub(super) fn assert_resized(found: &[f32], expected: &[f32], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let far = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert!(far < RESIZED * largest, "{name}: {found:?}, not {expected:?}");
}

#[test]
fn pictures_are_encoded_as_by_their_originals() {
    for name in ENCODERS {
        let folder = folder(name);
        let case: Case = case(&folder);
        for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
            let tokens = encoded(&pipeline, "image", &["picture.png"], &folder);
            check_picture(name, tokens, &case.states, &case.pooled);
            let tokens = encoded(&pipeline, "image", &["large.png"], &folder);
            assert_resized(&to_vec(tokens.pooled()), &case.large, name);
        }
        let found = &answers(&folder, "image", &["picture.png".into()])[0];
        let length = case.pooled.iter().map(|value| value * value).sum::<f32>().sqrt();
        let direction: Vec<f32> = case.pooled.iter().map(|value| value / length).collect();
        match &found["embedding"].value {
            Answer::Vector(found) => assert_near(found, &direction, name),
            other => panic!("an embedding is a vector, not {other}"),
        }
        let labels = found.get("label").map(|label| label.top.as_slice()).unwrap_or_default();
        assert_eq!(labels.len(), case.labels.len(), "{name}");
        for label in labels {
            let expected = case.labels[&label.value];
            assert!((label.probability - expected).abs() < 1e-4, "{name}, {}", label.value);
        }
    }
}

#[test]
fn pictures_and_texts_share_the_space_of_their_originals() {
    for (_, name) in SPACES {
        let folder = folder(name);
        let case: Aligned = case(&folder);
        for pipeline in [import(&folder), import(&folder).packed(Precision::Float32)] {
            check_aligned(name, &folder, &pipeline, &case);
        }
    }
}

fn check_aligned(name: &str, folder: &Path, pipeline: &Pipeline, case: &Aligned) {
    let tokens = encoded(pipeline, "image", &["picture.png"], folder);
    check_picture(name, tokens, &case.states, &case.pooled);
    let texts: Vec<&str> = case.texts.iter().map(String::as_str).collect();
    check_states(name, encoded(pipeline, "text", &texts, folder), &case.text_states);
    let rows: Vec<(&str, &str)> = texts.iter().map(|text| ("picture.png", *text)).collect();
    let space = |rows: &[(&str, &str)]| {
        let sample = |(row, (picture, text)): (usize, &(&str, &str))| {
            let values = [("image", picture), ("text", text)];
            let values = values.map(|(name, value)| (name.to_string(), Value::Text(value.to_string())));
            Sample {
                row,
                values: BTreeMap::from(values),
            }
        };
        let samples = rows.iter().enumerate().map(sample).collect();
        let dataset = Dataset::new(samples, folder.to_path_buf(), pipeline.inputs().to_vec(), Vec::new());
        let (batch, failed) = dataset.batch(&(0..rows.len()).collect::<Vec<_>>(), None);
        assert!(failed.is_empty(), "{failed:?}");
        pipeline.model().embed(&batch, "similarity")
    };
    let Task::Align(task) = pipeline.model().task("similarity") else {
        panic!("two encoders are aligned")
    };
    for ((found, expected), similarity) in space(&rows).iter().zip(&case.embeddings).zip(&case.similarities) {
        assert_near(&found["image"], &case.image, name);
        assert_near(&found["text"], expected, name);
        let products = found["image"].iter().zip(&found["text"]);
        let cosine: f64 = products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert_near(&[task.logits(&[cosine])[0] as f32], &[*similarity], name);
    }
    assert_resized(&space(&[("large.png", texts[0])])[0]["image"], &case.large, name);
}

/// The states of the real tokens of each text.
fn check_states(name: &str, tokens: Tokens, expected: &[Vec<f32>]) {
    let [_, length, width] = tokens.embeddings.dims();
    let real = to_vec(tokens.mask.float());
    let states = to_vec(tokens.embeddings);
    let rows = states.chunks(length * width).zip(real.chunks(length));
    for ((states, real), expected) in rows.zip(expected) {
        let real = real.iter().sum::<f32>() as usize;
        assert_near(&states[..real * width], expected, name);
    }
}
