//! The JSON Schema of a configuration type: as schemars derives it, and closed for editors.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Value as Json, json};

use super::alternatives::{Keywords, resolve};

/// What holds the schemas of the same value, beside `$ref`.
const IN_PLACE: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The JSON Schema (draft 2020-12) of `T` as TOML must fit it, for editors.
///
/// Objects with named properties are closed (`additionalProperties: false`, or
/// `unevaluatedProperties: false` where an enum is flattened into them) unless they take further
/// keys.
pub fn schema<T: JsonSchema>() -> Json {
    let open = derive::<T>();
    let mut closed = open.clone();
    close(&open, &mut closed, false);
    closed
}

/// The schema of `T` as schemars derives it, which leaves most objects open.
pub(super) fn derive<T: JsonSchema>() -> Json {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

/// Closes the objects in `schema`. One that is `part` of another, which closes it, stays open
/// itself.
fn close(root: &Json, schema: &mut Json, part: bool) {
    let Some(keywords) = schema.as_object_mut() else {
        return;
    };
    let composes = IN_PLACE.iter().any(|name| keywords.contains_key(*name));
    let gathers = keywords.contains_key("properties") || composes && keywords.contains_key("type");
    // A definition is closed where it stands, so what only adds to it has to take it in.
    if part || gathers {
        take_in_reference(root, keywords);
    }
    // What was taken in may compose too.
    let composes = IN_PLACE.iter().any(|name| keywords.contains_key(*name));
    let closes = !part && gathers;
    if closes {
        let keyword = if composes {
            "unevaluatedProperties"
        } else {
            "additionalProperties"
        };
        let stated = ["additionalProperties", "unevaluatedProperties"];
        if !stated.iter().any(|name| keywords.contains_key(*name)) {
            keywords.insert(keyword.to_owned(), json!(false));
        }
    }
    for (name, inner) in keywords {
        close_inner(root, name, inner, part || closes);
    }
}

/// Closes what stands under the keyword `name`; `part` says whether the value itself is closed
/// already.
fn close_inner(root: &Json, name: &str, inner: &mut Json, part: bool) {
    match (name, inner) {
        ("properties" | "patternProperties" | "$defs", Json::Object(schemas)) => {
            schemas.values_mut().for_each(|schema| close(root, schema, false));
        }
        ("prefixItems", Json::Array(schemas)) => {
            schemas.iter_mut().for_each(|schema| close(root, schema, false));
        }
        ("items" | "additionalProperties" | "unevaluatedProperties", schema) => close(root, schema, false),
        (name, Json::Array(schemas)) if IN_PLACE.contains(&name) => {
            schemas.iter_mut().for_each(|schema| close(root, schema, part));
        }
        _ => {}
    }
}

/// Puts the keywords of what `keywords` refers to in the place of the reference.
fn take_in_reference(root: &Json, keywords: &mut Keywords) {
    let mut taken = Vec::new();
    while let Some(reference) = keywords.remove("$ref") {
        // A type that is flattened into itself has no finite form; serde rejects it too.
        if taken.contains(&reference) {
            return;
        }
        let target = resolve(root, &reference).and_then(Json::as_object).cloned();
        for (name, value) in target.into_iter().flatten() {
            merge(keywords, name, value);
        }
        taken.push(reference);
    }
}

/// Adds one keyword to those of the same value; for what says nothing about values, the first
/// counts.
fn merge(keywords: &mut Keywords, name: String, value: Json) {
    match (keywords.get_mut(&name), value) {
        (None, value) => {
            keywords.insert(name, value);
        }
        (Some(Json::Object(present)), Json::Object(more)) => present.extend(more),
        (Some(Json::Array(present)), Json::Array(more)) if name == "required" => {
            present.extend(more);
        }
        (Some(_), value) if IN_PLACE.contains(&name.as_str()) => {
            let all = keywords.entry("allOf").or_insert_with(|| json!([]));
            if let Json::Array(all) = all {
                all.push(json!({ name: value }));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::Recipe;

    /// Compares the keyword `name` of what stands at `pointer` in the closed schema of the fixture.
    fn check(pointer: &str, name: &str, expected: Json) {
        let schema = schema::<Recipe>();
        let found = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
        assert_eq!(
            found.get(name).cloned().unwrap_or_default(),
            expected,
            "{pointer} {found}"
        );
    }

    #[test]
    fn closes_objects_and_keeps_maps_open() {
        check("", "$schema", json!("https://json-schema.org/draft/2020-12/schema"));
        check("", "additionalProperties", json!(false));
        check("/$defs/Data", "additionalProperties", json!(false));
        check(
            "/properties/inputs",
            "additionalProperties",
            json!({ "$ref": "#/$defs/Input" }),
        );
    }

    #[test]
    fn takes_in_what_a_variant_refers_to() {
        let image = "/$defs/Input/oneOf/0";
        check(image, "$ref", Json::Null);
        check(image, "required", json!(["modality", "size"]));
        check(image, "additionalProperties", json!(false));
        check("/$defs/Input/oneOf/0/properties/modality", "const", json!("image"));
        check("/$defs/Input/oneOf/0/properties/size", "$ref", json!("#/$defs/Size"));
    }

    #[test]
    fn closes_around_a_flattened_enum() {
        check("/$defs/Output", "unevaluatedProperties", json!(false));
        check("/$defs/Output", "additionalProperties", Json::Null);
        check("/$defs/Output/oneOf/0", "additionalProperties", Json::Null);
    }
}
