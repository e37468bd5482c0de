//! Holds a configuration against the schema of its type, and reports what does not fit.

use serde_json::Value as Json;
use toml::{Table, Value as Toml};

use super::alternatives::{
    Keywords, alternatives, conjuncts, fits_type, properties, required, resolve, same, unions, words,
};
use super::bounds;
use super::describe::{expected, forms, found, key_names, list, spelling};
use super::document::Document;
use super::locate::{Part, Step, display, join};
use super::render::Problem;
use super::suggest::nearest;

/// A walk over a document and a schema, which collects problems.
pub(super) struct Validator<'a> {
    /// The whole schema, for its `$defs`.
    pub root: &'a Json,
    pub document: &'a Document<'a>,
    /// The depth of a table whose unknown keys do not count, when an alternative is tried.
    pub lenient_at: Option<usize>,
    pub problems: Vec<Problem>,
}

/// The schema objects that apply to one value.
struct Parts<'a> {
    /// The variant that the value has chosen last, or else its schema, to tell what is expected.
    form: &'a Json,
    all: Vec<&'a Keywords>,
    /// False where a union had no fitting variant, so that more keys might be known.
    decided: bool,
    /// The tags of flattened enums that the value leaves out.
    absent_tags: Vec<&'a str>,
}

impl Parts<'_> {
    /// Whether a table has the keys of these parts and no others, if none of them says more.
    fn closed(&self) -> bool {
        let composes = |part: &&Keywords| {
            part.contains_key("properties") || part.contains_key("type") && unions(part).next().is_some()
        };
        self.decided && self.all.iter().any(composes)
    }
}

impl<'a> Validator<'a> {
    /// Reports everything in `document` that does not fit `root`.
    pub(super) fn problems(root: &'a Json, document: &'a Document<'a>) -> Vec<Problem> {
        let mut validator = Validator {
            root,
            document,
            lenient_at: None,
            problems: Vec::new(),
        };
        validator.check(root, &document.tree, &[]);
        validator.problems
    }

    /// Checks the `value` at `path` against `schema`.
    pub(super) fn check(&mut self, schema: &'a Json, value: &Toml, path: &[Step]) {
        if conjuncts(self.root, schema).iter().any(|part| !fits_type(part, value)) {
            let expected = alternatives(self.root, schema);
            return self.problems.push(self.wrong_type(&expected, value, path));
        }
        let mut parts = Parts {
            form: schema,
            all: Vec::new(),
            decided: true,
            absent_tags: Vec::new(),
        };
        self.collect(schema, value, path, &mut parts);
        match value {
            Toml::Table(table) => self.table(&parts, table, path),
            Toml::Array(items) => self.array(&parts, items, path),
            _ => self.scalar(&parts, value, path),
        }
    }

    /// Adds to `parts` all that applies to `value`: `schema`, what it refers to, and the variants
    /// of its unions that `value` chooses.
    fn collect(&mut self, schema: &'a Json, value: &Toml, path: &[Step], parts: &mut Parts<'a>) {
        let Some(keywords) = schema.as_object() else {
            return;
        };
        parts.all.push(keywords);
        let target = keywords.get("$ref").and_then(|name| resolve(self.root, name));
        let all_of = keywords.get("allOf").and_then(Json::as_array).into_iter().flatten();
        for inner in target.into_iter().chain(all_of) {
            self.collect(inner, value, path, parts);
        }
        for variants in unions(keywords) {
            match self.choose(variants, value, path) {
                Ok(variant) => {
                    parts.form = variant;
                    if variant.as_object().is_some_and(Keywords::is_empty) {
                        parts.absent_tags.extend(self.tags_of(variants));
                    }
                    self.collect(variant, value, path, parts);
                }
                Err(problem) => {
                    self.problems.push(problem);
                    parts.decided = false;
                }
            }
        }
    }

    fn table(&mut self, parts: &Parts<'a>, table: &Table, path: &[Step]) {
        let mut names = key_names(&parts.all);
        let other = parts.all.iter().find_map(|part| other_keys(part));
        let closed = parts.closed() && other.is_none() && self.lenient_at != Some(path.len());
        let mut unknown = Vec::new();
        for (key, value) in table {
            let inner = join(path, Step::Key(key.clone()));
            if names.contains(&key.as_str()) {
                let all = parts.all.iter().flat_map(|part| properties(part));
                for (_, schema) in all.filter(|(name, _)| name == key) {
                    self.check(schema, value, &inner);
                }
            } else if let Some(schema) = other {
                self.check(schema, value, &inner);
            } else if closed {
                unknown.push(key.as_str());
            }
        }
        self.missing_keys(parts, table, &unknown, path);
        names.extend(&parts.absent_tags);
        for key in unknown {
            self.unknown_key_of(parts, key, &names, path);
        }
    }

    /// Reports `key`, and the key of `parts` that holds a table which knows it.
    fn unknown_key_of(&mut self, parts: &Parts<'a>, key: &str, names: &[&str], path: &[Step]) {
        let mut problem = self.unknown_key(key, names, &join(path, Step::Key(key.to_owned())));
        if let Some(home) = self.deeper(parts, key) {
            let home = display(&join(path, home));
            problem.notes.insert(0, format!("`{key}` is a key of `{home}`"));
        }
        self.problems.push(problem);
    }

    /// Reports required keys that `table` lacks, but for those that an `unknown` key looks like.
    fn missing_keys(&mut self, parts: &Parts<'a>, table: &Table, unknown: &[&str], path: &[Step]) {
        let required = parts.all.iter().flat_map(|part| required(part));
        let absent: Vec<&str> = required.filter(|name| !table.contains_key(*name)).collect();
        let meant: Vec<&str> = unknown
            .iter()
            .filter_map(|key| nearest(key, absent.iter().copied()))
            .collect();
        for name in absent {
            if !meant.contains(&name) {
                let mut all = parts.all.iter().flat_map(|part| properties(part));
                let schema = all.find(|(known, _)| *known == name);
                let form = schema.map_or("a value".into(), |(_, schema)| expected(self.root, schema));
                self.problems.push(self.missing_key(name, &form, path));
            }
        }
    }

    /// The key of `parts` that holds a table which knows `key`.
    fn deeper(&self, parts: &Parts<'a>, key: &str) -> Option<Step> {
        let knows = |schema: &'a Json| {
            let mut variants = alternatives(self.root, schema).into_iter();
            variants.any(|variant| key_names(&conjuncts(self.root, variant)).contains(&key))
        };
        let mut all = parts.all.iter().flat_map(|part| properties(part));
        all.find(|(_, schema)| knows(schema))
            .map(|(name, _)| Step::Key(name.to_owned()))
    }

    fn array(&mut self, parts: &Parts<'a>, items: &[Toml], path: &[Step]) {
        let count = |name: &str| parts.all.iter().find_map(|part| part.get(name)?.as_u64());
        let length = items.len() as u64;
        let repeated = parts
            .all
            .iter()
            .any(|part| part.get("uniqueItems") == Some(&true.into()))
            && items.iter().enumerate().any(|(at, item)| items[..at].contains(item));
        if count("minItems").is_some_and(|least| length < least) || count("maxItems").is_some_and(|most| length > most)
        {
            let form = expected(self.root, parts.form);
            let label = format!("expected {form}, found {length}");
            let title = format!("wrong number of values in `{}`", display(path));
            self.problems.push(self.problem(title, label, path, Part::Value));
        } else if repeated {
            let title = format!("a value stands twice in `{}`", display(path));
            let label = "expected every value once".to_owned();
            self.problems.push(self.problem(title, label, path, Part::Value));
        }
        for part in &parts.all {
            let first = part.get("prefixItems").and_then(Json::as_array);
            let first = first.map(Vec::as_slice).unwrap_or_default();
            for (index, item) in items.iter().enumerate() {
                if let Some(schema) = first.get(index).or(part.get("items")) {
                    self.check(schema, item, &join(path, Step::Index(index)));
                }
            }
        }
    }

    fn scalar(&mut self, parts: &Parts<'a>, value: &Toml, path: &[Step]) {
        for part in &parts.all {
            let words = words(part);
            if words.is_some_and(|words| !words.iter().any(|word| same(word, value))) {
                self.problems.push(self.unknown_word(&[parts.form], value, path));
            } else if !bounds::in_bounds(part, value) {
                let form = expected(self.root, parts.form);
                self.problems.push(self.out_of_range(&form, value, path));
            } else if !bounds::fits_width(part, value) {
                self.problems
                    .push(self.out_of_range("a number of 32 bits", value, path));
            } else if let Some(form) = wrong_length(part, value) {
                let title = format!("wrong length of `{}`", display(path));
                let label = format!("expected {form}, found {}", found(value));
                self.problems.push(self.problem(title, label, path, Part::Value));
            }
        }
    }

    fn out_of_range(&self, form: &str, value: &Toml, path: &[Step]) -> Problem {
        let title = format!("`{}` is out of range", display(path));
        self.problem(
            title,
            format!("expected {form}, found {}", found(value)),
            path,
            Part::Value,
        )
    }

    /// A value that has the type of none of `expected`.
    pub(super) fn wrong_type(&self, expected: &[&Json], value: &Toml, path: &[Step]) -> Problem {
        let title = match path {
            [] => "wrong type at the top level".to_owned(),
            _ => format!("wrong type for `{}`", display(path)),
        };
        let form = list(&forms(self.root, expected));
        let label = format!("expected {form}, found {}", found(value));
        let mut problem = self.problem(title, label, path, Part::Value);
        problem.notes.extend(spelling(self.root, expected, value));
        problem
    }

    fn missing_key(&self, name: &str, form: &str, path: &[Step]) -> Problem {
        let title = format!("missing key `{name}`{}", inside(path));
        self.problem(title, format!("expected `{name}` here: {form}"), path, Part::Value)
    }

    /// A key at `path` that is none of `names`.
    pub(super) fn unknown_key(&self, key: &str, names: &[&str], path: &[Step]) -> Problem {
        let title = format!("unknown key `{key}`{}", inside(&path[..path.len() - 1]));
        let label = match nearest(key, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "not a key of this table".to_owned(),
        };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let note = if names.is_empty() {
            "this table takes no keys".to_owned()
        } else {
            format!("accepted keys: {}", names.join(", "))
        };
        self.problem(title, label, path, Part::Key).note(note)
    }

    pub(super) fn problem(&self, title: String, label: String, path: &[Step], part: Part) -> Problem {
        let place = self.document.locate(path, part);
        Problem {
            title,
            label,
            notes: Vec::new(),
            place,
        }
    }
}

/// ` in `a.b``, or nothing at the top level.
pub(super) fn inside(path: &[Step]) -> String {
    match path {
        [] => String::new(),
        _ => format!(" in `{}`", display(path)),
    }
}

/// The schema of keys that are not among the properties, where there may be such.
fn other_keys(keywords: &Keywords) -> Option<&Json> {
    let patterns = keywords.get("patternProperties").and_then(Json::as_object);
    let schemas = ["additionalProperties", "unevaluatedProperties"].map(|name| keywords.get(name));
    let pattern = patterns.and_then(|patterns| patterns.values().next());
    let mut all = pattern.into_iter().chain(schemas.into_iter().flatten());
    all.find(|schema| **schema != Json::Bool(false))
}

/// What is expected of the length of a string, if `value` is one and does not have it.
fn wrong_length(keywords: &Keywords, value: &Toml) -> Option<String> {
    let length = value.as_str()?.chars().count() as u64;
    let bound = |name: &str| keywords.get(name).and_then(Json::as_u64);
    let short = bound("minLength").filter(|least| length < *least);
    let long = bound("maxLength").filter(|most| length > *most);
    let short = short.map(|least| format!("a string of at least {least} characters"));
    short.or(long.map(|most| format!("a string of at most {most} characters")))
}

#[cfg(test)]
mod tests {
    use crate::config::fixture::check;

    #[test]
    fn draws_unknown_keys() {
        check(
            "learning_rate",
            "learning_rat",
            r#"
error: unknown key `learning_rat` in `training.optimizer`
  --> recipe.toml:23:31
   |
23 | optimizer = { kind = "adamw", learning_rat = 1e-3 }
   |                               ^^^^^^^^^^^^ did you mean `learning_rate`?
   |
   = note: accepted keys: `kind`, `learning_rate`, `weight_decay`"#,
        );
        check(
            "width = 128\n[out",
            "height = 128\nwidth = 128\n[out",
            r#"
error: unknown key `height` in `fusion`
  --> recipe.toml:19:1
   |
19 | height = 128
   | ^^^^^^ not a key of this table
   |
   = note: accepted keys: `kind`, `width`"#,
        );
        check(
            "[fusion]",
            "[fusions]",
            r#"
error: unknown key `fusions`
  --> recipe.toml:17:2
   |
17 | [fusions]
   |  ^^^^^^^ did you mean `fusion`?
   |
   = note: accepted keys: `name`, `seed`, `data`, `inputs`, `fusion`, `outputs`, `training`"#,
        );
        check(
            "seed = 1",
            "manifest = \"x\"",
            r#"
error: unknown key `manifest`
 --> recipe.toml:2:1
  |
2 | manifest = "x"
  | ^^^^^^^^ not a key of this table
  |
  = note: `manifest` is a key of `data`
  = note: accepted keys: `name`, `seed`, `data`, `inputs`, `fusion`, `outputs`, `training`"#,
        );
    }

    #[test]
    fn draws_wrong_types_and_ranges() {
        check(
            "batch_size = 64",
            "batch_size = \"64\"",
            r#"
error: wrong type for `training.batch_size`
  --> recipe.toml:25:14
   |
25 | batch_size = "64"
   |              ^^^^ expected an integer of at least 1, found the string "64"
   |
   = note: write it without quotes: 64"#,
        );
        check(
            "size = 64",
            "size = 64.0",
            r#"
error: wrong type for `inputs.image.size`
 --> recipe.toml:9:8
  |
9 | size = 64.0
  |        ^^^^ expected an integer of at least 1 or an array of 2 integers, found the float 64.0
  |
  = note: write it without a point or an exponent: 64"#,
        );
        check(
            "size = 64",
            "size = [64, \"a\"]",
            r#"
error: wrong type for `inputs.image.size[1]`
 --> recipe.toml:9:13
  |
9 | size = [64, "a"]
  |             ^^^ expected an integer of at least 0, found the string "a""#,
        );
        check(
            "failure_budget = 0.01",
            "failure_budget = 1.5",
            r#"
error: `data.failure_budget` is out of range
 --> recipe.toml:6:18
  |
6 | failure_budget = 1.5
  |                  ^^^ expected a number from 0 to 1, found the float 1.5"#,
        );
        check(
            "[fusion]",
            "[[fusion]]",
            r#"
error: wrong type for `fusion`
  --> recipe.toml:17:1
   |
17 | [[fusion]]
   | ^^^^^^^^^^ expected a table with a `kind`, found an array of 1"#,
        );
    }

    #[test]
    fn draws_missing_keys() {
        check(
            "manifest = \"easy-vqa\" ",
            "# ",
            r#"
error: missing key `manifest` in `data`
 --> recipe.toml:3:1
  |
3 | [data]
  | ^^^^^^ expected `manifest` here: a string"#,
        );
        check(
            ", vocabulary = 1000",
            "",
            r#"
error: missing key `vocabulary` in `inputs.question.tokenizer`
  --> recipe.toml:15:13
   |
15 | tokenizer = { kind = "bpe" }
   |             ^^^^^^^^^^^^^^^^ expected `vocabulary` here: an integer of at least 0"#,
        );
        check(
            "name = \"easy-vqa\"",
            "",
            r#"
error: missing key `name`
--> recipe.toml
 = note: expected `name` here: a string"#,
        );
    }
}
