//! Training on a set that is not held: its rows are looked at once, and read anew in each epoch.

use super::rows::Rows;
use super::{Format, Position, Shard, ShardSet, ShardStream, Shuffle, sample};
use crate::manifest::{Cells, Spill};
use crate::shards::spans::Spans;
use crate::split::{Divider, Split, SplitConfig};
use crate::{DataError, Manifest, Result, Sample};
use std::collections::HashSet;
use std::path::Path;

/// How many training rows are kept to fit tokenizers and labels to.
const KEPT: usize = 20_000;
/// How many labels are told apart when rows are looked for that show a new one.
const LABELS: usize = 1_000_000;

/// The training rows of a set of shards, in batches.
#[derive(Debug, Clone)]
pub struct TrainingStream {
    set: ShardSet,
    divider: Divider,
    /// Readable rows for training.
    train: usize,
}

/// Some rows of a stream.
#[derive(Debug)]
pub struct Portion {
    pub samples: Vec<Sample>,
    /// Rows that could not be read.
    pub failed: Vec<DataError>,
    /// Where the stream goes on behind these rows.
    pub position: Position,
}

impl TrainingStream {
    /// Looks at every row of the shards at `path` without its media. The manifest has the rows for validation and test,
    /// and of those for training the first twenty thousand and all that show a new label in the columns `targets`.
    ///
    /// # Errors
    /// Those of [`ShardSet::open`] and of [`Divider::new`].
    pub fn open(path: &Path, config: Option<&SplitConfig>, seed: u64, targets: &[String]) -> Result<(Manifest, Self)> {
        let set = ShardSet::open(path)?;
        let config = config
            .cloned()
            .unwrap_or_else(|| SplitConfig::for_columns(&set.columns()));
        let divider = Divider::new(&config, seed)?;
        let mut survey = Survey::new(path, targets);
        for shard in &set.shards {
            shard.look(&mut |sample| survey.add(sample, &divider))?;
        }
        let train = survey.train;
        Ok((survey.manifest, Self { set, divider, train }))
    }

    /// Readable rows for training.
    pub fn rows(&self) -> usize {
        self.train
    }

    /// The training rows of an epoch from its beginning, or from `position` on, `size` at a time.
    ///
    /// # Errors
    /// `Invalid` for a position in another set.
    pub fn portions(&self, shuffle: Shuffle, position: Option<Position>, size: usize) -> Result<Portions> {
        let set = self.set.clone();
        Ok(Portions {
            stream: match position {
                Some(position) => ShardStream::resume(set, position)?,
                None => ShardStream::new(set, Some(shuffle)),
            },
            divider: self.divider.clone(),
            size,
        })
    }
}

/// An iterator over the training rows of an epoch.
pub struct Portions {
    stream: ShardStream,
    divider: Divider,
    size: usize,
}

impl Iterator for Portions {
    type Item = Portion;

    /// Rows that cannot be read come with the portion that they were met in; behind the last good row they are left out,
    /// since the first look has found them too.
    fn next(&mut self) -> Option<Portion> {
        let (mut samples, mut failed) = (Vec::with_capacity(self.size), Vec::new());
        while samples.len() < self.size {
            match self.stream.next() {
                Some(Ok(sample)) if self.divider.assign(&sample) == Some(Split::Train) => samples.push(sample),
                Some(Ok(_)) => {}
                Some(Err(error)) => failed.push(error),
                None => break,
            }
        }
        (!samples.is_empty()).then(|| Portion {
            samples,
            failed,
            position: self.stream.position(),
        })
    }
}

/// What the first look keeps.
struct Survey<'a> {
    manifest: Manifest,
    spill: Spill,
    targets: &'a [String],
    labels: HashSet<(usize, String)>,
    train: usize,
}

impl<'a> Survey<'a> {
    fn new(path: &Path, targets: &'a [String]) -> Self {
        let root = match path.is_dir() {
            true => path,
            false => crate::manifest::parent(path),
        };
        Self {
            manifest: Manifest {
                path: path.to_path_buf(),
                root: root.to_path_buf(),
                columns: Vec::new(),
                samples: Vec::new(),
                broken: Vec::new(),
            },
            spill: Spill::new(path),
            targets,
            labels: HashSet::new(),
            train: 0,
        }
    }

    fn add(&mut self, sample: Result<Sample>, divider: &Divider) -> Result<()> {
        let sample = match sample {
            Ok(sample) => sample,
            Err(error) => {
                self.manifest.broken.push(error);
                return Ok(());
            }
        };
        for column in sample.values.keys() {
            if !self.manifest.columns.contains(column) {
                self.manifest.columns.push(column.clone());
            }
        }
        let train = divider.assign(&sample) == Some(Split::Train);
        self.train += usize::from(train);
        // Both sides are asked, so that every label of a kept row is known.
        let shows_new = self.shows_new_label(&sample);
        if !train || self.train <= KEPT || shows_new {
            self.keep(sample)?;
        }
        Ok(())
    }

    fn shows_new_label(&mut self, sample: &Sample) -> bool {
        let mut new = false;
        for (place, column) in self.targets.iter().enumerate() {
            crate::sample::each(sample.get(column), &mut |value| {
                let label = value.label().filter(|_| self.labels.len() < LABELS);
                new |= label.is_some_and(|label| self.labels.insert((place, label)));
            });
        }
        new
    }

    fn keep(&mut self, mut sample: Sample) -> Result<()> {
        for value in sample.values.values_mut() {
            *value = self.spill.keep(value.clone())?;
        }
        self.manifest.samples.push(sample);
        Ok(())
    }
}

impl ShardSet {
    /// The columns of the first row that can be read.
    fn columns(&self) -> Vec<String> {
        let first = ShardStream::new(self.clone(), None).find_map(Result::ok);
        first.map_or_else(Vec::new, |sample| sample.values.into_keys().collect())
    }
}

impl Shard {
    /// Shows every row in order, its media left where they lie unless they are a table's.
    fn look(&self, see: &mut dyn FnMut(Result<Sample>) -> Result<()>) -> Result<()> {
        let cells: Box<dyn Iterator<Item = Result<Cells>>> = match self.format {
            Format::Samples => {
                let spans = Spans::samples(self.source.clone(), 0);
                Box::new(spans.map(|span| sample::cells(&self.source, span?)))
            }
            format => Box::new(Rows::open(&self.source, format, 0).map(|row| row.cells)),
        };
        for (place, cells) in cells.enumerate() {
            see(self.sample(self.first_row + place, cells))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::folder;
    use super::*;
    use crate::Value;

    fn config() -> SplitConfig {
        SplitConfig::Ratio {
            train: 0.7,
            validation: 0.3,
            test: 0.0,
            group: None,
        }
    }

    fn open(folder: &Path) -> (Manifest, TrainingStream) {
        TrainingStream::open(folder, Some(&config()), 3, &["cls".to_string()]).unwrap()
    }

    fn rows(portions: Portions) -> Vec<usize> {
        portions
            .flat_map(|portion| portion.samples)
            .map(|sample| sample.row)
            .collect()
    }

    #[test]
    fn the_first_look_finds_what_a_manifest_holds() {
        let folder = folder(4, 20);
        let (manifest, stream) = open(folder.path());
        let whole = Manifest::open(folder.path()).unwrap();
        assert_eq!((manifest.samples, manifest.broken.len()), (whole.samples, 0));
        assert!((40..70).contains(&stream.rows()), "{}", stream.rows());
        assert!(manifest.columns.contains(&"image".to_string()));
    }

    #[test]
    fn an_epoch_has_every_training_row_once_and_goes_on_where_it_was() {
        let folder = folder(5, 12);
        let (manifest, stream) = open(folder.path());
        let (shuffle, size) = (Shuffle::new(3, 1), 4);
        let whole = rows(stream.portions(shuffle, None, size).unwrap());
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        let divided = crate::split::split(&manifest.samples, &config(), 3).unwrap();
        assert_eq!(sorted, divided.train);
        assert_ne!(whole, rows(stream.portions(Shuffle::new(3, 2), None, size).unwrap()));
        let mut given = 0;
        for portion in stream.portions(shuffle, None, size).unwrap() {
            given += portion.samples.len();
            let resumed = stream.portions(shuffle, Some(portion.position), size).unwrap();
            assert_eq!(rows(resumed), whole[given..]);
        }
        assert_eq!(given, stream.rows());
    }

    #[test]
    fn a_row_with_a_new_label_is_kept_and_a_broken_one_is_counted() {
        let folder = folder(2, 3);
        std::fs::write(folder.path().join("more.jsonl"), "{\"cls\":\"new\"}\n[]\n").unwrap();
        let (manifest, stream) = open(folder.path());
        let labels: Vec<_> = manifest
            .samples
            .iter()
            .filter_map(|sample| sample.get("cls").label())
            .collect();
        assert!(labels.contains(&"new".to_string()), "{labels:?}");
        assert_eq!((manifest.broken.len(), manifest.samples.len()), (1, 7));
        let portions = stream.portions(Shuffle::new(0, 0), None, 100).unwrap();
        let found: Vec<Portion> = portions.collect();
        assert_eq!(found[0].failed.len(), 1);
        assert!(
            found[0]
                .samples
                .iter()
                .all(|sample| *sample.get("cls") != Value::Absent)
        );
    }
}
