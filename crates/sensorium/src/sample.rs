//! One sample from the command line: the value of each input by its name or by its modality.

use crate::exit::Usage;
use sensorium_data::{InputColumn, Modality, Value};
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub struct SampleArguments {
    /// The value of an input by its name: a text, or the path of a medium
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// A picture for the run's image input
    #[arg(long, value_name = "PATH")]
    image: Option<String>,
    /// A sound for the run's audio input
    #[arg(long, value_name = "FILE")]
    audio: Option<String>,
    /// A video for the run's video input
    #[arg(long, value_name = "FILE")]
    video: Option<String>,
    /// A text for the run's text input
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
}

impl SampleArguments {
    /// The sample's values by column; empty where nothing was given.
    pub fn values(&self, inputs: &[InputColumn]) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut values = BTreeMap::new();
        for given in &self.inputs {
            let Some((name, value)) = given.split_once('=') else {
                return Err(Usage(format!("--input {given}: expected NAME=VALUE")).into());
            };
            let Some(input) = inputs.iter().find(|input| input.name == name) else {
                let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
                let message = format!(
                    "--input {given}: the run has no input `{name}`; it has {}",
                    known.join(", ")
                );
                return Err(Usage(message).into());
            };
            values.insert(input.column.clone(), Value::Text(value.to_string()));
        }
        let by_modality = [
            ("--image", Modality::Image, &self.image),
            ("--audio", Modality::Audio, &self.audio),
            ("--video", Modality::Video, &self.video),
            ("--text", Modality::Text, &self.text),
        ];
        for (flag, modality, value) in by_modality {
            if let Some(value) = value {
                values.insert(only(inputs, flag, modality)?, Value::Text(value.clone()));
            }
        }
        Ok(values)
    }
}

/// The column of the run's one input of a modality.
fn only(inputs: &[InputColumn], flag: &str, modality: Modality) -> anyhow::Result<String> {
    let fitting = inputs.iter().filter(|input| input.processor.modality() == modality);
    let fitting: Vec<_> = fitting.collect();
    match fitting.as_slice() {
        [input] => Ok(input.column.clone()),
        [] => Err(Usage(format!("{flag}: the run has no {modality} input")).into()),
        many => {
            let names: Vec<&str> = many.iter().map(|input| input.name.as_str()).collect();
            let message = format!(
                "{flag}: the run has several {modality} inputs; use --input with one of {}",
                names.join(", ")
            );
            Err(Usage(message).into())
        }
    }
}
