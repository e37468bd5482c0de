//! What a `tokenizer.json` from outside may ask for, checked before the library reads it.

use super::{LARGEST_VOCABULARY, damaged, too_large};
use crate::{DataError, ErrorKind, Result};
use serde_json::Value;

/// The largest file in bytes; the largest public ones have some 35 million.
const MAX_BYTES: usize = 64 << 20;
/// Sequences of steps within sequences of steps.
const MAX_DEPTH: usize = 12;
/// Objects of one part.
const MAX_STEPS: usize = 128;
/// How many times longer a text may become.
const MAX_GROWTH: usize = 256;
/// Characters of a word that WordPiece looks at, which takes time by their square.
const MAX_WORD: u64 = 1000;

/// Parses the file and bounds the time and the memory that its steps can take.
///
/// # Errors
/// [`ErrorKind::TooLarge`], [`ErrorKind::Damaged`] for what is no JSON, [`ErrorKind::Unsupported`] for steps beyond the
/// bounds and for merges that are dropped at random.
pub fn check(json: &str) -> Result<Value> {
    if json.len() > MAX_BYTES {
        return Err(too_large("bytes", MAX_BYTES, json.len()));
    }
    let document: Value = serde_json::from_str(json).map_err(|error| damaged(&error.to_string()))?;
    let mut growth = 1;
    for part in ["normalizer", "pre_tokenizer"] {
        growth = steps(&document[part], &mut 0, growth, 0)?;
    }
    steps(&document["decoder"], &mut 0, 1, 0)?;
    depth(&document["post_processor"], MAX_DEPTH)?;
    let model = &document["model"];
    if model["max_input_chars_per_word"]
        .as_u64()
        .is_some_and(|count| count > MAX_WORD)
    {
        return Err(unsupported("words of more than 1000 characters in its model"));
    }
    if model["dropout"].as_f64().is_some_and(|share| share > 0.0) {
        return Err(unsupported(
            "merges that are dropped at random; set `dropout` to null in its model",
        ));
    }
    let added = document["added_tokens"].as_array().map_or(0, Vec::len);
    match added > LARGEST_VOCABULARY {
        true => Err(too_large("added tokens", LARGEST_VOCABULARY, added)),
        false => Ok(document),
    }
}

/// Walks a part's steps; gives `growth` times how much longer they can make a text.
fn steps(value: &Value, count: &mut usize, growth: usize, depth: usize) -> Result<usize> {
    if depth > MAX_DEPTH {
        return Err(unsupported("steps within steps, more than 12 deep"));
    }
    let inner: Vec<&Value> = match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => return Ok(growth),
    };
    *count += usize::from(value.is_object());
    let mut growth = growth.saturating_mul(step(value));
    if growth > MAX_GROWTH || *count > MAX_STEPS {
        return Err(unsupported("more steps than texts can be led through"));
    }
    for value in inner {
        growth = steps(value, count, growth, depth + 1)?;
    }
    Ok(growth)
}

/// How many times more bytes a step can give than it takes, repeated steps being the danger.
fn step(value: &Value) -> usize {
    let longest = |field: &str| value[field].as_str().map_or(1, str::len);
    match value["type"].as_str() {
        Some("ByteLevel") => 2,
        Some("Bert" | "BertNormalizer" | "Metaspace") => 3,
        Some("Precompiled") => 4,
        Some(_) => longest("content").max(longest("prepend")).max(1),
        // Old files do not name their steps.
        None if value.get("String").or(value.get("Regex")).is_none() && value.is_object() => 2,
        None => 1,
    }
}

/// A post-processor sees tokens, once; only its depth matters.
fn depth(value: &Value, limit: usize) -> Result<()> {
    let Some(limit) = limit.checked_sub(1) else {
        return Err(unsupported("steps within steps, more than 12 deep"));
    };
    match value {
        Value::Array(items) => items.iter().try_for_each(|value| depth(value, limit)),
        Value::Object(fields) => fields.values().try_for_each(|value| depth(value, limit)),
        _ => Ok(()),
    }
}

fn unsupported(found: &str) -> DataError {
    let message = format!("expected a tokenizer of usual size, found {found}; change the file");
    DataError::new(ErrorKind::Unsupported, message)
}
