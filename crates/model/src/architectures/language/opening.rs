//! What stands in front of a text that a language model goes on with.

use super::LanguageHead;
use crate::error::{ModelError, Result};
use sensorium_data::processors::FeatureShape;
use sensorium_data::{Processor, files};
use serde::Deserialize;
use std::path::Path;

const SETTINGS: &str = "tokenizer_config.json";

/// What is read of a `tokenizer_config.json`.
#[derive(Default, Deserialize)]
struct Settings {
    add_bos_token: Option<bool>,
    add_eos_token: Option<bool>,
}

/// The same head with the tokens that the checkpoint in `folder` sets in front of a text: those of the tokenizer's
/// post-processor, unless the settings of the tokenizer say otherwise.
///
/// # Errors
/// For a tokenizer with more tokens than the model, and for one that ends each text.
pub fn opened(head: &LanguageHead, texts: &Processor, folder: &Path) -> Result<LanguageHead> {
    let FeatureShape::Text { vocabulary, .. } = texts.shape() else {
        panic!("a language model reads texts");
    };
    let size = head.vocabulary.size;
    if vocabulary > size {
        let message = format!("tokenizer.json: expected at most vocab_size {size} tokens, found {vocabulary}");
        return Err(ModelError::file(folder, message));
    }
    let settings = settings(&folder.join(SETTINGS))?;
    let (before, behind) = texts.frame().unwrap_or_default();
    let ends = match (settings.add_bos_token, settings.add_eos_token) {
        (None, None) => !behind.is_empty(),
        (_, ends) => ends == Some(true),
    };
    if ends {
        let message = "expected a tokenizer that leaves texts open, found one that sets a token behind them";
        return Err(ModelError::file(folder, message));
    }
    let mut head = head.clone();
    let opening = match (settings.add_bos_token, settings.add_eos_token) {
        (Some(true), _) if before.is_empty() => vec![head.vocabulary.begin],
        (None, None) | (Some(true), _) => before.to_vec(),
        _ => Vec::new(),
    };
    head.task.tokens.get_or_insert_default().opening = opening;
    Ok(head)
}

fn settings(path: &Path) -> Result<Settings> {
    if !path.exists() {
        return Ok(Settings::default());
    }
    let settings = serde_json::from_slice(&files::read(path)?);
    settings.map_err(|error| ModelError::file(path, error.to_string()))
}
