//! What sequences attend to: the keys and values of media, each of which several sequences may share.

use crate::layers::MultiHeadAttention;
use crate::tokens::Tokens;
use burn::tensor::{Bool, Device, Int, Tensor};
use sensorium_kernels::{AttentionOptions, KeyValueCache};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The keys and values of some media. The sequences of a beam read those of their medium together: none is copied.
#[derive(Debug, Clone)]
pub struct Memory {
    /// Of [media, heads, positions, width]; a clone shares it.
    cache: Arc<KeyValueCache>,
    /// [media, positions], true = real
    mask: Tensor<2, Bool>,
    /// The medium of each sequence; those of one medium stand together, in the order of media.
    of_sequence: Vec<usize>,
    /// What products of queries and keys are multiplied by, where it is not the usual factor.
    scale: Option<f64>,
}

impl Memory {
    /// What `attention` makes of `tokens`, one sequence for each medium.
    pub fn new(attention: &MultiHeadAttention, tokens: &Tokens) -> Self {
        let [media, _] = tokens.mask.dims();
        Self {
            cache: Arc::new(attention.remember(tokens.embeddings.clone())),
            mask: tokens.mask.clone(),
            of_sequence: (0..media).collect(),
            scale: attention.scale(),
        }
    }

    /// Lets sequence i go on from what was sequence `rows[i]`; the order of media stays.
    pub fn reorder(&mut self, rows: &[usize]) {
        self.of_sequence = rows.iter().map(|&row| self.of_sequence[row]).collect();
        let alive: BTreeSet<usize> = self.of_sequence.iter().copied().collect();
        // Media that no sequence reads any more cost time in each step, and leaving them out costs a copy.
        if 2 * alive.len() <= self.mask.dims()[0] {
            self.keep(&alive.into_iter().collect::<Vec<_>>());
        }
    }

    /// Leaves out all media but those in `alive`.
    fn keep(&mut self, alive: &[usize]) {
        Arc::make_mut(&mut self.cache).reorder(alive);
        self.mask = self
            .mask
            .clone()
            .int()
            .select(0, index(alive, &self.mask.device()))
            .bool();
        let place = |medium: &usize| alive.binary_search(medium).expect("a medium that is read is kept");
        self.of_sequence = self.of_sequence.iter().map(place).collect();
    }

    /// Attention of `queries` [sequences, heads, length, width] to the real positions of their media.
    pub fn attend(&self, queries: Tensor<4>) -> Tensor<4> {
        let [sequences, heads, length, width] = queries.dims();
        let media = self.mask.dims()[0];
        let places = self.places(media);
        let most = places.iter().map(Vec::len).max().unwrap_or(0);
        let device = queries.device();
        let even = sequences == media * most;
        let queries = match even {
            true => queries,
            false => queries.select(0, padded(&places, most, &device)),
        };
        let together = queries.reshape([media, most, heads, length, width]).swap_dims(1, 2);
        let together = together.reshape([media, heads, most * length, width]);
        let options = AttentionOptions {
            scale: self.scale,
            ..AttentionOptions::padded(self.mask.clone())
        };
        let mixed = self.cache.recall(together, options);
        let apart = mixed.reshape([media, heads, most, length, width]).swap_dims(1, 2);
        let apart = apart.reshape([media * most, heads, length, width]);
        match even {
            true => apart,
            false => apart.select(0, unpadded(&places, most, &device)),
        }
    }

    /// The sequences of each medium.
    fn places(&self, media: usize) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new(); media];
        for (sequence, &medium) in self.of_sequence.iter().enumerate() {
            places[medium].push(sequence);
        }
        places
    }
}

/// The sequences of each medium, filled up to `most` with the first one, whose results are left out again.
fn padded(places: &[Vec<usize>], most: usize, device: &Device) -> Tensor<1, Int> {
    let filled = |places: &Vec<usize>| {
        let filling = std::iter::repeat_n(0, most - places.len());
        places.iter().copied().chain(filling).collect::<Vec<_>>()
    };
    index(&places.iter().flat_map(filled).collect::<Vec<_>>(), device)
}

/// Where each sequence stands among those that [`padded`] gives.
fn unpadded(places: &[Vec<usize>], most: usize, device: &Device) -> Tensor<1, Int> {
    let stand = |(medium, places): (usize, &Vec<usize>)| (0..places.len()).map(move |place| medium * most + place);
    index(&places.iter().enumerate().flat_map(stand).collect::<Vec<_>>(), device)
}

fn index(places: &[usize], device: &Device) -> Tensor<1, Int> {
    let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
    Tensor::from_ints(places.as_slice(), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::init::Init;
    use crate::pass::Pass;
    use crate::tokens::Layout;

    const WIDTH: usize = 4;

    fn tensor(batch: usize, length: usize, seed: u64) -> Tensor<3> {
        let init = Init::new(seed, &Device::flex());
        init.normal("x", [batch, length, WIDTH], 1.0).val()
    }

    /// Sequences attend to the media that `orders`, one after the other, leave them.
    fn check(media: usize, orders: &[&[usize]], expected: &[usize]) {
        let device = Device::flex();
        let attention = MultiHeadAttention::new(WIDTH, WIDTH, 2, 0.0, &Init::new(1, &device));
        let tokens = Tokens::full(tensor(media, 7, 2), Layout::Sequence);
        let mut memory = Memory::new(&attention, &tokens);
        orders.iter().for_each(|rows| memory.reorder(rows));
        let x = tensor(expected.len(), 2, 3);
        let found = to_vec(attention.recall(x.clone(), x.clone(), &memory));
        let read = tokens.select(index(expected, &device));
        let plain = attention.forward(x.clone(), x, read.embeddings, &read.mask, &Pass::evaluation());
        for (found, plain) in found.iter().zip(to_vec(plain)) {
            assert!((found - plain).abs() < 1e-5, "{orders:?}: {found}, not {plain}");
        }
    }

    #[test]
    fn sequences_attend_to_their_media() {
        check(3, &[], &[0, 1, 2]);
        check(2, &[&[0, 0, 0, 1, 1, 1]], &[0, 0, 0, 1, 1, 1]);
        check(3, &[&[0, 0, 1, 2, 2, 2]], &[0, 0, 1, 2, 2, 2]);
        // Media end, the second at once and then the first two.
        check(4, &[&[0, 0, 1, 2, 2, 3], &[0, 1, 4, 5, 5], &[2, 3, 3]], &[2, 3, 3]);
    }
}
