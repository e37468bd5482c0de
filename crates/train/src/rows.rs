//! A recipe's rows, divided into those that train, those that choose and those that measure.

use crate::error::{Result, TrainError};
use crate::recipe::Recipe;
use crate::sources::{Opened, Sources, Taken, column, locate};
use sensorium_data::catalogue::Progress;
use sensorium_data::manifest::Mix;
use sensorium_data::split::{Split, SplitConfig, Splits, split};
use sensorium_data::{Home, Manifest, TrainingStream};
use std::path::Path;

/// A recipe's rows, divided.
pub struct Rows {
    /// All rows; of a stream those for validation and test, and some of those for training.
    pub manifest: Manifest,
    /// Indices into the manifest's samples.
    pub splits: Splits,
    /// How the rows of several sets are mixed.
    pub mix: Option<Mix>,
    /// What reads the training rows of a set that is not held.
    pub stream: Option<TrainingStream>,
}

impl Rows {
    /// Reads and divides the rows; `folder` is what the recipe's paths are relative to.
    pub fn open(recipe: &Recipe, folder: &Path, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        let data = &recipe.data;
        let (opened, stream) = match data.streaming {
            true => {
                let (manifest, stream) = open_stream(recipe, folder, home, progress)?;
                (Opened::whole(manifest), Some(stream))
            }
            false => (data.manifest.open(folder, home, progress)?, None),
        };
        let config = split_config(recipe, &opened.manifest);
        let mut splits = split(&opened.manifest.samples, &config, recipe.seed)?;
        opened.complete(&mut splits, &config);
        opened.restrict(&mut splits);
        opened.check(&splits)?;
        let Opened { manifest, mix, .. } = opened;
        Ok(Self {
            mix,
            manifest,
            splits,
            stream,
        })
    }

    /// The rows of the manifest at `path`, divided as those of the recipe; where they have no column that does it, all of them
    /// are of every split.
    pub fn of(path: &Path, recipe: &Recipe, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<Self> {
        let sources = Sources::at(path);
        let Opened { manifest, .. } = sources.open(Path::new(""), home, progress)?;
        let has = |column: &String| manifest.columns.contains(column);
        let config = match &recipe.data.split {
            Some(SplitConfig::Column { column } | SplitConfig::HoldOut { hold_out: column, .. }) if !has(column) => {
                None
            }
            None => Some(SplitConfig::for_columns(&manifest.columns)).filter(|_| has(&"split".into())),
            given => given.clone(),
        };
        let all: Vec<usize> = (0..manifest.samples.len()).collect();
        let splits = match config {
            Some(config) => split(&manifest.samples, &config, recipe.seed)?,
            None => Splits {
                train: all.clone(),
                validation: all.clone(),
                test: all,
                other: Vec::new(),
            },
        };
        Ok(Self {
            mix: None,
            manifest,
            splits,
            stream: None,
        })
    }

    /// Rows for training, held or not.
    pub fn training(&self) -> usize {
        let held = self.splits.train.len();
        self.stream.as_ref().map_or(held, TrainingStream::rows)
    }
}

/// How the recipe divides rows; by the column `split` where there is one and it says nothing.
pub fn split_config(recipe: &Recipe, manifest: &Manifest) -> SplitConfig {
    let config = recipe.data.split.clone();
    config.unwrap_or_else(|| SplitConfig::for_columns(&manifest.columns))
}

fn open_stream(
    recipe: &Recipe,
    folder: &Path,
    home: &Home,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Manifest, TrainingStream)> {
    let Sources::One(name) = &recipe.data.manifest else {
        let message = "data.streaming: expected one set, found several; shuffle them into common shards";
        return Err(TrainError::Recipe(message.into()));
    };
    let path = locate(name, folder, home, progress)?;
    let outputs = recipe.outputs.iter().filter(|(_, output)| output.task.has_labels());
    let targets: Vec<String> = outputs.map(|(name, output)| column(name, &output.column)).collect();
    let split = recipe.data.split.as_ref();
    Ok(TrainingStream::open(&path, split, recipe.seed, &targets)?)
}

impl Opened<'_> {
    /// Gives the rows that name no split to the one that their set is there for.
    fn complete(&self, splits: &mut Splits, config: &SplitConfig) {
        let SplitConfig::Column { column } = config else {
            return;
        };
        let unnamed = |row: &usize| self.manifest.samples[*row].get(column).label().is_none();
        for Taken { samples: range, source } in &self.taken {
            let rows = match source.only {
                Some(Split::Train) => &mut splits.train,
                Some(Split::Validation) => &mut splits.validation,
                Some(Split::Test) => &mut splits.test,
                None => continue,
            };
            let added = splits.other.extract_if(.., |row| range.contains(row) && unnamed(row));
            rows.extend(added);
            rows.sort_unstable();
        }
    }

    /// Refuses a set of which no row is in a split.
    fn check(&self, splits: &Splits) -> Result<()> {
        let rows = || [&splits.train, &splits.validation, &splits.test].into_iter().flatten();
        let idle = |taken: &&Taken| !rows().any(|row| taken.samples.contains(row));
        self.taken.iter().find(idle).map_or(Ok(()), |taken| {
            let name = &taken.source.manifest;
            Err(TrainError::Recipe(format!(
                "data.manifest: no row of `{name}` is in a split that it is taken for; give its rows a split, or say \
                 {{ manifest = \"{name}\", only = \"train\" }} to train on those that name none"
            )))
        })
    }

    /// Takes out of the splits what the sets are not there for.
    fn restrict(&self, splits: &mut Splits) {
        let mut all = [
            (Split::Train, &mut splits.train),
            (Split::Validation, &mut splits.validation),
            (Split::Test, &mut splits.test),
        ];
        let samples = &self.manifest.samples;
        for Taken { samples: range, source } in &self.taken {
            let unwanted = |split, row: &mut usize| range.contains(row) && !source.takes(&samples[*row], split);
            for (split, rows) in &mut all {
                splits.other.extend(rows.extract_if(.., |row| unwanted(*split, row)));
            }
        }
        splits.other.sort_unstable();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIVIDED: &str = "{\"a\":1,\"split\":\"train\"}\n{\"a\":1,\"split\":\"test\"}\n{\"a\":1}\n";
    const HELPING: &str = "{\"a\":1,\"kind\":\"x\"}\n{\"a\":1,\"kind\":\"x\",\"split\":\"test\"}\n\
                           {\"a\":1,\"kind\":\"x\",\"split\":\"none\"}\n{\"a\":1,\"kind\":\"y\"}\n";

    /// The rows of `a.jsonl` and of the source after it.
    fn open(other: &str) -> Result<Rows> {
        let folder = tempfile::tempdir().unwrap();
        for (name, rows) in [("a.jsonl", DIVIDED), ("b.jsonl", HELPING), ("c.jsonl", "{\"a\":1}\n")] {
            std::fs::write(folder.path().join(name), rows).unwrap();
        }
        let recipe = format!(
            "[data]\nmanifest = [{{ manifest = \"a.jsonl\" }}, {{ {other} }}]\n\
             [inputs.a]\nmodality = \"text\"\n[outputs.b]\ntask = \"classify\"\n"
        );
        let recipe: Recipe = crate::config::parse(&recipe, "recipe.toml", &[]).unwrap();
        Rows::open(&recipe, folder.path(), &Home::new(folder.path()), &mut |_| ())
    }

    #[test]
    fn a_set_gives_the_rows_that_it_is_there_for() {
        let check = |other: &str, train: &[usize], test: &[usize], left: &[usize]| {
            let splits = open(&format!("manifest = \"b.jsonl\"{other}")).unwrap().splits;
            assert_eq!(
                (&*splits.train, &*splits.test, &*splits.other),
                (train, test, left),
                "{other}"
            );
        };
        check("", &[0], &[1, 4], &[2, 3, 5, 6]);
        check(", only = \"train\"", &[0, 3, 6], &[1], &[2, 4, 5]);
        check(
            ", only = \"train\", where = { kind = \"x\" }",
            &[0, 3],
            &[1],
            &[2, 4, 5, 6],
        );
    }

    #[test]
    fn another_manifest_is_divided_by_its_columns_alone() {
        let folder = tempfile::tempdir().unwrap();
        let check = |rows: &str, said: &str, expected: [&[usize]; 3]| {
            let path = folder.path().join("other.jsonl");
            std::fs::write(&path, rows).unwrap();
            let recipe = format!(
                "[data]\nmanifest = \"gone\"\n{said}[inputs.a]\nmodality = \"text\"\n[outputs.b]\ntask = \"classify\"\n"
            );
            let recipe: Recipe = crate::config::parse(&recipe, "recipe.toml", &[]).unwrap();
            let rows = Rows::of(&path, &recipe, &Home::new(folder.path()), &mut |_| ()).unwrap();
            let Splits {
                train,
                validation,
                test,
                ..
            } = rows.splits;
            assert_eq!([train, validation, test], expected, "{said}");
        };
        let undivided = "{\"a\":1}\n{\"a\":2}\n";
        check(undivided, "", [&[0, 1]; 3]);
        check(undivided, "split = { column = \"part\" }\n", [&[0, 1]; 3]);
        check(undivided, "split = { train = 1.0 }\n", [&[0, 1], &[], &[]]);
        check(DIVIDED, "", [&[0], &[], &[1]]);
        check(DIVIDED, "split = { column = \"part\" }\n", [&[0, 1, 2]; 3]);
        check(DIVIDED, "split = { column = \"split\" }\n", [&[0], &[], &[1]]);
    }

    #[test]
    fn a_set_that_gives_no_row_is_refused() {
        let refused = |other: &str, words: &str| {
            let message = open(other).map(|_| ()).unwrap_err().to_string();
            assert!(message.contains(words), "{message}");
        };
        refused("manifest = \"c.jsonl\"", "no row of `c.jsonl` is in a split");
        let nothing = "manifest = \"b.jsonl\", where = { kind = \"z\" }";
        refused(nothing, "no row of `b.jsonl` has kind = \"z\"");
    }
}
