//! A manifest: the list of rows that a data set is, read from a table file or a folder.
//!
//! Formats live in one file each. A record that cannot be read keeps its row number and is
//! reported in [`Manifest::broken`]; the records around it are not disturbed.

mod csv;
mod folder;
mod jsonl;

use crate::{DataError, ErrorKind, Result, Sample, Value, files};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

const ACCEPTED: &str = "a .jsonl or .ndjson file (one JSON object per line), a .csv or .tsv file \
    with a header row, or a folder with rows.jsonl, metadata.jsonl, metadata.csv or one sub-folder \
    of pictures per class";

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
        let metadata = std::fs::metadata(path).map_err(|error| not_found(&error, path))?;
        let manifest = match metadata.is_dir() {
            true => folder::open(path)?,
            false => Self::open_file(path)?,
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
        let extension = extension(path);
        let parse: fn(&[u8]) -> Result<Records> = match extension.as_str() {
            "jsonl" | "ndjson" => |bytes| Ok(jsonl::parse(bytes)),
            "csv" => |bytes| csv::parse(bytes, b','),
            "tsv" => |bytes| csv::parse(bytes, b'\t'),
            _ => return Err(unsupported(path)),
        };
        let bytes = files::read(path)?;
        let records = parse(&bytes).map_err(|error| error.at_path(path))?;
        let root = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        Ok(records.into_manifest(path, root))
    }
}

/// Records as they are read: each takes the next row number, whether it is readable or not.
#[derive(Debug, Default)]
struct Records {
    columns: Vec<String>,
    known: HashSet<String>,
    samples: Vec<Sample>,
    broken: Vec<DataError>,
}

impl Records {
    fn push(&mut self, record: Result<Vec<(String, Value)>>) {
        let row = self.samples.len() + self.broken.len();
        match record {
            Err(error) => self.broken.push(error.at_row(row)),
            Ok(cells) => {
                cells.iter().for_each(|(column, _)| self.declare(column));
                let values: BTreeMap<String, Value> = cells.into_iter().collect();
                self.samples.push(Sample { row, values });
            }
        }
    }

    fn declare(&mut self, column: &str) {
        if !self.known.contains(column) {
            self.known.insert(column.to_string());
            self.columns.push(column.to_string());
        }
    }

    fn into_manifest(self, path: &Path, root: &Path) -> Manifest {
        let broken = self.broken.into_iter();
        Manifest {
            path: path.to_path_buf(),
            root: root.to_path_buf(),
            columns: self.columns,
            samples: self.samples,
            broken: broken.map(|error| error.at_path(path)).collect(),
        }
    }
}

/// The text after the byte order mark that some editors write, with the number of bytes left out.
fn without_mark(bytes: &[u8]) -> (&[u8], usize) {
    match bytes.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, 3),
        None => (bytes, 0),
    }
}

fn extension(path: &Path) -> String {
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
    use super::*;
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
        check_error("rows.parquet", "PAR1", ErrorKind::Unsupported, "found a .parquet file");
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
