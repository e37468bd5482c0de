//! A data set looked at as a whole: every medium decoded, every row accounted for, duplicates and
//! leaks between splits found, and splits without leaks drawn.

mod cells;
mod columns;
mod duplicates;
mod fingerprint;
mod gate;
mod loose;
mod probe;
mod quarantine;
mod rewrite;
mod sets;
mod sniff;
mod split;
mod statistics;
#[cfg(test)]
mod testing;
mod texts;
mod thumbnail;

pub use columns::{Column, Role, columns};
pub use duplicates::{Duplicate, Leak, Likeness};
pub use loose::open;
pub use quarantine::{Quarantined, write_quarantine};
pub use split::{SplitOptions, SplitReport, write_split};
pub use statistics::{ColumnStatistics, Histogram, LabelCount};
pub use thumbnail::thumbnail;

use crate::sample::each;
use crate::split::{Split, SplitConfig};
use crate::{DataError, ErrorKind, Manifest, Result, Sample};
use cells::Cells;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// The kinds of medium that lie in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Audio,
    Video,
}

/// How a manifest is checked.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// Media decoded at the same time; at least one is.
    pub threads: usize,
    /// Bytes that decoded media may take together; a medium that alone takes more is decoded alone.
    pub memory: u64,
    /// How the rows are divided; without it the column `split` says so, where there is one.
    pub split: Option<SplitConfig>,
    /// Decides between equal fractions of `split`.
    pub seed: u64,
    /// Rows that are left out on purpose are skipped, not checked.
    pub only: Option<Only>,
    /// Whether near copies are looked for beside exact ones.
    pub near: bool,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            threads: rayon::current_num_threads(),
            memory: 2 << 30,
            split: None,
            seed: 0,
            only: None,
            near: true,
        }
    }
}

/// A filter: the rows whose value in `column` is one of `values`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    pub column: String,
    pub values: Vec<String>,
}

impl Only {
    fn keeps(&self, sample: &Sample) -> bool {
        let label = sample.get(&self.column).label();
        label.is_some_and(|label| self.values.contains(&label))
    }
}

/// What a check found. `rows = good + skipped + quarantined.len()`, three disjoint sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// All records of the manifest.
    pub rows: usize,
    /// Rows all of whose media can be decoded.
    pub good: usize,
    /// The good rows as indices into the manifest's samples, ascending.
    #[serde(skip)]
    pub good_samples: Vec<usize>,
    /// Rows that the filter leaves out.
    pub skipped: usize,
    /// The other rows, each once with the first fault in the order of the columns, by row.
    pub quarantined: Vec<Quarantined>,
    /// Groups of rows with the same or nearly the same content; at most 1,000 of them.
    pub duplicates: Vec<Duplicate>,
    /// All groups of duplicates, listed or not.
    pub duplicate_groups: usize,
    /// Groups of rows in several splits that share content; at most 1,000 of them.
    pub leaks: Vec<Leak>,
    /// All leaks, listed or not.
    pub leak_groups: usize,
    /// Good rows by split; empty where the rows are not divided.
    pub splits: BTreeMap<String, usize>,
    /// Statistics of the good rows, in the order of the columns.
    pub columns: Vec<ColumnStatistics>,
    /// Distinct media that were decoded.
    pub media: usize,
    /// The bytes of their files.
    pub bytes: u64,
    /// The time that the check took.
    pub seconds: f64,
}

/// Decodes every medium of `manifest` once and accounts for every row.
///
/// The result does not depend on the number of threads, [`Report::seconds`] excepted.
/// `progress` is told how many of how many media are done, from several threads.
///
/// # Errors
/// What [`crate::split::split`] refuses, [`ErrorKind::Missing`] for a filter's unknown column, and
/// [`ErrorKind::Invalid`] when `interrupt` was set before the end.
pub fn check(
    manifest: &Manifest,
    options: &CheckOptions,
    interrupt: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report> {
    let start = Instant::now();
    let splits = splits(manifest, options)?;
    let kept = kept(manifest, options.only.as_ref())?;
    let columns = roles(manifest, options.split.as_ref());
    let looked = look(manifest, &columns, &kept, options, interrupt, progress)?;
    let good: Vec<bool> = kept
        .iter()
        .zip(&looked.faults)
        .map(|(kept, fault)| *kept && fault.is_none())
        .collect();
    let groups = duplicates::Groups::find(manifest, &columns, &looked, &good, options.near);
    let (duplicates, duplicate_groups) = groups.duplicates(&columns);
    let (leaks, leak_groups) = groups.leaks(&columns, &splits);
    let quarantined = quarantined(manifest, &looked.faults);
    let good_samples: Vec<usize> = (0..good.len()).filter(|sample| good[*sample]).collect();
    Ok(Report {
        rows: manifest.rows(),
        good: good_samples.len(),
        skipped: manifest.rows() - good_samples.len() - quarantined.len(),
        good_samples,
        quarantined,
        duplicates,
        duplicate_groups,
        leaks,
        leak_groups,
        splits: split_sizes(&splits, &good),
        columns: statistics::statistics(manifest, &columns, &looked, &good, &splits),
        media: looked.probes.len(),
        bytes: looked.probes.iter().flatten().map(|probe| probe.bytes).sum(),
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The media of the kept rows after each was decoded once.
struct Looked {
    cells: Cells,
    /// By medium; `None` for one that cannot be decoded.
    probes: Vec<Option<probe::Probe>>,
    /// By sample: the first fault in the order of the columns.
    faults: Vec<Option<DataError>>,
}

fn look(
    manifest: &Manifest,
    columns: &[Column],
    kept: &[bool],
    options: &CheckOptions,
    interrupt: &AtomicBool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Looked> {
    let cells = Cells::collect(manifest, columns, kept);
    let limits = probe::Limits {
        threads: options.threads,
        memory: options.memory,
    };
    let results = probe::probe_all(&cells.media, &limits, interrupt, progress)?;
    let faults = cells.faults(manifest, columns, &results);
    Ok(Looked {
        cells,
        probes: results.into_iter().map(Result::ok).collect(),
        faults,
    })
}

/// The split of each sample; all `None` where nothing divides the rows.
fn splits(manifest: &Manifest, options: &CheckOptions) -> Result<Vec<Option<Split>>> {
    let mut of_sample = vec![None; manifest.samples.len()];
    let known = options
        .split
        .clone()
        .or_else(|| match SplitConfig::for_columns(&manifest.columns) {
            SplitConfig::Ratio { .. } => None,
            column => Some(column),
        });
    if let Some(config) = known {
        let divided = crate::split::split(&manifest.samples, &config, options.seed)?;
        for split in [Split::Train, Split::Validation, Split::Test] {
            divided
                .get(split)
                .iter()
                .for_each(|index| of_sample[*index] = Some(split));
        }
    }
    Ok(of_sample)
}

fn split_sizes(splits: &[Option<Split>], good: &[bool]) -> BTreeMap<String, usize> {
    let mut sizes = BTreeMap::new();
    for (split, _) in splits.iter().zip(good).filter(|(_, good)| **good) {
        if let Some(split) = split {
            *sizes.entry(split.to_string()).or_default() += 1;
        }
    }
    sizes
}

fn roles(manifest: &Manifest, split: Option<&SplitConfig>) -> Vec<Column> {
    match split {
        Some(SplitConfig::Column { column }) => columns(manifest, Some(column), None),
        Some(SplitConfig::Ratio { group, .. } | SplitConfig::HoldOut { group, .. }) => {
            columns(manifest, Some("split"), group.as_deref())
        }
        None => columns(manifest, Some("split"), None),
    }
}

fn kept(manifest: &Manifest, only: Option<&Only>) -> Result<Vec<bool>> {
    if let Some(only) = only.filter(|only| !manifest.columns.contains(&only.column)) {
        let known = manifest.columns.join(", ");
        let message = format!("expected a column to choose rows by, found the columns {known}; name one of them");
        return Err(DataError::new(ErrorKind::Missing, message).in_field(&only.column));
    }
    let keeps = |sample: &Sample| only.is_none_or(|only| only.keeps(sample));
    Ok(manifest.samples.iter().map(keeps).collect())
}

fn quarantined(manifest: &Manifest, faults: &[Option<DataError>]) -> Vec<Quarantined> {
    let errors = manifest.broken.iter().chain(faults.iter().flatten());
    let mut rows: Vec<Quarantined> = errors.filter_map(Quarantined::of).collect();
    rows.sort_unstable_by_key(|row| row.row);
    rows
}

#[cfg(test)]
mod tests {
    use super::testing::{folder, jpeg, photo, png, shape};
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn report(manifest: &Manifest, options: &CheckOptions) -> Report {
        let mut report = check(manifest, options, &AtomicBool::new(false), &|_, _| {}).unwrap();
        assert_eq!(report.rows, report.good + report.skipped + report.quarantined.len());
        report.seconds = 0.0;
        report
    }

    /// A JPEG whose header claims 60,000 rows of pixels.
    fn forged_jpeg(mut bytes: Vec<u8>) -> Vec<u8> {
        let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        bytes[frame + 5..frame + 7].copy_from_slice(&60_000u16.to_be_bytes());
        bytes
    }

    /// A PNG whose header claims another height, with the checksum that belongs to it.
    fn forged_png(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes[22] += 1;
        let mut checksum = flate2::Crc::new();
        checksum.update(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.sum().to_be_bytes());
        bytes
    }

    /// A whole picture, or one that is damaged in one of seven ways.
    fn file(number: usize) -> (String, Vec<u8>) {
        let (png, jpeg) = (png(&photo(number)), jpeg(&photo(number), 90));
        let name = format!("{number}.{}", ["png", "jpg"][number % 2]);
        if number % 10 != 9 {
            let whole = if name.ends_with("png") { png } else { jpeg };
            return (name, whole);
        }
        let bytes = match number / 10 % 7 {
            0 => jpeg[..jpeg.len() / 2].to_vec(),
            1 => vec![0; jpeg.len()],
            2 => b"a text that was given the name of a picture".to_vec(),
            3 => forged_jpeg(jpeg),
            4 => forged_png(png),
            5 => b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec(),
            _ => Vec::new(),
        };
        (name, bytes)
    }

    #[test]
    fn exactly_the_damaged_files_of_a_set_are_listed() {
        let files: Vec<_> = (0..100).map(file).collect();
        let borrowed: Vec<_> = files
            .iter()
            .map(|(name, bytes)| (name.as_str(), bytes.clone()))
            .collect();
        let rows: Vec<_> = files
            .iter()
            .map(|(name, _)| json!({"image": name, "caption": "a picture"}))
            .collect();
        let (folder, manifest) = folder(&rows, &borrowed);
        let one = report(
            &manifest,
            &CheckOptions {
                threads: 1,
                ..CheckOptions::default()
            },
        );
        let found: Vec<_> = one
            .quarantined
            .iter()
            .map(|row| (row.row, row.path.clone().unwrap()))
            .collect();
        let expected: Vec<_> = (9..100)
            .step_by(10)
            .map(|row| (row, folder.path().join(&files[row].0)))
            .collect();
        assert_eq!(found, expected);
        assert_eq!((one.good, one.duplicate_groups, one.leak_groups), (90, 0, 0));
        assert!(
            one.quarantined
                .iter()
                .all(|row| row.field.as_deref() == Some("image") && !row.reason.is_empty())
        );
        let four = CheckOptions {
            threads: 4,
            memory: 1,
            ..CheckOptions::default()
        };
        assert_eq!(report(&manifest, &four), one);
    }

    /// Rows of `(image, note)`, and the fields and codes of the rows that cannot be used.
    fn check_rows(lines: &str, expected: &[(usize, Option<&str>, &str)]) {
        let (folder, _) = folder(&[json!({})], &[("a.png", png(&shape(1)))]);
        std::fs::write(folder.path().join("rows.jsonl"), lines).unwrap();
        let manifest = Manifest::open(&folder.path().join("rows.jsonl")).unwrap();
        let found = report(&manifest, &CheckOptions::default());
        let bad: Vec<_> = found
            .quarantined
            .iter()
            .map(|row| (row.row, row.field.as_deref(), row.code))
            .collect();
        assert_eq!(bad, expected, "{lines}");
    }

    #[test]
    fn every_row_is_good_skipped_or_bad_once() {
        check_rows("{\"image\":\"a.png\"}\n{\"image\":null}\n{}\n", &[]);
        check_rows(
            "{\"image\":7}\n{\"image\":\"\"}\n",
            &[(0, Some("image"), "invalid"), (1, Some("image"), "invalid")],
        );
        check_rows(
            "{\"image\":\"no.png\"}\n[]\n{\"image\":\"a.png\"}",
            &[(0, Some("image"), "missing"), (1, None, "damaged")],
        );
        let lists =
            "{\"image\":[\"a.png\",\"no.png\",\"no.jpg\"]}\n{\"image\":[\"a.png\",null,\"a.png\"]}\n{\"image\":[]}";
        check_rows(lists, &[(0, Some("image"), "missing")]);
        let two = "{\"audio\":\"no.wav\",\"image\":\"no.png\"}\n{\"audio\":\"a.png\",\"image\":\"a.png\"}\n";
        check_rows(two, &[(0, Some("audio"), "missing"), (1, Some("audio"), "damaged")]);
        check_rows(
            "{\"video\":[\"a.png\",\"a.png\"]}\n{\"video\":[\"a.png\",\"no.png\"]}",
            &[(1, Some("video"), "missing")],
        );
    }

    #[test]
    fn a_medium_is_decoded_once_and_a_filter_skips_rows() {
        let row = |image: &str, kind: &str| json!({"image": image, "kind": kind});
        let rows = [
            row("a.png", "x"),
            row("a.png", "x"),
            row("no.png", "y"),
            row("a.png", "y"),
        ];
        let (_folder, manifest) = folder(&rows, &[("a.png", png(&shape(1)))]);
        let calls = AtomicUsize::new(0);
        let count = |_, total| {
            assert_eq!(total, 2);
            calls.fetch_add(1, Ordering::SeqCst);
        };
        check(&manifest, &CheckOptions::default(), &AtomicBool::new(false), &count).unwrap();
        assert_eq!(calls.into_inner(), 2);
        let only = |column: &str| CheckOptions {
            only: Some(Only {
                column: column.into(),
                values: vec!["x".into()],
            }),
            ..CheckOptions::default()
        };
        let found = report(&manifest, &only("kind"));
        assert_eq!(
            (found.good, found.skipped, found.quarantined.len(), found.media),
            (2, 2, 0, 1)
        );
        assert_eq!(found.good_samples, [0, 1]);
        let error = check(&manifest, &only("sort"), &AtomicBool::new(false), &|_, _| {}).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
    }

    #[test]
    fn an_interrupt_ends_a_check_with_an_error() {
        let rows: Vec<_> = (0..50)
            .map(|number| json!({"image": format!("{number}.png")}))
            .collect();
        let (_folder, manifest) = folder(&rows, &[]);
        let interrupt = AtomicBool::new(false);
        let stop = |done, _| interrupt.store(done >= 3, Ordering::SeqCst);
        let error = check(&manifest, &CheckOptions::default(), &interrupt, &stop).unwrap_err();
        assert!(error.message.contains("interrupted"), "{error}");
    }

    #[test]
    fn the_report_has_the_names_that_scripts_read() {
        let (_folder, manifest) = folder(&[json!({"image": "no.png"})], &[]);
        let found = serde_json::to_value(report(&manifest, &CheckOptions::default())).unwrap();
        let expected = json!({"rows": 1, "good": 0, "skipped": 0, "duplicates": [], "leaks": []});
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&found[name], value, "{name}");
        }
        let bad = &found["quarantined"][0];
        assert_eq!(
            (&bad["row"], bad["path"].is_string(), bad["reason"].is_string()),
            (&json!(0), true, true)
        );
    }
}
