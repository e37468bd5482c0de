//! Where a recipe's rows come from: one set, or several mixed by weight.

use crate::error::{Result, TrainError};
use schemars::JsonSchema;
use sensorium_data::catalogue::{self, Progress};
use sensorium_data::manifest::{Mix, MixSource};
use sensorium_data::split::Split;
use sensorium_data::{Home, Manifest, Sample, Value, storage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The column of several sets that says which one a row is from, unless one of them has its own of this name.
const SET: &str = "set";

/// One set, or several of which an epoch has rows in proportion to their weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected the name or path of a set, or a list such as [{ manifest = \"NAME\", weight = 2 }]"
)]
pub enum Sources {
    /// The name of a catalogue set, or the path of a manifest relative to the recipe.
    One(String),
    /// Sets that are joined in this order and drawn by weight.
    Several(#[schemars(length(min = 1))] Vec<Source>),
}

/// A set and its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name of a catalogue set, or the path of a manifest relative to the recipe.
    pub manifest: String,
    /// The set's share of an epoch, beside the weights of the others; a small set is then drawn several times, a large
    /// one over several epochs.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0.0, max = 1_000_000.0))]
    pub weight: f64,
    /// Columns of this set by the names that they have in the others, such as `{ caption = "label" }`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// The one split that this set has rows for, such as `train` for a set that only helps: its rows in the other splits
    /// are left out, and those whose split column says nothing belong to it. All by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Split>,
    /// The rows to take by what their columns say, called as here, such as `{ language = "cs" }`: others are left out. All
    /// by default.
    #[serde(default, rename = "where", skip_serializing_if = "BTreeMap::is_empty")]
    pub filter: BTreeMap<String, String>,
}

/// What is taken of a set in a joined manifest.
pub struct Taken<'a> {
    pub samples: Range<usize>,
    pub source: &'a Source,
}

fn default_weight() -> f64 {
    1.0
}

impl Default for Sources {
    fn default() -> Self {
        Self::One("rows.jsonl".into())
    }
}

impl Sources {
    /// The manifest at `path`, whatever it is called.
    pub fn at(path: &Path) -> Self {
        Self::One(absolute(path))
    }

    /// Reads all rows (fetching catalogue sets that are not on disk), with the way to mix them where there are several.
    pub fn open(&self, folder: &Path, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<Opened<'_>> {
        let sources = match self {
            Self::One(name) => {
                let manifest = Manifest::open(&locate(name, folder, home, progress)?)?;
                return Ok(Opened::whole(manifest));
            }
            Self::Several(sources) => sources,
        };
        let (mut opened, mut taken, mut rows) = (Vec::new(), Vec::new(), 0);
        for source in sources {
            let path = locate(&source.manifest, folder, home, progress)?;
            let manifest = source.rename(Manifest::open(&path)?)?;
            source.check_filter(&manifest)?;
            let samples = rows..rows + manifest.samples.len();
            rows = samples.end;
            taken.push(Taken { samples, source });
            opened.push(MixSource {
                manifest,
                weight: source.weight,
            });
        }
        name_sets(sources, &mut opened);
        let (manifest, mix) = Mix::join(opened)?;
        Ok(Opened {
            manifest,
            mix: Some(mix),
            taken,
        })
    }

    /// Makes paths whole, so that the recipe may move.
    pub fn resolve(&mut self, folder: &Path) {
        let names = match self {
            Self::One(name) => vec![name],
            Self::Several(sources) => sources.iter_mut().map(|source| &mut source.manifest).collect(),
        };
        for name in names {
            if catalogue::find(name).is_none() && storage::url(Path::new(name)).is_none() {
                *name = absolute(&folder.join(&*name));
            }
        }
    }
}

impl Source {
    /// The rows with their columns called as the recipe calls them, all at once, so that two columns may exchange their names.
    fn rename(&self, mut manifest: Manifest) -> Result<Manifest> {
        for (name, column) in &self.columns {
            if !manifest.columns.contains(column) {
                let known = manifest.columns.join(", ");
                return Err(TrainError::Recipe(format!(
                    "data.manifest: `{}` has no column `{column}` to be called `{name}`; its columns are {known}",
                    self.manifest
                )));
            }
        }
        for sample in &mut manifest.samples {
            let value = |(name, column): (&String, &String)| Some((name.clone(), sample.values.get(column).cloned()?));
            let renamed: Vec<(String, Value)> = self.columns.iter().filter_map(value).collect();
            sample.values.extend(renamed);
        }
        for name in self.columns.keys() {
            if !manifest.columns.contains(name) {
                manifest.columns.push(name.clone());
            }
        }
        Ok(manifest)
    }

    /// A filter that no row passes is a mistake.
    fn check_filter(&self, manifest: &Manifest) -> Result<()> {
        if manifest.samples.iter().any(|sample| self.passes(sample)) {
            return Ok(());
        }
        let filter: Vec<String> = self
            .filter
            .iter()
            .map(|(column, value)| format!("{column} = {value:?}"))
            .collect();
        Err(TrainError::Recipe(format!(
            "data.manifest: no row of `{}` has {}; its columns are {}",
            self.manifest,
            filter.join(" and "),
            manifest.columns.join(", ")
        )))
    }

    fn passes(&self, sample: &Sample) -> bool {
        let mut filter = self.filter.iter();
        filter.all(|(column, value)| sample.get(column).label().as_ref() == Some(value))
    }

    /// Whether the set is there for this row in this split.
    pub fn takes(&self, sample: &Sample, split: Split) -> bool {
        self.only.is_none_or(|only| only == split) && self.passes(sample)
    }
}

/// The rows of all sets before they are divided.
pub struct Opened<'a> {
    pub manifest: Manifest,
    /// How the rows of several sets are mixed.
    pub mix: Option<Mix>,
    pub taken: Vec<Taken<'a>>,
}

impl Opened<'_> {
    /// All rows of one set.
    pub fn whole(manifest: Manifest) -> Self {
        Self {
            manifest,
            mix: None,
            taken: Vec::new(),
        }
    }
}

/// Notes in each row which set it is from, so that each can be measured by itself.
fn name_sets(sources: &[Source], opened: &mut [MixSource]) {
    let mut columns = opened.iter().flat_map(|one| &one.manifest.columns);
    if columns.any(|column| column == SET) {
        return;
    }
    for (source, MixSource { manifest, .. }) in sources.iter().zip(opened) {
        manifest.columns.push(SET.into());
        for sample in &mut manifest.samples {
            let name = Value::Text(source.manifest.clone());
            sample.values.insert(SET.into(), name);
        }
    }
}

/// The path of a set, which is fetched where it is one of the catalogue that is not on disk.
pub fn locate(source: &str, folder: &Path, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<PathBuf> {
    Ok(match catalogue::find(source) {
        Some(_) => catalogue::fetch(source, home, progress)?,
        None if storage::url(Path::new(source)).is_some() => PathBuf::from(source),
        None => folder.join(source),
    })
}

/// The column of an input or an output: its own word, or its name.
pub fn column(name: &str, column: &Option<String>) -> String {
    column.clone().unwrap_or_else(|| name.to_string())
}

fn absolute(path: &Path) -> String {
    // A pattern of shards is no path that could be followed.
    let path = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf());
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(folder: &Path, name: &str, count: usize) {
        std::fs::write(folder.join(name), "{\"a\":1}\n".repeat(count)).unwrap();
    }

    fn check(json: &str, folder: &Path, look: impl Fn(&Opened)) {
        let sources: Sources = serde_json::from_str(json).unwrap();
        let mut resolved = sources.clone();
        resolved.resolve(folder);
        let home = Home::new(folder);
        let found = resolved.open(Path::new("elsewhere"), &home, &mut |_| ()).unwrap();
        let opened = sources.open(folder, &home, &mut |_| ()).unwrap();
        assert_eq!(found.manifest.rows(), opened.manifest.rows());
        look(&opened);
    }

    #[test]
    fn several_sets_are_one_with_a_mixture() {
        let folder = tempfile::tempdir().unwrap();
        rows(folder.path(), "a.jsonl", 3);
        rows(folder.path(), "b.jsonl", 2);
        check("\"a.jsonl\"", folder.path(), |one| {
            assert_eq!((one.manifest.rows(), one.mix.is_none()), (3, true));
        });
        let json = r#"[{"manifest":"a.jsonl"},{"manifest":"b.jsonl","weight":3}]"#;
        check(json, folder.path(), |joined| {
            let counts = joined.mix.as_ref().unwrap().counts(8);
            assert_eq!((joined.manifest.rows(), counts), (5, vec![2, 6]));
        });
    }

    #[test]
    fn two_columns_exchange_their_names() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jsonl"), "{\"a\":\"one\",\"b\":\"two\"}\n").unwrap();
        let json = r#"[{"manifest":"a.jsonl","columns":{"a":"b","b":"a"},"where":{"a":"two"}}]"#;
        check(json, folder.path(), |joined| {
            let found = ["a", "b"].map(|name| joined.manifest.samples[0].get(name).label());
            assert_eq!(found, ["two", "one"].map(|text| Some(text.to_string())));
        });
    }

    #[test]
    fn a_row_of_several_sets_says_which_one_it_is_from() {
        let folder = tempfile::tempdir().unwrap();
        rows(folder.path(), "a.jsonl", 1);
        rows(folder.path(), "b.jsonl", 1);
        std::fs::write(folder.path().join("c.jsonl"), "{\"set\":\"own\"}\n").unwrap();
        let check = |json: &str, columns: &[&str], expected: &[Option<&str>]| {
            let sources: Sources = serde_json::from_str(json).unwrap();
            let opened = sources.open(folder.path(), &Home::new(folder.path()), &mut |_| ());
            let joined = opened.unwrap().manifest;
            let found: Vec<Option<String>> = joined.samples.iter().map(|sample| sample.get(SET).label()).collect();
            assert_eq!(joined.columns, columns);
            assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
        };
        let [a, b, c] = ["a", "b", "c"].map(|name| format!("{{\"manifest\":\"{name}.jsonl\"}}"));
        check(
            &format!("[{a},{b}]"),
            &["a", "set"],
            &[Some("a.jsonl"), Some("b.jsonl")],
        );
        check(&format!("[{a},{c}]"), &["a", "set"], &[None, Some("own")]);
    }
}
