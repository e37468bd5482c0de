//! The order of rows in an epoch, cut into batches: a pure function of seed and epoch.

use crate::dataset::{Dataset, identity};
use crate::random::Key;
use rand::seq::SliceRandom;
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that share a costly medium, kept together so that a batch encodes it once.
pub struct Sampler {
    groups: Vec<Vec<usize>>,
    batch_size: usize,
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
        Self { groups, batch_size }
    }

    /// How many batches an epoch has.
    pub fn batch_count(&self) -> usize {
        self.groups
            .iter()
            .map(Vec::len)
            .sum::<usize>()
            .div_ceil(self.batch_size)
    }

    /// The batches of an epoch: groups in random order, and rows in random order inside each group.
    pub fn epoch(&self, key: &Key) -> Vec<Vec<usize>> {
        let mut groups = self.groups.clone();
        let mut generator = key.with("order").generator();
        groups.shuffle(&mut generator);
        for group in &mut groups {
            group.shuffle(&mut generator);
        }
        self.cut(groups)
    }

    /// The batches in manifest order of their media, for evaluation.
    pub fn in_order(&self) -> Vec<Vec<usize>> {
        self.cut(self.groups.clone())
    }

    fn cut(&self, groups: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
        let order: Vec<usize> = groups.into_iter().flatten().collect();
        order.chunks(self.batch_size).map(<[usize]>::to_vec).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;

    #[test]
    fn an_epoch_has_every_row_once_and_keeps_the_rows_of_a_picture_together() {
        let rows: Vec<_> = (0..60)
            .map(|row| ((row % 7 != 6).then_some((row % 12) as u8), Some("what")))
            .collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (0..60).filter(|row| row % 5 != 0).collect();
        let sampler = Sampler::new(&data, &indices, 8);
        let key = Key::new(3);
        let batches = sampler.epoch(&key.at(0));
        assert_eq!(batches, sampler.epoch(&key.at(0)));
        assert_ne!(batches, sampler.epoch(&key.at(1)));
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
}
