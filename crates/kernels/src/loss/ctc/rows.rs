//! The labels and lengths of a batch.

use std::ops::Range;

use burn::tensor::{Int, Tensor};

use super::lattice::Lattice;

/// What is to be aligned in each row of a batch.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The classes of the labels of each row.
    pub labels: Vec<Vec<usize>>,
    /// The number of frames of each row.
    pub frames: Vec<usize>,
    pub blank: usize,
}

impl Rows {
    /// Checks the lengths, and reads the labels that they leave.
    pub fn new(
        [batch, time, classes]: [usize; 3],
        targets: Tensor<2, Int>,
        input_lengths: &[usize],
        target_lengths: &[usize],
        blank: usize,
    ) -> Self {
        let [rows, width] = targets.dims();
        assert!(
            [rows, input_lengths.len(), target_lengths.len()] == [batch; 3],
            "ctc_loss: {batch} rows of logits need as many targets and lengths, found {rows} targets, {} and {} lengths",
            input_lengths.len(),
            target_lengths.len(),
        );
        assert!(
            blank < classes,
            "ctc_loss: the blank {blank} is not one of {classes} classes"
        );
        let targets: Vec<i64> = targets.into_data().iter::<i64>().collect();
        let labels = |(row, &length): (usize, &usize)| {
            assert!(
                length <= width && input_lengths[row] <= time,
                "ctc_loss: row {row} has {} frames of {time} and {length} labels of {width}",
                input_lengths[row],
            );
            let label = |&label: &i64| {
                let class = usize::try_from(label)
                    .ok()
                    .filter(|&class| class < classes && class != blank);
                class.unwrap_or_else(|| {
                    panic!(
                        "ctc_loss: a label of row {row} is {label}, which is not one of {classes} classes other than \
                         the blank {blank}: check the labels or the width of the head"
                    )
                })
            };
            targets[row * width..][..length].iter().map(label).collect()
        };
        Self {
            labels: target_lengths.iter().enumerate().map(labels).collect(),
            frames: input_lengths.to_vec(),
            blank,
        }
    }

    /// Whether a row has a frame for each of its labels, and for a blank between equal ones.
    pub fn possible(&self, row: usize) -> bool {
        let labels = &self.labels[row];
        let repeats = labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
        labels.len() + repeats <= self.frames[row]
    }

    /// The lattice of each row.
    pub fn lattices(&self) -> Vec<Lattice> {
        let lattice = |labels: &Vec<usize>| Lattice::new(labels, self.blank);
        self.labels.iter().map(lattice).collect()
    }

    /// The part of each row in a buffer that holds a line for every frame.
    pub fn parts(&self, lattices: &[Lattice]) -> Vec<Range<usize>> {
        let mut end = 0;
        let part = |(lattice, &frames): (&Lattice, &usize)| {
            let start = end;
            end += lattice.line() * frames;
            start..end
        };
        lattices.iter().zip(&self.frames).map(part).collect()
    }

    /// Whether number `frame` of [batch, time] belongs to its row.
    pub fn holds(&self, frame: usize, time: usize) -> bool {
        frame % time < self.frames[frame / time]
    }
}
