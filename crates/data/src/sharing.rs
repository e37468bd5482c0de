//! What rows share and how long they are: what decides which of them go into one batch.

use crate::dataset::{Dataset, InputColumn, identity};
use crate::groups::{shuffled, together};
use crate::random::Key;
use crate::sample::each;
use crate::{Modality, Sample, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// About how long a row is: the place of the input that says so, and the bytes of its value as they are stored.
pub(crate) type Length = (usize, u64);

/// The media that several rows may be about. A picture is what questions are asked about, whether written or spoken.
const SHARED: [Modality; 3] = [Modality::Video, Modality::Image, Modality::Audio];

impl Dataset {
    /// The medium that a row shares with others, which a batch should encode once: its video, or else its picture, or
    /// else its sound. Rows of different sets may have different ones, or none.
    pub fn shared(&self, sample: &Sample) -> Option<Arc<str>> {
        let input = SHARED
            .iter()
            .find_map(|modality| self.present(sample, *modality).next())?
            .1;
        Some(identity(sample.get(&input.column)))
    }

    /// At most `most` of the rows at `indices`, in their order: a random part, of which those that share a medium are drawn
    /// together.
    pub fn draw(&self, indices: &[usize], most: usize, key: &Key) -> Vec<usize> {
        let groups = together(indices.to_vec(), |row| self.shared(&self.samples()[row]));
        let mut drawn = shuffled(&groups, key).concat();
        drawn.truncate(most);
        let drawn: HashSet<usize> = drawn.into_iter().collect();
        indices.iter().copied().filter(|row| drawn.contains(row)).collect()
    }

    /// Whether any of the rows has a length to go by.
    pub fn has_lengths(&self) -> bool {
        self.samples().iter().any(|sample| self.length_input(sample).is_some())
    }

    /// About how long a row is; none where it has nothing to go by. What could not be read has no bytes.
    pub(crate) fn length(&self, index: usize) -> Option<Length> {
        let sample = &self.samples()[index];
        let (place, input) = self.length_input(sample)?;
        let mut length = 0;
        each(sample.get(&input.column), &mut |value| {
            length += match (value, input.processor.modality()) {
                (Value::Text(text), Modality::Text) => text.len() as u64,
                (Value::Text(name), _) => {
                    std::fs::metadata(self.root().join(name)).map_or(0, |metadata| metadata.len())
                }
                (Value::Bytes(bytes), _) => bytes.len() as u64,
                (Value::Stored(stored), _) => stored.length,
                _ => 0,
            };
        });
        Some((place, length))
    }

    /// The input in which rows like this one differ most in length: its first sound, or its first text where it has no
    /// other medium.
    fn length_input<'a>(&'a self, sample: &'a Sample) -> Option<(usize, &'a InputColumn)> {
        let mut others = [Modality::Video, Modality::Image].into_iter();
        match self.present(sample, Modality::Audio).next() {
            Some(sound) => Some(sound),
            None if others.any(|modality| self.present(sample, modality).next().is_some()) => None,
            None => self.present(sample, Modality::Text).next(),
        }
    }

    /// The inputs of a modality that a row has, with their places.
    fn present<'a>(&'a self, sample: &'a Sample, modality: Modality) -> impl Iterator<Item = (usize, &'a InputColumn)> {
        let inputs = self.inputs().iter().enumerate();
        inputs.filter(move |(_, input)| {
            input.processor.modality() == modality && *sample.get(&input.column) != Value::Absent
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::dataset;

    #[test]
    fn each_row_shares_what_it_has_itself() {
        let data = dataset(&[
            (Some(1), Some("what")),
            (Some(1), None),
            (None, Some("what is it")),
            (None, None),
        ]);
        let shared = |row: usize| data.shared(&data.samples()[row]);
        assert!(shared(0).is_some() && shared(0) == shared(1));
        assert_eq!([shared(2), shared(3)], [None, None]);
        // A text is long where nothing else is there; beside a picture it does not count.
        let lengths = [0, 1, 2, 3].map(|row| data.length(row));
        assert_eq!(lengths, [None, None, Some((1, 10)), None]);
        assert!(data.has_lengths());
        assert!(!dataset(&[(Some(1), Some("what"))]).has_lengths());
    }

    #[test]
    fn a_part_is_drawn_by_whole_pictures() {
        let rows: Vec<_> = (0..60).map(|row| (Some(row / 6), Some("what"))).collect();
        let data = dataset(&rows);
        let indices: Vec<usize> = (6..60).collect();
        let draw = |most, seed| data.draw(&indices, most, &Key::new(seed));
        let part = draw(18, 1);
        assert_eq!(part, draw(18, 1));
        assert_ne!(part, draw(18, 2));
        assert!(part.len() == 18 && part.is_sorted() && part[0] >= 6);
        let pictures: HashSet<usize> = part.iter().map(|row| row / 6).collect();
        assert_eq!(pictures.len(), 3);
        assert_eq!(draw(100, 1), indices);
    }
}
