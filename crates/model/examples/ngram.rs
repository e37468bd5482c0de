//! What an n-gram model makes of a set's texts: the baseline of a language model.
//!
//! `cargo run --release -p sensorium-model --example ngram -- ROWS.jsonl [--order 5] [--unit word|character]` trains on the
//! rows whose `split` is train and prints what the test rows cost.

use sensorium_data::{Manifest, Sample};
use sensorium_model::decoding::ngram::{NgramConfig, NgramModel, Unit};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).map(String::as_str)
    };
    let rows = arguments.first().ok_or("expected the path of a manifest")?;
    let config = NgramConfig {
        order: option("--order").unwrap_or("5").parse()?,
        unit: match option("--unit") {
            Some("character") => Unit::Character,
            _ => Unit::Word,
        },
        ..NgramConfig::default()
    };
    let manifest = Manifest::open(Path::new(rows))?;
    let texts = |split: &str| -> Vec<String> {
        let of_split = |sample: &&Sample| sample.get("split").label().as_deref() == Some(split);
        let samples = manifest.samples.iter().filter(of_split);
        samples.filter_map(|sample| sample.get("text").label()).collect()
    };
    let (train, test) = (texts("train"), texts("test"));
    let model = NgramModel::train(&config, train.iter().map(String::as_str))?;
    let measured = model.evaluate(test.iter().map(String::as_str));
    println!(
        "order {}, {:?}: {:.4} bits per byte, perplexity {:.2}, {} of {} tokens unknown",
        model.order(),
        config.unit,
        measured.bits_per_byte(),
        measured.perplexity(),
        measured.unknown,
        measured.tokens
    );
    Ok(())
}
