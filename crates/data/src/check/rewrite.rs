//! A manifest written again as a table of lines, with a column for the split.

use super::{Column, MediaKind};
use crate::split::Split;
use crate::{DataError, ErrorKind, Manifest, Result, Sample, Value, files};
use std::path::{Path, PathBuf};

/// The column that is written; one of this name that the manifest has is replaced.
pub(super) const COLUMN: &str = "split";

/// Writes the readable records in their order, with `splits` in the column `split`; the file appears
/// whole or not at all. Paths of media stay as they are in the manifest's folder, and become
/// absolute elsewhere.
pub(super) fn rewrite(manifest: &Manifest, columns: &[Column], splits: &[Split], path: &Path) -> Result<()> {
    keep_broken(manifest, path)?;
    let moved = moved_root(manifest, path)?;
    let mut text = String::new();
    for (sample, split) in manifest.samples.iter().zip(splits) {
        let mut line = serde_json::Map::new();
        for column in columns.iter().filter(|column| column.name != COLUMN) {
            let root = column.role.media().and(moved.as_deref());
            let value = json(sample.get(&column.name), root).ok_or_else(|| embedded(manifest, sample, column))?;
            line.insert(column.name.clone(), value);
        }
        line.insert(COLUMN.to_string(), split.to_string().into());
        text += &serde_json::Value::Object(line).to_string();
        text.push('\n');
    }
    files::write_atomically(path, text.as_bytes())
}

/// Refuses to write over a manifest whose broken records would be lost.
fn keep_broken(manifest: &Manifest, path: &Path) -> Result<()> {
    let same = match (path.canonicalize(), manifest.path.canonicalize()) {
        (Ok(target), Ok(source)) => target == source,
        _ => false,
    };
    match same && !manifest.broken.is_empty() {
        true => Err(DataError::new(
            ErrorKind::Invalid,
            format!(
                "expected another file to write to: {} records of this one cannot be read and would be lost; mend \
                 them or name another file",
                manifest.broken.len()
            ),
        )
        .at_path(path)),
        false => Ok(()),
    }
}

/// The absolute folder of the media, where the new manifest lies in another one.
fn moved_root(manifest: &Manifest, path: &Path) -> Result<Option<PathBuf>> {
    let absolute = |folder: &Path| {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        folder.canonicalize().map_err(|error| DataError::io(&error, folder))
    };
    let (root, target) = (
        absolute(&manifest.root)?,
        absolute(path.parent().unwrap_or(Path::new(".")))?,
    );
    Ok((root != target).then_some(root))
}

/// The value as a table of lines writes it, paths below `root` where it is given; `None` for bytes.
fn json(value: &Value, root: Option<&Path>) -> Option<serde_json::Value> {
    Some(match (value, root) {
        (Value::Absent, _) => serde_json::Value::Null,
        (Value::Text(name), Some(root)) => root.join(name).to_string_lossy().into(),
        (Value::Text(text), None) => text.as_str().into(),
        (Value::Number(number), _) => whole(*number),
        (Value::List(items), _) => items
            .iter()
            .map(|item| json(item, root))
            .collect::<Option<Vec<_>>>()?
            .into(),
        (Value::Bytes(_) | Value::Stored(_), _) => return None,
    })
}

/// A whole number without a fraction, as it was most likely read.
fn whole(number: f64) -> serde_json::Value {
    match number.fract() == 0.0 && number.abs() < 9e15 {
        true => (number as i64).into(),
        false => number.into(),
    }
}

fn embedded(manifest: &Manifest, sample: &Sample, column: &Column) -> DataError {
    let kind = column.role.media().unwrap_or(MediaKind::Image);
    let message = format!(
        "expected the path of a file ({kind:?}) to write into a table of lines, found a file embedded in the \
         manifest; store the media as files first"
    );
    let error = DataError::new(ErrorKind::Unsupported, message);
    error.at_path(&manifest.path).at_row(sample.row).in_field(&column.name)
}
