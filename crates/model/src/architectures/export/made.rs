//! Language models that were made here, as the checkpoints in the way of Llama that they could have come from.

use super::super::language::{names_of_llama, written_as_llama};
use super::super::{Checkpoint, Place};
use super::kept::{CONFIGURATION, Kept, Tensors};
use crate::config::OutputConfig;
use crate::decoder::{DecoderConfig, LlamaDecoderConfig};
use crate::error::Result;
use crate::parameters::shapes;
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use crate::tasks::{Fitted, TaskConfig};
use sensorium_data::processors::SPECIAL_TOKENS;
use sensorium_data::{OutputColumn, ProcessorConfig};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SETTINGS: &str = "tokenizer_config.json";

/// What would have been kept of each language model of the run that is not among those that were `kept`.
///
/// # Errors
/// For a configuration that the architectures refuse.
pub fn language_models(
    run: &RunDirectory,
    pipeline: &Pipeline,
    kept: &[(Kept, Checkpoint)],
) -> Result<Vec<(Kept, Checkpoint)>> {
    let shapes = shapes(pipeline.model());
    let mut found = Vec::new();
    for (name, output) in &pipeline.description.model.outputs {
        let part = format!("outputs.{name}");
        let known = kept.iter().any(|(kept, _)| kept.tensors.parts.contains(&part));
        let tokenized = pipeline
            .outputs()
            .iter()
            .any(|one| one.name == *name && is_tokenized_here(one));
        let described = described(output).filter(|_| tokenized && !known);
        let Some((decoder, config, places)) = described else {
            continue;
        };
        let files = BTreeMap::from([
            (CONFIGURATION.into(), config.to_string().into_bytes()),
            (SETTINGS.into(), settings(places).to_string().into_bytes()),
        ]);
        let checkpoint = Checkpoint::configured(config, run.path())?;
        let tensor = |tensor: String| match (checkpoint.architecture().place)(&tensor) {
            Place::Head(path) => Some((tensor, shapes.get(&format!("{part}.{path}"))?.clone())),
            _ => None,
        };
        let shapes = names_of_llama(decoder.layers).filter_map(tensor).collect();
        let parts = vec![part.clone()];
        let tensors = Tensors { parts, shapes };
        found.push((Kept { files, tensors }, checkpoint));
    }
    Ok(found)
}

/// The decoder of a language model, its configuration, and the places that it has.
fn described(output: &OutputConfig) -> Option<(&LlamaDecoderConfig, Value, usize)> {
    let (TaskConfig::LanguageModel(task), Fitted::Vocabulary(vocabulary)) = (&output.task, &output.fitted) else {
        return None;
    };
    let DecoderConfig::Llama(decoder) = &task.decoder else {
        return None;
    };
    let config = written_as_llama(decoder, vocabulary, task.context)?;
    Some((decoder, config, task.context))
}

/// Whether the tokenizer of an output's texts was trained here, so that it can be told what stands in front of them.
fn is_tokenized_here(output: &OutputColumn) -> bool {
    let config = output.texts.as_ref().map(|texts| texts.processor.config());
    matches!(config, Some(ProcessorConfig::Text(config)) if !config.tokenizer.is_public())
}

/// What is said of the tokenizer: whose the special tokens are.
fn settings(places: usize) -> Value {
    let [padding, unknown, begin, end] = SPECIAL_TOKENS;
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": padding,
        "unk_token": unknown,
        "bos_token": begin,
        "eos_token": end,
        "model_max_length": places,
        "clean_up_tokenization_spaces": false,
    })
}
