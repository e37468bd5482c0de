//! A split without leaks: rows that share content, nearly or exactly, are drawn together.

use super::duplicates::Groups;
use super::rewrite::rewrite;
use super::sets::DisjointSets;
use super::{CheckOptions, Column, Looked, each, look};
use crate::random::Key;
use crate::split::{Fractions, Split};
use crate::{DataError, ErrorKind, Manifest, Result, Value};
use rand::RngExt;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

const SPLITS: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

/// How rows are divided.
#[derive(Debug, Clone)]
pub struct SplitOptions {
    /// The fractions of the whole; they sum to 1.
    pub train: f64,
    pub validation: f64,
    pub test: f64,
    /// The column whose equal values stay together, beside what shares content.
    pub group: Option<String>,
    /// The column whose labels get the same fractions each. Without it each group is drawn by a
    /// hash, so that rows added later move no other row; with it they may.
    pub stratify: Option<String>,
    /// Decides between equal fractions.
    pub seed: u64,
    /// The manifest to write; `rows.split.jsonl` beside the one that is read where none is named.
    pub out: Option<PathBuf>,
    /// How media are read and near copies looked for; its split and filter are not used.
    pub check: CheckOptions,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            train: 0.9,
            validation: 0.05,
            test: 0.05,
            group: None,
            stratify: None,
            seed: 0,
            out: None,
            check: CheckOptions::default(),
        }
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SplitReport {
    pub path: PathBuf,
    /// Rows written, each in one split.
    pub rows: usize,
    /// Records that cannot be read, which have no row in the new manifest.
    pub left_out: usize,
    /// Rows with a medium that cannot be decoded; they are written, and stay with the rows that
    /// name the same file.
    pub undecodable: usize,
    /// The groups that were drawn, and the rows of the largest.
    pub groups: usize,
    pub largest_group: usize,
    pub splits: BTreeMap<String, SplitSize>,
}

/// The rows of one split.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SplitSize {
    pub rows: usize,
    /// Of all rows written.
    pub fraction: f64,
    /// Rows by label, where a column stratifies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, usize>,
}

/// Divides the rows so that no two that share a medium, a near copy of one, a main text (see
/// [`Column::main`]) or a value of the group column are in different splits, and writes them with
/// the column `split`, in their order. Paths stay as they are where the new manifest lies in the
/// same folder, and become absolute elsewhere.
///
/// # Errors
/// [`ErrorKind::Invalid`] for fractions that are no division, and when `interrupt` was set before
/// the end; [`ErrorKind::Missing`] for an unknown column; [`ErrorKind::Unsupported`] for media
/// embedded in the manifest, which a table of lines cannot hold; [`ErrorKind::Io`]. A manifest with
/// records that cannot be read is not written over ([`ErrorKind::Invalid`]).
pub fn write_split(
    manifest: &Manifest,
    options: &SplitOptions,
    interrupt: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<SplitReport> {
    let fractions = Fractions::new(options.train, options.validation, options.test)?;
    options
        .group
        .iter()
        .chain(&options.stratify)
        .try_for_each(|column| require(manifest, column))?;
    let path = options
        .out
        .clone()
        .unwrap_or_else(|| manifest.root.join("rows.split.jsonl"));
    let columns = super::columns(manifest, Some(super::rewrite::COLUMN), options.group.as_deref());
    let all = vec![true; manifest.samples.len()];
    let looked = look(manifest, &columns, &all, &options.check, interrupt, progress)?;
    let groups = connected(manifest, &columns, &looked, options);
    let labels = options
        .stratify
        .as_ref()
        .map(|column| majority(manifest, column, &groups));
    let drawn = match &labels {
        None => groups.iter().map(|group| fractions.draw(&group.key)).collect(),
        Some(labels) => stratified(&groups, labels, [options.train, options.validation, options.test]),
    };
    let mut splits = vec![Split::Train; manifest.samples.len()];
    for (group, split) in groups.iter().zip(&drawn) {
        group.samples.iter().for_each(|sample| splits[*sample] = *split);
    }
    rewrite(manifest, &columns, &splits, &path)?;
    Ok(SplitReport {
        path,
        rows: splits.len(),
        left_out: manifest.broken.len(),
        undecodable: looked.faults.iter().flatten().count(),
        groups: groups.len(),
        largest_group: groups.iter().map(|group| group.samples.len()).max().unwrap_or(0),
        splits: sizes(manifest, &splits, options.stratify.as_deref()),
    })
}

fn require(manifest: &Manifest, column: &String) -> Result<()> {
    if manifest.columns.contains(column) {
        return Ok(());
    }
    let known = manifest.columns.join(", ");
    let message = format!("expected a column to divide by, found the columns {known}; name one of them");
    Err(DataError::new(ErrorKind::Missing, message).in_field(column))
}

/// Rows that are drawn together.
struct Group {
    samples: Vec<usize>,
    /// Follows from what the rows share, not from where they stand.
    key: Key,
}

/// The groups in the order of their first rows.
fn connected(manifest: &Manifest, columns: &[Column], looked: &Looked, options: &SplitOptions) -> Vec<Group> {
    let all = vec![true; manifest.samples.len()];
    let alike = Groups::find(manifest, columns, looked, &all, options.check.near);
    let mut links = Links::new(manifest.samples.len());
    for (sample, digest) in alike.shared() {
        links.add(sample, digest);
    }
    // What cannot be decoded is known by its file.
    for cell in &looked.cells.list {
        let medium = cell.medium.filter(|medium| looked.probes[*medium].is_none());
        if let Some(medium) = medium {
            links.add(
                cell.sample,
                blake3::hash(format!("{:?}", looked.cells.media[medium].source).as_bytes()),
            );
        }
    }
    for (place, sample) in manifest.samples.iter().enumerate() {
        let column = options.group.as_ref();
        let value = column.map_or(&Value::Absent, |column| sample.get(column));
        if *value != Value::Absent {
            links.add(place, blake3::hash(format!("group {value:?}").as_bytes()));
        }
    }
    links.groups(manifest, &Key::new(options.seed).with("split"))
}

/// What ties rows together: digests of what they share.
struct Links {
    rows: DisjointSets,
    first: HashMap<blake3::Hash, usize>,
    digests: Vec<Vec<blake3::Hash>>,
}

impl Links {
    fn new(rows: usize) -> Self {
        Self {
            rows: DisjointSets::new(rows),
            first: HashMap::new(),
            digests: vec![Vec::new(); rows],
        }
    }

    fn add(&mut self, row: usize, digest: blake3::Hash) {
        let first = *self.first.entry(digest).or_insert(row);
        self.rows.join(first, row);
        self.digests[row].push(digest);
    }

    /// A group is known by the smallest of its digests; a row that shares nothing by its number.
    fn groups(mut self, manifest: &Manifest, key: &Key) -> Vec<Group> {
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for row in 0..self.digests.len() {
            members.entry(self.rows.find(row)).or_default().push(row);
        }
        let name = |samples: &[usize]| {
            let digests = samples.iter().flat_map(|row| &self.digests[*row]);
            match digests.map(|digest| digest.as_bytes()).min() {
                Some(digest) => key
                    .with("group")
                    .with(blake3::Hash::from_bytes(*digest).to_hex().as_str()),
                None => key.with("row").at(manifest.samples[samples[0]].row as u64),
            }
        };
        let group = |samples: Vec<usize>| Group {
            key: name(&samples),
            samples,
        };
        members.into_values().map(group).collect()
    }
}

/// The label of each group: of its rows' labels the most frequent, and of equals the first by name.
fn majority(manifest: &Manifest, column: &str, groups: &[Group]) -> Vec<String> {
    let label = |group: &Group| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for sample in &group.samples {
            each(manifest.samples[*sample].get(column), &mut |value| {
                *counts.entry(value.label().unwrap_or_default()).or_default() += 1;
            });
        }
        let most = counts.values().copied().max();
        counts
            .into_iter()
            .find(|(_, count)| Some(*count) == most)
            .map_or_else(String::new, |(label, _)| label)
    };
    groups.iter().map(label).collect()
}

/// Gives each group, the largest first and equals in drawn order, to the split of its label that is
/// furthest below its share.
fn stratified(groups: &[Group], labels: &[String], fractions: [f64; 3]) -> Vec<Split> {
    let mut strata: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, label) in labels.iter().enumerate() {
        strata.entry(label).or_default().push(place);
    }
    let mut drawn = vec![Split::Train; groups.len()];
    for places in strata.values_mut() {
        let total: usize = places.iter().map(|place| groups[*place].samples.len()).sum();
        let mut wanting = fractions.map(|fraction| fraction * total as f64);
        places.sort_by_cached_key(|place| {
            let number: u64 = groups[*place].key.generator().random();
            (std::cmp::Reverse(groups[*place].samples.len()), number)
        });
        for place in places.iter() {
            let furthest = (1..3).fold(
                0,
                |best, split| if wanting[split] > wanting[best] { split } else { best },
            );
            wanting[furthest] -= groups[*place].samples.len() as f64;
            drawn[*place] = SPLITS[furthest];
        }
    }
    drawn
}

fn sizes(manifest: &Manifest, splits: &[Split], stratify: Option<&str>) -> BTreeMap<String, SplitSize> {
    let mut sizes: BTreeMap<String, SplitSize> = SPLITS
        .iter()
        .map(|split| (split.to_string(), SplitSize::default()))
        .collect();
    for (sample, split) in manifest.samples.iter().zip(splits) {
        let size = sizes.entry(split.to_string()).or_default();
        size.rows += 1;
        if let Some(column) = stratify {
            each(sample.get(column), &mut |value| {
                value
                    .label()
                    .into_iter()
                    .for_each(|label| *size.labels.entry(label).or_default() += 1);
            });
        }
    }
    sizes
        .values_mut()
        .for_each(|size| size.fraction = size.rows as f64 / splits.len().max(1) as f64);
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::check;
    use crate::check::testing::{folder, jpeg, photo, png, table};
    use serde_json::{Value as Json, json};

    fn divide(manifest: &Manifest, options: &SplitOptions) -> (SplitReport, Manifest) {
        let report = write_split(manifest, options, &AtomicBool::new(false), &|_, _| {}).unwrap();
        let written = Manifest::open(&report.path).unwrap();
        assert_eq!(report.rows, written.rows());
        (report, written)
    }

    fn halves() -> SplitOptions {
        SplitOptions {
            train: 0.5,
            validation: 0.25,
            test: 0.25,
            ..SplitOptions::default()
        }
    }

    fn drawn(manifest: &Manifest) -> Vec<String> {
        manifest
            .samples
            .iter()
            .map(|sample| sample.get("split").label().unwrap())
            .collect()
    }

    /// Twelve pictures, each also as a JPEG and twice by name, in a split that leaks.
    fn copies() -> (tempfile::TempDir, Manifest) {
        let names: Vec<String> = (0..12)
            .flat_map(|number| [format!("{number}.png"), format!("{number}.jpg")])
            .collect();
        let bytes = |place: usize| match place % 2 {
            0 => png(&photo(place / 2)),
            _ => jpeg(&photo(place / 2), 80),
        };
        let files: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.as_str(), bytes(place)))
            .collect();
        let row =
            |place: usize| json!({"image": names[place % 24], "n": place, "split": (["train", "test"][place % 2])});
        folder(&(0..48).map(row).collect::<Vec<_>>(), &files)
    }

    #[test]
    fn copies_stay_together_and_the_rows_in_their_order() {
        let (_folder, manifest) = copies();
        let (report, written) = divide(&manifest, &halves());
        assert_eq!((report.groups, report.largest_group, report.undecodable), (12, 4, 0));
        let numbers = written.samples.iter().map(|sample| sample.get("n").clone());
        assert!(numbers.eq((0..48).map(|number| Value::Number(f64::from(number)))));
        let leaks = |manifest| {
            let report = check(manifest, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {});
            report.unwrap().leak_groups
        };
        assert!(leaks(&manifest) > 0);
        assert_eq!(leaks(&written), 0);
        assert!(
            report.splits.values().all(|size| size.rows > 0 && size.rows % 4 == 0),
            "{report:?}"
        );
    }

    #[test]
    fn rows_that_are_added_or_moved_change_no_other_row() {
        let (_folder, manifest) = copies();
        let (_, whole) = divide(&manifest, &halves());
        let mut part = manifest.clone();
        part.samples.reverse();
        part.samples.truncate(20);
        let (_, again) = divide(&part, &halves());
        let expected: Vec<String> = drawn(&whole).into_iter().rev().take(20).collect();
        assert_eq!(drawn(&again), expected);
        let other = SplitOptions { seed: 1, ..halves() };
        assert_ne!(drawn(&divide(&manifest, &other).1), drawn(&whole));
    }

    #[test]
    fn a_group_column_and_broken_media_tie_rows_too() {
        let rows: Vec<Json> = (0..60)
            .map(|n| json!({"image": format!("no{}.png", n % 30), "scene": n % 30 / 2}))
            .collect();
        let (_folder, manifest) = folder(&rows, &[]);
        let (report, _) = divide(&manifest, &halves());
        assert_eq!((report.groups, report.undecodable), (30, 60));
        let scenes = SplitOptions {
            group: Some("scene".into()),
            ..halves()
        };
        assert_eq!(divide(&manifest, &scenes).0.groups, 15);
        let unknown = SplitOptions {
            group: Some("room".into()),
            ..halves()
        };
        let error = write_split(&manifest, &unknown, &AtomicBool::new(false), &|_, _| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
    }

    #[test]
    fn each_label_gets_its_fractions() {
        let folder = tempfile::tempdir().unwrap();
        let label = |number: usize| if number < 40 { "rare" } else { "common" };
        let rows: Vec<Json> = (0..400)
            .map(|number| json!({"n": number, "label": label(number)}))
            .collect();
        let options = SplitOptions {
            stratify: Some("label".into()),
            ..halves()
        };
        let (report, _) = divide(&table(folder.path(), &rows), &options);
        for (split, rare, common) in [("train", 20, 180), ("validation", 10, 90), ("test", 10, 90)] {
            let expected = [("common".to_string(), common), ("rare".to_string(), rare)].into();
            assert_eq!(report.splits[split].labels, expected, "{split}");
        }
    }

    #[test]
    fn in_another_folder_the_paths_still_lead_to_the_files() {
        let (_folder, manifest) = copies();
        let elsewhere = tempfile::tempdir().unwrap();
        let options = SplitOptions {
            out: Some(elsewhere.path().join("new.jsonl")),
            ..halves()
        };
        let (_, written) = divide(&manifest, &options);
        let report = check(&written, &CheckOptions::default(), &AtomicBool::new(false), &|_, _| {}).unwrap();
        assert_eq!((report.good, report.media), (48, 24));
    }

    #[test]
    fn records_that_cannot_be_read_are_left_out_but_never_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let lines = "{\"n\":1.5,\"split\":\"dev\"}\n[]\n{\"n\":[2,null],\"m\":\"x\"}\n";
        std::fs::write(&path, lines).unwrap();
        let manifest = Manifest::open(&path).unwrap();
        let all = SplitOptions {
            train: 1.0,
            validation: 0.0,
            test: 0.0,
            ..SplitOptions::default()
        };
        let (report, _) = divide(&manifest, &all);
        assert_eq!((report.rows, report.left_out), (2, 1));
        let written = std::fs::read_to_string(folder.path().join("rows.split.jsonl")).unwrap();
        let expected = "{\"n\":1.5,\"m\":null,\"split\":\"train\"}\n{\"n\":[2,null],\"m\":\"x\",\"split\":\"train\"}\n";
        assert_eq!(written, expected);
        let over = SplitOptions {
            out: Some(path.clone()),
            ..all
        };
        let error = write_split(&manifest, &over, &AtomicBool::new(false), &|_, _| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), lines);
    }

    #[test]
    fn embedded_media_are_refused() {
        let bytes = Value::Bytes(png(&photo(1)).into());
        let mut manifest = crate::check::testing::manifest(&["image"], vec![vec![bytes]]);
        let folder = tempfile::tempdir().unwrap();
        manifest.root = folder.path().to_path_buf();
        let error = write_split(&manifest, &halves(), &AtomicBool::new(false), &|_, _| {}).unwrap_err();
        assert_eq!(
            (error.kind, error.field.as_deref()),
            (ErrorKind::Unsupported, Some("image"))
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
