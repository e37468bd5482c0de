//! Jane Austen's six novels, a paragraph a row.

mod rdata;

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
    name: "r-cran-janeaustenr",
    version: "1.0.0-1",
    sha256: "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
    bytes: 1_626_392,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "austen",
    description: "Jane Austen's six novels in 10,000 paragraphs; Persuasion is the test",
    licence: "the text is in the public domain",
    bytes: packages::bytes(&PACKAGES),
    rows: 10_001,
    tasks: &["language modelling"],
    source: "Debian package r-cran-janeaustenr 1.0.0",
    packages: &PACKAGES,
    version: "austen-1",
    build,
};

const LIMITS: Limits = Limits {
    files: 1000,
    file_bytes: 16 << 20,
    total_bytes: 32 << 20,
};

const FILE: &str = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb";

/// The novels by the first lines of their texts.
const NOVELS: [&str; 6] = [
    "Sense and Sensibility",
    "Pride and Prejudice",
    "Mansfield Park",
    "Emma",
    "Northanger Abbey",
    "Persuasion",
];
/// The novel of the test split.
const TEST: &str = "Persuasion";
/// The fraction of the other novels' chapters that validate.
const VALIDATION: f64 = 0.05;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let [bytes] = archives::files(&packages[0], LIMITS, [FILE])?;
    let texts = rdata::character_vectors(&bytes).map_err(|error| error.in_field(FILE))?;
    let mut rows = Vec::new();
    for novel in NOVELS {
        rows.extend(rows_of(novel, &texts)?);
    }
    write_rows(folder, rows)
}

#[derive(Debug, Serialize)]
struct Row {
    text: String,
    novel: &'static str,
    /// From 1, counted through the volumes of a novel.
    chapter: usize,
    split: Split,
}

fn rows_of(novel: &'static str, texts: &[Vec<String>]) -> Result<Vec<Row>> {
    let is_it = |lines: &&Vec<String>| {
        lines
            .first()
            .is_some_and(|line| line.trim().eq_ignore_ascii_case(novel))
    };
    let lines = texts.iter().find(is_it).ok_or_else(|| {
        let message = format!("expected a text that begins with `{novel}`, found none");
        DataError::new(ErrorKind::Damaged, message)
    })?;
    let row = |(chapter, text)| {
        Ok(Row {
            split: split(novel, chapter)?,
            text,
            novel,
            chapter,
        })
    };
    paragraphs(lines).into_iter().map(row).collect()
}

fn split(novel: &str, chapter: usize) -> Result<Split> {
    if novel == TEST {
        return Ok(Split::Test);
    }
    let key = Key::new(0).with("austen").with(novel).at(chapter as u64);
    Ok(Fractions::new(1.0 - VALIDATION, VALIDATION, 0.0)?.draw(&key))
}

/// The paragraphs with the number of their chapter, each on one line. What stands before the first
/// chapter and behind the end, and the headings, are no text of the novel.
fn paragraphs(lines: &[String]) -> Vec<(usize, String)> {
    let mut paragraphs = Vec::new();
    let mut chapter = 0;
    for part in lines.split(|line| line.trim().is_empty()) {
        let text: Vec<&str> = part.iter().flat_map(|line| line.split_whitespace()).collect();
        match text[..] {
            [] => {}
            [word, number] if word.eq_ignore_ascii_case("chapter") && is_number(number) => chapter += 1,
            [word, number] if word.eq_ignore_ascii_case("volume") && is_number(number) => {}
            _ if is_end(&text) => break,
            _ if chapter > 0 => paragraphs.push((chapter, text.join(" "))),
            _ => {}
        }
    }
    paragraphs
}

/// Whether a word is a number in Arabic or Roman figures.
fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit()) || word.bytes().all(|byte| b"IVXL".contains(&byte))
}

fn is_end(words: &[&str]) -> bool {
    let text = words.join(" ").to_uppercase();
    ["FINIS", "THE END", "A NOTE ON THE TEXT"].contains(&text.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn check(lines: &[&str], expected: &[(usize, &str)]) {
        let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
        let found = paragraphs(&lines);
        let found: Vec<(usize, &str)> = found.iter().map(|(chapter, text)| (*chapter, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn lines_become_paragraphs_of_chapters() {
        check(
            &[
                "EMMA",
                "",
                "By Jane Austen",
                "",
                "VOLUME I",
                "",
                "CHAPTER I",
                "",
                "",
                "Emma Woodhouse,  handsome",
                " and clever.",
                "",
                "Chapter two of her life",
                "",
                "VOLUME II",
                "",
                "Chapter 19",
                "",
                "End.",
                "",
                "FINIS",
                "",
                "y",
            ],
            &[
                (1, "Emma Woodhouse, handsome and clever."),
                (1, "Chapter two of her life"),
                (2, "End."),
            ],
        );
        check(
            &[
                "Persuasion",
                "",
                "Chapter 1",
                "",
                "a",
                "",
                "A NOTE ON THE TEXT",
                "",
                "b",
            ],
            &[(1, "a")],
        );
        check(&[], &[]);
    }

    #[test]
    fn one_novel_tests_and_some_chapters_validate() {
        let splits = |novel| {
            (1..=1000)
                .map(|chapter| split(novel, chapter).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(splits(TEST).into_iter().collect::<BTreeSet<_>>(), [Split::Test].into());
        let validating = splits("Emma")
            .into_iter()
            .filter(|split| *split == Split::Validation)
            .count();
        assert!((30..70).contains(&validating), "{validating}");
        assert!(!splits("Emma").contains(&Split::Test));
    }

    #[test]
    fn every_novel_must_be_there() {
        let text = |novel: &str| {
            [
                novel.to_uppercase(),
                String::new(),
                "Chapter 1".into(),
                String::new(),
                novel.into(),
            ]
        };
        let texts: Vec<Vec<String>> = NOVELS.iter().rev().map(|novel| text(novel).to_vec()).collect();
        for novel in NOVELS {
            let rows = rows_of(novel, &texts).unwrap();
            assert_eq!((rows.len(), rows[0].chapter, rows[0].text.as_str()), (1, 1, novel));
        }
        let error = rows_of("Emma", &texts[..1]).unwrap_err();
        assert!(error.message.contains("`Emma`"), "{error}");
    }
}
