//! A configuration as read: the file with its spans, the overrides, and the plain tree they make.

use std::ops::Range;

use toml::de::{DeFloat, DeInteger, DeTable, DeValue, Error};
use toml::{Spanned, Value as Toml};

use super::locate::{Part, Step, locate};
use super::overrides::Override;
use super::render::{Place, Problem};

/// A file and the overrides laid over it.
#[derive(Debug)]
pub(super) struct Document<'t> {
    file: Spanned<DeValue<'t>>,
    overrides: Vec<Override<'t>>,
    /// The values that count, a table at the top.
    pub tree: Toml,
}

impl<'t> Document<'t> {
    /// Parses `text` and lays `overrides` over it, in order.
    ///
    /// # Errors
    /// Every problem of syntax, every number that does not fit, every override that has no place.
    pub(super) fn read(text: &'t str, overrides: &'t [String]) -> Result<Self, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let span = table.span();
        let file = Spanned::new(span, DeValue::Table(table.into_inner()));
        let mut problems = syntax_problems(text, &errors);
        let tree = plain_at(&file, Place::File, &mut problems);
        let mut document = Document {
            file,
            overrides: Vec::new(),
            tree,
        };
        for (number, text) in overrides.iter().enumerate() {
            if let Err(problem) = document.lay(number, text, &mut problems) {
                problems.push(problem);
            }
        }
        if problems.is_empty() {
            Ok(document)
        } else {
            Err(problems)
        }
    }

    fn lay(&mut self, number: usize, text: &'t str, problems: &mut Vec<Problem>) -> Result<(), Problem> {
        let mut setting = Override::parse(number, text)?;
        let place = |range| Place::Override(number, setting.shift(range));
        let value = plain_at(&setting.value, place, problems);
        setting.apply(number, &mut self.tree, value)?;
        self.overrides.push(setting);
        Ok(())
    }

    /// The place of the key or the value at `path`.
    pub(super) fn locate(&self, path: &[Step], part: Part) -> Place {
        locate(&self.file, &self.overrides, path, part)
    }
}

/// `value` without its spans, and a problem for each number that does not fit.
fn plain_at(value: &Spanned<DeValue<'_>>, place: impl Fn(Range<usize>) -> Place, problems: &mut Vec<Problem>) -> Toml {
    let mut misfits = Vec::new();
    let tree = plain(value, &mut misfits);
    problems.extend(misfits.into_iter().map(|(range, expected)| Problem {
        title: "a number out of range".to_owned(),
        label: format!("expected {expected}"),
        notes: Vec::new(),
        place: place(range),
    }));
    tree
}

/// `value` without its spans. A number that is too large is listed with what was expected, and zero
/// in the tree.
pub(super) fn plain(value: &Spanned<DeValue<'_>>, misfits: &mut Vec<(Range<usize>, &'static str)>) -> Toml {
    let fitting = |number: Option<Toml>, expected| number.ok_or((value.span(), expected));
    let number = match value.get_ref() {
        DeValue::Integer(text) => fitting(integer(text), "an integer from -2^63 to 2^63 - 1"),
        DeValue::Float(text) => fitting(float(text), "a number below 1.8e308"),
        DeValue::String(text) => return Toml::String(text.to_string()),
        DeValue::Boolean(value) => return Toml::Boolean(*value),
        DeValue::Datetime(value) => return Toml::Datetime(*value),
        DeValue::Array(array) => {
            return Toml::Array(array.iter().map(|item| plain(item, misfits)).collect());
        }
        DeValue::Table(table) => {
            let entries = table.iter();
            let entries = entries.map(|(key, item)| (key.get_ref().to_string(), plain(item, misfits)));
            return Toml::Table(entries.collect());
        }
    };
    number.unwrap_or_else(|misfit| {
        misfits.push(misfit);
        Toml::Integer(0)
    })
}

fn integer(text: &DeInteger<'_>) -> Option<Toml> {
    let number = i64::from_str_radix(text.as_str(), text.radix());
    number.ok().map(Toml::Integer)
}

/// Infinity is a number where it is spelt out, not where a number is too large for its type.
fn float(text: &DeFloat<'_>) -> Option<Toml> {
    let number: f64 = text.as_str().parse().ok()?;
    let fits = number.is_finite() || text.as_str().contains("inf") || number.is_nan();
    fits.then_some(Toml::Float(number))
}

/// The first error of each line: what follows on a line is mostly its echo.
fn syntax_problems(text: &str, errors: &[Error]) -> Vec<Problem> {
    let mut labelled: Vec<_> = errors.iter().map(|error| syntax_label(text, error)).collect();
    labelled.sort_by_key(|(_, range)| range.start);
    labelled.dedup_by_key(|(_, range)| line(text, range.start));
    let problem = |(label, range)| Problem {
        title: "this is not TOML".to_owned(),
        label,
        notes: Vec::new(),
        place: Place::File(range),
    };
    labelled.into_iter().map(problem).collect()
}

/// How many lines end before the byte `at`.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// What the parser says, in words that help with its two commonest complaints, and where.
pub(super) fn syntax_label(text: &str, error: &Error) -> (String, Range<usize>) {
    let range = error.span().unwrap_or(0..0);
    let found = text.get(range.clone()).unwrap_or_default();
    let bare_word = found.starts_with(char::is_alphabetic);
    let message = error.message();
    let no_value = message.starts_with("string values") || message.starts_with("invalid boolean");
    let label = if message == "duplicate key" {
        format!("`{found}` is set a second time; keep one")
    } else if bare_word && no_value {
        format!("expected a value; a string stands in quotes: {found:?}")
    } else if found.is_empty() && no_value {
        "expected a value".to_owned()
    } else {
        message.to_owned()
    };
    (label, range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fixture::check as check_drawing;

    /// Labels and what they point at.
    fn check(text: &str, expected: &[(&str, &str)]) {
        let problems = Document::read(text, &[]).err().unwrap_or_default();
        let found: Vec<_> = problems
            .iter()
            .map(|problem| match &problem.place {
                Place::File(range) => (problem.label.as_str(), &text[range.clone()]),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn reports_syntax_and_numbers_that_do_not_fit() {
        check("a = 1", &[]);
        check("a = 1\na = 2", &[("`a` is set a second time; keep one", "a")]);
        check(
            "a = fast",
            &[("expected a value; a string stands in quotes: \"fast\"", "fast")],
        );
        check(
            "a = cosine",
            &[("expected a value; a string stands in quotes: \"cosine\"", "cosine")],
        );
        check("a == 1", &[("extra `=`, expected nothing", "=")]);
        check("[t\nx = 1", &[("unclosed table, expected `]`", "")]);
        check(
            "a = \nb = [1,\n",
            &[("expected a value", ""), ("unclosed array, expected `]`", "")],
        );
        let wide = "9223372036854775808";
        check(
            &format!("a = {wide}"),
            &[("expected an integer from -2^63 to 2^63 - 1", wide)],
        );
        check("a = 1e999", &[("expected a number below 1.8e308", "1e999")]);
        check("a = [inf, -inf, nan]", &[]);
    }

    #[test]
    fn keeps_every_kind_of_value() {
        let text = "a = -0x1f\n";
        assert!(Document::read(text, &[]).is_err());
        let text = "a = [0x1F, 1_000, 2.5, true, \"x\", 1979-05-27]\nb.c = { d = inf }";
        let tree = Document::read(text, &[]).unwrap().tree;
        assert_eq!(tree, Toml::Table(toml::from_str(text).unwrap()));
    }

    #[test]
    fn draws_syntax() {
        check_drawing(
            "seed = 1",
            "seed = = 1",
            r#"
error: this is not TOML
 --> recipe.toml:2:8
  |
2 | seed = = 1
  |        ^ extra `=`, expected nothing"#,
        );
        check_drawing(
            "seed = 1",
            "name = \"x\"",
            r#"
error: this is not TOML
 --> recipe.toml:2:1
  |
2 | name = "x"
  | ^^^^ `name` is set a second time; keep one"#,
        );
    }
}
