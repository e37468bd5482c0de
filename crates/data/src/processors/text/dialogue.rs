//! Turns of a dialogue as one text, by a template.

use super::super::{in_bounds, invalid};
use crate::{Result, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const QUESTION: &str = "{question}";
const ANSWER: &str = "{answer}";
const MOST_TURNS: usize = 65_536;

/// How a list of turns, `[[question, answer], …]`, becomes one text. A turn without an answer yet, `[question]`, is
/// written up to the place of its answer. The items of a plain list of texts stand for themselves.
///
/// When the text has too many tokens, the oldest turns go first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DialogueConfig {
    /// One turn; `{question}` and `{answer}` stand for its texts. Other braces are refused.
    pub turn: String,
    /// What stands between two turns.
    pub separator: String,
    /// The number of last turns that are kept; all where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_536))]
    pub turns: Option<usize>,
}

/// One turn of a dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub question: String,
    /// None where there is none yet.
    pub answer: Option<String>,
    /// Whether it is a text that stands for itself.
    pub is_text: bool,
}

impl Turn {
    pub fn text(text: String) -> Self {
        Self {
            question: text,
            answer: None,
            is_text: true,
        }
    }

    /// The same with its texts changed.
    pub fn map(self, change: impl Fn(String) -> String) -> Self {
        Self {
            question: change(self.question),
            answer: self.answer.map(change),
            is_text: self.is_text,
        }
    }
}

impl Default for DialogueConfig {
    fn default() -> Self {
        Self {
            turn: format!("{QUESTION} {ANSWER}"),
            separator: " ".into(),
            turns: None,
        }
    }
}

impl DialogueConfig {
    pub fn validate(&self) -> Result<()> {
        in_bounds("dialogue.turns", self.turns.unwrap_or(1), 1..=MOST_TURNS)?;
        let [before, between, after] = self.parts()?;
        match [before, between, after].iter().any(|part| part.contains(['{', '}'])) {
            true => Err(self.refused()),
            false => Ok(()),
        }
    }

    /// The text of each kept turn, the oldest first.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for an item that is neither a text nor one or two of them.
    pub fn turns(&self, items: &[Value]) -> Result<Vec<String>> {
        let [before, between, after] = self.parts()?;
        let text = |turn: Turn| match (turn.is_text, turn.question, turn.answer) {
            (true, text, _) => text,
            (false, question, None) => format!("{before}{question}{between}"),
            (false, question, Some(answer)) => format!("{before}{question}{between}{answer}{after}"),
        };
        Ok(self.parted(items)?.into_iter().map(text).collect())
    }

    /// Each kept turn, the oldest first.
    ///
    /// # Errors
    /// As [`turns`](Self::turns).
    pub fn parted(&self, items: &[Value]) -> Result<Vec<Turn>> {
        let first = items.len().saturating_sub(self.turns.unwrap_or(usize::MAX));
        let turn = |(place, item): (usize, &Value)| {
            turn(item).map_err(|error| error.in_field(&format!("turn {}", first + place)))
        };
        items[first..].iter().enumerate().map(turn).collect()
    }

    /// What the template has before the question, between it and the answer, and behind that.
    fn parts(&self) -> Result<[&str; 3]> {
        let parts = self.turn.split_once(QUESTION).and_then(|(before, rest)| {
            let (between, after) = rest.split_once(ANSWER)?;
            Some([before, between, after])
        });
        parts.ok_or_else(|| self.refused())
    }

    fn refused(&self) -> crate::DataError {
        let found = &self.turn;
        invalid(format!(
            "expected `{QUESTION}` and behind it `{ANSWER}`, each once and without other braces, found `{found}`; correct it"
        ))
        .in_field("dialogue.turn")
    }
}

fn turn(item: &Value) -> Result<Turn> {
    let Value::List(texts) = item else {
        return Ok(Turn::text(text(item)?));
    };
    let (question, answer) = match texts.as_slice() {
        [question] | [question, Value::Absent] => (text(question)?, None),
        [question, answer] => (text(question)?, Some(text(answer)?)),
        other => {
            return Err(invalid(format!(
                "expected a question and its answer, found a list of {}; write [question, answer]",
                other.len()
            )));
        }
    };
    Ok(Turn {
        question,
        answer,
        is_text: false,
    })
}

fn text(value: &Value) -> Result<String> {
    value
        .label()
        .ok_or_else(|| invalid("expected a text in a dialogue, found another value; write texts or [question, answer]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(json: &str) -> Vec<Value> {
        let record = format!(r#"{{"x":{json}}}"#);
        let cells = crate::manifest::jsonl::record(record.as_bytes(), 0).unwrap();
        match cells.into_iter().next() {
            Some((_, Value::List(items))) => items,
            other => panic!("{other:?}"),
        }
    }

    fn check(config: &DialogueConfig, json: &str, expected: &[&str]) {
        assert_eq!(config.turns(&list(json)).unwrap(), expected, "{json}");
    }

    #[test]
    fn turns_follow_the_template() {
        let plain = DialogueConfig::default();
        check(
            &plain,
            r#"[["what is it?","a cat"],["and now?","a dog"]]"#,
            &["what is it? a cat", "and now? a dog"],
        );
        check(
            &plain,
            r#"[["how many?",2],["and now?"]]"#,
            &["how many? 2", "and now? "],
        );
        check(&plain, r#"["one","two",3]"#, &["one", "two", "3"]);
        check(&plain, "[]", &[]);
        let marked = DialogueConfig {
            turn: "Q: {question} A: {answer}.".into(),
            turns: Some(2),
            ..plain
        };
        let json = r#"[["a","b"],["{answer}","{question}"],["c",null]]"#;
        check(&marked, json, &["Q: {answer} A: {question}.", "Q: c A: "]);
    }

    #[test]
    fn other_lists_are_refused_with_their_turn() {
        for json in [
            r#"[["a","b"],["a","b","c"]]"#,
            "[[\"a\"],[]]",
            "[\"a\",null]",
            "[\"a\",[[\"b\"]]]",
        ] {
            let error = DialogueConfig::default().turns(&list(json)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some("turn 1"), "{error}");
        }
    }

    #[test]
    fn templates_without_places_are_refused() {
        for turn in [
            "",
            "{question}",
            "{answer} {question}",
            "{question} {answer} {answer}",
            "{question} {answer} {",
            "{q}",
        ] {
            let config = DialogueConfig {
                turn: turn.into(),
                ..DialogueConfig::default()
            };
            assert!(config.validate().is_err(), "{turn}");
        }
    }
}
