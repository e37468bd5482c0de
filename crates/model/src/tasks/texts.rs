//! Texts as a decoder learns them: each row's tokens with an opening before them, against the same with an end behind them.

use super::{Losses, spread};
use crate::decoder::{Decoder, Vocabulary};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use burn::tensor::{Device, Int, Tensor, TensorData};
use sensorium_data::TargetTexts;
use sensorium_kernels::{CrossEntropyOptions, cross_entropy};

/// Stands for a place behind the end of a text.
const BEHIND: i64 = -1;

/// The texts of those rows that have one.
pub struct Texts<'a> {
    /// Rows of the batch, in order.
    rows: Vec<usize>,
    tokens: Vec<&'a [u32]>,
    /// Whether the end follows.
    ends: Vec<bool>,
    /// What stands before each text, in the place of the vocabulary's begin; none where that does before all of them.
    openings: Vec<Vec<u32>>,
    /// Rows in the batch.
    batch: usize,
}

impl<'a> Texts<'a> {
    /// The first text of each row.
    pub fn first(texts: &'a TargetTexts) -> Self {
        let first = texts.of_row.iter().map(|places| places.first());
        Self::new(first.map(|place| place.map(|&place| texts.tokens[place].as_slice())))
    }

    /// A text, or none, for each row of a batch.
    pub fn new(texts: impl Iterator<Item = Option<&'a [u32]>>) -> Self {
        let (mut rows, mut tokens, mut batch) = (Vec::new(), Vec::new(), 0);
        for (row, text) in texts.enumerate() {
            batch = row + 1;
            if let Some(text) = text {
                rows.push(row);
                tokens.push(text);
            }
        }
        Self {
            ends: vec![true; rows.len()],
            rows,
            tokens,
            openings: Vec::new(),
            batch,
        }
    }

    /// The same texts, each behind the opening of its row, none of which is empty; they are not learnt themselves.
    pub fn behind(mut self, openings: &[Vec<u32>]) -> Self {
        self.openings = self.rows.iter().map(|&row| openings[row].clone()).collect();
        self
    }

    /// Parts of texts, each as a row of its own, with whether its text ends behind it.
    pub fn parts(parts: impl Iterator<Item = (&'a [u32], bool)>) -> Self {
        let (tokens, ends): (Vec<_>, Vec<_>) = parts.unzip();
        Self {
            rows: (0..tokens.len()).collect(),
            batch: tokens.len(),
            tokens,
            ends,
            openings: Vec::new(),
        }
    }

    /// The rows that have a text.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    pub fn tokens(&self) -> &[&'a [u32]] {
        &self.tokens
    }

    /// The losses of predicting every token and the end, of each row of the batch; `memory` holds the rows with a text.
    pub fn losses(
        &self,
        decoder: &Decoder,
        vocabulary: Vocabulary,
        memory: Option<&Tokens>,
        smoothing: f64,
        pass: &Pass,
        device: &Device,
    ) -> Losses {
        let device = plain(device);
        let (inputs, targets) = self.shifted(vocabulary, &device);
        let logits = decoder.forward(inputs, memory, pass);
        let [texts, length, size] = logits.dims();
        let options = CrossEntropyOptions {
            ignored: Some(BEHIND),
            label_smoothing: if pass.is_training() { smoothing } else { 0.0 },
        };
        let losses = cross_entropy(logits.reshape([texts * length, size]), targets, options);
        let losses = losses.reshape([texts, length]).sum_dim(1).reshape([texts]);
        Losses {
            rows: self.spread(losses),
            counts: self.counts(),
        }
    }

    /// What the decoder reads [texts, length], and what it should say next, [texts · length].
    fn shifted(&self, vocabulary: Vocabulary, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>) {
        let begin = vec![vocabulary.begin];
        let openings: Vec<&Vec<u32>> = (0..self.tokens.len())
            .map(|text| self.openings.get(text).unwrap_or(&begin))
            .collect();
        let texts = self.tokens.iter().zip(&openings);
        let length = texts
            .map(|(tokens, opening)| opening.len() + tokens.len())
            .max()
            .unwrap_or(1);
        let mut inputs = vec![i64::from(vocabulary.end); self.tokens.len() * length];
        let mut targets = vec![BEHIND; inputs.len()];
        for (row, tokens) in self.tokens.iter().enumerate() {
            let (inputs, targets) = (&mut inputs[row * length..], &mut targets[row * length..]);
            // The last token of the opening is the first that something is said behind.
            let opening = openings[row];
            let first = opening.len() - 1;
            for (place, &token) in opening.iter().chain(*tokens).enumerate() {
                inputs[place] = i64::from(token);
            }
            for (place, &token) in tokens.iter().enumerate() {
                targets[first + place] = i64::from(token);
            }
            if self.ends[row] {
                targets[first + tokens.len()] = i64::from(vocabulary.end);
            }
        }
        let count = targets.len();
        (
            Tensor::from_data(TensorData::new(inputs, [self.tokens.len(), length]), device),
            Tensor::from_data(TensorData::new(targets, [count]), device),
        )
    }

    /// From values of the texts to values of the rows, zero where a row has none.
    pub fn spread(&self, values: Tensor<1>) -> Tensor<1> {
        spread(values, &self.rows, self.batch)
    }

    /// Tokens of each row, its end included.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.batch];
        for (place, &row) in self.rows.iter().enumerate() {
            counts[row] = self.tokens[place].len() + usize::from(self.ends[place]);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_read_and_not_learnt() {
        let vocabulary = Vocabulary {
            size: 10,
            begin: 1,
            end: 9,
        };
        let texts = || Texts::new([Some([5, 6].as_slice()), None, Some(&[7])].into_iter());
        let shifted = |texts: Texts| {
            let (inputs, targets) = texts.shifted(vocabulary, &Device::flex());
            let read = |values: TensorData| values.iter::<i64>().collect::<Vec<_>>();
            (read(inputs.into_data()), read(targets.into_data()))
        };
        let three = vec![vec![1, 2, 3]; 3];
        let (inputs, targets) = shifted(texts().behind(&three));
        assert_eq!(inputs, [1, 2, 3, 5, 6, 1, 2, 3, 7, 9]);
        assert_eq!(targets, [-1, -1, 5, 6, 9, -1, -1, 7, 9, -1]);
        let (inputs, targets) = shifted(texts().behind(&[vec![1], vec![0], vec![4, 3, 1]]));
        assert_eq!(inputs, [1, 5, 6, 9, 4, 3, 1, 7]);
        assert_eq!(targets, [5, 6, 9, -1, -1, -1, 7, 9]);
        let (inputs, targets) = shifted(texts());
        assert_eq!(inputs, [1, 5, 6, 1, 7, 9]);
        assert_eq!(targets, [5, 6, 9, 7, 9, -1]);
        assert_eq!(texts().behind(&three).counts(), [3, 0, 2]);
    }
}
