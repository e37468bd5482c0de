//! How a decoder that was trained elsewhere is asked about its source.

use crate::decoder::Piece;
use serde::{Deserialize, Serialize};

/// The tokens around a source that a decoder was trained with elsewhere: its prompts say where the source stands, and answers
/// follow them with nothing between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// The token of a prompt in whose place the source stands.
    pub place: u32,
    /// What ends an answer beside the vocabulary's end.
    pub ends: Vec<u32>,
    /// What stands around the parts of the source; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
}

/// The tokens around a picture that is read whole or in tiles (Laurençon et al. 2024).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// In front of each tile and of the whole picture, and behind this one.
    pub edge: u32,
    /// Behind it where the whole picture follows.
    pub whole: u32,
    /// Behind it where a tile follows, by its row and its column.
    pub tiles: Vec<Vec<u32>>,
    /// Between two rows of tiles.
    pub between: Vec<u32>,
    /// Behind the last row.
    pub last: Vec<u32>,
}

impl Asking {
    /// What stands in a prompt in front of the source and behind it, `begin` where there is nothing.
    pub fn around(&self, prompt: &[u32], begin: u32) -> (Vec<u32>, Vec<u32>) {
        let (front, behind) = match prompt.iter().position(|&token| token == self.place) {
            Some(at) => (&prompt[..at], &prompt[at + 1..]),
            None => (&[][..], prompt),
        };
        let behind = if behind.is_empty() { &[begin][..] } else { behind };
        (front.to_vec(), behind.to_vec())
    }

    /// What is read before the rest of a prompt: `front`, and the source of `length` tokens, which has room for so many `tiles`
    /// and those of this `grid`, rows and columns; none where the source is absent.
    pub fn pieces(&self, front: Vec<u32>, grid: Option<[usize; 2]>, [length, tiles]: [usize; 2]) -> Vec<Piece> {
        match (&self.marks, grid) {
            (None, _) => vec![Piece::Tokens(front), Piece::Source(0..length)],
            (Some(_), None) => vec![Piece::Tokens(front)],
            (Some(marks), Some(grid)) => {
                let mut pieces = vec![Piece::Tokens(front)];
                pieces.extend(marks.around(grid, length / tiles));
                pieces
            }
        }
    }
}

impl Marks {
    /// The tiles of a `grid`, each of so many tokens, and the whole picture behind them; this alone of one tile.
    fn around(&self, [rows, columns]: [usize; 2], tokens: usize) -> Vec<Piece> {
        let part = |number: usize| Piece::Source(number * tokens..(number + 1) * tokens);
        let count = if rows * columns == 1 { 0 } else { rows * columns };
        let mut pieces = Vec::new();
        for number in 0..count {
            let (row, column) = (number / columns, number % columns);
            pieces.push(Piece::Tokens(vec![self.edge, self.tiles[row][column]]));
            pieces.push(part(number));
            match (column + 1 == columns, row + 1 == rows) {
                (true, true) => pieces.push(Piece::Tokens(self.last.clone())),
                (true, false) => pieces.push(Piece::Tokens(self.between.clone())),
                (false, _) => {}
            }
        }
        pieces.push(Piece::Tokens(vec![self.edge, self.whole]));
        pieces.push(part(count));
        pieces.push(Piece::Tokens(vec![self.edge]));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens that are read, with 1000 and more for those of a source with two to a tile.
    fn check(grid: Option<[usize; 2]>, expected: &[u32]) {
        let asking = Asking {
            place: 9,
            ends: Vec::new(),
            marks: Some(Marks {
                edge: 1,
                whole: 2,
                tiles: vec![vec![11, 12], vec![21, 22]],
                between: vec![3],
                last: vec![4, 4],
            }),
        };
        let found = asking
            .pieces(vec![7], grid, [10, 5])
            .into_iter()
            .flat_map(|piece| match piece {
                Piece::Tokens(tokens) => tokens,
                Piece::Source(range) => range.map(|place| 1000 + place as u32).collect(),
            });
        assert_eq!(found.collect::<Vec<u32>>(), expected, "{grid:?}");
    }

    #[test]
    fn tiles_are_told_apart_by_the_tokens_around_them() {
        check(None, &[7]);
        check(Some([1, 1]), &[7, 1, 2, 1000, 1001, 1]);
        check(
            Some([1, 2]),
            &[7, 1, 11, 1000, 1001, 1, 12, 1002, 1003, 4, 4, 1, 2, 1004, 1005, 1],
        );
        check(
            Some([2, 1]),
            &[7, 1, 11, 1000, 1001, 3, 1, 21, 1002, 1003, 4, 4, 1, 2, 1004, 1005, 1],
        );
    }
}
