//! Settings from the command line, `key.of.table=value`, laid over a configuration.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value as Toml};

use super::describe::found;
use super::document::syntax_label;
use super::locate::{Part, Step, display, find};
use super::render::{Place, Problem};

/// One `key=value`.
#[derive(Debug)]
pub(super) struct Override<'t> {
    names: Vec<String>,
    /// The bytes of each name in the text.
    pub keys: Vec<Range<usize>>,
    /// What it set, once it is applied: its names, as indices where they lead into an array.
    pub path: Vec<Step>,
    /// The value, with spans that count from `offset` bytes into the text.
    pub value: Spanned<DeValue<'t>>,
    offset: usize,
}

/// What is wrong with an override, before it is known as a problem of its number.
struct Fault {
    title: &'static str,
    label: String,
    range: Range<usize>,
}

impl Fault {
    fn new(title: &'static str, label: impl Into<String>, range: Range<usize>) -> Self {
        Fault {
            title,
            label: label.into(),
            range,
        }
    }

    fn of(self, number: usize) -> Problem {
        Problem {
            title: self.title.to_owned(),
            label: self.label,
            notes: vec!["an override is written `key.of.table=value`, with a TOML value".to_owned()],
            place: Place::Override(number, self.range),
        }
    }
}

impl<'t> Override<'t> {
    /// Reads `key=value`, the override of this number. The key is a TOML key, dotted for inner
    /// tables. The value is a TOML value; one that is not, and does not begin like a string, an
    /// array or a table, is taken as a string.
    ///
    /// # Errors
    /// What is wrong with the key or the value.
    pub(super) fn parse(number: usize, text: &'t str) -> Result<Self, Problem> {
        Override::read(text).map_err(|fault| fault.of(number))
    }

    fn read(text: &'t str) -> Result<Self, Fault> {
        let Some(equals) = unquoted_equals(text) else {
            let label = "expected a `=` and a value";
            return Err(Fault::new("an override without a value", label, 0..text.len()));
        };
        let (names, keys) = parse_key(&text[..equals])?;
        let tail = &text[equals + 1..];
        let offset = equals + 1 + tail.len() - tail.trim_start().len();
        let value = parse_value(tail.trim(), offset)?;
        let path = Vec::new();
        Ok(Override {
            names,
            keys,
            path,
            value,
            offset,
        })
    }

    /// The bytes of the key or the value at `path`, if this override set it.
    pub(super) fn find(&self, path: &[Step], part: Part) -> Option<Range<usize>> {
        let inside = path.strip_prefix(self.path.as_slice())?;
        if inside.is_empty() && part == Part::Key {
            return self.keys.last().cloned();
        }
        find(&self.value, inside, part).map(|range| self.shift(range))
    }

    /// Bytes of the whole text for bytes of the value.
    pub(super) fn shift(&self, range: Range<usize>) -> Range<usize> {
        range.start + self.offset..range.end + self.offset
    }

    /// Puts `value`, the plain form of the override's value, into `tree`, making tables on the way.
    ///
    /// # Errors
    /// The path leads through something that has no such place.
    pub(super) fn apply(&mut self, number: usize, tree: &mut Toml, value: Toml) -> Result<(), Problem> {
        let mut slot = tree;
        for (name, key) in self.names.iter().zip(&self.keys) {
            let title = "an override that leads nowhere";
            let (inner, step) =
                descend(slot, &self.path, name).map_err(|label| Fault::new(title, label, key.clone()).of(number))?;
            self.path.push(step);
            slot = inner;
        }
        *slot = value;
        Ok(())
    }
}

/// The place in `holder`, found at `path`, that `name` names; it is made if a table lacks it.
fn descend<'v>(holder: &'v mut Toml, path: &[Step], name: &str) -> Result<(&'v mut Toml, Step), String> {
    let kind = found(holder);
    match holder {
        Toml::Table(table) => {
            let empty = || Toml::Table(toml::Table::new());
            let inner = table.entry(name.to_owned()).or_insert_with(empty);
            Ok((inner, Step::Key(name.to_owned())))
        }
        Toml::Array(array) => {
            let length = array.len();
            let index = name.parse().ok().filter(|index: &usize| *index < length);
            let index =
                index.ok_or_else(|| format!("expected an index below {length}: `{}` is an array", display(path)))?;
            Ok((&mut array[index], Step::Index(index)))
        }
        _ => Err(format!("`{}` is {kind} and has nothing inside", display(path))),
    }
}

/// Where the key ends: the first `=` outside quotes.
fn unquoted_equals(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '=') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
    }
    None
}

/// The parts of a dotted key and their bytes in `text`.
fn parse_key(text: &str) -> Result<(Vec<String>, Vec<Range<usize>>), Fault> {
    let refuse = |label: String| Fault::new("an override with a bad key", label, 0..text.len());
    if text.trim().is_empty() {
        return Err(refuse("expected a key before the `=`".to_owned()));
    }
    if text.contains(['\n', '\r']) {
        return Err(refuse("a key stands on one line".to_owned()));
    }
    let line = format!("{text}=0");
    let table = DeTable::parse(&line).map_err(|error| refuse(error.message().to_owned()))?;
    let (mut names, mut keys) = (Vec::new(), Vec::new());
    let mut level = table.into_inner();
    while let Some((key, value)) = level.into_iter().next() {
        keys.push(key.span());
        names.push(key.into_inner().into_owned());
        match value.into_inner() {
            DeValue::Table(inner) => level = inner,
            _ => return Ok((names, keys)),
        }
    }
    Err(refuse("expected a key before the `=`".to_owned()))
}

fn parse_value(text: &str, offset: usize) -> Result<Spanned<DeValue<'_>>, Fault> {
    if text.is_empty() {
        let label = "expected a value; an empty string is `\"\"`";
        return Err(Fault::new("an override without a value", label, offset..offset));
    }
    match DeValue::parse(text) {
        Ok(value) => Ok(value),
        Err(error) if text.starts_with(['"', '\'', '[', '{']) => {
            let (label, range) = syntax_label(text, &error);
            let range = range.start + offset..range.end + offset;
            Err(Fault::new("an override with a bad value", label, range))
        }
        Err(_) => Ok(Spanned::new(0..text.len(), DeValue::String(text.into()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::plain;
    use crate::config::fixture::check_override as check_drawing;

    /// Applies `text` to a small tree and compares the tree, or the label and what it points at.
    fn check(text: &str, expected: Result<&str, (&str, &str)>) {
        let mut tree: Toml = toml::from_str::<toml::Table>("a = 1\nb = [1, { c = 2 }]\n[d]\ne = 3")
            .unwrap()
            .into();
        let outcome = Override::parse(0, text).and_then(|mut set| {
            let value = plain(&set.value, &mut Vec::new());
            set.apply(0, &mut tree, value)
        });
        let found = match &outcome {
            Ok(()) => Ok(tree.to_string()),
            Err(Problem {
                label,
                place: Place::Override(0, range),
                ..
            }) => Err((label.as_str(), &text[range.clone()])),
            Err(other) => panic!("{other:?}"),
        };
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{text}");
    }

    #[test]
    fn sets_scalars_arrays_tables_and_bare_words() {
        let tree = |a: &str, b: &str, d: &str| format!("{{ a = {a}, b = {b}, d = {d} }}");
        let (a, b, d) = ("1", "[1, { c = 2 }]", "{ e = 3 }");
        check("a=3e-4", Ok(&tree("0.0003", b, d)));
        check(" a = cosine ", Ok(&tree("\"cosine\"", b, d)));
        check("a=x=y", Ok(&tree("\"x=y\"", b, d)));
        check("a=[\"x\", 'y']", Ok(&tree("[\"x\", \"y\"]", b, d)));
        check("b.1.c=9", Ok(&tree(a, "[1, { c = 9 }]", d)));
        check("d.f.\"g.h\"=true", Ok(&tree(a, b, "{ e = 3, f = { \"g.h\" = true } }")));
        check("d={ z = 1 }", Ok(&tree(a, b, "{ z = 1 }")));
        check("a=data/set.jsonl", Ok(&tree("\"data/set.jsonl\"", b, d)));
    }

    #[test]
    fn refuses_what_cannot_be_read_or_placed() {
        check("seed", Err(("expected a `=` and a value", "seed")));
        check("=1", Err(("expected a key before the `=`", "")));
        check(
            "a..b=1",
            Err((
                "unquoted keys cannot be empty, expected letters, numbers, `-`, `_`",
                "a..b",
            )),
        );
        check("a\nb=1", Err(("a key stands on one line", "a\nb")));
        check("#a=1", Err(("expected a key before the `=`", "#a")));
        check("a=", Err(("expected a value; an empty string is `\"\"`", "")));
        check("a=[1, 2", Err(("unclosed array, expected `]`", "")));
        check("a.x=1", Err(("`a` is the integer 1 and has nothing inside", "x")));
        check("b.2=1", Err(("expected an index below 2: `b` is an array", "2")));
    }

    #[test]
    fn draws_overrides() {
        check_drawing(
            "training.learning_rate=3e-4",
            r#"
error: unknown key `learning_rate` in `training`
 --> command line:1:16
  |
1 | --set training.learning_rate=3e-4
  |                ^^^^^^^^^^^^^ not a key of this table
  |
  = note: `learning_rate` is a key of `training.optimizer`
  = note: accepted keys: `optimizer`, `schedule`, `batch_size`, `max_epochs`, `max_steps`, `max_minutes`, `checkpoint_every_steps`, `stop`"#,
        );
        check_drawing(
            "outputs.answer.labels=[\"a\", 3]",
            r#"
error: wrong type for `outputs.answer.labels[1]`
 --> command line:1:35
  |
1 | --set outputs.answer.labels=["a", 3]
  |                                   ^ expected a string, found the integer 3
  |
  = note: a string stands in quotes: "3""#,
        );
        check_drawing(
            "outputs.extra.from=fusion",
            r#"
error: missing key `task` in `outputs.extra`
 --> command line:1:15
  |
1 | --set outputs.extra.from=fusion
  |               ^^^^^ expected `task` here
  |
  = note: accepted values of `task`: "classify", "regress""#,
        );
        check_drawing(
            "seed.a=1",
            r#"
error: an override that leads nowhere
 --> command line:1:12
  |
1 | --set seed.a=1
  |            ^ `seed` is the integer 1 and has nothing inside
  |
  = note: an override is written `key.of.table=value`, with a TOML value"#,
        );
        check_drawing(
            "seed",
            r#"
error: an override without a value
 --> command line:1:7
  |
1 | --set seed
  |       ^^^^ expected a `=` and a value
  |
  = note: an override is written `key.of.table=value`, with a TOML value"#,
        );
    }
}
