//! Where in the text a value of the configuration stands.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::overrides::Override;
use super::render::Place;

/// One step from a table or an array to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// Which side of `key = value` is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key,
    /// For a table with a header, the header.
    Value,
}

/// `path` with one more step.
pub(super) fn join(path: &[Step], step: Step) -> Vec<Step> {
    let mut longer = path.to_vec();
    longer.push(step);
    longer
}

/// `path` as a person would write it: `rows[0].name`.
pub(super) fn display(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(&bare(key)),
            Step::Key(key) => text.push_str(&format!(".{}", bare(key))),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// `key` in quotes where TOML needs them.
fn bare(key: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if !key.is_empty() && key.chars().all(plain) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// The place of the key or the value at `path`, or of the nearest table around it.
///
/// The last override that set `path` or something around it comes before the file.
pub(super) fn locate(file: &Spanned<DeValue<'_>>, overrides: &[Override<'_>], path: &[Step], part: Part) -> Place {
    let Some((_, parent)) = path.split_last() else {
        return Place::Whole;
    };
    for (number, setting) in overrides.iter().enumerate().rev() {
        if let Some(range) = setting.find(path, part) {
            return Place::Override(number, range);
        }
    }
    if let Some(range) = find(file, path, part) {
        return Place::File(range);
    }
    // A table that is not in the file was made by an override of something inside it.
    for (number, setting) in overrides.iter().enumerate().rev() {
        if setting.path.starts_with(path) {
            return Place::Override(number, setting.keys[path.len() - 1].clone());
        }
    }
    locate(file, overrides, parent, Part::Value)
}

/// The bytes of the key or the value at `path` inside `value`.
pub(super) fn find(value: &Spanned<DeValue<'_>>, path: &[Step], part: Part) -> Option<Range<usize>> {
    let Some((step, rest)) = path.split_first() else {
        return Some(value.span());
    };
    match (step, value.get_ref()) {
        (Step::Key(name), DeValue::Table(table)) => {
            let (key, inner) = table.iter().find(|(key, _)| key.get_ref() == name)?;
            if rest.is_empty() && part == Part::Key {
                Some(key.span())
            } else {
                find(inner, rest, part)
            }
        }
        (Step::Index(index), DeValue::Array(array)) => find(array.get(*index)?, rest, part),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.to_owned())
    }

    fn check(path: &[Step], part: Part, expected: &str) {
        let text = "[a.b]\nc = { d = [1, 22] }\ne.f = 3\n[[rows]]\nx = 1\n[[rows]]\nx = 2\n";
        let table = toml::de::DeTable::parse(text).unwrap();
        let span = table.span();
        let file = Spanned::new(span, DeValue::Table(table.into_inner()));
        let mut set = Override::parse(0, "g.h.i = { j = 'k' }").unwrap();
        let mut tree = toml::Value::Table(toml::Table::new());
        set.apply(0, &mut tree, toml::Value::Boolean(true)).unwrap();
        let found = match locate(&file, &[set], path, part) {
            Place::File(range) => format!("{}:{}", range.start, &text[range.clone()]),
            Place::Override(_, range) => format!("set {:?}", &"g.h.i = { j = 'k' }"[range]),
            Place::Whole => "whole".to_owned(),
        };
        assert_eq!(found, expected, "{}", display(path));
    }

    #[test]
    fn finds_keys_values_headers_and_overrides() {
        let d = [key("a"), key("b"), key("c"), key("d")];
        check(&d, Part::Key, "12:d");
        check(&d, Part::Value, "16:[1, 22]");
        check(&join(&d, Step::Index(1)), Part::Value, "20:22");
        check(&[key("a"), key("b")], Part::Value, "0:[a.b]");
        check(&[key("a")], Part::Value, "1:a");
        check(&[key("a"), key("b"), key("e"), key("f")], Part::Value, "32:3");
        check(&[key("rows"), Step::Index(1), key("x")], Part::Value, "62:2");
        check(&[key("a"), key("nothing"), key("x")], Part::Key, "1:a");
        check(&[key("g"), key("h"), key("i"), key("j")], Part::Key, "set \"j\"");
        check(&[key("g"), key("h")], Part::Value, "set \"h\"");
        check(
            &[key("g"), key("h"), key("i"), key("zz")],
            Part::Value,
            "set \"{ j = 'k' }\"",
        );
        check(&[], Part::Value, "whole");
    }

    #[test]
    fn displays_a_path_as_it_is_written() {
        assert_eq!(
            display(&[key("a"), Step::Index(2), key("b c"), key("d")]),
            "a[2].\"b c\".d"
        );
    }
}
