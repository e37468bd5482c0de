//! The order of rows in an epoch, cut into batches: a pure function of seed and epoch.

use crate::dataset::Dataset;
use crate::groups::{numbers, shuffled, together};
use crate::manifest::Mix;
use crate::random::Key;
use crate::sharing::Length;
use rand::seq::SliceRandom;
use std::collections::HashMap;

/// Among how many batches of an epoch rows are sorted by length.
const BUCKET_BATCHES: usize = 50;

/// Rows that share a costly medium, kept together so that a batch encodes it once.
pub struct Sampler {
    groups: Vec<Vec<usize>>,
    batch_size: usize,
    mix: Option<Mix>,
    lengths: Option<Lengths>,
}

/// What batches of rows of similar length go by.
struct Lengths {
    /// By each row that of the longest of its group: a group stays whole.
    of_row: HashMap<usize, Option<Length>>,
    group: HashMap<usize, usize>,
    /// By each row the set that it is of, where there are several.
    set: HashMap<usize, usize>,
}

impl Sampler {
    /// Groups `indices` (into the samples of `dataset`) by their shared medium.
    pub fn new(dataset: &Dataset, indices: &[usize], batch_size: usize) -> Self {
        let shared = |row: usize| dataset.shared(&dataset.samples()[row]);
        Self {
            groups: together(indices.to_vec(), shared),
            batch_size,
            mix: None,
            lengths: None,
        }
    }

    /// Keeps at most this many rows of a shared medium together, so that a batch has more different ones; to be said before
    /// the sets.
    pub fn at_most(mut self, together: Option<usize>) -> Self {
        if let Some(most) = together {
            let parts = self.groups.iter().flat_map(|group| group.chunks(most));
            self.groups = parts.map(<[usize]>::to_vec).collect();
        }
        self
    }

    /// Takes the rows of an epoch from several sets by their weights, instead of each row once.
    pub fn mixed(mut self, mix: Option<Mix>) -> Self {
        self.mix = mix.map(|mix| mix.grouped(&self.groups));
        self
    }

    /// Puts rows of similar length in one batch: sorts those of each set among a few dozen batches of an epoch, which then
    /// come in random order.
    pub fn by_length(mut self, dataset: &Dataset) -> Self {
        let of_group = |group: &Vec<usize>| {
            let longest = group.iter().map(|&row| dataset.length(row)).max().flatten();
            group.iter().map(move |&row| (row, longest)).collect::<Vec<_>>()
        };
        let sets: Vec<Vec<usize>> = self.mix.iter().flat_map(Mix::sets).collect();
        self.lengths = Some(Lengths {
            of_row: self.groups.iter().flat_map(of_group).collect(),
            group: numbers(&self.groups),
            set: numbers(&sets),
        });
        self
    }

    /// How many batches an epoch has.
    pub fn batch_count(&self) -> usize {
        self.rows().div_ceil(self.batch_size)
    }

    fn rows(&self) -> usize {
        self.groups.iter().map(Vec::len).sum()
    }

    /// The batches of an epoch: groups in random order, and rows in random order inside each group.
    pub fn epoch(&self, key: &Key, epoch: u64) -> Vec<Vec<usize>> {
        let order = match &self.mix {
            Some(mix) => mix.epoch(key, epoch, self.rows()),
            None => shuffled(&self.groups, &key.at(epoch).with("order")).concat(),
        };
        match &self.lengths {
            Some(lengths) => self.bucketed(order, lengths, &key.at(epoch)),
            None => self.cut(&order),
        }
    }

    fn bucketed(&self, mut order: Vec<usize>, lengths: &Lengths, key: &Key) -> Vec<Vec<usize>> {
        for part in order.chunks_mut(BUCKET_BATCHES * self.batch_size) {
            lengths.sort(part);
        }
        let mut batches = self.cut(&order);
        batches.shuffle(&mut key.with("buckets").generator());
        batches
    }

    /// The batches for evaluation: in manifest order of their media, or of rising length.
    pub fn in_order(&self) -> Vec<Vec<usize>> {
        let mut order = self.groups.concat();
        if let Some(lengths) = &self.lengths {
            order.sort_by_key(|row| lengths.of_row[row]);
        }
        self.cut(&order)
    }

    fn cut(&self, order: &[usize]) -> Vec<Vec<usize>> {
        order.chunks(self.batch_size).map(<[usize]>::to_vec).collect()
    }
}

impl Lengths {
    /// Sorts the rows of each set among the places that it has, so that every part of the order keeps its shares.
    fn sort(&self, order: &mut [usize]) {
        let mut sets: HashMap<Option<usize>, Vec<usize>> = HashMap::new();
        for row in order.iter() {
            sets.entry(self.set.get(row).copied()).or_default().push(*row);
        }
        let sorted = |(set, rows): (Option<usize>, Vec<usize>)| {
            let mut groups: Vec<&[usize]> = rows.chunk_by(|a, b| self.group[a] == self.group[b]).collect();
            groups.sort_by_key(|group| self.of_row[&group[0]]);
            (set, groups.concat().into_iter())
        };
        let mut sets: HashMap<Option<usize>, _> = sets.into_iter().map(sorted).collect();
        for place in order {
            let rest = sets.get_mut(&self.set.get(place).copied());
            *place = rest.and_then(Iterator::next).expect("a set has as many rows as places");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use crate::dataset::tests::{dataset, texts_only};
    use crate::manifest::MixSource;
    use std::collections::BTreeSet;

    #[test]
    fn an_epoch_has_every_row_once_and_keeps_the_rows_of_a_picture_together() {
        let rows: Vec<_> = (0..60)
            .map(|row| ((row % 7 != 6).then_some((row % 12) as u8), Some("what")))
            .collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (0..60).filter(|row| row % 5 != 0).collect();
        let sampler = Sampler::new(&data, &indices, 8);
        let key = Key::new(3);
        let batches = sampler.epoch(&key, 0);
        assert_eq!(batches, sampler.epoch(&key, 0));
        assert_ne!(batches, sampler.epoch(&key, 1));
        assert_eq!(batches.len(), sampler.batch_count());
        let order: Vec<usize> = batches.concat();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, indices);
        for picture in 0..12u8 {
            let places = (0..order.len()).filter(|place| rows[order[*place]].0 == Some(picture));
            let places: Vec<usize> = places.collect();
            let apart = places.windows(2).any(|pair| pair[1] != pair[0] + 1);
            assert!(!apart, "the rows of picture {picture} are at {places:?}");
        }
    }

    #[test]
    fn a_bound_spreads_the_rows_of_a_picture_over_batches() {
        let rows: Vec<_> = (0..60).map(|row| (Some((row / 10) as u8), Some("what"))).collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (0..60).collect();
        let pictures = |bound: Option<usize>| {
            let sampler = Sampler::new(&data, &indices, 10).at_most(bound);
            let batches = sampler.epoch(&Key::new(5), 0);
            let mut all = batches.concat();
            all.sort_unstable();
            assert_eq!(all, indices);
            let of_batch = |batch: &Vec<usize>| batch.iter().map(|row| row / 10).collect::<BTreeSet<_>>().len();
            batches.iter().map(of_batch).sum::<usize>()
        };
        assert_eq!(pictures(None), 6);
        assert!((10..=18).contains(&pictures(Some(4))), "{}", pictures(Some(4)));
        assert!(pictures(Some(1)) > 24, "{}", pictures(Some(1)));
    }

    /// The characters of a batch's longest text, times its rows, summed.
    fn padded(batches: &[Vec<usize>], lengths: &[u64]) -> u64 {
        let longest = |batch: &Vec<usize>| batch.iter().map(|&row| lengths[row]).max();
        let padded = batches.iter().map(|batch| longest(batch).unwrap() * batch.len() as u64);
        padded.sum()
    }

    #[test]
    fn batches_by_length_hold_every_row_once_and_little_padding() {
        let texts: Vec<String> = (0..200).map(|row| "a".repeat(1 + row * 37 % 100)).collect();
        let data = texts_only(&texts);
        let indices: Vec<usize> = (0..200).collect();
        let plain = Sampler::new(&data, &indices, 8);
        let sampler = Sampler::new(&data, &indices, 8).by_length(&data);
        let (key, lengths) = (Key::new(1), indices.iter().map(|row| texts[*row].len() as u64));
        let lengths: Vec<u64> = lengths.collect();
        let batches = sampler.epoch(&key, 0);
        assert_eq!(batches, sampler.epoch(&key, 0));
        assert_ne!(batches, sampler.epoch(&key, 1));
        let mut rows = batches.concat();
        rows.sort_unstable();
        assert_eq!(rows, indices);
        let real: u64 = lengths.iter().sum();
        let (bucketed, mixed) = (padded(&batches, &lengths), padded(&plain.epoch(&key, 0), &lengths));
        assert!(
            bucketed * 100 < real * 110 && mixed * 100 > real * 150,
            "{bucketed} {mixed} {real}"
        );
        // The short and the long come by chance, not in their order.
        let first = |batches: &[Vec<usize>]| batches.iter().map(|batch| lengths[batch[0]]).collect::<Vec<_>>();
        assert!(!first(&batches).is_sorted());
        assert!(first(&sampler.in_order()).is_sorted());
    }

    /// Sets out of ranges of the rows of `data`, with their weights.
    fn mixture(data: &Dataset, sets: &[(std::ops::Range<usize>, f64)]) -> Mix {
        let set = |(rows, weight): &(std::ops::Range<usize>, f64)| MixSource {
            manifest: Manifest {
                path: "rows.jsonl".into(),
                root: "".into(),
                columns: Vec::new(),
                samples: data.samples()[rows.clone()].to_vec(),
                broken: Vec::new(),
            },
            weight: *weight,
        };
        Mix::join(sets.iter().map(set).collect()).unwrap().1
    }

    #[test]
    fn a_mixture_decides_how_often_a_row_comes() {
        let texts: Vec<String> = (0..12).map(|row| "a".repeat(row + 1)).collect();
        let data = texts_only(&texts);
        let mix = mixture(&data, &[(0..10, 1.0), (10..12, 1.0)]);
        let indices: Vec<usize> = (0..12).collect();
        for sampler in [
            Sampler::new(&data, &indices, 5).mixed(Some(mix.clone())),
            Sampler::new(&data, &indices, 5).mixed(Some(mix)).by_length(&data),
        ] {
            let epoch = sampler.epoch(&Key::new(2), 0);
            assert_eq!(epoch.len(), sampler.batch_count());
            let small = epoch.iter().flatten().filter(|row| **row >= 10).count();
            assert_eq!((small, epoch.concat().len()), (6, 12));
        }
    }

    /// A set of ten questions to a picture beside one of texts of many lengths, by chance and by length: each batch has its
    /// share of both, a picture is in hardly more batches than it must be, and the texts of a batch are of one length.
    #[test]
    fn a_mixture_keeps_the_rows_of_a_picture_together_and_sorts_each_set_by_itself() {
        let texts: Vec<String> = (0..400).map(|row| "a".repeat(1 + row * 37 % 100)).collect();
        let picture = |row: usize| (None, Some(texts[row].as_str()));
        let rows: Vec<_> = (0..400)
            .map(|row| {
                if row < 200 {
                    (Some((row / 10) as u8), Some("what"))
                } else {
                    picture(row)
                }
            })
            .collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (0..400).collect();
        let mix = mixture(&data, &[(0..200, 1.0), (200..400, 1.0)]);
        let sampler = || Sampler::new(&data, &indices, 40).mixed(Some(mix.clone()));
        let lengths: Vec<u64> = texts.iter().map(|text| text.len() as u64).collect();
        let check = |sampler: Sampler, most_padding: u64| {
            let batches = sampler.epoch(&Key::new(4), 0);
            let mut all = batches.concat();
            all.sort_unstable();
            assert_eq!(all, indices);
            let mut encoded = 0;
            let mut of_texts = Vec::new();
            for batch in &batches {
                let (asking, other): (Vec<usize>, Vec<usize>) = batch.iter().partition(|row| **row < 200);
                assert!((10..=30).contains(&asking.len()), "{} of 40", asking.len());
                encoded += asking.iter().map(|row| row / 10).collect::<BTreeSet<_>>().len();
                of_texts.push(other);
            }
            assert!(encoded <= 30, "20 pictures are encoded {encoded} times");
            let real: u64 = lengths[200..].iter().sum();
            let padded = padded(&of_texts, &lengths);
            assert!(padded * 100 < real * most_padding, "{padded} for {real}");
        };
        check(sampler(), 300);
        check(sampler().by_length(&data), 125);
    }
}
