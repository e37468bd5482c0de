//! Configuration in TOML, typed by Rust structs, with errors that show the line and the way out.
//!
//! The structs are the one source of truth. Their JSON Schema, which `schemars` derives, is what a
//! configuration is held against before `serde` reads it, so that every problem is found at once
//! and in its place. An object is closed: a key that its struct does not name is an error, also
//! without `deny_unknown_fields`. Not checked against the schema: `pattern`, `format` (but for
//! 32-bit numbers) and `serde(alias)`, which schemars leaves out, so that an alias is an unknown
//! key.

mod alternatives;
mod bounds;
mod choose;
mod describe;
mod document;
#[cfg(test)]
mod fixture;
mod locate;
mod overrides;
mod render;
mod schema;
mod suggest;
mod validate;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

pub use self::render::ConfigError;
pub use self::schema::schema;

use self::document::Document;
use self::locate::{Part, Step};
use self::render::{Place, Problem};
use self::validate::Validator;

/// Reads the TOML file at `path` as a `T`, with `overrides` (`key.of.table=value`) laid over it in
/// order.
///
/// The value of an override is TOML; one that is not, and does not begin like a string, an array or
/// a table, is taken as a string: `training.schedule.kind=cosine`. A number leads into an array.
///
/// # Errors
/// The file cannot be read or is not UTF-8, it or an override is not TOML, or they do not fit `T`.
pub fn load<T: DeserializeOwned + JsonSchema>(path: &Path, overrides: &[String]) -> Result<T, ConfigError> {
    let name = path.display().to_string();
    let fail = |text: &str, problem| Err(ConfigError::new(&name, text, overrides, vec![problem]));
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return fail("", unreadable(&name, &error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, &name, overrides),
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes());
            fail(&text, not_utf8(error.utf8_error().valid_up_to()))
        }
    }
}

/// Reads `text`, which errors call `name`, as [`load`] reads a file.
///
/// # Errors
/// `text` or an override is not TOML, or they do not fit `T`.
pub fn parse<T: DeserializeOwned + JsonSchema>(text: &str, name: &str, overrides: &[String]) -> Result<T, ConfigError> {
    let fail = |problems| ConfigError::new(name, text, overrides, problems);
    let document = Document::read(text, overrides).map_err(fail)?;
    let schema = schema::derive::<T>();
    let problems = Validator::problems(&schema, &document);
    if !problems.is_empty() {
        return Err(fail(problems));
    }
    let value = document.tree.clone();
    value.try_into().map_err(|error| fail(vec![refused(&error, &document)]))
}

fn unreadable(name: &str, error: &std::io::Error) -> Problem {
    Problem {
        title: format!("cannot read `{name}`: {error}"),
        label: "expected a TOML file at this path".to_owned(),
        notes: Vec::new(),
        place: Place::Whole,
    }
}

/// The text shows what is not UTF-8 as U+FFFD, which has three bytes.
fn not_utf8(offset: usize) -> Problem {
    Problem {
        title: "the file is not UTF-8".to_owned(),
        label: format!("byte {offset} of the file is not UTF-8; save the file as UTF-8"),
        notes: Vec::new(),
        place: Place::File(offset..offset + '\u{fffd}'.len_utf8()),
    }
}

/// What serde says of a value that the schema lets in. It names the tables on the way, no indices.
fn refused(error: &toml::de::Error, document: &Document<'_>) -> Problem {
    let text = error.to_string();
    let keys = text
        .trim_end()
        .rsplit_once("\nin `")
        .map(|(_, keys)| keys.trim_end_matches('`'));
    let keys = keys.unwrap_or_default();
    let path: Vec<Step> = keys.split('.').map(|key| Step::Key(key.to_owned())).collect();
    Problem {
        title: match keys {
            "" => "a value does not fit".to_owned(),
            _ => format!("`{keys}` does not fit"),
        },
        label: error.message().to_owned(),
        notes: Vec::new(),
        place: match keys {
            "" => Place::Whole,
            _ => document.locate(&path, Part::Value),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::fixture::{Augment, Input, RECIPE, Recipe, Schedule, Size};
    use super::*;

    fn with(settings: &[&str]) -> Recipe {
        let settings: Vec<String> = settings.iter().map(|text| text.to_string()).collect();
        parse(RECIPE, "recipe.toml", &settings).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn reads_the_recipe_of_the_design() {
        let recipe = with(&[]);
        assert_eq!(recipe, toml::from_str(RECIPE).unwrap());
        let Input::Image(image) = &recipe.inputs["image"] else {
            panic!("{recipe:?}")
        };
        assert_eq!(image.size, Size::Square(64));
        let augment = [Augment::Flip, Augment::Rotate(10.0), Augment::Crop(0.9)];
        assert_eq!(image.augment, augment);
    }

    #[test]
    fn overrides_replace_and_add() {
        let recipe = with(&[
            "training.optimizer.learning_rate=3e-4",
            "training.schedule={ kind = \"constant\" }",
            "training.schedule.kind=cosine",
            "outputs.answer.labels=[\"a\",\"b\"]",
            "outputs.number.task=regress",
            "outputs.number.dimensions=2",
            "inputs.image.augment.1.rotate=20",
            "inputs.image.size=[48, 64]",
        ]);
        let Input::Image(image) = &recipe.inputs["image"] else {
            panic!("{recipe:?}")
        };
        assert_eq!(image.size, Size::Rectangle([48, 64]));
        assert_eq!(image.augment[1], Augment::Rotate(20.0));
        assert_eq!(recipe.training.schedule, Some(Schedule::Cosine { warmup_steps: 0 }));
        assert_eq!(recipe.outputs.len(), 2);
    }

    #[test]
    fn draws_every_problem_in_the_order_of_the_file() {
        let text = RECIPE.replace("seed = 1", "sed = 1").replace("\"gru\"", "\"LSTM\"");
        let settings = ["training.max_epochs=many".to_owned()];
        let error = parse::<Recipe>(&text, "recipe.toml", &settings)
            .unwrap_err()
            .to_string();
        let labels: Vec<&str> = error.lines().filter(|line| line.contains('^')).collect();
        assert_eq!(
            labels,
            [
                "  | ^^^ did you mean `seed`?",
                "   |                                ^^^^^^ did you mean \"lstm\"?",
                "  |                           ^^^^ expected an integer of at least 0, found the string \"many\"",
            ]
        );
    }

    #[test]
    fn draws_a_wrong_type_at_the_root() {
        let error = parse::<Vec<u32>>("a = 1", "recipe.toml", &[]).unwrap_err();
        let expected = "error: wrong type at the top level\n--> recipe.toml
 = note: expected an array of integers, found a table with `a`";
        assert_eq!(error.to_string(), expected);
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    struct Checked {
        #[allow(dead_code)]
        even: BTreeMap<String, Even>,
    }

    #[derive(Debug, serde::Deserialize, JsonSchema)]
    #[serde(try_from = "u32")]
    struct Even;

    impl TryFrom<u32> for Even {
        type Error = String;

        fn try_from(value: u32) -> Result<Self, String> {
            if value.is_multiple_of(2) {
                Ok(Even)
            } else {
                Err(format!("{value} is odd"))
            }
        }
    }

    #[test]
    fn draws_what_only_serde_refuses() {
        let error = parse::<Checked>("[even]\na = 2\nb = 3\n", "a.toml", &[]).unwrap_err();
        let expected = "error: `even.b` does not fit\n --> a.toml:3:5\n  |\n3 | b = 3\n  |     ^ 3 is odd";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn loads_files_and_names_the_path_of_what_it_cannot_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recipe.toml");
        let load_error = || load::<Recipe>(&path, &[]).unwrap_err().to_string();
        let missing = load_error();
        assert!(missing.starts_with(&format!("error: cannot read `{}`: ", path.display())));
        std::fs::write(&path, b"name = 'x'\nseed = \xff1\n").unwrap();
        let lines = load_error();
        let caret = "2 | seed = \u{fffd}1\n  |        ^ byte 18 of the file is not UTF-8";
        assert!(lines.contains(&format!("{}:2:8\n", path.display())), "{lines}");
        assert!(lines.contains(caret), "{lines}");
        std::fs::write(&path, format!("\u{feff}{}", RECIPE.replace('\n', "\r\n"))).unwrap();
        assert_eq!(load::<Recipe>(&path, &[]).unwrap(), with(&[]));
    }
}
