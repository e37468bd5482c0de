//! Folders of CTranslate2, as faster-whisper reads them: `model.bin`, a vocabulary, and a `config.json` without sizes.
//!
//! What is read of them looks like a folder of `transformers`: the sizes of tensors become a configuration, and the names
//! of variables those of its tensors.

mod names;
mod weights;

use crate::checkpoint::{HostTensor, HostTensors};
use crate::error::{ModelError, Result};
use sensorium_data::files;
use serde_json::{Value, json};
use std::path::Path;
use weights::{Variable, Weights};

/// The file of weights.
pub(super) const WEIGHTS: &str = "model.bin";
const VOCABULARIES: [&str; 2] = ["vocabulary.json", "vocabulary.txt"];
/// The one kind of model that is read.
const WHISPER: &str = "WhisperSpec";
/// CTranslate2's number of the activation that `transformers` calls `gelu`.
const GELU: i64 = 3;

/// Whether the configuration of a folder lacks what one of `transformers` has, and its weights are CTranslate2's.
pub(super) fn describes(folder: &Path, config: &Value) -> bool {
    config.get("model_type").is_none() && folder.join(WEIGHTS).exists()
}

/// The configuration that `transformers` would have; `own` is the content of the folder's `config.json`.
///
/// # Errors
/// For a file of weights that is cut, forged or of another kind of model, and for a vocabulary without the tokens that
/// Whisper's texts begin and end with.
pub(super) fn configuration(folder: &Path, own: &Value) -> Result<Value> {
    let weights = Weights::open(&folder.join(WEIGHTS))?;
    if weights.specification != WHISPER {
        let found = &weights.specification;
        return Err(weights.wrong(format!(
            "expected the weights of a `{WHISPER}`, found those of a `{found}`"
        )));
    }
    weights.check_floating()?;
    let tokens = vocabulary(folder)?;
    let token = |name: &str| {
        let place = tokens.iter().position(|token| token == name);
        let message = || format!("expected the token `{name}` in the folder's vocabulary, found none");
        place.ok_or_else(|| ModelError::file(folder, message()))
    };
    let size = |name: &str, axis: usize| weights.size(name, axis);
    let number = |name: &str| weights.number(name);
    if number("decoder/pre_norm")? != 1 {
        return Err(weights.wrong("expected normalisation in front of each branch, found it behind"));
    }
    Ok(json!({
        "model_type": "whisper",
        "d_model": size("encoder/conv1/weight", 0)?,
        "num_mel_bins": size("encoder/conv1/weight", 1)?,
        "encoder_layers": weights.layers("encoder"),
        "encoder_attention_heads": number("encoder/num_heads")?,
        "encoder_ffn_dim": size("encoder/layer_0/ffn/linear_0/weight", 0)?,
        "decoder_layers": weights.layers("decoder"),
        "decoder_attention_heads": number("decoder/num_heads")?,
        "decoder_ffn_dim": size("decoder/layer_0/ffn/linear_0/weight", 0)?,
        "vocab_size": size("decoder/embeddings/weight", 0)?,
        "max_source_positions": size("encoder/position_encodings/encodings", 0)?,
        "max_target_positions": size("decoder/position_encodings/encodings", 0)?,
        "activation_function": activation(number("decoder/activation")?),
        "scale_embedding": number("decoder/scale_embeddings")? != 0,
        "eos_token_id": token("<|endoftext|>")?,
        "decoder_start_token_id": token("<|startoftranscript|>")?,
        "suppress_tokens": own["suppress_ids"],
        "begin_suppress_tokens": own["suppress_ids_begin"],
        "alignment_heads": own["alignment_heads"],
    }))
}

fn activation(number: i64) -> String {
    match number {
        GELU => "gelu".into(),
        other => format!("number {other} of CTranslate2"),
    }
}

/// The tokens of the folder's vocabulary in their order.
///
/// # Errors
/// For a folder without one, and for what is no list of tokens.
pub(super) fn vocabulary(folder: &Path) -> Result<Vec<String>> {
    let Some(path) = VOCABULARIES
        .map(|name| folder.join(name))
        .into_iter()
        .find(|path| path.exists())
    else {
        let names = VOCABULARIES.join(" or ");
        return Err(ModelError::file(
            folder,
            format!("expected a vocabulary ({names}), found none"),
        ));
    };
    let wrong = |found: String| ModelError::file(&path, format!("expected a list of tokens, found {found}"));
    let text = String::from_utf8(files::read(&path)?).map_err(|_| wrong("bytes that are not UTF-8".into()))?;
    match path.extension().is_some_and(|extension| extension == "json") {
        true => serde_json::from_str(&text).map_err(|error| wrong(error.to_string())),
        // A token may be empty, but the last line ends with a newline.
        false => Ok(text.trim_end_matches('\n').split('\n').map(String::from).collect()),
    }
}

/// The tensors of the file at `path` by the names that `place` gives to those of `transformers` that are wanted.
///
/// # Errors
/// For a file that is cut or forged, and for a tensor that is wanted but holds no floating numbers.
pub(super) fn read(path: &Path, mut place: impl FnMut(&str) -> Option<String>) -> Result<HostTensors> {
    let weights = Weights::open(path)?;
    let mut tensors = HostTensors::new();
    for variable in weights.variables.iter().filter(|variable| !variable.shape.is_empty()) {
        let places: Vec<Option<String>> = names::parts(&variable.name).iter().map(|name| place(name)).collect();
        if places.iter().any(Option::is_some) {
            let parts = split(&weights, variable, places.len())?;
            let wanted = places.into_iter().zip(parts);
            tensors.extend(wanted.filter_map(|(place, part)| Some((place?, part))));
        }
    }
    Ok(tensors)
}

/// The rows of a variable in `count` equal parts.
fn split(weights: &Weights, variable: &Variable, count: usize) -> Result<Vec<HostTensor>> {
    let mut shape = variable.shape.clone();
    if !shape[0].is_multiple_of(count) || shape.contains(&0) {
        let (name, shape) = (&variable.name, &variable.shape);
        return Err(weights.wrong(format!(
            "`{name}`: expected {count} maps in one, found the shape {shape:?}"
        )));
    }
    shape[0] /= count;
    let values = weights.values(variable)?;
    let part = |values: &[f32]| HostTensor {
        shape: shape.clone(),
        values: values.to_vec(),
    };
    Ok(values.chunks(values.len() / count).map(part).collect())
}
