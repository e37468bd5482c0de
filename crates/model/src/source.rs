//! Where an output reads: the fused tokens, or those of some inputs.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// `fusion`, or `inputs.NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Source {
    #[default]
    Fusion,
    Input(String),
}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("inputs.") {
            _ if text == "fusion" => Ok(Self::Fusion),
            Some(name) if !name.is_empty() => Ok(Self::Input(name.into())),
            _ => Err(format!("expected `fusion` or `inputs.NAME`, found `{text}`")),
        }
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fusion => out.write_str("fusion"),
            Self::Input(name) => write!(out, "inputs.{name}"),
        }
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "`fusion`, or `inputs.NAME` for what an input alone was encoded to",
            "pattern": r"^(fusion|inputs\..+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_is_read() {
        for text in ["fusion", "inputs.image"] {
            let source = Source::try_from(text.to_string()).unwrap();
            assert_eq!(source.to_string(), text);
        }
        for text in ["", "inputs.", "image"] {
            assert!(Source::try_from(text.to_string()).is_err(), "{text}");
        }
    }
}
