//! Several sets as one, each with its share of an epoch.

use super::Manifest;
use super::described::is_media;
use crate::groups::{numbers, shuffled, together};
use crate::random::Key;
use crate::{DataError, ErrorKind, Result, Sample, Value};

/// A set and its weight beside the others.
#[derive(Debug, Clone)]
pub struct MixSource {
    pub manifest: Manifest,
    /// Above 0; an epoch has rows of each set in proportion to the weights.
    pub weight: f64,
}

/// Which samples of a joined manifest belong to which of its sets, and their weights.
#[derive(Debug, Clone)]
pub struct Mix {
    parts: Vec<Part>,
}

/// The samples of one set in the joined manifest.
#[derive(Debug, Clone)]
struct Part {
    /// Those that are given one after the other.
    groups: Vec<Vec<usize>>,
    weight: f64,
}

/// Rows of a group that are given without a row of another set between them: the shares hold as closely as this, also
/// where thousands of rows share one medium.
const TOGETHER: usize = 16;

impl Mix {
    /// Joins the sets in their order, one behind the other. Where they lie in different folders, the
    /// paths in columns of media become whole ones.
    ///
    /// Fails with `Invalid` without a set, for a weight that is not above 0, and for a set without a
    /// readable row.
    pub fn join(sources: Vec<MixSource>) -> Result<(Manifest, Self)> {
        let Some(first) = sources.first() else {
            return Err(DataError::new(
                ErrorKind::Invalid,
                "expected at least one set to mix, found none",
            ));
        };
        let same_root = sources.iter().all(|source| source.manifest.root == first.manifest.root);
        let mut manifest = Manifest {
            path: first.manifest.path.clone(),
            root: if same_root {
                first.manifest.root.clone()
            } else {
                Default::default()
            },
            columns: Vec::new(),
            samples: Vec::new(),
            broken: Vec::new(),
        };
        let mut parts = Vec::new();
        for MixSource { manifest: set, weight } in sources {
            check(&set, weight)?;
            let samples = manifest.samples.len()..manifest.samples.len() + set.samples.len();
            parts.push(Part {
                groups: samples.map(|sample| vec![sample]).collect(),
                weight,
            });
            join(&mut manifest, if same_root { set } else { with_whole_paths(set) });
        }
        Ok((manifest, Self { parts }))
    }

    /// The same mixture of some of the samples: those at `indices` of the manifest's, such as the
    /// training split. A set without any of them is left out.
    pub fn of(&self, indices: &[usize]) -> Self {
        let chosen: std::collections::HashSet<usize> = indices.iter().copied().collect();
        let mut mix = self.clone();
        for part in &mut mix.parts {
            part.groups
                .iter_mut()
                .for_each(|group| group.retain(|sample| chosen.contains(sample)));
            part.groups.retain(|group| !group.is_empty());
        }
        mix.parts.retain(|part| !part.groups.is_empty());
        mix
    }

    /// The same mixture, in which the samples of each group are given together, such as the questions about one
    /// picture. What is in no group, or is there of several sets, is divided by its set.
    pub fn grouped(mut self, groups: &[Vec<usize>]) -> Self {
        let numbers = numbers(groups);
        for part in &mut self.parts {
            part.groups = together(part.groups.concat(), |row| numbers.get(&row));
        }
        self
    }

    /// The samples of each set, in the order of the sets.
    pub fn sets(&self) -> impl Iterator<Item = Vec<usize>> {
        self.parts.iter().map(|part| part.groups.concat())
    }

    /// How many of an epoch's `rows` come from each set: the shares of the weights, rounded so that
    /// their sum is `rows` (largest remainders first, equal ones in the order of the sets).
    pub fn counts(&self, rows: usize) -> Vec<usize> {
        let total: f64 = self.parts.iter().map(|part| part.weight).sum();
        let shares: Vec<f64> = self
            .parts
            .iter()
            .map(|part| rows as f64 * (part.weight / total))
            .collect();
        let mut counts: Vec<usize> = shares.iter().map(|share| share.floor() as usize).collect();
        let mut places: Vec<usize> = (0..shares.len()).collect();
        places.sort_by(|a, b| shares[*b].fract().total_cmp(&shares[*a].fract()));
        let missing = rows.saturating_sub(counts.iter().sum());
        places
            .iter()
            .cycle()
            .take(missing)
            .for_each(|place| counts[*place] += 1);
        counts
    }

    /// The samples of an epoch of `rows` rows, as indices into the manifest's. Every beginning of it has the shares of
    /// the weights as closely as groups allow: of two sets within a group (or the 16 rows of a larger one that are given
    /// at once), of n within n - 1. A set gives all of its samples before it gives one again, from one epoch to the next;
    /// each pass has its own random order of groups, and of the samples inside each.
    pub fn epoch(&self, key: &Key, epoch: u64, rows: usize) -> Vec<usize> {
        let counts = self.counts(rows);
        let numbered = self.parts.iter().zip(&counts).enumerate();
        let mut draws: Vec<_> = numbered
            .map(|(place, (part, count))| part.draws(&key.with("mix").at(place as u64), epoch, *count).into_iter())
            .collect();
        let mut given = vec![0usize; counts.len()];
        let mut order = Vec::with_capacity(rows);
        while order.len() < rows {
            // The set that is furthest behind its share, of those that have rows left.
            let behind =
                |place: &usize| (counts[*place] * (order.len() + 1)) as f64 / rows as f64 - given[*place] as f64;
            let open = (0..counts.len()).filter(|place| given[*place] < counts[*place]);
            let next = open.max_by(|a, b| behind(a).total_cmp(&behind(b)).then(b.cmp(a)));
            let Some((next, run)) = next.and_then(|next| Some((next, draws[next].next()?))) else {
                break;
            };
            given[next] += run.len();
            order.extend(run);
        }
        order
    }
}

impl Part {
    /// The next `count` samples of the endless row of passes, when each earlier epoch took as many: in runs that are given
    /// at once.
    fn draws(&self, key: &Key, epoch: u64, count: usize) -> Vec<Vec<usize>> {
        let size = self.groups.iter().map(Vec::len).sum::<usize>() as u64;
        let start = epoch.wrapping_mul(count as u64);
        let (mut pass, mut skipped, mut missing) = (start / size, (start % size) as usize, count);
        let mut runs = Vec::new();
        while missing > 0 {
            for group in shuffled(&self.groups, &key.at(pass)) {
                let rest = &group[skipped.min(group.len())..];
                skipped -= group.len() - rest.len();
                let taken = &rest[..rest.len().min(missing)];
                missing -= taken.len();
                runs.extend(taken.chunks(TOGETHER).map(<[usize]>::to_vec));
            }
            pass = pass.wrapping_add(1);
        }
        runs
    }
}

fn check(set: &Manifest, weight: f64) -> Result<()> {
    if !(weight > 0.0 && weight.is_finite()) {
        let message = format!("expected a weight above 0, found {weight}; leave out a set that is not wanted");
        return Err(DataError::new(ErrorKind::Invalid, message)
            .at_path(&set.path)
            .in_field("weight"));
    }
    match set.samples.is_empty() {
        true => Err(set.broken.first().cloned().unwrap_or_else(|| {
            DataError::new(ErrorKind::Invalid, "expected a set with a readable row, found none").at_path(&set.path)
        })),
        false => Ok(()),
    }
}

fn join(all: &mut Manifest, set: Manifest) {
    let before = all.rows();
    for column in set.columns {
        if !all.columns.contains(&column) {
            all.columns.push(column);
        }
    }
    all.samples.extend(set.samples.into_iter().map(|sample| Sample {
        row: sample.row + before,
        ..sample
    }));
    all.broken.extend(set.broken.into_iter().map(|mut error| {
        error.row = error.row.map(|row| row + before);
        error
    }));
}

fn with_whole_paths(mut set: Manifest) -> Manifest {
    let media: Vec<String> = set
        .columns
        .iter()
        .filter(|column| is_media(column, &set.samples))
        .cloned()
        .collect();
    for sample in &mut set.samples {
        for column in &media {
            if let Some(value) = sample.values.get_mut(column) {
                make_whole(value, &set.root);
            }
        }
    }
    set
}

fn make_whole(value: &mut Value, root: &std::path::Path) {
    match value {
        Value::Text(file) => *file = root.join(&*file).to_string_lossy().into_owned(),
        Value::List(files) => files.iter_mut().for_each(|file| make_whole(file, root)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn set(name: &str, rows: usize) -> Manifest {
        let sample = |row| Sample {
            row,
            values: BTreeMap::from([("image".to_string(), Value::Text(format!("{row}.png")))]),
        };
        Manifest {
            path: format!("{name}/rows.jsonl").into(),
            root: name.into(),
            columns: vec!["image".into()],
            samples: (0..rows).map(sample).collect(),
            broken: vec![DataError::new(ErrorKind::Damaged, "cut").at_row(rows)],
        }
    }

    fn join(sets: &[(usize, f64)]) -> Result<(Manifest, Mix)> {
        let source = |(place, (rows, weight)): (usize, &(usize, f64))| MixSource {
            manifest: set(&format!("set{place}"), *rows),
            weight: *weight,
        };
        Mix::join(sets.iter().enumerate().map(source).collect())
    }

    #[test]
    fn the_joined_manifest_accounts_for_every_row_and_names_whole_paths() {
        let (manifest, _) = join(&[(2, 1.0), (1, 1.0)]).unwrap();
        let rows: Vec<usize> = manifest.samples.iter().map(|sample| sample.row).collect();
        assert_eq!((rows, manifest.rows()), (vec![0, 1, 3], 5));
        assert_eq!(manifest.broken[1].row, Some(4));
        assert_eq!(manifest.samples[2].get("image"), &Value::Text("set1/0.png".into()));
    }

    #[test]
    fn weights_and_sets_that_cannot_be_mixed_are_refused() {
        for sets in [&[][..], &[(3, 0.0)], &[(3, f64::NAN)], &[(3, -1.0)], &[(0, 1.0)]] {
            assert!(join(sets).is_err(), "{sets:?}");
        }
    }

    #[test]
    fn counts_sum_to_the_rows_of_the_epoch() {
        let counts = |sets: &[(usize, f64)], rows| join(sets).unwrap().1.counts(rows);
        assert_eq!(counts(&[(5, 2.0), (5, 1.0)], 9), [6, 3]);
        assert_eq!(counts(&[(5, 1.0), (5, 1.0), (5, 1.0)], 10), [4, 3, 3]);
        assert_eq!(counts(&[(5, 1e-9), (5, 1.0)], 7), [0, 7]);
    }

    #[test]
    fn a_split_keeps_the_weights_of_the_sets_that_have_rows_in_it() {
        let mix = join(&[(4, 1.0), (4, 3.0), (4, 1.0)]).unwrap().1.of(&[0, 1, 5]);
        assert_eq!(mix.counts(8), [2, 6]);
        let mut rows = mix.epoch(&Key::new(0), 0, 8);
        rows.sort_unstable();
        assert_eq!(rows, [0, 1, 5, 5, 5, 5, 5, 5]);
    }

    #[test]
    fn the_rows_of_a_medium_come_one_after_the_other() {
        let (manifest, mix) = join(&[(40, 1.0), (35, 2.0)]).unwrap();
        // Four rows to a picture, also across the border of the sets, and one picture of twenty rows.
        let group = |row: usize| if row < 60 { row / 4 } else { 99 };
        let groups = together((0..manifest.samples.len()).collect(), |row| Some(group(row)));
        let mix = mix.grouped(&groups);
        for epoch in 0..3 {
            let order = mix.epoch(&Key::new(1), epoch, 75);
            for set in [0..40, 40..75] {
                let rows: Vec<usize> = order.iter().copied().filter(|row| set.contains(row)).collect();
                let runs = rows.chunk_by(|a, b| group(*a) == group(*b)).count();
                let distinct = set.clone().map(group).collect::<std::collections::BTreeSet<_>>().len();
                // The epoch may begin and end inside a group, and give the small set's second pass.
                assert!(
                    runs <= rows.len().div_ceil(set.len()) * distinct + 2,
                    "{runs} of {distinct}"
                );
            }
            let whole = order
                .windows(4)
                .filter(|four| four.iter().all(|row| group(*row) == group(four[0])));
            assert!(whole.count() >= 10, "{order:?}");
        }
    }

    proptest! {
        #[test]
        fn every_beginning_has_the_shares_and_every_sample_its_turn(
            sets in proptest::collection::vec((1usize..20, 0.1f64..5.0), 1..4),
            rows in 1usize..60,
            together_by in 1usize..5,
        ) {
            let (manifest, mix) = join(&sets).unwrap();
            let all = (0..manifest.samples.len()).collect();
            let mix = mix.grouped(&together(all, |row| Some(row / together_by)));
            let counts = mix.counts(rows);
            let mut uses = vec![0usize; manifest.samples.len()];
            for epoch in 0..4 {
                let order = mix.epoch(&Key::new(7), epoch, rows);
                prop_assert_eq!(&order, &mix.epoch(&Key::new(7), epoch, rows));
                prop_assert_eq!(order.len(), rows);
                let mut given = vec![0f64; counts.len()];
                for (at, sample) in order.iter().enumerate() {
                    uses[*sample] += 1;
                    let place = mix.parts.iter().position(|part| part.groups.concat().contains(sample)).unwrap();
                    given[place] += 1.0;
                    for (given, count) in given.iter().zip(&counts) {
                        let share = (count * (at + 1)) as f64 / rows as f64;
                        prop_assert!((given - share).abs() <= ((counts.len().max(2) - 1) * together_by) as f64);
                    }
                }
            }
            for part in &mix.parts {
                let uses: Vec<usize> = part.groups.iter().flatten().map(|sample| uses[*sample]).collect();
                prop_assert!(uses.iter().max().unwrap() - uses.iter().min().unwrap() <= 1);
            }
        }
    }
}
