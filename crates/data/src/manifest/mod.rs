//! A manifest: the list of rows that a data set is, read from a table, a folder, an archive or shards.
//!
//! Formats live in one file each. A record that cannot be read keeps its row number and is
//! reported in [`Manifest::broken`]; the records around it are not disturbed.

#[cfg(test)]
pub(crate) mod archived;
mod csv;
mod described;
mod folder;
pub(crate) mod jsonl;
pub(crate) mod media;
mod mix;
pub(crate) mod parquet;
pub(crate) mod pattern;
mod records;
pub(crate) mod several;
mod spill;
mod tree;

pub use mix::{Mix, MixSource};

pub(crate) use jsonl::{parse_json, whole_number};
pub(crate) use records::{Cells, text_of};
pub(crate) use spill::Spill;

use crate::archive;
use crate::storage;
use crate::{DataError, ErrorKind, Result, Sample};
use std::path::{Path, PathBuf};
use tree::Tree;

const ACCEPTED: &str = "a .jsonl or .ndjson file (one JSON object per line), a .csv or .tsv file \
    with a header row, a .parquet file, a .zip, .tar, .tar.gz or .tgz archive of a folder, WebDataset \
    shards such as shards/train-{000000..000099}.tar or shards/*.tar, or a folder with rows.jsonl, \
    metadata.jsonl, metadata.csv or metadata.parquet, with .parquet files, with shards, or with one \
    sub-folder of media per class";

/// The rows of a data set, in order.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The file that was read, or the folder that was listed.
    pub path: PathBuf,
    /// The folder that relative media paths start from.
    pub root: PathBuf,
    /// Every column, in the order of first appearance.
    pub columns: Vec<String>,
    /// The records that could be read. Their rows and those of `broken` together are `0..rows()`.
    pub samples: Vec<Sample>,
    /// Why the other records could not be read, each with its row.
    pub broken: Vec<DataError>,
}

impl Manifest {
    /// Reads the manifest at `path`.
    ///
    /// Fails with `Missing` where there is nothing, `Unsupported` for another type of file,
    /// `Damaged` for an unreadable header and `Invalid` for a manifest without a record.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = match std::fs::metadata(path) {
            _ if storage::url(path).is_some() => several::open(&pattern::expand(path, |_| true)?, path, parent(path))?,
            Ok(metadata) if metadata.is_dir() => folder::open(&Tree::Folder(path.to_path_buf()))?,
            Ok(_) => Self::open_file(path)?,
            Err(_) if pattern::is_pattern(path) => {
                several::open(&pattern::expand(path, |_| true)?, path, parent(path))?
            }
            Err(error) => return Err(not_found(&error, path)),
        };
        match manifest.rows() {
            0 => Err(DataError::new(
                ErrorKind::Invalid,
                "expected at least one record, found none; add rows or name another manifest",
            )
            .at_path(&manifest.path)),
            _ => Ok(manifest),
        }
    }

    /// All records, readable or not.
    pub fn rows(&self) -> usize {
        self.samples.len() + self.broken.len()
    }

    fn open_file(path: &Path) -> Result<Self> {
        if !archive::is_archive(path) {
            return several::open(&[path.to_path_buf()], path, parent(path));
        }
        let source = archive::open(path)?;
        if archive::is_tar(path) && several::is_shard(&source)? {
            return several::open_shard(&source, path, parent(path));
        }
        folder::open(&Tree::archive(path, archive::members(path, &source)?))
    }
}

pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

pub(crate) fn extension(path: &Path) -> String {
    let extension = path.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
}

fn not_found(error: &std::io::Error, path: &Path) -> DataError {
    match error.kind() {
        std::io::ErrorKind::NotFound => DataError::new(
            ErrorKind::Missing,
            format!("no such file or folder; expected a manifest: {ACCEPTED}"),
        )
        .at_path(path),
        _ => DataError::io(error, path),
    }
}

fn unsupported(path: &Path) -> DataError {
    let found = match extension(path).as_str() {
        "" => "a file without an extension".to_string(),
        extension => format!("a .{extension} file"),
    };
    let message = format!("expected a manifest: {ACCEPTED}; found {found}");
    DataError::new(ErrorKind::Unsupported, message).at_path(path)
}

#[cfg(test)]
mod tests {
    use super::records::Records;
    use super::*;
    use crate::Value;
    use proptest::prelude::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn check_error(name: &str, text: &str, kind: ErrorKind, part: &str) {
        let (_folder, path) = write(name, text);
        let error = Manifest::open(&path).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.path.as_ref(), Some(&path));
        assert!(error.to_string().contains(part), "{error}");
    }

    #[test]
    fn what_cannot_be_a_manifest_is_refused_with_what_could() {
        check_error("rows.xlsx", "PK", ErrorKind::Unsupported, "found a .xlsx file");
        check_error("rows.parquet", "PAR1", ErrorKind::Damaged, "fewer than 12 bytes");
        check_error("rows.zip", "PK", ErrorKind::Damaged, "zip");
        check_error("rows.tar.gz", "PK", ErrorKind::Damaged, "gzip");
        check_error("rows", "{}", ErrorKind::Unsupported, ".jsonl");
        check_error("rows.jsonl", "\n \n", ErrorKind::Invalid, "found none");
        check_error("rows.csv", "a,b\n", ErrorKind::Invalid, "found none");
        check_error("rows.csv", "a,a\n1,2\n", ErrorKind::Invalid, "`a`");
        let error = Manifest::open(Path::new("nowhere/rows.jsonl")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Missing);
    }

    #[test]
    fn the_extension_chooses_the_format_and_the_folder_is_the_root() {
        for (name, text) in [
            ("rows.JSONL", "{\"a\":\"1\",\"b\":\"2\"}"),
            ("rows.ndjson", "{\"a\":\"1\",\"b\":\"2\"}\n"),
            ("rows.csv", "a,b\r\n1,2\r\n"),
            ("rows.tsv", "a\tb\n1\t2\n"),
        ] {
            let (folder, path) = write(name, text);
            let manifest = Manifest::open(&path).unwrap();
            assert_eq!(manifest.columns, ["a", "b"], "{name}");
            assert_eq!(manifest.samples[0].get("b"), &Value::Text("2".into()), "{name}");
            assert_eq!(manifest.root, folder.path());
        }
    }

    #[test]
    fn a_broken_record_names_its_file_and_row() {
        let (_folder, path) = write("rows.jsonl", "{}\n[]\n");
        let manifest = Manifest::open(&path).unwrap();
        assert_eq!(manifest.broken[0].path.as_ref(), Some(&path));
        assert_eq!(manifest.broken[0].row, Some(1));
    }

    /// Bytes that look like tables often enough to reach every branch.
    fn table_bytes() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"{\"a\":1}".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"a,b\n".to_vec()),
            Just(b"\"".to_vec()),
            Just(b"\xef\xbb\xbf".to_vec()),
            Just(b"[[[".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    fn check_coverage(records: &Records, size: usize) {
        let good = records.samples.iter().map(|sample| sample.row);
        let bad = records.broken.iter().map(|error| error.row.unwrap());
        let mut rows: Vec<usize> = good.chain(bad).collect();
        rows.sort_unstable();
        assert!(rows.iter().copied().eq(0..rows.len()));
        for error in &records.broken {
            assert!(error.offset.unwrap() <= size as u64);
            assert!(!error.message.is_empty());
        }
    }

    proptest! {
        #![proptest_config(crate::testing::cases(1_000))]
        #[test]
        fn any_bytes_give_rows_that_are_exactly_accounted_for(bytes in table_bytes()) {
            check_coverage(&jsonl::parse(&bytes), bytes.len());
            for delimiter in [b',', b'\t'] {
                if let Ok(records) = csv::parse(&bytes, delimiter) {
                    check_coverage(&records, bytes.len());
                }
            }
        }
    }
}
