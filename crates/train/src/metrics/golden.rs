//! Golden files of `reference/metrics` and hostile texts, for the tests of measures.

use proptest::prelude::*;
use serde_json::Value;

/// The content of `reference/metrics/NAME.json`, which `make.py` beside it writes.
pub fn golden(name: &str) -> Value {
    let path = format!("{}/../../reference/metrics/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

pub fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| text(value).to_string())
        .collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

/// Whole numbers, ones and zeros of a mask among them.
pub fn counts(value: &Value) -> Vec<usize> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|value| value.as_u64().unwrap() as usize)
        .collect()
}

/// Equal but for rounding.
#[track_caller]
pub fn close(found: f64, expected: f64) {
    let tolerance = 1e-9 * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() < tolerance,
        "expected {expected}, found {found}"
    );
}

/// Few different words, so that some are shared, beside punctuation, emoji, many scripts, control characters and long texts.
pub fn hostile() -> impl Strategy<Value = String> {
    let words = prop::collection::vec("a|b|the|don't|dog's|3.5|-|,|\\.|👩‍👧|猫|é|ß|\n| ", 0..30);
    let long = ("\\PC{1,3}", 0..200_usize).prop_map(|(word, times)| word.repeat(times));
    prop_oneof![
        words.prop_map(|words| words.join(" ")),
        "\\PC{0,40}",
        any::<String>(),
        long
    ]
}
