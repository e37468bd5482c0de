//! The loader with nothing behind it: what one thread of it delivers for the workloads that train.

use super::Rate;
use super::inputs::{picture, sound, texts};
use crate::measure::repeat;
use sensorium_data::processors::{AudioConfig, ImageConfig, Size, TextConfig};
use sensorium_data::{Dataset, InputColumn, Loader, Processor, ProcessorConfig, Result, Sample, Value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of an epoch, of which each has media of its own.
const ROWS: usize = 64;
/// Seconds that the epochs of one kind take together at least.
const SECONDS: f64 = 1.0;
/// The sounds of W3, in seconds: 400 frames.
const SOUND: usize = 4;

/// Rows per second for the inputs of W1, W2 and W3, decoded from files in memory, in batches of their sizes.
pub fn rates() -> [Result<Rate>; 3] {
    [
        rate("loader, W1: JPEG 640×480 to 224×224", &[("image", image(224))], 8),
        rate(
            "loader, W2: JPEG 640×480 to 64×64, text",
            &[
                ("image", image(64)),
                ("text", ProcessorConfig::Text(TextConfig::default())),
            ],
            32,
        ),
        rate(
            "loader, W3: WAV of 4 s to log-mel",
            &[("audio", ProcessorConfig::Audio(AudioConfig::default()))],
            8,
        ),
    ]
}

fn image(side: u32) -> ProcessorConfig {
    ProcessorConfig::Image(ImageConfig {
        size: Size::new(side, side),
        ..ImageConfig::default()
    })
}

fn rate(name: &'static str, inputs: &[(&str, ProcessorConfig)], batch: usize) -> Result<Rate> {
    let dataset = Arc::new(dataset(inputs)?);
    let bytes = |value: &Value| match value {
        Value::Bytes(bytes) => bytes.len(),
        Value::Text(text) => text.len(),
        _ => 0,
    };
    let order: Vec<usize> = (0..ROWS).collect();
    let batches: Vec<Vec<usize>> = order.chunks(batch).map(<[usize]>::to_vec).collect();
    let load = |batches| Loader::new(&dataset, batches, None, 1).map(|prepared| prepared.batch.rows.len());
    // Rows that are refused would be timed as if they were fast.
    assert_eq!(load(batches.clone()).sum::<usize>(), ROWS);
    let timing = repeat(SECONDS, || batches.clone(), |batches| load(batches).sum::<usize>());
    Ok(Rate {
        name,
        unit: "rows",
        per_second: ROWS as f64 / timing.seconds.median,
        inputs: ROWS,
        bytes: dataset
            .samples()
            .iter()
            .flat_map(|sample| sample.values.values())
            .map(bytes)
            .sum(),
        timing,
    })
}

/// Without a cache: every epoch decodes every medium.
fn dataset(inputs: &[(&str, ProcessorConfig)]) -> Result<Dataset> {
    let texts = texts();
    let references: Vec<&str> = texts.iter().map(String::as_str).collect();
    let value = |name: &str, row: usize| match name {
        "image" => Value::Bytes(picture(row).into()),
        "audio" => Value::Bytes(sound(row, SOUND).into()),
        // A caption is a sentence.
        _ => Value::Text(texts[row].split_inclusive('.').take(1).collect()),
    };
    let sample = |row: usize| {
        let values = inputs.iter().map(|(name, _)| (name.to_string(), value(name, row)));
        let values: BTreeMap<String, Value> = values.collect();
        Sample { row, values }
    };
    let samples = (0..ROWS).map(sample).collect();
    let column = |(name, config): &(&str, ProcessorConfig)| {
        Ok(InputColumn {
            name: name.to_string(),
            column: name.to_string(),
            processor: Processor::fit(config, &references)?,
        })
    };
    let inputs = inputs.iter().map(column).collect::<Result<_>>()?;
    Ok(Dataset::new(samples, PathBuf::new(), inputs, Vec::new()))
}
