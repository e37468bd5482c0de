//! The definitions of WordNet's nouns and verbs (Miller, 1995), to be sorted into its 41 classes.

use super::archives::{self, Limits};
use super::fetch::write_rows;
use super::packages::{Client, Package};
use super::{Entry, Progress, packages};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::Debian,
    name: "wordnet-base",
    version: "1:3.0-37",
    sha256: "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
    bytes: 6_467_132,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "wordnet-glosses",
    description: "95,882 definitions of nouns and verbs in 41 classes such as animal, food and motion",
    licence: "WordNet",
    bytes: packages::bytes(&PACKAGES),
    rows: 95_882,
    tasks: &["text classification"],
    source: "Debian package wordnet-base 3.0",
    packages: &PACKAGES,
    version: "wordnet-1",
    build,
};

const LIMITS: Limits = Limits {
    files: 1000,
    file_bytes: 64 << 20,
    total_bytes: 128 << 20,
};

const FILES: [&str; 2] = ["usr/share/wordnet/data.noun", "usr/share/wordnet/data.verb"];

/// The number of the first class of nouns; those before it are of adjectives and adverbs, which
/// WordNet does not sort by topic.
const FIRST: usize = 3;
/// The classes by their numbers, from [`FIRST`]; see the manual page lexnames(5WN).
const CLASSES: [&str; 41] = [
    "noun.Tops",
    "noun.act",
    "noun.animal",
    "noun.artifact",
    "noun.attribute",
    "noun.body",
    "noun.cognition",
    "noun.communication",
    "noun.event",
    "noun.feeling",
    "noun.food",
    "noun.group",
    "noun.location",
    "noun.motive",
    "noun.object",
    "noun.person",
    "noun.phenomenon",
    "noun.plant",
    "noun.possession",
    "noun.process",
    "noun.quantity",
    "noun.relation",
    "noun.shape",
    "noun.state",
    "noun.substance",
    "noun.time",
    "verb.body",
    "verb.change",
    "verb.cognition",
    "verb.communication",
    "verb.competition",
    "verb.consumption",
    "verb.contact",
    "verb.creation",
    "verb.emotion",
    "verb.motion",
    "verb.perception",
    "verb.possession",
    "verb.social",
    "verb.stative",
    "verb.weather",
];

/// How many characters of a definition two near-copies share.
const SHARED: usize = 40;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let mut rows = Vec::new();
    for (path, bytes) in FILES.iter().zip(archives::files(&packages[0], LIMITS, FILES)?) {
        rows.extend(parse(&bytes).map_err(|error| error.in_field(path))?);
    }
    write_rows(folder, rows)
}

#[derive(Debug, Serialize)]
struct Row {
    /// The definition, and its examples where it has some.
    text: String,
    label: &'static str,
    /// The first of the words that are defined.
    word: String,
    /// The beginning of the definition.
    group: String,
    split: Split,
}

/// Reads the lines of a data file, format wndb(5WN). Those of the licence begin with a space.
fn parse(bytes: &[u8]) -> Result<Vec<Row>> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(b" "));
    lines
        .map(|(number, line)| {
            let row = std::str::from_utf8(line).ok().and_then(read);
            row.ok_or_else(|| {
                let message = "expected the fields of wndb(5WN) and a definition, found another line";
                DataError::new(ErrorKind::Damaged, message).at_row(number)
            })
        })
        .collect()
}

/// `offset class type count word … | definition`
fn read(line: &str) -> Option<Row> {
    let (fields, text) = line.split_once(" | ")?;
    let mut fields = fields.split(' ').skip(1);
    let class: usize = fields.next()?.parse().ok()?;
    let word = fields.nth(2)?.replace('_', " ");
    let text = text.trim().to_string();
    let group: String = text.chars().take(SHARED).collect();
    let fractions = Fractions::new(0.8, 0.1, 0.1).ok()?;
    Some(Row {
        label: CLASSES.get(class.checked_sub(FIRST)?)?,
        split: fractions.draw(&Key::new(0).with("wordnet-glosses").with(&group)),
        word,
        group,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LICENCE: &str = "  1 This software | and database  \n";
    const BIRD: &str = "01503061 05 n 02 wading_bird 0 wader 1 002 @ 01 n 0000 ~ 02 n 0000 | warm-blooded egg-laying \
                        vertebrates; \"a | bird\"  \n";

    fn check(text: &str, expected: Option<&[(&str, &str, &str)]>) {
        let parsed = parse(text.as_bytes()).ok();
        let told = parsed.as_ref().map(|rows| {
            let told = rows.iter().map(|row| (row.label, row.word.as_str(), row.text.as_str()));
            told.collect::<Vec<_>>()
        });
        assert_eq!(told.as_deref(), expected, "{text}");
    }

    #[test]
    fn lines_give_class_word_and_definition() {
        let text = "warm-blooded egg-laying vertebrates; \"a | bird\"";
        check(
            &format!("{LICENCE}{BIRD}00001740 43 v 01 rain 0 000 | precipitate \n"),
            Some(&[
                ("noun.animal", "wading bird", text),
                ("verb.weather", "rain", "precipitate"),
            ]),
        );
        for damaged in [
            "1 05 n 01 a 0 000",
            "1 44 a 01 a 0 | b",
            "1 02 r 01 a 0 | b",
            "1 x n 01 a | b",
            "1 05 | b",
        ] {
            check(damaged, None);
        }
    }

    #[test]
    fn definitions_that_begin_alike_stay_together() {
        let begin = "a town in the eastern part of some country";
        let lines: Vec<String> = (0..50).map(|n| format!("1 15 n 01 a 0 | {begin} {n}")).collect();
        let rows = parse(lines.join("\n").as_bytes()).unwrap();
        assert_eq!(rows[0].group, "a town in the eastern part of some count");
        assert!(
            rows.iter()
                .all(|row| row.split == rows[0].split && row.group == rows[0].group)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in "[0-9a-z |\n_\u{e9}]{0,60}") {
            let _ = parse(text.as_bytes());
        }
    }
}
