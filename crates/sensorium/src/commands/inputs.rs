//! The inputs of one sample, as options of `predict`, `chat` and `search`.

use crate::exit::Usage;
use sensorium_data::{InputColumn, Modality, Value};
use std::collections::BTreeMap;

#[derive(clap::Args)]
pub struct Inputs {
    /// The value of an input by its name: a text, or the path of a medium
    #[arg(long = "input", value_name = "NAME=VALUE")]
    inputs: Vec<String>,
    /// A picture for the run's image input; several where it takes a list of them
    #[arg(long, value_name = "PATH")]
    image: Vec<String>,
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

impl Inputs {
    /// The sample's values by column; `--text` goes to the only text input beside `asked`.
    pub fn collect(
        &self,
        inputs: &[InputColumn],
        asked: Option<&InputColumn>,
    ) -> anyhow::Result<BTreeMap<String, Value>> {
        let mut values = BTreeMap::new();
        let mut add = |flag: &str, input: &InputColumn, value: &str| -> anyhow::Result<()> {
            let value = Value::Text(value.to_string());
            let value = match values.remove(&input.column) {
                Some(before) => joined(flag, input, before, value)?,
                None => value,
            };
            values.insert(input.column.clone(), value);
            Ok(())
        };
        for given in &self.inputs {
            let Some((name, value)) = given.split_once('=') else {
                return Err(Usage(format!("--input {given}: expected NAME=VALUE")).into());
            };
            add("--input", named(inputs, &format!("--input {given}"), name)?, value)?;
        }
        let by_modality = [
            ("--image", Modality::Image, self.image.as_slice()),
            ("--audio", Modality::Audio, self.audio.as_slice()),
            ("--video", Modality::Video, self.video.as_slice()),
            ("--text", Modality::Text, self.text.as_slice()),
        ];
        for (flag, modality, given) in by_modality {
            for value in given {
                add(flag, only(inputs, flag, modality, asked)?, value)?;
            }
        }
        Ok(values)
    }
}

/// What an input has already and one medium more.
fn joined(flag: &str, input: &InputColumn, before: Value, value: Value) -> anyhow::Result<Value> {
    if input.processor.list().is_none() {
        let message = format!(
            "{flag}: the run's input `{}` takes one value, found several",
            input.name
        );
        return Err(Usage(message).into());
    }
    let mut items = match before {
        Value::List(items) => items,
        item => vec![item],
    };
    items.push(value);
    Ok(Value::List(items))
}

/// The input of this name; `flag` is what asks for it.
pub fn named<'a>(inputs: &'a [InputColumn], flag: &str, name: &str) -> anyhow::Result<&'a InputColumn> {
    inputs.iter().find(|input| input.name == name).ok_or_else(|| {
        let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let known = known.join(", ");
        Usage(format!("{flag}: the run has no input `{name}`; it has {known}")).into()
    })
}

/// The run's one input of a modality, beside `asked`.
pub fn only<'a>(
    inputs: &'a [InputColumn],
    flag: &str,
    modality: Modality,
    asked: Option<&InputColumn>,
) -> anyhow::Result<&'a InputColumn> {
    let is_asked = |input: &InputColumn| asked.is_some_and(|asked| asked.name == input.name);
    let fitting = inputs.iter();
    let fitting = fitting.filter(|input| input.processor.modality() == modality && !is_asked(input));
    match fitting.collect::<Vec<_>>().as_slice() {
        [input] => Ok(input),
        [] => {
            let other = if asked.is_some() && modality == Modality::Text {
                "other "
            } else {
                ""
            };
            Err(Usage(format!("{flag}: the run has no {other}{modality} input")).into())
        }
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
