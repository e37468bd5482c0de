//! One sample of a WebDataset shard: consecutive members of a tar archive that share a key.
//!
//! The key is the path up to the first dot of the file's name, the rest is the extension and names
//! the column (the layout of <https://github.com/webdataset/webdataset>).

use crate::archive::tar::{self, Member};
use crate::manifest::{Cells, media, parse_json, text_of};
use crate::storage::{self, Packing, ReadAt, Stored};
use crate::{DataError, ErrorKind, Result, Value};
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The largest text, label or JSON member of a sample, in bytes.
const MAX_TEXT: u64 = 16 << 20;

/// Where the sample lies whose first member is the first one from `at` on; `None` at the end.
///
/// Members without an extension and hidden ones belong to no sample. A member that cannot be read
/// fails the sample that it would end, since it may have been a part of it.
pub(crate) fn next_span(source: &dyn ReadAt, at: u64) -> Result<Option<Range<u64>>> {
    let (mut span, mut key) = (at..at, None);
    while let Some(member) = tar::next_member(source, span.end)? {
        let found = key_and_extension(&member.path).map(|(key, _)| key);
        match (&found, &key) {
            (None, None) => span.start = member.next,
            (Some(_), None) => key = found,
            (Some(found), Some(key)) if found != key => break,
            _ => {}
        }
        span.end = member.next;
    }
    Ok(key.map(|_| span))
}

/// The cells of the sample in `span`: one column for each extension, and `image`, `audio`, `video`,
/// `text` and `label` for the usual ones. Media stay where they lie.
pub(crate) fn cells(source: &Arc<dyn ReadAt>, span: Range<u64>) -> Result<Cells> {
    let mut sample = Sample::default();
    let mut at = span.start;
    while at < span.end {
        let Some(member) = tar::next_member(&**source, at)? else {
            break;
        };
        let added = sample.add(source, &member);
        added.map_err(|error| error.at_path(source.path()).at_offset(at))?;
        at = member.next;
    }
    Ok(sample.finish())
}

/// The key and the extension, in lower case, of a member that belongs to a sample.
pub(crate) fn key_and_extension(path: &Path) -> Option<(String, String)> {
    let name = path.file_name()?.to_str()?;
    let (stem, extension) = name.split_once('.').filter(|(stem, _)| !stem.is_empty())?;
    let key = path.with_file_name(stem).to_str()?.to_string();
    Some((key, extension.to_lowercase()))
}

#[derive(Default)]
struct Sample {
    key: String,
    extensions: HashSet<String>,
    /// What a JSON member says; the files themselves come behind it, and so have the last word.
    described: Cells,
    columns: Cells,
}

impl Sample {
    fn add(&mut self, source: &Arc<dyn ReadAt>, member: &Member) -> Result<()> {
        let Some((key, extension)) = key_and_extension(&member.path) else {
            return Ok(());
        };
        if !member.is_file {
            let message = "expected a file, found a link, a device or a sparse file; store its content";
            return Err(DataError::new(ErrorKind::Unsupported, message).in_field(&extension));
        }
        if !self.extensions.insert(extension.clone()) {
            let message = "expected one file for each extension of a sample, found two; give the samples other keys";
            return Err(DataError::new(ErrorKind::Damaged, message).in_field(&extension));
        }
        self.key = key;
        let value = match extension.as_str() {
            "json" => return self.describe(&text(source, member)?),
            "txt" | "cls" => written(&extension, text(source, member)?.trim_end_matches(['\r', '\n'])),
            _ => Value::Stored(Arc::new(Stored {
                source: source.clone(),
                offset: member.offset,
                length: member.length,
                packing: Packing::Plain,
            })),
        };
        if let Some(column) = usual_column(&extension) {
            let taken = self.columns.iter().any(|(name, _)| name == column);
            self.columns
                .extend((!taken).then(|| (column.to_string(), value.clone())));
        }
        self.columns.push((extension, value));
        Ok(())
    }

    /// The keys of a JSON object are columns; whatever lies deeper stays JSON.
    fn describe(&mut self, json: &str) -> Result<()> {
        let damaged = |error| DataError::new(ErrorKind::Damaged, format!("expected JSON: {error}")).in_field("json");
        match serde_json::from_str(json).map_err(damaged)? {
            serde_json::Value::Object(object) => {
                let cells = object.into_iter().map(|(column, json)| (column, parse_json(json)));
                self.described.extend(cells);
            }
            other => self.described.push(("json".to_string(), parse_json(other))),
        }
        Ok(())
    }

    fn finish(self) -> Cells {
        let key = ("__key__".to_string(), Value::Text(self.key));
        [key].into_iter().chain(self.described).chain(self.columns).collect()
    }
}

fn text(source: &Arc<dyn ReadAt>, member: &Member) -> Result<String> {
    let bytes = storage::read(&**source, member.offset, member.length, MAX_TEXT)?;
    text_of(&bytes).map(str::to_string)
}

/// A text, or the number of a class.
fn written(extension: &str, text: &str) -> Value {
    match text.trim().parse::<u32>() {
        Ok(class) if extension == "cls" => Value::Number(class.into()),
        _ => Value::Text(text.to_string()),
    }
}

fn usual_column(extension: &str) -> Option<&'static str> {
    match extension {
        "txt" => Some("text"),
        "cls" => Some("label"),
        // In shards, what moves is a video: a folder of pictures may hold a GIF for its first frame.
        "gif" => Some("video"),
        extension => media::column_of(extension),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::archive::tar::archive;
    use crate::storage::Part;

    pub(crate) fn shard(files: &[(&str, &[u8])]) -> Arc<dyn ReadAt> {
        Arc::new(Part {
            path: "a.tar".into(),
            start: 0,
            bytes: archive(files),
        })
    }

    /// Every sample as `column=value` words in column order, or a part of the reason.
    fn check(files: &[(&str, &[u8])], expected: &[&str]) {
        let source = shard(files);
        let (mut at, mut found) = (0, Vec::new());
        while let Some(span) = next_span(&*source, at).unwrap() {
            at = span.end;
            found.push(match cells(&source, span) {
                Ok(cells) => cells.iter().map(shown).collect::<Vec<_>>().join(" "),
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} has no {expected}");
        }
    }

    fn shown((column, value): &(String, Value)) -> String {
        match value {
            Value::Stored(stored) => format!("{column}={}", String::from_utf8_lossy(&stored.read().unwrap())),
            Value::List(_) => format!("{column}=[]"),
            value => format!("{column}={}", value.label().unwrap_or_default()),
        }
    }

    #[test]
    fn members_with_one_key_are_one_sample() {
        check(
            &[
                ("README", b"notes"),
                ("a/0.jpg", b"J"),
                ("a/0.txt", b"a cat\n"),
                ("a/0.cls", b" 7"),
                ("._0.jpg", b"hidden"),
                ("a/1.JPG", b"K"),
                ("b/1.left.wav", b"W"),
                ("b/1.gif", b"G"),
                ("0.mp3", b"M"),
            ],
            &[
                "__key__=a/0 image=J jpg=J text=a cat txt=a cat label=7 cls=7",
                "__key__=a/1 image=K jpg=K",
                "__key__=b/1 left.wav=W video=G gif=G",
                "__key__=0 audio=M mp3=M",
            ],
        );
    }

    #[test]
    fn the_keys_of_a_json_member_are_columns() {
        check(
            &[
                ("0.json", br#"{"caption":"c","size":3,"tags":["x"],"exif":{"a":1}}"#),
                ("1.json", b"[1]"),
                ("2.json", b"{"),
                ("3.json", b"\xff"),
            ],
            &[
                r#"caption=c size=3 tags=[] exif={"a":1}"#,
                "json=[]",
                "expected JSON",
                "UTF-8",
            ],
        );
    }

    #[test]
    fn a_sample_with_two_files_of_one_extension_is_broken_and_the_next_is_not() {
        check(
            &[("0.png", b"a"), ("0.png", b"b"), ("1.png", b"c")],
            &["found two", "png=c"],
        );
    }

    #[test]
    fn a_cut_shard_fails_the_sample_that_it_may_have_cut() {
        let whole = archive(&[("0.png", &[1; 600]), ("1.png", b"2")]);
        let bytes = whole[..whole.len() - 1024].to_vec();
        let path = "a.tar".into();
        let source = Part { path, start: 0, bytes };
        let first = next_span(&source, 0).unwrap().unwrap();
        assert_eq!(first, 0..1536);
        assert_eq!(next_span(&source, first.end).unwrap_err().kind, ErrorKind::Damaged);
    }
}
