//! The table that describes a folder: its columns of file names become columns of media.

use super::media;
use super::records::Records;
use super::tree::Tree;
use crate::split::Split;
use crate::{DataError, Result, Sample, Value};
use std::path::{Path, PathBuf};

/// Adds a column of media for each column of file names, and `split` where every file lies in a
/// folder named after one; paths that start from `folder`, where the table lies, start from the
/// tree's top afterwards.
pub(super) fn describe(mut records: Records, tree: &Tree, folder: &Path) -> Result<Records> {
    name_media(&mut records);
    if folder == Path::new("") {
        name_splits(&mut records);
    }
    let in_place = matches!(tree, Tree::Folder(_)) && folder == Path::new("");
    if !in_place {
        let columns = media_columns(&records);
        records.change(|sample| {
            let mut columns = columns.iter();
            columns.try_for_each(|column| resolve(sample, column, tree, folder))
        });
    }
    Ok(records)
}

/// Whether a column holds file names, and how the column of their media is called (the rules of the
/// Hugging Face loaders); nothing where each name's extension says it.
fn media_name(column: &str) -> Option<Option<&str>> {
    match column {
        "file_name" | "file_names" => Some(None),
        _ => {
            let stem = column
                .strip_suffix("_file_name")
                .or(column.strip_suffix("_file_names"))?;
            Some(Some(stem).filter(|stem| !stem.is_empty()))
        }
    }
}

fn name_media(records: &mut Records) {
    for column in records.columns.clone() {
        let Some(name) = media_name(&column) else {
            continue;
        };
        if name.is_some_and(|name| records.has(name)) {
            continue;
        }
        let usual = usual_kind(records, &column);
        let taken: Vec<&str> = ["image", "audio", "video"]
            .into_iter()
            .filter(|kind| records.has(kind))
            .collect();
        let mut declared = Vec::new();
        for sample in &mut records.samples {
            let value = sample.get(&column).clone();
            let target = name.unwrap_or_else(|| kind_of(&value).unwrap_or(usual));
            if value != Value::Absent && !taken.contains(&target) {
                sample.values.insert(target.to_string(), value);
                declared.push(target.to_string());
            }
        }
        declared.dedup();
        declared.iter().for_each(|target| records.declare(target));
    }
}

/// The kind of medium that a name, or the first one of a list, says it is.
fn kind_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::Text(file) => media::column_of_file(Path::new(file)),
        Value::List(files) => files.first().and_then(kind_of),
        _ => None,
    }
}

/// The kind of the first file whose extension is known.
fn usual_kind(records: &Records, column: &str) -> &'static str {
    let mut kinds = records.samples.iter().filter_map(|sample| kind_of(sample.get(column)));
    kinds.next().unwrap_or("image")
}

fn name_splits(records: &mut Records) {
    if records.has("split") || !records.has("file_name") {
        return;
    }
    let split = |sample: &Sample| match sample.get("file_name") {
        Value::Text(file) => file.split_once('/')?.0.parse::<Split>().ok(),
        _ => None,
    };
    let splits: Option<Vec<Split>> = records.samples.iter().map(split).collect();
    let Some(splits) = splits.filter(|splits| !splits.is_empty()) else {
        return;
    };
    records.declare("split");
    for (sample, split) in records.samples.iter_mut().zip(splits) {
        sample
            .values
            .insert("split".to_string(), Value::Text(split.to_string()));
    }
}

/// The columns that hold paths of media: by their names, or because most of their texts end as the
/// names of media do.
pub(super) fn media_columns(records: &Records) -> Vec<String> {
    let columns = records.columns.iter();
    columns
        .filter(|column| is_media(column, &records.samples))
        .cloned()
        .collect()
}

pub(super) fn is_media(column: &str, samples: &[Sample]) -> bool {
    if ["image", "audio", "video"].contains(&column) {
        return true;
    }
    let values = samples.iter().map(|sample| sample.get(column));
    let filled = values.filter(|value| matches!(value, Value::Text(_) | Value::List(_)));
    let (mut media, mut all) = (0, 0);
    for value in filled {
        all += 1;
        media += usize::from(kind_of(value).is_some());
    }
    media_name(column).is_none() && 2 * media > all
}

fn resolve(sample: &mut Sample, column: &str, tree: &Tree, folder: &Path) -> Result<()> {
    match sample.values.get_mut(column) {
        Some(value) => locate(value, tree, folder).map_err(|error| error.in_field(column)),
        None => Ok(()),
    }
}

fn locate(value: &mut Value, tree: &Tree, folder: &Path) -> Result<()> {
    match value {
        Value::Text(file) => {
            let joined: PathBuf = folder.join(&*file);
            let joined = joined.to_str().ok_or_else(|| {
                DataError::new(
                    crate::ErrorKind::Invalid,
                    "expected folders named in UTF-8; rename them",
                )
            })?;
            *value = tree.medium(joined)?;
            Ok(())
        }
        Value::List(files) => files.iter_mut().try_for_each(|file| locate(file, tree, folder)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &[(&str, Value)], expected: &[(&str, Value)]) {
        let mut records = Records::default();
        records.push(Ok(columns
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect()));
        let records = describe(records, &Tree::Folder(PathBuf::new()), Path::new("")).unwrap();
        let added: Vec<_> = records.columns[columns.len()..]
            .iter()
            .map(|column| (column.as_str(), records.samples[0].get(column).clone()))
            .collect();
        assert_eq!(added, expected);
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn columns_of_file_names_become_columns_of_media() {
        let (png, wav) = (text("a.png"), text("b.wav"));
        check(&[("file_name", wav.clone())], &[("audio", wav.clone())]);
        check(&[("file_name", text("x"))], &[("image", text("x"))]);
        check(
            &[("before_file_name", png.clone()), ("after_file_name", png.clone())],
            &[("before", png.clone()), ("after", png.clone())],
        );
        let frames = Value::List(vec![png.clone(), png.clone()]);
        check(&[("frames_file_names", frames.clone())], &[("frames", frames.clone())]);
        check(&[("file_names", frames.clone())], &[("image", frames)]);
        check(&[("file_name", png.clone()), ("image", wav)], &[]);
        check(
            &[("file_name", text("train/a.png"))],
            &[("image", text("train/a.png")), ("split", text("train"))],
        );
    }
}
