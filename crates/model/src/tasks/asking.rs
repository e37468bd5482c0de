//! How a decoder that was trained elsewhere is asked about its source.

use crate::decoder::{PatchPlanes, Piece};
use crate::media::tiles;
use sensorium_data::processors::PatchGrid;
use serde::{Deserialize, Serialize};

/// The tokens around a source that a decoder was trained with elsewhere: its prompts say where the source stands, and answers
/// follow them with nothing between.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asking {
    /// The token of a prompt in whose place a picture stands.
    pub place: u32,
    /// The same of a video's frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<u32>,
    /// The inputs that hold pictures and, behind it, a video; the source where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<String>,
    /// What ends an answer beside the vocabulary's end.
    pub ends: Vec<u32>,
    /// What stands around the parts of a picture; nothing where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<Marks>,
    /// The places that a second of a video takes, where those of patches are told by row and column; none where all tokens stand in
    /// one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<f64>,
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

/// What is read of a prompt up to its last picture, and the tokens behind.
pub type Parted = (Vec<Piece>, Vec<u32>);

/// A picture or a video of a row among the tokens of its sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where it begins.
    first: usize,
    /// The tokens of a tile, or of one that is read whole.
    size: usize,
    /// The rows and columns of tiles.
    tiles: [usize; 2],
    /// How its tokens lie, where that is told by row and column.
    planes: Option<PatchPlanes>,
}

impl Asking {
    /// What is read of a prompt up to the last picture, those that are `shown` in their places, and the tokens behind, `begin`
    /// where there are none. Without a prompt all pictures are read.
    pub fn parted(&self, prompt: &[u32], shown: &[Vec<Seen>], begin: u32) -> Parted {
        let places = [Some(self.place), self.frame];
        let input = |token: u32| places.iter().position(|place| *place == Some(token));
        let last = prompt.iter().rposition(|&token| input(token).is_some());
        let (front, behind) = prompt.split_at(last.map_or(0, |last| last + 1));
        let of_input = |seen: &Vec<Seen>| {
            seen.iter()
                .map(|seen| self.around(seen))
                .collect::<Vec<_>>()
                .into_iter()
        };
        let mut pictures: Vec<_> = shown.iter().map(of_input).collect();
        if prompt.is_empty() {
            return (pictures.into_iter().flatten().flatten().collect(), vec![begin]);
        }
        let mut pieces = Vec::new();
        for &token in front {
            match (input(token), pieces.last_mut()) {
                (Some(input), _) => pieces.extend(pictures.get_mut(input).and_then(Iterator::next).unwrap_or_default()),
                (None, Some(Piece::Tokens(tokens))) => tokens.push(token),
                (None, _) => pieces.push(Piece::Tokens(vec![token])),
            }
        }
        let behind = if behind.is_empty() { &[begin][..] } else { behind };
        (pieces, behind.to_vec())
    }

    /// The parts of a picture, with what stands around them.
    fn around(&self, seen: &Seen) -> Vec<Piece> {
        match &self.marks {
            Some(marks) => marks.around(seen),
            None => vec![seen.part(0)],
        }
    }
}

impl Seen {
    /// Pictures in so many rows and columns of tiles, the first of which begins at `first`; a tile has `size` tokens.
    pub fn in_tiles(mut first: usize, size: usize, grids: &[[usize; 2]]) -> Vec<Self> {
        let picture = |grid: &[usize; 2]| {
            let own = Self {
                first,
                size,
                tiles: *grid,
                planes: None,
            };
            first += tiles(grid) * size;
            own
        };
        grids.iter().map(picture).collect()
    }

    /// Pictures or a video of any size with a token for each square of patches; a second takes `pace` places.
    pub fn of_any_size(mut first: usize, pace: Option<f64>, grids: &[PatchGrid]) -> Vec<Self> {
        let picture = |grid: &PatchGrid| {
            let planes = |pace: f64| PatchPlanes {
                time: grid.time,
                rows: grid.rows,
                columns: grid.columns,
                step: pace as f32 * grid.seconds,
            };
            let own = Self {
                first,
                size: grid.squares(),
                tiles: [1; 2],
                planes: pace.map(planes),
            };
            first += own.size;
            own
        };
        grids.iter().map(picture).collect()
    }

    fn part(&self, number: usize) -> Piece {
        let first = self.first + number * self.size;
        match self.planes {
            Some(planes) => Piece::Planes(first..first + self.size, planes),
            None => Piece::Source(first..first + self.size),
        }
    }
}

impl Marks {
    /// The tiles of a picture and the whole behind them; this alone of one tile.
    fn around(&self, picture: &Seen) -> Vec<Piece> {
        let [rows, columns] = picture.tiles;
        let count = if rows * columns == 1 { 0 } else { rows * columns };
        let mut pieces = Vec::new();
        for number in 0..count {
            let (row, column) = (number / columns, number % columns);
            pieces.push(Piece::Tokens(vec![self.edge, self.tiles[row][column]]));
            pieces.push(picture.part(number));
            match (column + 1 == columns, row + 1 == rows) {
                (true, true) => pieces.push(Piece::Tokens(self.last.clone())),
                (true, false) => pieces.push(Piece::Tokens(self.between.clone())),
                (false, _) => {}
            }
        }
        pieces.push(Piece::Tokens(vec![self.edge, self.whole]));
        pieces.push(picture.part(count));
        pieces.push(Piece::Tokens(vec![self.edge]));
        pieces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tokens that are read of a prompt with pictures at 9 and frames at 50, with 1000 and more for those of sources with two
    /// to a tile, and how many stand behind.
    fn check(prompt: &[u32], grids: &[[usize; 2]], frames: usize, expected: (&[u32], &[u32])) {
        let asking = Asking {
            place: 9,
            frame: Some(50),
            shows: Vec::new(),
            ends: Vec::new(),
            marks: Some(Marks {
                edge: 1,
                whole: 2,
                tiles: vec![vec![11, 12], vec![21, 22]],
                between: vec![3],
                last: vec![4, 4],
            }),
            pace: None,
        };
        let seen = [
            Seen::in_tiles(0, 2, grids),
            Seen::in_tiles(100, 2, &vec![[1; 2]; frames]),
        ];
        let (pieces, behind) = asking.parted(prompt, &seen, 8);
        let found = pieces.into_iter().flat_map(|piece| match piece {
            Piece::Tokens(tokens) => tokens,
            Piece::Source(range) | Piece::Planes(range, _) => range.map(|place| 1000 + place as u32).collect(),
        });
        assert_eq!((&found.collect::<Vec<u32>>()[..], &behind[..]), expected, "{prompt:?}");
    }

    #[test]
    fn tiles_are_told_apart_by_the_tokens_around_them() {
        check(&[7, 6], &[], 0, (&[], &[7, 6]));
        check(&[], &[[1, 1]], 0, (&[1, 2, 1000, 1001, 1], &[8]));
        check(&[7, 9, 6], &[[1, 1]], 0, (&[7, 1, 2, 1000, 1001, 1], &[6]));
        let row = [7, 1, 11, 1000, 1001, 1, 12, 1002, 1003, 4, 4, 1, 2, 1004, 1005, 1];
        check(&[7, 9], &[[1, 2]], 0, (&row, &[8]));
        let column = [1, 11, 1000, 1001, 3, 1, 21, 1002, 1003, 4, 4, 1, 2, 1004, 1005, 1];
        check(&[9, 6], &[[2, 1]], 0, (&column, &[6]));
    }

    #[test]
    fn each_picture_and_each_frame_has_its_place() {
        let column = [1, 11, 1000, 1001, 3, 1, 21, 1002, 1003, 4, 4, 1, 2, 1004, 1005, 1];
        let expected = [&column[..], &[6, 1, 2, 1006, 1007, 1]].concat();
        check(&[9, 6, 9, 5], &[[2, 1], [1, 1]], 0, (&expected, &[5]));
        let frames = [7, 1, 2, 1100, 1101, 1, 5, 1, 2, 1000, 1001, 1, 1, 2, 1102, 1103, 1];
        check(&[7, 50, 5, 9, 50, 6], &[[1, 1]], 2, (&frames, &[6]));
    }
}
