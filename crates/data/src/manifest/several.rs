//! Tables and shards that are one set together.

use super::records::Records;
use super::spill::Spill;
use super::{Manifest, media};
use crate::archive::{self, tar};
use crate::shards::sample::{self, key_and_extension};
use crate::shards::spans::Spans;
use crate::split::Split;
use crate::storage::ReadAt;
use crate::{Result, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a folder that says nothing else whose names make them one set.
const TABLES: [&str; 5] = ["csv", "jsonl", "ndjson", "parquet", "tsv"];

/// Reads the rows of all files in their order. Where every name starts with a split, as in
/// `train-00000-of-00002.parquet`, it becomes the column `split`.
pub(super) fn open(files: &[PathBuf], path: &Path, root: &Path) -> Result<Manifest> {
    let splits = splits(files);
    let mut spill = Spill::new(path);
    let mut all = Records::default();
    for (place, file) in files.iter().enumerate() {
        let source = archive::open(file)?;
        let records = match archive::is_tar(file) {
            true => samples(&source),
            false => Records::read(&source, file, &mut spill),
        };
        let mut records = records.map_err(|error| error.at_path(file))?;
        if let Some(splits) = &splits {
            records.fill("split", &Value::Text(splits[place].to_string()));
        }
        all.extend(records, file);
    }
    Ok(all.into_manifest(path, root))
}

/// One shard that has already been opened.
pub(super) fn open_shard(source: &Arc<dyn ReadAt>, path: &Path, root: &Path) -> Result<Manifest> {
    Ok(samples(source)?.into_manifest(path, root))
}

/// The files that are one set, of the `names` in a folder that has no better description: all
/// Parquet files, all tar archives, or tables that are named after splits.
pub(super) fn of_folder(folder: &Path, names: &[std::ffi::OsString]) -> Vec<PathBuf> {
    let paths = || names.iter().map(|name| folder.join(name));
    let parquet: Vec<PathBuf> = paths().filter(|path| super::extension(path) == "parquet").collect();
    let shards: Vec<PathBuf> = paths().filter(|path| archive::is_tar(path)).collect();
    let is_table = |path: &PathBuf| TABLES.contains(&super::extension(path).as_str()) && split_of(path).is_some();
    let tables = paths().filter(is_table).collect();
    [parquet, shards, tables]
        .into_iter()
        .find(|files: &Vec<PathBuf>| !files.is_empty())
        .unwrap_or_default()
}

/// The splits of files whose names all start with one; one file's name says too little, since
/// `test.csv` may be all that there is.
pub(crate) fn splits(files: &[PathBuf]) -> Option<Vec<Split>> {
    let splits: Option<Vec<Split>> = files.iter().map(|file| split_of(file)).collect();
    splits.filter(|_| files.len() > 1)
}

/// The split that a file's name starts with.
fn split_of(file: &Path) -> Option<Split> {
    let name = file.file_name()?.to_str()?;
    name.split(['-', '_', '.']).next()?.parse().ok()
}

/// The samples of a WebDataset shard.
fn samples(source: &Arc<dyn ReadAt>) -> Result<Records> {
    let mut records = Records::default();
    for span in Spans::samples(source.clone(), 0) {
        records.push(span.and_then(|span| sample::cells(source, span)));
    }
    Ok(records)
}

/// Whether a tar archive is a shard rather than a packed folder: it has no table, and either no
/// folders, or a medium with its text, label or JSON beside it.
pub(super) fn is_shard(source: &Arc<dyn ReadAt>) -> Result<bool> {
    let (mut at, mut last, mut flat) = (0, None, true);
    while let Some(member) = tar::next_member(&**source, at)? {
        at = member.next;
        if super::tree::is_table(&member.path) {
            return Ok(false);
        }
        let Some((key, _)) = key_and_extension(&member.path) else {
            continue;
        };
        let plain = media::column_of_file(&member.path).is_none();
        if last.is_some_and(|(last, was_plain)| last == key && (plain || was_plain)) {
            return Ok(true);
        }
        flat &= member.path.components().count() == 1;
        last = Some((key, plain));
    }
    Ok(flat)
}
