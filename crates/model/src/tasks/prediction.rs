//! Decoded answers, as the JSON contract has them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What an output answered: a label or a text, several labels or a ranking, a number, or an embedding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    Text(String),
    Number(f64),
    List(Vec<String>),
    Vector(Vec<f32>),
}

/// One decoded answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub value: Answer,
    /// Of `value`, where the task has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Every alternative, the best first, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Alternative>,
    /// The parts of a text with their probability, and in a recording their time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    pub value: String,
    pub probability: f64,
}

/// A token of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    pub text: String,
    pub probability: f64,
    /// Where it was heard: the first and the last encoded frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<[usize; 2]>,
}

/// A prediction with what metrics need beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    pub prediction: Prediction,
    /// The embedding of each input that the row has, for tasks that compare inputs.
    pub embeddings: BTreeMap<String, Vec<f32>>,
    /// The text as it was heard without a language model, for tasks that may have one.
    pub unaided: Option<String>,
}

impl Prediction {
    /// An answer without alternatives.
    pub fn new(value: Answer, probability: Option<f64>) -> Self {
        Self {
            value,
            probability,
            top: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// All labels, the most probable first; equal ones keep their order.
    pub(crate) fn ranked(labels: &[String], probabilities: &[impl Copy + Into<f64>]) -> Vec<Alternative> {
        let pairs = labels.iter().zip(probabilities);
        let mut top: Vec<Alternative> = pairs
            .map(|(label, p)| Alternative {
                value: label.clone(),
                probability: (*p).into(),
            })
            .collect();
        top.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        top
    }
}

impl From<Prediction> for Decoded {
    fn from(prediction: Prediction) -> Self {
        Self {
            prediction,
            embeddings: BTreeMap::new(),
            unaided: None,
        }
    }
}

impl Answer {
    /// The label or text that this is.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Number(number) => write!(out, "{number:.4}"),
            Self::List(items) if items.is_empty() => out.write_str("(none)"),
            Self::List(items) => out.write_str(&items.join(", ")),
            Self::Vector(numbers) => write_vector(numbers, out),
        }
    }
}

/// The first few numbers, and how many there are.
fn write_vector(numbers: &[f32], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    const SHOWN: usize = 4;
    let first = numbers.iter().take(SHOWN).map(|number| format!("{number:.4}"));
    let first = first.collect::<Vec<_>>().join(", ");
    match numbers.len() {
        0 => out.write_str("(none)"),
        count if count > SHOWN => write!(out, "{first}, … ({count} numbers)"),
        _ => out.write_str(&first),
    }
}
