//! What a schema expects and what a value is, in words.

use serde_json::Value as Json;
use toml::Value as Toml;

use super::alternatives::{Keywords, alternatives, conjuncts, external_name, properties, required, tags, types, words};
use super::bounds;

/// Longer values are cut in messages.
const LONGEST: usize = 40;

/// What `schema` expects: `an integer of at least 1 or an array of 2 integers`.
pub(super) fn expected(root: &Json, schema: &Json) -> String {
    list(&forms(root, &alternatives(root, schema)))
}

/// The forms that any of `alternatives` lets in, each once.
pub(super) fn forms(root: &Json, alternatives: &[&Json]) -> Vec<String> {
    let mut forms = Vec::new();
    for form in alternatives.iter().flat_map(|inner| accepted(root, inner)) {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// `a, b or c`.
pub(super) fn list(forms: &[String]) -> String {
    match forms {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The forms that one alternative lets in: its words, or what is left of its types.
fn accepted(root: &Json, alternative: &Json) -> Vec<String> {
    let parts = conjuncts(root, alternative);
    if let Some(words) = parts.iter().find_map(|part| words(part)) {
        return words.into_iter().map(Json::to_string).collect();
    }
    if let Some(name) = external_name(root, alternative) {
        return vec![format!("`{{ {name} = … }}`")];
    }
    let part = parts.iter().find(|part| part.contains_key("type"));
    let Some(part) = part else {
        return vec!["a value".to_owned()];
    };
    let one = |name| match name {
        "object" => table(root, alternative),
        "array" => array(root, part),
        _ => format!("{}{}", noun(name).0, bounds::in_words(part)),
    };
    types(part).into_iter().map(one).collect()
}

/// One and several of a type.
fn noun(name: &str) -> (&'static str, &'static str) {
    match name {
        "string" => ("a string", "strings"),
        "integer" => ("an integer", "integers"),
        "number" => ("a number", "numbers"),
        "boolean" => ("true or false", "true or false"),
        "array" => ("an array", "arrays"),
        "object" => ("a table", "tables"),
        _ => ("a value", "values"),
    }
}

/// A table by its tag or else by the keys it cannot do without.
fn table(root: &Json, alternative: &Json) -> String {
    if let Some((name, _)) = tags(root, alternative).first() {
        return format!("a table with a `{name}`");
    }
    let parts = conjuncts(root, alternative);
    let keys = parts.iter().flat_map(|part| required(part));
    let keys: Vec<String> = keys.map(|key| format!("`{key}`")).collect();
    if keys.is_empty() {
        "a table".to_owned()
    } else {
        format!("a table with {}", keys.join(", "))
    }
}

fn array(root: &Json, part: &Keywords) -> String {
    let count = |name: &str| part.get(name).and_then(Json::as_u64);
    let items = part.get("items").map(|items| alternatives(root, items));
    let item_types = match items.as_deref() {
        Some([item]) => conjuncts(root, item).into_iter().flat_map(types).collect(),
        _ => Vec::new(),
    };
    let items = match item_types.as_slice() {
        [only] => noun(only).1,
        _ => "values",
    };
    match (count("minItems"), count("maxItems")) {
        (Some(low), Some(high)) if low == high => format!("an array of {low} {items}"),
        (Some(low), Some(high)) => format!("an array of {low} to {high} {items}"),
        (Some(low), None) => format!("an array of {low} or more {items}"),
        (None, Some(high)) => format!("an array of up to {high} {items}"),
        (None, None) => format!("an array of {items}"),
    }
}

/// Every key that `parts` let in, in the order of the Rust fields.
pub(super) fn key_names<'s>(parts: &[&'s Keywords]) -> Vec<&'s str> {
    let mut names = Vec::new();
    for (name, _) in parts.iter().flat_map(|part| properties(part)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What `value` is: `the string "x"`.
pub(super) fn found(value: &Toml) -> String {
    match value {
        Toml::String(text) => format!("the string {}", cut(&format!("{text:?}"))),
        Toml::Integer(number) => format!("the integer {number}"),
        Toml::Float(_) => format!("the float {value}"),
        Toml::Boolean(_) => format!("the boolean {value}"),
        Toml::Datetime(_) => format!("the date or time {value}"),
        Toml::Array(items) if items.is_empty() => "an empty array".to_owned(),
        Toml::Array(items) => format!("an array of {}", items.len()),
        Toml::Table(table) if table.is_empty() => "an empty table".to_owned(),
        Toml::Table(table) => {
            let keys: Vec<String> = table.keys().map(|key| format!("`{key}`")).collect();
            format!("a table with {}", cut(&keys.join(", ")))
        }
    }
}

/// How to write `value` where one of `alternatives` was expected, if only its spelling is wrong.
pub(super) fn spelling(root: &Json, alternatives: &[&Json], value: &Toml) -> Option<String> {
    let expects = |name: &str| {
        let parts = alternatives.iter().flat_map(|inner| conjuncts(root, inner));
        parts
            .into_iter()
            .any(|part| words(part).is_none() && types(part).contains(&name))
    };
    match value {
        Toml::Table(_) | Toml::Array(_) => None,
        Toml::String(text) => {
            let integer = expects("integer") && text.parse::<i64>().is_ok();
            let number = expects("number") && text.parse::<f64>().is_ok();
            let truth = expects("boolean") && text.parse::<bool>().is_ok();
            (integer || number || truth).then(|| format!("write it without quotes: {text}"))
        }
        Toml::Float(number) if expects("integer") && number.fract() == 0.0 => {
            Some(format!("write it without a point or an exponent: {number:.0}"))
        }
        _ => expects("string").then(|| format!("a string stands in quotes: \"{value}\"")),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: Json, words: &str) {
        assert_eq!(expected(&schema, &schema), words);
    }

    #[test]
    fn describes_what_is_expected() {
        check(
            json!({ "type": ["integer", "null"], "minimum": 1 }),
            "an integer of at least 1",
        );
        check(json!({ "enum": ["a", "b", null] }), "\"a\" or \"b\"");
        check(
            json!({ "type": "array", "items": { "type": "string" } }),
            "an array of strings",
        );
        let pair = json!({ "type": "array", "items": true, "minItems": 2, "maxItems": 2 });
        check(
            json!({ "anyOf": [{ "type": "number" }, pair] }),
            "a number or an array of 2 values",
        );
        check(
            json!({ "type": "object", "required": ["a", "b"] }),
            "a table with `a`, `b`",
        );
        let tagged = |word| {
            let properties = json!({ "kind": { "const": word } });
            json!({ "type": "object", "properties": properties, "required": ["kind"] })
        };
        check(json!({ "oneOf": [tagged("x"), tagged("y")] }), "a table with a `kind`");
        check(json!({ "type": "null" }), "nothing");
        check(json!(true), "a value");
    }

    #[test]
    fn describes_what_is_found_and_cuts_it() {
        assert_eq!(found(&Toml::Float(20.0)), "the float 20.0");
        let long = found(&Toml::String("é".repeat(99)));
        assert_eq!(long, format!("the string \"{}…", "é".repeat(39)));
    }
}
