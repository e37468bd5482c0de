//! What a decoder reads in front of a text where the tokens of a source stand among others.

use crate::tokens::{Layout, Tokens, plain};
use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;
use std::sync::Arc;

/// A part of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Tokens of the vocabulary.
    Tokens(Vec<u32>),
    /// Those tokens of the source that stand at these places; what is padding there is left out.
    Source(Range<usize>),
    /// The same of tokens on planes one behind the other, row by row, which stand where they lie there.
    Planes(Range<usize>, PatchPlanes),
}

/// Planes of patches, and how many places one stands behind the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchPlanes {
    pub time: usize,
    pub rows: usize,
    pub columns: usize,
    pub step: f32,
}

impl PatchPlanes {
    /// The time, row and column of each patch, counted from the place `first` on.
    fn places(&self, first: usize) -> impl Iterator<Item = [usize; 3]> {
        let (rows, columns, step) = (self.rows, self.columns, self.step);
        (0..self.time * rows * columns).map(move |number| {
            let (plane, place) = (number / (rows * columns), number % (rows * columns));
            // In numbers of 32 bits, as the original counts.
            let time = (plane as f32 * step) as usize;
            [time, place / columns, place % columns].map(|at| first + at)
        })
    }
}

/// The pieces of each row one after the other, [rows, longest, width]: `source` has a sequence for each row, and `embed` gives
/// the vectors of tokens, [1, count, width].
///
/// # Panics
/// For places that the source does not have.
pub fn arranged(source: Tokens, rows: &[Vec<Piece>], embed: impl Fn(&[u32]) -> Tensor<3>) -> Tokens {
    let [batch, length, width] = source.embeddings.dims();
    assert_eq!(batch, rows.len(), "pieces for each row of the source");
    let real: Vec<bool> = source.mask.into_data().iter::<bool>().collect();
    let mut tokens = Vec::new();
    // Places among the tokens of all rows, behind those of the source.
    let places = |row: usize, pieces: &Vec<Piece>, tokens: &mut Vec<u32>| {
        let mut places = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Tokens(own) => {
                    places.extend((0..own.len()).map(|place| batch * length + tokens.len() + place));
                    tokens.extend(own);
                }
                Piece::Source(range) | Piece::Planes(range, _) => {
                    assert!(range.end <= length, "the source has {length} tokens");
                    let range = row * length + range.start..row * length + range.end;
                    places.extend(range.filter(|&place| real[place]));
                }
            }
        }
        places
    };
    let stand = rows.iter().flatten().any(|piece| matches!(piece, Piece::Planes(..)));
    let spots = |pieces: &Vec<Piece>| Arc::new(spots(pieces));
    let spots = stand.then(|| Arc::new(rows.iter().map(spots).collect()));
    let rows = rows.iter().enumerate();
    let rows: Vec<Vec<usize>> = rows.map(|(row, pieces)| places(row, pieces, &mut tokens)).collect();
    let all = source.embeddings.reshape([batch * length, width]);
    let all = match tokens.is_empty() {
        true => all,
        false => Tensor::cat(vec![all, embed(&tokens).reshape([tokens.len(), width])], 0),
    };
    Tokens {
        places: spots,
        ..selected(all, &rows)
    }
}

/// The time, row and column of each token of some pieces, of which each begins behind the last place of the one before (Wang et al.
/// 2024).
fn spots(pieces: &[Piece]) -> Vec<[usize; 3]> {
    let (mut spots, mut next) = (Vec::new(), 0);
    for piece in pieces {
        match piece {
            Piece::Planes(_, planes) => {
                spots.extend(planes.places(next));
                next = spots.iter().flatten().max().map_or(next, |last| last + 1);
            }
            Piece::Tokens(tokens) => {
                spots.extend((next..next + tokens.len()).map(|place| [place; 3]));
                next += tokens.len();
            }
            Piece::Source(range) => {
                spots.extend((next..next + range.len()).map(|place| [place; 3]));
                next += range.len();
            }
        }
    }
    spots
}

/// The `rows` of tokens from `all` [tokens, width], filled up to the longest one.
fn selected(all: Tensor<2>, rows: &[Vec<usize>]) -> Tokens {
    let ([_, width], device) = (all.dims(), plain(&all.device()));
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let filled = |row: &Vec<usize>| {
        let filling = std::iter::repeat_n(0, longest - row.len());
        row.iter()
            .copied()
            .chain(filling)
            .map(|place| place as i64)
            .collect::<Vec<_>>()
    };
    let index: Vec<i64> = rows.iter().flat_map(filled).collect();
    let real: Vec<bool> = rows
        .iter()
        .flat_map(|row| (0..longest).map(|place| place < row.len()))
        .collect();
    let index = Tensor::<1, Int>::from_ints(index.as_slice(), &device);
    Tokens::new(
        all.select(0, index).reshape([rows.len(), longest, width]),
        Tensor::from_data(TensorData::new(real, [rows.len(), longest]), &device),
        Layout::Sequence,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use burn::tensor::Device;

    #[test]
    fn each_piece_begins_behind_the_last_place_of_the_one_before() {
        let planes = PatchPlanes {
            time: 2,
            rows: 1,
            columns: 3,
            step: 2.5,
        };
        let check = |step: f32, time: usize, behind: usize| {
            let planes = PatchPlanes { step, ..planes };
            let pieces = [
                Piece::Tokens(vec![7, 8]),
                Piece::Planes(0..6, planes),
                Piece::Tokens(vec![9]),
            ];
            let plane = |time: usize| [[time, 2, 2], [time, 2, 3], [time, 2, 4]];
            let expected = [&[[0; 3], [1; 3]], &plane(2)[..], &plane(time), &[[behind; 3]]].concat();
            assert_eq!(spots(&pieces), expected);
        };
        check(1.5, 3, 5);
        check(4.5, 6, 7);
    }

    #[test]
    fn tokens_and_parts_of_a_source_stand_as_they_are_listed() {
        let device = Device::flex();
        let x = Tensor::<1>::from_floats([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &device).reshape([2, 3, 1]);
        let mask = Tensor::<2>::from_floats([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]], &device).greater_elem(0.5);
        let source = Tokens::new(x, mask, Layout::Sequence);
        let embed = |tokens: &[u32]| {
            let values: Vec<f32> = tokens.iter().map(|&token| -(token as f32)).collect();
            Tensor::<1>::from_floats(values.as_slice(), &device).reshape([1, tokens.len(), 1])
        };
        let rows = [
            vec![
                Piece::Tokens(vec![7, 8]),
                Piece::Source(1..3),
                Piece::Tokens(vec![9]),
                Piece::Source(0..1),
            ],
            vec![Piece::Source(0..3), Piece::Tokens(vec![6])],
        ];
        let found = arranged(source, &rows, embed);
        assert_eq!(found.embeddings.dims(), [2, 6, 1]);
        let real: Vec<bool> = found.mask.into_data().iter::<bool>().collect();
        let values = to_vec(found.embeddings);
        assert_eq!(values[..6], [-7.0, -8.0, 2.0, 3.0, -9.0, 1.0]);
        assert_eq!(values[6..8], [4.0, -6.0]);
        assert_eq!(real, [[true; 6], [true, true, false, false, false, false]].concat());
    }
}
