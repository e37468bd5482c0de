//! What each column of a manifest is for, told from its name and its values.

use super::{MediaKind, each};
use crate::{Manifest, Sample, Value};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// More distinct values than this are no set of labels.
const MOST_LABELS: usize = 1000;
/// A label is a word or a few: on average fewer spaces than this.
const LABEL_SPACES: f64 = 3.0;
/// Numbers with at most this many distinct values are classes, such as the digits.
const MOST_NUMBER_LABELS: usize = 20;
/// The median length, in bytes, of a text that is a sample's main input; bytes, because one Chinese
/// character says as much as several letters.
const MAIN_BYTES: usize = 32;
/// An extension is read off names up to this length, in bytes.
const LONGEST_NAME: usize = 4096;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Image,
    Audio,
    Video,
    /// Few distinct short values: the classes or tags of a task.
    Label,
    Text,
    Number,
    /// The column that says which rows train, choose and measure the model.
    Split,
    /// The column whose equal values a split keeps together.
    Group,
    /// No row has a value.
    Empty,
}

impl Role {
    /// The kind of medium in the column's cells.
    pub fn media(self) -> Option<MediaKind> {
        match self {
            Self::Image => Some(MediaKind::Image),
            Self::Audio => Some(MediaKind::Audio),
            Self::Video => Some(MediaKind::Video),
            _ => None,
        }
    }
}

impl From<MediaKind> for Role {
    fn from(kind: MediaKind) -> Self {
        match kind {
            MediaKind::Image => Self::Image,
            MediaKind::Audio => Self::Audio,
            MediaKind::Video => Self::Video,
        }
    }
}

/// A column with its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub role: Role,
    /// The text is what the sample is about, so that the same text in two splits is a leak: no
    /// column holds media, half of the texts or more are distinct, and the median one has 32 bytes
    /// or more. Labels, and short or common questions, repeat in every split without harm.
    pub main: bool,
}

/// The roles of all columns of `manifest`. `split` and `group` are the columns known to be such.
///
/// A column named `image`, `audio` or `video`, or most of whose values end in a known media
/// extension or are encoded files, is media. A column that repeats a media column cell by cell (the
/// `file_name` of an image folder) is read as text, so that nothing counts twice.
pub fn columns(manifest: &Manifest, split: Option<&str>, group: Option<&str>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for name in &manifest.columns {
        let profile = Profile::of(&manifest.samples, name);
        let role = match name.as_str() {
            name if Some(name) == split => Role::Split,
            name if Some(name) == group => Role::Group,
            name => profile.role(name),
        };
        columns.push(Column {
            name: name.clone(),
            role,
            main: role == Role::Text && profile.is_main(),
        });
    }
    forget_repeats(&mut columns, &manifest.samples);
    if columns.iter().any(|column| column.role.media().is_some()) {
        columns.iter_mut().for_each(|column| column.main = false);
    }
    columns
}

fn forget_repeats(columns: &mut [Column], samples: &[Sample]) {
    for later in 0..columns.len() {
        let named = kind_of_name(&columns[later].name).is_some();
        let repeats = |other: usize| {
            other != later
                && columns[other].role.media().is_some()
                && samples
                    .iter()
                    .all(|sample| sample.get(&columns[other].name) == sample.get(&columns[later].name))
        };
        if !named && columns[later].role.media().is_some() && (0..columns.len()).any(repeats) {
            columns[later].role = Role::Text;
        }
    }
}

/// What the values of a column have in common.
#[derive(Default)]
struct Profile {
    present: usize,
    numbers: usize,
    distinct: HashSet<u64>,
    spaces: usize,
    lengths: Vec<usize>,
    media: BTreeMap<MediaKind, usize>,
}

impl Profile {
    fn of(samples: &[Sample], column: &str) -> Self {
        let mut profile = Self::default();
        for sample in samples {
            each(sample.get(column), &mut |value| profile.add(value));
        }
        profile
    }

    fn add(&mut self, value: &Value) {
        let kind = match value {
            Value::Text(text) => {
                self.text(text);
                kind_of_path(text)
            }
            Value::Number(number) => {
                self.numbers += 1;
                self.distinct.insert(number.to_bits());
                None
            }
            Value::Bytes(bytes) => Some(super::sniff::kind(bytes).unwrap_or(MediaKind::Image)),
            Value::Stored(stored) => Some(kind_of_path(&stored.place()).unwrap_or(MediaKind::Image)),
            Value::Absent | Value::List(_) => return,
        };
        self.present += 1;
        kind.into_iter()
            .for_each(|kind| *self.media.entry(kind).or_default() += 1);
    }

    fn text(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.distinct.insert(hasher.finish());
        self.spaces += text.trim().matches(' ').count();
        self.lengths.push(text.len());
        // A table without types writes its numbers as text.
        self.numbers += usize::from(text.trim().parse::<f64>().is_ok());
    }

    fn role(&self, name: &str) -> Role {
        let most = self.media.iter().max_by_key(|(_, count)| **count);
        let values = most
            .filter(|(_, count)| **count * 2 > self.present)
            .map(|(kind, _)| *kind);
        let repeated = self.distinct.len() * 2 <= self.present;
        let short = (self.spaces as f64) < LABEL_SPACES * self.present as f64;
        match kind_of_name(name).or(values) {
            _ if self.present == 0 => Role::Empty,
            Some(kind) => kind.into(),
            None if self.numbers == self.present && !(repeated && self.distinct.len() <= MOST_NUMBER_LABELS) => {
                Role::Number
            }
            None if repeated && short && self.distinct.len() <= MOST_LABELS => Role::Label,
            None => Role::Text,
        }
    }

    fn is_main(&self) -> bool {
        let mut lengths = self.lengths.clone();
        lengths.sort_unstable();
        let median = lengths.get(lengths.len() / 2).copied().unwrap_or(0);
        self.distinct.len() * 2 >= self.present && median >= MAIN_BYTES
    }
}

fn kind_of_name(name: &str) -> Option<MediaKind> {
    match name.to_lowercase().as_str() {
        "image" => Some(MediaKind::Image),
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    }
}

/// The kind of medium that the extension of `path` stands for, read by this program or not.
pub(super) fn kind_of_path(path: &str) -> Option<MediaKind> {
    if path.len() > LONGEST_NAME || path.contains('\n') {
        return None;
    }
    let (stem, extension) = path.rsplit_once('.')?;
    match extension.to_lowercase().as_str() {
        _ if stem.is_empty() => None,
        "apng" | "avif" | "bmp" | "gif" | "heic" | "heif" | "jpe" | "jpeg" | "jpg" | "jxl" | "png" | "svg" | "svgz"
        | "tif" | "tiff" | "webp" => Some(MediaKind::Image),
        "aac" | "aif" | "aiff" | "caf" | "flac" | "m4a" | "mka" | "mp2" | "mp3" | "oga" | "ogg" | "opus" | "wav"
        | "wma" => Some(MediaKind::Audio),
        "3gp" | "avi" | "flv" | "m4v" | "mkv" | "mov" | "mp4" | "mpeg" | "mpg" | "ogv" | "webm" | "wmv" => {
            Some(MediaKind::Video)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::manifest;

    fn check(column: &str, cells: &[&str], expected: Role) {
        let cell = |cell: &&str| match cell.parse::<f64>() {
            _ if cell.is_empty() => Value::Absent,
            Ok(number) => Value::Number(number),
            Err(_) => Value::Text(cell.to_string()),
        };
        let rows: Vec<Vec<Value>> = cells.iter().map(|text| vec![cell(text)]).collect();
        let found = columns(&manifest(&[column], rows), Some("split"), Some("scene"));
        assert_eq!(found[0].role, expected, "{column}: {cells:?}");
    }

    #[test]
    fn names_and_values_tell_the_role() {
        check("image", &["no extension", "x"], Role::Image);
        check("Audio", &["x"], Role::Audio);
        check("picture", &["a.JPG", "b.png", "sometimes a text"], Role::Image);
        check("picture", &["a.jpg", "a text", "another text of its own"], Role::Text);
        check("sound", &["a.flac", "b.ogg"], Role::Audio);
        check("clip", &["dir.d/a.webm", "b.mp4", "c.gif"], Role::Video);
        check("answer", &["yes", "no", "yes", "no", ""], Role::Label);
        check("digit", &["1", "2", "1", "2"], Role::Label);
        check("price", &["1.5", "2", "3", "9"], Role::Number);
        check("caption", &["a red circle on white", "two blue squares"], Role::Text);
        check("note", &["", ""], Role::Empty);
        check("split", &["train", "test"], Role::Split);
        check("scene", &["1", "2"], Role::Group);
        check("hidden", &[".png", ".gif"], Role::Text);
    }

    #[test]
    fn a_list_counts_by_its_items() {
        let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::Text(item.to_string())).collect());
        let rows = vec![
            vec![list(&["a.png", "b.png"]), list(&["red", "round"])],
            vec![Value::Absent, list(&["round", "red"])],
        ];
        let found = columns(&manifest(&["views", "tags"], rows), None, None);
        assert_eq!([found[0].role, found[1].role], [Role::Image, Role::Label]);
    }

    #[test]
    fn a_column_that_repeats_the_media_is_not_media_again() {
        let rows = ["a.png", "b.png"]
            .map(|name| vec![Value::Text(name.into()); 2])
            .to_vec();
        let found = columns(&manifest(&["file_name", "image"], rows), None, None);
        assert_eq!([found[0].role, found[1].role], [Role::Text, Role::Image]);
    }

    fn main_of(columns_of: &[&str], cell: impl Fn(usize) -> Vec<String>) -> Vec<bool> {
        let rows = (0..20)
            .map(|row| cell(row).into_iter().map(Value::Text).collect())
            .collect();
        let found = columns(&manifest(columns_of, rows), None, None);
        found.iter().map(|column| column.main).collect()
    }

    #[test]
    fn only_long_and_mostly_distinct_texts_without_media_are_main_inputs() {
        let long = |row: usize| format!("review {row}: a film that nobody will forget soon");
        let label = |row: usize| ["good", "bad"][row % 2].to_string();
        assert_eq!(
            main_of(&["text", "label"], |row| vec![long(row), label(row)]),
            [true, false]
        );
        assert_eq!(
            main_of(&["text", "image"], |row| vec![long(row), format!("{row}.png")]),
            [false, false]
        );
        assert_eq!(main_of(&["text"], |row| vec![long(row % 9)]), [false]);
        assert_eq!(main_of(&["text"], |row| vec![format!("is it {row} or not")]), [false]);
    }
}
