//! Small random frames, and what trying every path through them gives.

use super::forward::add;
use super::frames::Frames;
use rand::RngExt;
use sensorium_data::random::Key;
use std::collections::BTreeMap;

pub struct Random {
    values: Vec<f32>,
    length: usize,
    classes: usize,
    pub blank: usize,
}

impl Random {
    /// Probabilities of each frame that sum to one.
    pub fn new(seed: u64, length: usize, classes: usize, blank: usize) -> Self {
        let mut generator = Key::new(seed).with("ctc").generator();
        let mut values = Vec::new();
        for _ in 0..length {
            let logits: Vec<f32> = (0..classes).map(|_| 8.0 * generator.random::<f32>()).collect();
            let total = logits.iter().map(|logit| logit.exp()).sum::<f32>().ln();
            values.extend(logits.iter().map(|logit| logit - total));
        }
        Self {
            values,
            length,
            classes,
            blank,
        }
    }

    pub fn frames(&self) -> Frames<'_> {
        Frames::new(&self.values, self.length, self.classes, self.blank).unwrap()
    }
}

/// Every path through the frames with its log probability.
pub fn paths<'a>(frames: &'a Frames) -> impl Iterator<Item = (Vec<usize>, f64)> + 'a {
    let classes = frames.classes();
    (0..classes.pow(frames.len() as u32)).map(move |number| {
        let path: Vec<usize> = (0..frames.len())
            .map(|at| number / classes.pow(at as u32) % classes)
            .collect();
        let values = path
            .iter()
            .enumerate()
            .map(|(at, &class)| f64::from(frames.frame(at)[class]));
        let log_probability = values.sum();
        (path, log_probability)
    })
}

/// The tokens that a path reads as.
pub fn collapse(frames: &Frames, path: &[usize]) -> Vec<u32> {
    let mut path = path.to_vec();
    path.dedup();
    path.retain(|&class| class != frames.blank());
    path.into_iter().map(|class| class as u32).collect()
}

/// The log probability of everything that the frames can be read as.
pub fn sums(frames: &Frames) -> BTreeMap<Vec<u32>, f64> {
    let mut sums = BTreeMap::new();
    for (path, log_probability) in paths(frames) {
        let sum = sums.entry(collapse(frames, &path)).or_insert(f64::NEG_INFINITY);
        *sum = add(*sum, log_probability);
    }
    sums
}
