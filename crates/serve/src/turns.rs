//! The turns of a dialogue as they come in a request.

use crate::error::ApiError;
use crate::given::Item;
use crate::wire::{InputDescription, Turn};

/// The most turns of one request; a model reads far fewer.
pub(crate) const MOST_TURNS: usize = 1024;

/// The turns of an input that takes them: texts, `[question, answer]` and `[question]`.
pub(crate) fn parse(input: &InputDescription, items: Vec<Item>) -> Result<Vec<Turn>, ApiError> {
    if !input.turns {
        let message = format!("the input {} takes one text, not a list of turns", input.name);
        return Err(ApiError::bad_request("not_turns", message).with_field(&input.name));
    }
    if items.len() > MOST_TURNS {
        let message = format!(
            "the input {} has more turns than {MOST_TURNS}; leave out the oldest",
            input.name
        );
        return Err(ApiError::bad_request("too_many_turns", message).with_field(&input.name));
    }
    let turn = |item| match item {
        Item::Turn(turn) => Ok(turn),
        Item::Null | Item::Base64(_) | Item::Other => Err(refused(input)),
    };
    items.into_iter().map(turn).collect()
}

/// The bytes of a turn's texts.
pub(crate) fn length(turn: &Turn) -> usize {
    texts(turn).map(str::len).sum()
}

/// Whether a turn says anything.
pub(crate) fn is_filled(turn: &Turn) -> bool {
    texts(turn).any(|text| !text.trim().is_empty())
}

fn texts(turn: &Turn) -> impl Iterator<Item = &str> {
    let (text, answer) = match turn {
        Turn::Text(text) => (text, None),
        Turn::Asked { question, answer } => (question, answer.as_deref()),
    };
    [Some(text.as_str()), answer].into_iter().flatten()
}

pub(crate) fn refused(input: &InputDescription) -> ApiError {
    let message = format!(
        "the input {} must be a text, or a list of turns such as [[\"question\", \"answer\"], \"new question\"]",
        input.name
    );
    ApiError::bad_request("not_turns", message).with_field(&input.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::Given;
    use serde_json::{Value, json};

    fn asked(question: &str, answer: Option<&str>) -> Turn {
        Turn::Asked {
            question: question.into(),
            answer: answer.map(str::to_owned),
        }
    }

    fn check(items: Value, expected: Option<&[Turn]>) {
        let input = InputDescription {
            turns: true,
            ..InputDescription::new("question", crate::Modality::Text)
        };
        let Ok(Given::List(list)) = serde_json::from_value(items.clone()) else {
            panic!("{items} is no list")
        };
        assert_eq!(parse(&input, list).ok().as_deref(), expected, "{items}");
    }

    #[test]
    fn turns_are_texts_questions_and_pairs() {
        check(json!([]), Some(&[]));
        check(json!(["so?"]), Some(&[Turn::Text("so?".into())]));
        let pairs = [asked("a", Some("b")), asked("c", None), asked("d", None)];
        check(json!([["a", "b"], ["c"], ["d", null]]), Some(&pairs));
        for wrong in [
            json!([[]]),
            json!([null]),
            json!([3]),
            json!([["a", 3]]),
            json!([["a", null, "c"]]),
            json!([[["a"]]]),
            json!([{"question": "a"}]),
            vec!["a"; MOST_TURNS + 1].into(),
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn blank_turns_say_nothing() {
        assert!(!is_filled(&asked(" ", Some(""))));
        assert!(is_filled(&asked("", Some("b"))));
        assert_eq!(length(&asked("ab", Some("c"))), 3);
    }
}
