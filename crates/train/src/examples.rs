//! Chooses the examples that a run directory keeps for people to try.

use crate::error::Result;
use sensorium_data::split::Splits;
use sensorium_data::{Dataset, Feature, InputColumn, Modality, Sample, Value};
use sensorium_model::{Examples, Pipeline};
use std::collections::{BTreeMap, BTreeSet};

/// Pictures and texts of each input.
const COUNT: usize = 8;

/// Distinct values from evenly spaced rows of the test split, or of the training split where there is none.
pub fn choose(pipeline: &Pipeline, dataset: &Dataset, splits: &Splits) -> Result<Examples> {
    let indices = if splits.test.is_empty() {
        &splits.train
    } else {
        &splits.test
    };
    let samples: Vec<&Sample> = indices.iter().map(|&index| &dataset.samples()[index]).collect();
    let mut examples = Examples::default();
    for input in pipeline.inputs() {
        let values = distinct(&samples, &input.column);
        match input.processor.modality() {
            Modality::Text => examples.texts.extend(texts(input, &values)),
            // The page offers pictures for the first image input only.
            Modality::Image if examples.pictures.is_empty() => {
                examples.pictures = pictures(dataset, input, &values)?;
            }
            Modality::Image | Modality::Audio | Modality::Video => {}
        }
    }
    Ok(examples)
}

/// Up to [`COUNT`] different values: a stride that shares no factor with common group sizes walks through the rows.
fn distinct<'a>(samples: &[&'a Sample], column: &str) -> Vec<&'a Value> {
    const STRIDE: usize = 997;
    let mut seen = BTreeSet::new();
    let rows = (0..samples.len()).map(|index| samples[index * STRIDE % samples.len()]);
    let values = rows
        .map(|sample| sample.get(column))
        .filter(|value| **value != Value::Absent);
    values
        .filter(|value| seen.insert(format!("{value:?}")))
        .take(COUNT)
        .collect()
}

fn texts(input: &InputColumn, values: &[&Value]) -> Vec<BTreeMap<String, String>> {
    let mut seen = BTreeSet::new();
    let texts = values.iter().filter_map(|value| question(value));
    let texts = texts.filter(|text| seen.insert(text.clone()));
    texts.map(|text| BTreeMap::from([(input.name.clone(), text)])).collect()
}

/// The text that a value is; of a dialogue its first question, which needs nothing that was said before.
fn question(value: &Value) -> Option<String> {
    match value {
        Value::List(turns) => turns.first().and_then(question),
        value => value.label(),
    }
}

fn pictures(dataset: &Dataset, input: &InputColumn, values: &[&Value]) -> Result<Vec<Vec<u8>>> {
    let mut pictures = Vec::new();
    for value in values {
        if let Feature::Image(picture) = input.processor.prepare(value, dataset.root())? {
            pictures.push(picture.to_png());
        }
    }
    Ok(pictures)
}
