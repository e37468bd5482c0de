//! From a collated batch to tensors.

use crate::tokens::Places;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use sensorium_data::Collated;
use sensorium_data::processors::PatchGrid;
use std::sync::Arc;

/// The distinct media of one input as tensors on a device.
#[derive(Debug, Clone)]
pub enum Media {
    /// Normalised pixels, [media, height, width, channels].
    Pixels(Tensor<4>),
    /// Token identifiers [media, length] with their mask, true = real.
    Text {
        tokens: Tensor<2, Int>,
        mask: Tensor<2, Bool>,
    },
    /// Spectra or samples [media, frames, bins] with the mask of the frames.
    Sound { values: Tensor<3>, mask: Tensor<2, Bool> },
    /// Normalised pixels [media, frames, height, width, channels] with the mask of the frames, or of the tiles of pictures.
    Frames { pixels: Tensor<5>, mask: Tensor<2, Bool> },
    /// Normalised pixels of patches [media, patches, numbers] with their mask, square by square of `square` × `square` of them, and
    /// where they stand; frames are counted through all pictures of a medium.
    Patches {
        values: Tensor<3>,
        mask: Tensor<2, Bool>,
        square: usize,
        places: Places,
    },
}

impl Media {
    pub fn new(collated: &Collated, device: &Device) -> Self {
        match collated {
            Collated::Image { shape, pixels } => {
                Self::Pixels(Tensor::from_data(TensorData::new(pixels.clone(), *shape), device))
            }
            Collated::Tiles { shape, pixels, grids } => {
                let parts = |grids: &Vec<[usize; 2]>| grids.iter().map(tiles).sum();
                let lengths: Vec<usize> = grids.iter().map(parts).collect();
                Self::Frames {
                    pixels: Tensor::from_data(TensorData::new(pixels.clone(), *shape), device),
                    mask: mask(&lengths, shape[1], device),
                }
            }
            Collated::Patches {
                shape,
                values,
                square,
                grids,
            } => {
                let places = grids.iter().map(|grids| Arc::new(places(grids, *square)));
                let places: Vec<_> = places.collect();
                let lengths: Vec<usize> = places.iter().map(|places| places.len()).collect();
                Self::Patches {
                    values: Tensor::from_data(TensorData::new(values.clone(), *shape), device),
                    mask: mask(&lengths, shape[1], device),
                    square: *square,
                    places: Arc::new(places),
                }
            }
            Collated::Text { shape, tokens, lengths } => Self::Text {
                tokens: Tensor::from_data(TensorData::new(tokens.clone(), *shape), device),
                mask: mask(lengths, shape[1], device),
            },
            Collated::Audio { shape, values, lengths } => Self::Sound {
                values: Tensor::from_data(TensorData::new(values.clone(), *shape), device),
                mask: mask(lengths, shape[1], device),
            },
            Collated::Video { shape, pixels, lengths } => Self::Frames {
                pixels: Tensor::from_data(TensorData::new(pixels.clone(), *shape), device),
                mask: mask(lengths, shape[1], device),
            },
        }
    }
}

/// The frame, row and column of each patch of a medium.
fn places(grids: &[PatchGrid], square: usize) -> Vec<[usize; 3]> {
    let mut places = Vec::new();
    let mut first = 0;
    for grid in grids {
        for number in 0..grid.squares() {
            let (frame, place) = (number / (grid.rows * grid.columns), number % (grid.rows * grid.columns));
            let [top, left] = [place / grid.columns, place % grid.columns].map(|at| at * square);
            let inside = (0..square * square).map(|at| [first + frame, top + at / square, left + at % square]);
            places.extend(inside);
        }
        first += grid.time;
    }
    places
}

/// How many pictures are read of one in so many rows and columns of tiles: these and the whole, or this alone.
pub fn tiles([rows, columns]: &[usize; 2]) -> usize {
    match rows * columns {
        1 => 1,
        count => count + 1,
    }
}

/// True for the real places of each medium, [media, length].
fn mask(lengths: &[usize], length: usize, device: &Device) -> Tensor<2, Bool> {
    let real = |&real: &usize| std::iter::repeat_n(true, real).chain(std::iter::repeat_n(false, length - real));
    let mask: Vec<bool> = lengths.iter().flat_map(real).collect();
    Tensor::from_data(TensorData::new(mask, [lengths.len(), length]), device)
}

/// Which sequence each row reads: its medium's, or `absent`.
pub fn row_index(medium_of_row: &[Option<usize>], absent: usize, device: &Device) -> Tensor<1, Int> {
    let of_row = medium_of_row.iter().map(|medium| medium.unwrap_or(absent) as i64);
    let index: Vec<i64> = of_row.collect();
    let rows = index.len();
    Tensor::from_data(TensorData::new(index, [rows]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_stand_square_by_square_and_frames_are_counted_on() {
        let grid = |time, rows, columns| PatchGrid {
            time,
            rows,
            columns,
            seconds: 0.0,
        };
        let found = places(&[grid(1, 1, 2), grid(2, 1, 1)], 2);
        let square = |frame: usize, left: usize| {
            let place = |[row, column]: [usize; 2]| [frame, row, left + column];
            [[0, 0], [0, 1], [1, 0], [1, 1]].map(place)
        };
        assert_eq!(found, [square(0, 0), square(0, 2), square(1, 0), square(2, 0)].concat());
    }
}
