//! The value of an input as JSON has it, read so that nothing is kept which no input takes.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::turns::MOST_TURNS;
use crate::wire::Turn;

/// The most names of one request that are looked at: one more than any model has inputs is too many already.
const MOST_NAMES: usize = 1024;

/// A value. A body of nothing but brackets would need a hundred times its own memory as a tree.
#[derive(Debug, PartialEq)]
pub(crate) enum Given {
    Null,
    Text(String),
    /// The one value of `{"base64": "…"}`.
    Base64(String),
    /// The items of a list, at most one more than a request may have.
    List(Vec<Item>),
    Other,
}

/// An item of a list.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    Null,
    Turn(Turn),
    /// The one value of `{"base64": "…"}`.
    Base64(String),
    Other,
}

impl From<Given> for Item {
    fn from(given: Given) -> Self {
        let items = match given {
            Given::Null => return Self::Null,
            Given::Text(text) => return Self::Turn(Turn::Text(text)),
            Given::List(items) => items,
            Given::Base64(base64) => return Self::Base64(base64),
            Given::Other => return Self::Other,
        };
        let mut items = items.into_iter();
        match (items.next(), items.next(), items.next()) {
            (Some(Self::Turn(Turn::Text(question))), None | Some(Self::Null), None) => {
                Self::Turn(Turn::Asked { question, answer: None })
            }
            (Some(Self::Turn(Turn::Text(question))), Some(Self::Turn(Turn::Text(answer))), None) => {
                Self::Turn(Turn::Asked {
                    question,
                    answer: Some(answer),
                })
            }
            _ => Self::Other,
        }
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("the value of an input")
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Given, E> {
        Ok(Given::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Given, E> {
        Ok(Given::Text(text))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Given, A::Error> {
        let mut items = Vec::new();
        while let Some(given) = list.next_element::<Given>()? {
            if items.len() <= MOST_TURNS {
                items.push(given.into());
            }
        }
        Ok(Given::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut found = Given::Other;
        let mut first = true;
        while let Some(key) = map.next_key::<String>()? {
            found = Given::Other;
            match key.as_str() {
                "base64" if first => {
                    if let Given::Text(text) = map.next_value()? {
                        found = Given::Base64(text);
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            first = false;
        }
        Ok(found)
    }
}

/// The values of a request by name; of a name that is there twice the last one.
pub(crate) struct Names(pub BTreeMap<String, Given>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("inputs by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = BTreeMap::new();
        while let Some((name, given)) = map.next_entry::<String, Given>()? {
            if names.len() < MOST_NAMES {
                names.insert(name, given);
            }
        }
        Ok(Names(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Option<Given>) {
        assert_eq!(serde_json::from_str(json).ok(), expected, "{json}");
    }

    #[test]
    fn values_are_what_inputs_take_or_nothing() {
        let text = |text: &str| text.to_owned();
        check("null", Some(Given::Null));
        check(r#""a\n""#, Some(Given::Text(text("a\n"))));
        check(r#"{"base64": "AQ"}"#, Some(Given::Base64(text("AQ"))));
        for other in [
            "1",
            "-1",
            "1.5",
            "true",
            "{}",
            r#"{"base64": 1}"#,
            r#"{"base64": "AQ", "path": "x"}"#,
            r#"{"path": "x", "base64": "AQ"}"#,
            r#"{"base64": "AQ", "base64": "AQ"}"#,
        ] {
            check(other, Some(Given::Other));
        }
        for broken in ["", "[", "[1", "{\"base64\"", "\"a", "[1]]"] {
            check(broken, None);
        }
    }

    #[test]
    fn lists_keep_turns_alone() {
        let pair = Turn::Asked {
            question: "a".into(),
            answer: Some("b".into()),
        };
        let items = vec![
            Item::Turn(pair),
            Item::Turn(Turn::Text("c".into())),
            Item::Null,
            Item::Other,
        ];
        check(r#"[["a","b"],"c",null,[["d"],"e"]]"#, Some(Given::List(items)));
        let many = format!("[{}0]", "[[],[]],".repeat(5000));
        let Given::List(items) = serde_json::from_str(&many).unwrap() else {
            panic!("a list is no list")
        };
        assert_eq!(items.len(), MOST_TURNS + 1);
    }

    #[test]
    fn names_are_bounded() {
        let many: Vec<String> = (0..5000).map(|name| format!("\"{name}\":[]")).collect();
        let Names(names) = serde_json::from_str(&format!("{{{}}}", many.join(","))).unwrap();
        assert_eq!(names.len(), MOST_NAMES);
        let Names(names) = serde_json::from_str(r#"{"a": "1", "a": "2"}"#).unwrap();
        assert_eq!(names["a"], Given::Text("2".into()));
    }
}
