//! The rated sentences that VADER was evaluated with (Hutto and Gilbert, 2014): tweets, and
//! sentences from film reviews, product reviews and newspaper editorials.

use super::archives::{self, Limits};
use super::fetch::write_rows;
use super::packages::{Client, Package};
use super::{Entry, Progress, packages};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Result};
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const PACKAGES: [Package; 1] = [Package {
    client: Client::SourceDistribution,
    name: "vaderSentiment",
    version: "3.3.2",
    sha256: "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    bytes: 2_466_783,
}];

pub(super) const ENTRY: Entry = Entry {
    name: "vader",
    description: "23,703 sentences from tweets, film reviews, product reviews and editorials, each rated from -4 to 4 \
                  by 20 people",
    licence: "MIT",
    bytes: packages::bytes(&PACKAGES),
    rows: 23_703,
    tasks: &["text classification", "regression"],
    source: "Python package vaderSentiment 3.3.2",
    packages: &PACKAGES,
    version: "vader-1",
    build,
};

const LIMITS: Limits = Limits {
    files: 1000,
    file_bytes: 16 << 20,
    total_bytes: 64 << 20,
};

/// The archive inside the package.
const INNER: &str = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz";
/// The domains with the files of their sentences.
const DOMAINS: [(&str, &str); 4] = [
    ("tweets", "hutto_ICWSM_2014/tweets_GroundTruth.txt"),
    ("film", "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"),
    ("product", "hutto_ICWSM_2014/amazonReviewSnippets_GroundTruth.txt"),
    ("news", "hutto_ICWSM_2014/nytEditorialSnippets_GroundTruth.txt"),
];

/// Mean ratings nearer to 0 are neutral, as in SentiBench (Ribeiro et al., 2016), which compares 24
/// methods on these sentences.
const NEUTRAL: f64 = 0.05;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    progress(Progress::new("unpacking", 0, None));
    let [inner] = archives::files(&packages[0], LIMITS, [INNER])?;
    let aside = folder.join("inner.tar.gz");
    let refused = |error: std::io::Error| DataError::io(&error, &aside);
    std::fs::write(&aside, inner).map_err(refused)?;
    let tables = archives::files(&aside, LIMITS, DOMAINS.map(|(_, path)| path))?;
    std::fs::remove_file(&aside).map_err(refused)?;
    let mut rated = Vec::new();
    for ((domain, path), bytes) in DOMAINS.iter().zip(tables) {
        rated.extend(parse(domain, &bytes).map_err(|error| error.in_field(path))?);
    }
    write_rows(folder, rows(rated)?)
}

/// A sentence with the mean of its ratings, from -4 to 4.
#[derive(Debug, Clone, PartialEq)]
struct Rated {
    text: String,
    rating: f64,
    domain: &'static str,
    /// The review, article or tweet that the sentence is from.
    document: String,
}

#[derive(Debug, Serialize)]
struct Row {
    text: String,
    label: &'static str,
    rating: f64,
    domain: &'static str,
    document: String,
    split: Split,
}

/// Reads lines of an identifier, the mean rating and the sentence, with tabs between them. The part
/// of the identifier before `_` is the document.
fn parse(domain: &'static str, bytes: &[u8]) -> Result<Vec<Rated>> {
    let damaged = |line: usize, found: &str| {
        let message = format!("expected an identifier, a mean rating and a sentence, found {found}");
        DataError::new(ErrorKind::Damaged, message).at_row(line)
    };
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(0, &error.to_string()))?;
    let read = |(line, text): (usize, &str)| {
        let mut parts = text.trim_end_matches('\r').splitn(3, '\t');
        let (Some(id), Some(rating), Some(sentence)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(damaged(line, "too few of them"));
        };
        let rating: f64 = rating.parse().map_err(|_| damaged(line, "another rating"))?;
        if !(-4.0..=4.0).contains(&rating) {
            return Err(damaged(line, "a rating beyond 4"));
        }
        let document = id.split('_').next().unwrap_or(id);
        Ok(Rated {
            text: sentence.trim().to_string(),
            rating,
            domain,
            document: format!("{domain}-{document}"),
        })
    };
    let lines = text.split('\n').enumerate();
    lines.filter(|(_, text)| !text.trim().is_empty()).map(read).collect()
}

fn rows(rated: Vec<Rated>) -> Result<Vec<Row>> {
    let groups = groups(&rated);
    let fractions = Fractions::new(0.8, 0.1, 0.1)?;
    let row = |(rated, group): (Rated, String)| Row {
        label: label(rated.rating),
        split: fractions.draw(&Key::new(0).with("vader").with(&group)),
        text: rated.text,
        rating: rated.rating,
        domain: rated.domain,
        document: rated.document,
    };
    Ok(rated.into_iter().zip(groups).map(row).collect())
}

fn label(rating: f64) -> &'static str {
    match rating {
        _ if rating >= NEUTRAL => "positive",
        _ if rating <= -NEUTRAL => "negative",
        _ => "neutral",
    }
}

/// For each sentence the document that stands for its group: documents that share a sentence, such
/// as an article that was printed twice, must not straddle a split.
fn groups(rated: &[Rated]) -> Vec<String> {
    let mut parents: HashMap<&str, &str> = HashMap::new();
    let mut first: HashMap<&str, &str> = HashMap::new();
    for Rated { text, document, .. } in rated {
        let other = first.entry(text).or_insert(document);
        let (own, other) = (root(&parents, document), root(&parents, other));
        if own != other {
            parents.insert(own, other);
        }
    }
    let group = |rated: &Rated| root(&parents, &rated.document).to_string();
    rated.iter().map(group).collect()
}

fn root<'a>(parents: &HashMap<&'a str, &'a str>, document: &'a str) -> &'a str {
    let mut root = document;
    while let Some(parent) = parents.get(root) {
        root = parent;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use proptest::prelude::*;

    fn check(bytes: &[u8], expected: Option<&[(&str, f64, &str)]>) {
        let parsed = parse("film", bytes).ok().map(|rated| {
            let told = rated
                .into_iter()
                .map(|rated| (rated.text, rated.rating, rated.document));
            told.collect::<Vec<_>>()
        });
        let expected = expected.map(|rated| {
            let told = rated
                .iter()
                .map(|(text, rating, document)| (text.to_string(), *rating, document.to_string()));
            told.collect::<Vec<_>>()
        });
        assert_eq!(parsed, expected);
    }

    #[test]
    fn lines_give_document_rating_and_sentence() {
        check(
            b"1_2\t-0.5\tSo so.\r\n\r\n3\t2\ttab\tinside\n",
            Some(&[("So so.", -0.5, "film-1"), ("tab\tinside", 2.0, "film-3")]),
        );
        for damaged in [&b"1\t2"[..], b"1\tx\ty", b"1\tNaN\ty", b"1\t4.5\ty", b"1\t1\t\xff"] {
            check(damaged, None);
        }
    }

    #[test]
    fn labels_turn_at_a_twentieth() {
        let labels = [-4.0, -0.05, -0.04, 0.0, 0.049, 0.05].map(label);
        assert_eq!(
            labels,
            ["negative", "negative", "neutral", "neutral", "neutral", "positive"]
        );
    }

    #[test]
    fn documents_that_share_a_sentence_stay_together() {
        let rated = |text: &str, document: &str| Rated {
            text: text.to_string(),
            rating: 0.0,
            domain: "news",
            document: document.to_string(),
        };
        let all = [
            rated("a", "1"),
            rated("b", "2"),
            rated("c", "3"),
            rated("c", "2"),
            rated("b", "1"),
            rated("d", "4"),
        ];
        let groups = groups(&all);
        assert!(groups[..5].iter().all(|group| *group == groups[0]), "{groups:?}");
        assert_ne!(groups[5], groups[0]);
    }

    #[test]
    fn a_package_becomes_a_table() {
        let folder = tempfile::tempdir().unwrap();
        let (outer, inner) = (folder.path().join("outer.tar.gz"), folder.path().join("in.tar.gz"));
        let files = DOMAINS.map(|(_, path)| (path, &b"7_1\t1.5\tgood\r\n"[..]));
        archives::write_tar_gz(&inner, &files);
        archives::write_tar_gz(&outer, &[(INNER, &std::fs::read(&inner).unwrap())]);
        build(std::slice::from_ref(&outer), folder.path(), &mut |_| {}).unwrap();
        let manifest = Manifest::open(folder.path()).unwrap();
        assert_eq!(
            manifest.columns,
            ["text", "label", "rating", "domain", "document", "split"]
        );
        let domains = manifest
            .samples
            .iter()
            .map(|sample| sample.get("domain").label().unwrap());
        assert_eq!(domains.collect::<Vec<_>>(), DOMAINS.map(|(domain, _)| domain));
        archives::write_tar_gz(&inner, &files[..3]);
        archives::write_tar_gz(&outer, &[(INNER, &std::fs::read(&inner).unwrap())]);
        let error = build(&[outer], folder.path(), &mut |_| {}).unwrap_err();
        assert!(error.message.contains("nytEditorial"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in "[0-9_\t.\r\n a-]{0,80}") {
            if let Ok(rated) = parse("film", bytes.as_bytes()) {
                prop_assert!(rated.len() <= bytes.lines().count());
            }
        }
    }
}
