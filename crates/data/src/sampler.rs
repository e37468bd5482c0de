//! The order of rows in an epoch, cut into batches: a pure function of seed and epoch.

use crate::dataset::{Dataset, identity};
use crate::manifest::Mix;
use crate::random::Key;
use rand::seq::SliceRandom;
use std::collections::HashMap;
use std::sync::Arc;

/// Among how many batches of an epoch rows are sorted by length.
const BUCKET_BATCHES: usize = 50;

/// Rows that share a costly medium, kept together so that a batch encodes it once.
pub struct Sampler {
    groups: Vec<Vec<usize>>,
    batch_size: usize,
    mix: Option<Mix>,
    /// Of each row, where batches hold rows of similar length.
    lengths: Option<HashMap<usize, u64>>,
}

impl Sampler {
    /// Groups `indices` (into the samples of `dataset`) by their shared medium.
    pub fn new(dataset: &Dataset, indices: &[usize], batch_size: usize) -> Self {
        let column = dataset.shared_column();
        let mut places: HashMap<Arc<str>, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &index in indices {
            let value = column.map(|column| dataset.samples()[index].get(column));
            let medium = value.filter(|value| **value != crate::Value::Absent).map(identity);
            let place = match medium {
                Some(medium) => *places.entry(medium).or_insert(groups.len()),
                None => groups.len(),
            };
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(index);
        }
        Self {
            groups,
            batch_size,
            mix: None,
            lengths: None,
        }
    }

    /// Takes the rows of an epoch from several sets by their weights, instead of each row once.
    pub fn mixed(mut self, mix: Option<Mix>) -> Self {
        self.mix = mix;
        self
    }

    /// Puts rows of similar length in one batch: sorts them among a few dozen batches of an epoch, which then come in
    /// random order.
    pub fn by_length(mut self, dataset: &Dataset) -> Self {
        let rows = self.groups.iter().flatten();
        self.lengths = Some(rows.map(|&row| (row, dataset.length(row))).collect());
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
            None => self.shuffled(&key.at(epoch)),
        };
        match &self.lengths {
            Some(lengths) => self.bucketed(order, lengths, &key.at(epoch)),
            None => self.cut(&order),
        }
    }

    fn shuffled(&self, key: &Key) -> Vec<usize> {
        let mut groups = self.groups.clone();
        let mut generator = key.with("order").generator();
        groups.shuffle(&mut generator);
        for group in &mut groups {
            group.shuffle(&mut generator);
        }
        groups.concat()
    }

    fn bucketed(&self, mut order: Vec<usize>, lengths: &HashMap<usize, u64>, key: &Key) -> Vec<Vec<usize>> {
        for part in order.chunks_mut(BUCKET_BATCHES * self.batch_size) {
            part.sort_by_key(|row| lengths[row]);
        }
        let mut batches = self.cut(&order);
        batches.shuffle(&mut key.with("buckets").generator());
        batches
    }

    /// The batches for evaluation: in manifest order of their media, or of rising length.
    pub fn in_order(&self) -> Vec<Vec<usize>> {
        let mut order = self.groups.concat();
        if let Some(lengths) = &self.lengths {
            order.sort_by_key(|row| lengths[row]);
        }
        self.cut(&order)
    }

    fn cut(&self, order: &[usize]) -> Vec<Vec<usize>> {
        order.chunks(self.batch_size).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;
    use crate::dataset::tests::{dataset, texts_only};
    use crate::manifest::MixSource;

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

    /// The characters of a batch's longest text, times its rows, summed.
    fn padded(batches: &[Vec<usize>], lengths: &HashMap<usize, u64>) -> u64 {
        let longest = |batch: &Vec<usize>| batch.iter().map(|row| lengths[row]).max();
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
        let (key, lengths) = (Key::new(1), sampler.lengths.clone().unwrap());
        let batches = sampler.epoch(&key, 0);
        assert_eq!(batches, sampler.epoch(&key, 0));
        assert_ne!(batches, sampler.epoch(&key, 1));
        let mut rows = batches.concat();
        rows.sort_unstable();
        assert_eq!(rows, indices);
        let real: u64 = lengths.values().sum();
        let (bucketed, mixed) = (padded(&batches, &lengths), padded(&plain.epoch(&key, 0), &lengths));
        assert!(
            bucketed * 100 < real * 110 && mixed * 100 > real * 150,
            "{bucketed} {mixed} {real}"
        );
        // The short and the long come by chance, not in their order.
        let first = |batches: &[Vec<usize>]| batches.iter().map(|batch| lengths[&batch[0]]).collect::<Vec<_>>();
        assert!(!first(&batches).is_sorted());
        assert!(first(&sampler.in_order()).is_sorted());
    }

    #[test]
    fn a_mixture_decides_how_often_a_row_comes() {
        let texts: Vec<String> = (0..12).map(|row| "a".repeat(row + 1)).collect();
        let data = texts_only(&texts);
        let set = |rows: std::ops::Range<usize>, weight: f64| MixSource {
            manifest: Manifest {
                path: "rows.jsonl".into(),
                root: "".into(),
                columns: Vec::new(),
                samples: data.samples()[rows].to_vec(),
                broken: Vec::new(),
            },
            weight,
        };
        let (_, mix) = Mix::join(vec![set(0..10, 1.0), set(10..12, 1.0)]).unwrap();
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
}
