//! Reading a JSON Schema: what applies to a value without a choice, and which choices there are.

use serde_json::{Map, Value as Json};
use toml::Value as Toml;

/// The keywords of one schema object.
pub(super) type Keywords = Map<String, Json>;

/// The schema that `#/$defs/NAME` names in `root`.
pub(super) fn resolve<'s>(root: &'s Json, reference: &Json) -> Option<&'s Json> {
    root.pointer(reference.as_str()?.strip_prefix('#')?)
}

/// The schema objects that a value must all fit: `schema`, what it refers to, its `allOf`.
pub(super) fn conjuncts<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s Keywords> {
    let Some(keywords) = schema.as_object() else {
        return Vec::new();
    };
    let mut all = vec![keywords];
    let target = keywords.get("$ref").and_then(|name| resolve(root, name));
    let parts = keywords.get("allOf").and_then(Json::as_array).into_iter().flatten();
    for inner in target.into_iter().chain(parts) {
        all.extend(conjuncts(root, inner));
    }
    all
}

/// The lists of `oneOf` and `anyOf` variants in `keywords`.
pub(super) fn unions(keywords: &Keywords) -> impl Iterator<Item = &[Json]> {
    ["oneOf", "anyOf"]
        .into_iter()
        .filter_map(|name| keywords.get(name)?.as_array())
        .map(Vec::as_slice)
}

/// The alternatives of `schema`, with unions inside unions taken apart. What only allows null,
/// which TOML cannot write, is left out.
pub(super) fn alternatives<'s>(root: &'s Json, schema: &'s Json) -> Vec<&'s Json> {
    let parts = conjuncts(root, schema);
    let lists: Vec<&[Json]> = parts.iter().flat_map(|part| unions(part)).collect();
    let own = ["type", "properties", "enum", "const", "items", "additionalProperties"];
    let only_a_union = !parts.iter().any(|part| own.iter().any(|name| part.contains_key(*name)));
    match lists.as_slice() {
        [list] if only_a_union => list.iter().flat_map(|inner| alternatives(root, inner)).collect(),
        _ if is_null(&parts) => Vec::new(),
        _ => vec![schema],
    }
}

fn is_null(parts: &[&Keywords]) -> bool {
    parts
        .iter()
        .any(|part| part.get("type").is_some_and(|name| name == "null"))
}

/// The names in `type`, without null; empty if any type will do.
pub(super) fn types(keywords: &Keywords) -> Vec<&str> {
    let listed = match keywords.get("type") {
        Some(Json::Array(names)) => names.as_slice(),
        Some(name) => std::slice::from_ref(name),
        None => &[],
    };
    let names = listed.iter().filter_map(Json::as_str);
    names.filter(|name| *name != "null").collect()
}

/// Whether `type` lets `value` in. An integer is a number, a float is no integer.
pub(super) fn fits_type(keywords: &Keywords, value: &Toml) -> bool {
    let fits = |name: &str| match value {
        Toml::String(_) => name == "string",
        Toml::Integer(_) => name == "integer" || name == "number",
        Toml::Float(_) => name == "number",
        Toml::Boolean(_) => name == "boolean",
        Toml::Array(_) => name == "array",
        Toml::Table(_) => name == "object",
        Toml::Datetime(_) => false,
    };
    !keywords.contains_key("type") || types(keywords).into_iter().any(fits)
}

/// The values of `const` or `enum`, without null; `None` if any value will do.
pub(super) fn words(keywords: &Keywords) -> Option<Vec<&Json>> {
    let listed = match (keywords.get("const"), keywords.get("enum")) {
        (Some(word), _) => std::slice::from_ref(word),
        (None, Some(Json::Array(words))) => words.as_slice(),
        _ => return None,
    };
    Some(listed.iter().filter(|word| !word.is_null()).collect())
}

/// Whether `word` of a schema and `value` are the same.
pub(super) fn same(word: &Json, value: &Toml) -> bool {
    match (word, value) {
        (Json::String(word), Toml::String(value)) => word == value,
        (Json::Bool(word), Toml::Boolean(value)) => word == value,
        (Json::Number(word), Toml::Integer(value)) => word.as_i64() == Some(*value),
        (Json::Number(word), Toml::Float(value)) => word.as_f64() == Some(*value),
        _ => false,
    }
}

/// The properties of `keywords` and their schemas, in the order of the Rust fields.
pub(super) fn properties(keywords: &Keywords) -> impl Iterator<Item = (&str, &Json)> {
    let properties = keywords.get("properties").and_then(Json::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| (name.as_str(), schema))
}

/// The names in `required`.
pub(super) fn required(keywords: &Keywords) -> impl Iterator<Item = &str> {
    let names = keywords.get("required").and_then(Json::as_array);
    names.into_iter().flatten().filter_map(Json::as_str)
}

/// The required properties of `alternative` whose value is one fixed word, and that word: the tag
/// of an internally or adjacently tagged enum.
pub(super) fn tags<'s>(root: &'s Json, alternative: &'s Json) -> Vec<(&'s str, &'s str)> {
    let parts = conjuncts(root, alternative);
    let is_required = |name: &str| parts.iter().any(|part| required(part).any(|key| key == name));
    let all = parts.iter().flat_map(|part| properties(part));
    all.filter_map(|(name, schema)| Some((name, schema.get("const")?.as_str()?)))
        .filter(|(name, _)| is_required(name))
        .collect()
}

/// The only key that `alternative` lets in, which it requires: the name of an externally tagged
/// variant.
pub(super) fn external_name<'s>(root: &'s Json, alternative: &'s Json) -> Option<&'s str> {
    let parts = conjuncts(root, alternative);
    let [part] = parts.as_slice() else {
        return None;
    };
    let mut names = properties(part).map(|(name, _)| name);
    let name = names.next()?;
    let closed = part.get("additionalProperties") == Some(&Json::Bool(false));
    let alone = names.next().is_none() && required(part).eq([name]);
    (closed && alone && tags(root, alternative).is_empty()).then_some(name)
}
