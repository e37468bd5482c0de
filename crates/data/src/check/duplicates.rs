//! Rows that share content, and those of them that straddle splits.

use super::fingerprint::{self, Fingerprint};
use super::sets::DisjointSets;
use super::{Column, Looked, MediaKind, texts};
use crate::split::Split;
use crate::{Manifest, Value};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A report lists no more groups than this, and of each group no more rows.
const GROUPS: usize = 1000;
const ROWS: usize = 100;

/// How much alike the rows of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// The same bytes, or the same text.
    Exact,
    /// The same picture in another size or encoding; the same text but for small changes.
    Near,
}

/// Rows whose values in a column are copies of each other. Rows that name the same file share one
/// medium and are no duplicates: many questions about one picture are many rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    pub kind: Likeness,
    pub column: String,
    /// How many rows the group has.
    pub count: usize,
    /// The first 100 of them.
    pub rows: Vec<usize>,
}

/// Rows in several splits whose values in a column are the same, or copies of each other.
///
/// Counted for media, always, and for texts that are a sample's main input (see
/// [`Column::main`]); a label or a common question that occurs in every split is no leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leak {
    pub kind: Likeness,
    pub column: String,
    /// How many rows of the group are in each split.
    pub splits: BTreeMap<String, usize>,
    /// The first 100 rows of the group.
    pub rows: Vec<usize>,
}

/// A cell whose content other rows should not share across splits.
struct Item {
    column: usize,
    sample: usize,
    row: usize,
    /// The file or the bytes that hold the content; a text is a source of its own.
    source: usize,
    content: usize,
}

/// The content of the good rows, and which of it is alike.
pub(super) struct Groups {
    items: Vec<Item>,
    /// For each content the name of its set of near copies.
    sets: Vec<usize>,
    /// For each content what it is in itself: equal in every manifest that holds it.
    digests: Vec<blake3::Hash>,
}

/// Gives each distinct content a number.
#[derive(Default)]
struct Contents {
    known: HashMap<(Option<MediaKind>, blake3::Hash), usize>,
    digests: Vec<blake3::Hash>,
}

impl Contents {
    /// Texts have no kind.
    fn number(&mut self, kind: Option<MediaKind>, digest: blake3::Hash) -> usize {
        *self.known.entry((kind, digest)).or_insert_with(|| {
            self.digests.push(digest);
            self.digests.len() - 1
        })
    }
}

impl Groups {
    /// Looks at the rows that `good` marks; with `near` also for copies that are not exact.
    pub fn find(manifest: &Manifest, columns: &[Column], looked: &Looked, good: &[bool], near: bool) -> Self {
        let mut contents = Contents::default();
        let mut items = Vec::new();
        // Where several media have one content, the first of them stands for it.
        let mut prints: BTreeMap<usize, (MediaKind, &Fingerprint)> = BTreeMap::new();
        for cell in looked.cells.list.iter().filter(|cell| good[cell.sample]) {
            let Some(medium) = cell.medium else { continue };
            let Some(probe) = &looked.probes[medium] else { continue };
            let kind = looked.cells.media[medium].kind;
            let content = contents.number(Some(kind), probe.content);
            if let Some(print) = &probe.fingerprint {
                prints.entry(content).or_insert((kind, print));
            }
            items.push(Item {
                column: cell.column,
                sample: cell.sample,
                row: manifest.samples[cell.sample].row,
                source: medium,
                content,
            });
        }
        let texts = main_texts(manifest, columns, good, &mut contents, &mut items);
        let mut sets = DisjointSets::new(contents.digests.len());
        if near {
            for kind in [MediaKind::Image, MediaKind::Audio, MediaKind::Video] {
                let of_kind = prints.iter().filter(|(_, (of, _))| *of == kind);
                fingerprint::join_near(of_kind.map(|(content, (_, print))| (*content, *print)), &mut sets);
            }
            texts::join_near(&texts, &mut sets);
        }
        Self {
            items,
            sets: (0..contents.digests.len()).map(|content| sets.find(content)).collect(),
            digests: contents.digests,
        }
    }

    /// For each item its sample and what it shares with its near copies: the smallest of their
    /// digests.
    pub fn shared(&self) -> impl Iterator<Item = (usize, blake3::Hash)> {
        let mut smallest = self.digests.clone();
        for (content, digest) in self.digests.iter().enumerate() {
            let set = &mut smallest[self.sets[content]];
            if digest.as_bytes() < set.as_bytes() {
                *set = *digest;
            }
        }
        self.items
            .iter()
            .map(move |item| (item.sample, smallest[self.sets[item.content]]))
    }

    /// Every set of a column as its items: by content for exact copies, by set for near ones. Sets
    /// of near copies of one content alone are left to the exact ones.
    fn groups(&self, columns: &[Column]) -> Vec<(Likeness, usize, Vec<&Item>)> {
        let mut groups = Vec::new();
        for column in 0..columns.len() {
            let mut exact: BTreeMap<usize, Vec<&Item>> = BTreeMap::new();
            let mut near: BTreeMap<usize, Vec<&Item>> = BTreeMap::new();
            for item in self.items.iter().filter(|item| item.column == column) {
                exact.entry(item.content).or_default().push(item);
                near.entry(self.sets[item.content]).or_default().push(item);
            }
            near.retain(|_, items| items.iter().any(|item| item.content != items[0].content));
            groups.extend(exact.into_values().map(|items| (Likeness::Exact, column, items)));
            groups.extend(near.into_values().map(|items| (Likeness::Near, column, items)));
        }
        groups
    }

    /// The groups of copies, and how many there are in all.
    pub fn duplicates(&self, columns: &[Column]) -> (Vec<Duplicate>, usize) {
        let mut groups = self.groups(columns);
        groups.retain(|(_, _, items)| items.iter().any(|item| item.source != items[0].source));
        let count = groups.len();
        let listed = groups.into_iter().take(GROUPS).map(|(kind, column, items)| {
            let rows = rows(&items);
            Duplicate {
                kind,
                column: columns[column].name.clone(),
                count: rows.len(),
                rows: rows.into_iter().take(ROWS).collect(),
            }
        });
        (listed.collect(), count)
    }

    /// The groups that straddle splits, and how many there are in all.
    pub fn leaks(&self, columns: &[Column], splits: &[Option<Split>]) -> (Vec<Leak>, usize) {
        let mut leaks = Vec::new();
        let mut count = 0;
        for (kind, column, items) in self.groups(columns) {
            let mut sizes: BTreeMap<Split, BTreeSet<usize>> = BTreeMap::new();
            for item in &items {
                if let Some(split) = splits[item.sample] {
                    sizes.entry(split).or_default().insert(item.row);
                }
            }
            if sizes.len() < 2 {
                continue;
            }
            count += 1;
            if leaks.len() < GROUPS {
                leaks.push(Leak {
                    kind,
                    column: columns[column].name.clone(),
                    splits: sizes
                        .iter()
                        .map(|(split, rows)| (split.to_string(), rows.len()))
                        .collect(),
                    rows: rows(&items).into_iter().take(ROWS).collect(),
                });
            }
        }
        (leaks, count)
    }
}

/// The rows of some items, each once, ascending.
fn rows(items: &[&Item]) -> Vec<usize> {
    let rows: BTreeSet<usize> = items.iter().map(|item| item.row).collect();
    rows.into_iter().collect()
}

/// Adds the texts of main columns to the items; gives each distinct one with the number of its
/// content.
fn main_texts<'a>(
    manifest: &'a Manifest,
    columns: &[Column],
    good: &[bool],
    contents: &mut Contents,
    items: &mut Vec<Item>,
) -> Vec<(usize, &'a str)> {
    let mut texts = BTreeMap::new();
    let media = items.iter().map(|item| item.source + 1).max().unwrap_or(0);
    for (sample, _) in good.iter().enumerate().filter(|(_, good)| **good) {
        for (column, _) in columns.iter().enumerate().filter(|(_, column)| column.main) {
            let of_row = &manifest.samples[sample];
            if let Value::Text(text) = of_row.get(&columns[column].name) {
                let content = contents.number(None, blake3::hash(text.as_bytes()));
                texts.entry(content).or_insert(text.as_str());
                items.push(Item {
                    column,
                    sample,
                    row: of_row.row,
                    source: media + sample,
                    content,
                });
            }
        }
    }
    texts.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{folder, jpeg, photo, png, shape, table};
    use crate::check::{CheckOptions, Report, check};
    use serde_json::json;
    use std::sync::atomic::AtomicBool;

    fn report(manifest: &Manifest) -> Report {
        check(manifest, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {}).unwrap()
    }

    fn groups(report: &Report) -> Vec<(Likeness, &str, Vec<usize>)> {
        let groups = report.duplicates.iter();
        groups
            .map(|group| (group.kind, group.column.as_str(), group.rows.clone()))
            .collect()
    }

    #[test]
    fn copies_of_pictures_are_found_by_what_they_show() {
        let names = ["a.png", "same.png", "b.png", "again.jpg", "other.png", "b.png"];
        let rows: Vec<_> = names.iter().map(|name| json!({ "image": name })).collect();
        let files = [
            ("a.png", png(&photo(1))),
            ("same.png", png(&photo(1))),
            ("b.png", png(&photo(2))),
            ("again.jpg", jpeg(&photo(1), 80)),
            ("other.png", png(&shape(2))),
        ];
        let (_folder, manifest) = folder(&rows, &files);
        let found = report(&manifest);
        let expected = [
            (Likeness::Exact, "image", vec![0, 1]),
            (Likeness::Near, "image", vec![0, 1, 3]),
        ];
        assert_eq!(groups(&found), expected);
        assert_eq!((found.duplicate_groups, found.leak_groups, found.media), (2, 0, 5));
    }

    #[test]
    fn a_shared_picture_leaks_and_a_shared_label_or_question_does_not() {
        let row = |image: &str, split: &str| json!({"image": image, "question": "what is it?", "answer": "a shape", "split": split});
        let rows = [
            row("a.png", "train"),
            row("a.png", "test"),
            row("b.png", "train"),
            row("c.jpg", "validation"),
            row("d.png", "train"),
            row("d.png", "train"),
            row("e.png", "unlabelled"),
        ];
        let files = [
            ("a.png", png(&photo(1))),
            ("b.png", png(&photo(2))),
            ("c.jpg", jpeg(&photo(2), 80)),
            ("d.png", png(&photo(3))),
            ("e.png", png(&photo(3))),
        ];
        let (_folder, manifest) = folder(&rows, &files);
        let found = report(&manifest);
        let leak = |kind, splits: [(&str, usize); 2], rows: [usize; 2]| Leak {
            kind,
            column: "image".into(),
            splits: splits.map(|(split, count)| (split.to_string(), count)).into(),
            rows: rows.into(),
        };
        let expected = [
            leak(Likeness::Exact, [("train", 1), ("test", 1)], [0, 1]),
            leak(Likeness::Near, [("train", 1), ("validation", 1)], [2, 3]),
        ];
        assert_eq!(found.leaks, expected);
        assert_eq!(
            found.splits,
            [("test".into(), 1), ("train".into(), 4), ("validation".into(), 1)].into()
        );
    }

    #[test]
    fn main_texts_are_compared_and_others_not() {
        let folder = tempfile::tempdir().unwrap();
        let text = |number: usize| format!("Number {number} of the reviews says that the film is worth the time.");
        let row = |text: String, split: &str| json!({"review": text, "label": "good", "split": split});
        let mut rows: Vec<_> = (10..20)
            .map(|number| row(format!("{} {}", "x".repeat(number), text(number)), "train"))
            .collect();
        rows.push(row(format!("{} {}", "x".repeat(10), text(10)), "test"));
        rows.push(row(format!("{} {}!!", "X".repeat(19), text(19)), "test"));
        let found = report(&table(folder.path(), &rows));
        let kinds: Vec<_> = found.leaks.iter().map(|leak| (leak.kind, leak.rows.clone())).collect();
        assert!(kinds.contains(&(Likeness::Exact, vec![0, 10])), "{kinds:?}");
        assert!(
            kinds
                .iter()
                .any(|(kind, rows)| *kind == Likeness::Near && rows.ends_with(&[11])),
            "{kinds:?}"
        );
        assert!(found.leaks.iter().all(|leak| leak.column == "review"));
    }
}
