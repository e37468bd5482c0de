//! Sets that do not fit in memory: shards of WebDataset samples, lines of JSON or Parquet rows.
//!
//! [`ShardIndex`] reads any row by its number, so that a shuffle is exact; [`ShardStream`] reads
//! shards from their beginnings on, and shuffles within a bounded part of the set.

mod index;
mod rows;
pub(crate) mod sample;
pub(crate) mod spans;
mod stream;
mod training;

pub use index::ShardIndex;
pub use stream::{LanePosition, Position, ShardStream, Shuffle};
pub use training::{Portion, Portions, TrainingStream};

use crate::manifest::{Cells, extension, pattern, several};
use crate::split::Split;
use crate::storage::{self, ReadAt};
use crate::{DataError, ErrorKind, Result, Sample, Value};
use rayon::prelude::*;
use rows::Rows;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a shard is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Samples,
    Lines,
    Table,
}

/// One file of a set.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub source: Arc<dyn ReadAt>,
    pub format: Format,
    /// The number of its first row in the whole set.
    pub first_row: usize,
    pub rows: usize,
    /// The split that the names of the set's shards say, as a manifest of them has it.
    pub split: Option<Split>,
}

/// The shards of a set in the order of their names, and how many rows each has.
#[derive(Debug, Clone)]
pub struct ShardSet {
    shards: Vec<Shard>,
}

impl ShardSet {
    /// Counts the rows of the shards at `path`: a `.tar`, `.jsonl` or `.parquet` file, a folder of
    /// these, or a pattern such as `shards/train-{000000..000099}.tar` or `data/*.parquet`. With the
    /// feature `object-storage` also a URL with or without braces, such as
    /// `s3://bucket/train-{000..099}.tar`.
    ///
    /// Only headers, line breaks and footers are read. A place that cannot be read counts as one
    /// row, which fails when its turn comes. Fails with `Missing` and `Unsupported`, and with
    /// `Invalid` for a set without a row.
    pub fn open(path: &Path) -> Result<Self> {
        let files = pattern::expand(path, |file| format(file).is_ok())?;
        let shards: Result<Vec<Shard>> = files.par_iter().map(|file| Shard::open(file)).collect();
        let mut shards = shards?;
        let splits = several::splits(&files);
        let mut rows = 0;
        for (place, shard) in shards.iter_mut().enumerate() {
            shard.split = splits.as_ref().map(|splits| splits[place]);
            shard.first_row = rows;
            rows += shard.rows;
        }
        match rows {
            0 => {
                let message = "expected shards with at least one row, found none; name other files";
                Err(DataError::new(ErrorKind::Invalid, message).at_path(path))
            }
            _ => Ok(Self { shards }),
        }
    }

    /// All rows, readable or not.
    pub fn rows(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum()
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        let format = format(path)?;
        let source = storage::open(path)?;
        Ok(Self {
            rows: Rows::count(&source, format),
            source,
            format,
            first_row: 0,
            split: None,
        })
    }

    /// The sample of row `row` of the set, which lies in this shard.
    fn sample(&self, row: usize, cells: Result<Cells>) -> Result<Sample> {
        let mut values: BTreeMap<String, Value> = cells.map_err(|error| error.at_row(row))?.into_iter().collect();
        if let Some(split) = self.split {
            let split = || Value::Text(split.to_string());
            values.entry("split".to_string()).or_insert_with(split);
        }
        Ok(Sample { row, values })
    }
}

fn format(path: &Path) -> Result<Format> {
    match extension(path).as_str() {
        "tar" => Ok(Format::Samples),
        "jsonl" | "ndjson" => Ok(Format::Lines),
        "parquet" => Ok(Format::Table),
        _ => {
            let message = "expected shards: .tar, .jsonl or .parquet files, none of them packed again";
            Err(DataError::new(ErrorKind::Unsupported, message).at_path(path))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Manifest;
    use crate::archive::tar::archive;

    /// A folder of `shards` WebDataset shards, the samples numbered in `id` members and their
    /// pictures up to some kilobytes long.
    pub(crate) fn folder(shards: usize, rows: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for shard in 0..shards {
            let samples = (0..rows).map(|row| shard * rows + row);
            let samples: Vec<(String, Vec<u8>)> = samples
                .flat_map(|id| {
                    let picture = vec![id as u8; 100 + id * 37 % 3000];
                    [
                        (format!("{id:05}.png"), picture),
                        (format!("{id:05}.cls"), id.to_string().into()),
                    ]
                })
                .collect();
            let files: Vec<(&str, &[u8])> = samples
                .iter()
                .map(|(name, bytes)| (name.as_str(), &bytes[..]))
                .collect();
            std::fs::write(folder.path().join(format!("train-{shard:04}.tar")), archive(&files)).unwrap();
        }
        folder
    }

    fn check(name: &str, shards: usize, rows: usize) {
        let folder = folder(3, 4);
        std::fs::write(folder.path().join("rows.jsonl"), "{}\n\n[]\n").unwrap();
        let set = ShardSet::open(&folder.path().join(name)).unwrap();
        assert_eq!((set.shards(), set.rows()), (shards, rows), "{name}");
    }

    #[test]
    fn a_set_is_a_file_a_folder_or_a_pattern() {
        check("train-0001.tar", 1, 4);
        check("train-{0000..0002}.tar", 3, 12);
        check("train-{0000,0002}.tar", 2, 8);
        check("train-*.tar", 3, 12);
        check("rows.jsonl", 1, 2);
        check("", 4, 14);
        let folder = folder(1, 1);
        let missing = ShardSet::open(&folder.path().join("train-{0000..0001}.tar"));
        assert_eq!(missing.unwrap_err().kind, ErrorKind::Missing);
        let packed = ShardSet::open(&folder.path().join("train.tar.gz"));
        assert!(packed.is_err());
    }

    /// Row by row what a manifest, an index and a stream read; of broken rows the place.
    pub(crate) fn check_agreement(folder: &Path) {
        let Ok(manifest) = Manifest::open(folder) else {
            return;
        };
        let set = ShardSet::open(folder).unwrap();
        let index = ShardIndex::open(&set, None).unwrap();
        let samples = manifest
            .samples
            .iter()
            .map(|sample| (sample.row, Ok(sample.values.clone())));
        let broken = manifest
            .broken
            .iter()
            .map(|error| (error.row.unwrap(), Err(error.offset)));
        let listed: BTreeMap<_, _> = samples.chain(broken).collect();
        assert_eq!((listed.len(), index.rows()), (set.rows(), set.rows()));
        let stream = ShardStream::new(set, Some(Shuffle::new(1, 0)));
        let by_number = (0..index.rows()).map(|row| index.sample(row));
        let mut seen = 0;
        for sample in stream.chain(by_number) {
            let (row, found) = match sample {
                Ok(sample) => (sample.row, Ok(sample.values)),
                Err(error) => (error.row.unwrap(), Err(error.offset)),
            };
            assert_eq!(listed[&row], found);
            seen += 1;
        }
        assert_eq!(seen, 2 * listed.len());
    }
}
