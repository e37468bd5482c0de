//! The values that cross the interface between server and engine, and their JSON form.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The inputs of one sample by name; an absent input is simply not there.
pub type Inputs = BTreeMap<String, InputValue>;

/// The answers to one sample by output name.
pub type Outputs = BTreeMap<String, Output>;

/// One input's value as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputValue {
    /// The value of an input whose modality is text: never empty.
    Text(String),
    /// The value of an input that takes turns: what was said so far, the oldest turn first and the question to be answered
    /// last; never empty.
    Turns(Vec<Turn>),
    /// The undecoded bytes of a media file.
    Bytes(Vec<u8>),
    /// Those of several, of an input that takes a list; more than one.
    Several(Vec<Vec<u8>>),
}

/// One turn of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A text that stands for itself, such as the question to be answered: in JSON a text.
    Text(String),
    /// A question and its answer, where it has one yet: in JSON `[question, answer]` or `[question]`.
    Asked { question: String, answer: Option<String> },
}

/// What a model takes and gives, as `GET /v1/models` shows it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Description {
    /// The name of the run's folder: its last part, never a whole path, since clients see it.
    pub run: String,
    /// The name by which `?model=` chooses this model; unique within a server.
    pub name: String,
    /// The inputs in the order of the recipe.
    pub inputs: Vec<InputDescription>,
    /// The outputs in the order of the recipe.
    pub outputs: Vec<OutputDescription>,
    /// Example texts, input name → text, which the page offers to click on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<BTreeMap<String, String>>,
    /// How many pictures [`Engine::example`](crate::Engine::example) has for the first image input.
    pub example_images: usize,
}

/// One input of a model.
#[derive(Clone, Debug, Serialize)]
pub struct InputDescription {
    pub name: String,
    pub modality: Modality,
    /// Whether it was trained on dialogues, so that a question may come with the turns before it.
    #[serde(skip_serializing_if = "is_false")]
    pub turns: bool,
    /// How many files it takes as a list; none where it takes one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<usize>,
}

impl InputDescription {
    /// An input that takes one value.
    pub fn new(name: impl Into<String>, modality: Modality) -> Self {
        Self {
            name: name.into(),
            modality,
            turns: false,
            list: None,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The kind of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    Text,
    Image,
    Audio,
    Video,
}

/// One output of a model.
#[derive(Clone, Debug, Serialize)]
pub struct OutputDescription {
    pub name: String,
    /// The recipe's task: `classify`, `tag`, `generate`, …
    pub task: String,
    /// The number of labels, where the task has labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<usize>,
}

/// The answer of one output, as `sensorium predict --json` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Output {
    /// The label, the list of tags, the text, the number or the ranking.
    pub value: Value,
    /// The probability of `value`, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The likeliest values, best first, where the task ranks values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Ranked>,
    /// The parts of a written text in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<Part>,
}

/// One candidate answer and its probability.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    pub value: Value,
    pub probability: f64,
}

/// A token of a written text.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    pub text: String,
    pub probability: f64,
    /// In a recording, the first and the last encoded frame where it was heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<[usize; 2]>,
}

/// Why one sample could not be answered. Clients see all of it: no paths, no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ItemError {
    /// A stable word for programs, such as `undecodable_image`.
    pub code: &'static str,
    /// A sentence for people: what was expected, what was found, what to do.
    pub message: String,
    /// The input at fault, where there is one.
    pub field: Option<String>,
}

impl ItemError {
    /// The code of a failure that is not the sample's fault: status 500, where others are 422.
    pub const INTERNAL: &'static str = "internal";

    /// The picture under `field` cannot be decoded.
    pub fn undecodable_image(field: &str) -> Self {
        Self {
            code: "undecodable_image",
            message: format!(
                "the input {field} is not a picture that can be decoded; send a whole PNG, JPEG, \
                 WebP, GIF, BMP or TIFF file"
            ),
            field: Some(field.to_owned()),
        }
    }

    /// The engine failed on this sample.
    pub fn internal() -> Self {
        Self {
            code: Self::INTERNAL,
            message: "the model failed on this request; the server goes on, other requests are \
                      not affected"
                .to_owned(),
            field: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: impl Serialize, expected: Value) {
        assert_eq!(serde_json::to_value(value).unwrap(), expected);
    }

    #[test]
    fn an_output_has_the_form_of_the_command_line_contract() {
        let ranked = Ranked {
            value: "red".into(),
            probability: 0.75,
        };
        let full = Output {
            value: "red".into(),
            probability: Some(0.75),
            top: vec![ranked],
            ..Output::default()
        };
        check(
            full,
            serde_json::json!({
                "value": "red", "probability": 0.75, "top": [{"value": "red", "probability": 0.75}]
            }),
        );
        let number = Output {
            value: 3.into(),
            ..Output::default()
        };
        check(number, serde_json::json!({"value": 3}));
        let part = Part {
            text: "a".into(),
            probability: 0.5,
            frames: Some([2, 4]),
        };
        let written = Output {
            value: "a".into(),
            tokens: vec![part],
            ..Output::default()
        };
        check(
            written,
            serde_json::json!({"value": "a", "tokens": [{"text": "a", "probability": 0.5, "frames": [2, 4]}]}),
        );
    }

    #[test]
    fn an_input_says_that_it_takes_turns_or_a_list() {
        let plain = InputDescription::new("image", Modality::Image);
        check(&plain, serde_json::json!({"name": "image", "modality": "image"}));
        let asked = InputDescription {
            turns: true,
            ..InputDescription::new("question", Modality::Text)
        };
        check(
            &asked,
            serde_json::json!({"name": "question", "modality": "text", "turns": true}),
        );
        let listed = InputDescription {
            list: Some(64),
            ..InputDescription::new("image", Modality::Image)
        };
        check(
            &listed,
            serde_json::json!({"name": "image", "modality": "image", "list": 64}),
        );
    }

    #[test]
    fn a_modality_is_its_lower_case_name() {
        check(Modality::Image, "image".into());
    }
}
