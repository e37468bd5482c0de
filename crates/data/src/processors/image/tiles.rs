//! Large pictures in tiles of one size beside the whole, as Idefics3 reads them (Laurençon et al. 2024).

use super::super::{Fitted, Processor};
use super::resize::stretched;
use super::{CHANNELS, Collated, ImageConfig, Picture, Resize, normalize, tables};
use std::borrow::Cow;

impl ImageConfig {
    /// The most tiles along one side of a picture; zero where pictures are read whole.
    pub fn tiles(&self) -> usize {
        match self.resize {
            // The other side may be longer by the pixel that makes it even.
            Resize::Tiles(longest) => (longest as usize).next_multiple_of(2).div_ceil(self.size.height()),
            _ => 0,
        }
    }
}

impl Processor {
    /// How many media one row may list; none where it has one alone.
    pub fn list(&self) -> Option<usize> {
        match &self.fitted {
            Fitted::Image(config) => config.list.map(|most| most as usize),
            _ => None,
        }
    }

    /// The most pictures that one medium is read as: the tiles of a picture and the whole, and the frames of a video that are
    /// read as such; one of others. Where several pictures may be listed, those of one of them.
    pub fn pictures(&self) -> usize {
        match &self.fitted {
            Fitted::Image(config) => (config.tiles().pow(2) + 1).max(config.pictures()),
            Fitted::Video(config) if matches!(config.resize, Resize::Longest(_) | Resize::Pixels(_)) => {
                config.frames as usize
            }
            _ => 1,
        }
    }
}

/// The height and width of a picture whose longest side has `longest` pixels; the other one is even.
pub fn scaled(longest: usize, height: f64, width: f64) -> (usize, usize) {
    let ratio = width / height;
    let even = |length: f64| (length as usize).next_multiple_of(2).max(1);
    match width >= height {
        true => (even(longest as f64 / ratio), longest),
        false => (longest, even(longest as f64 * ratio)),
    }
}

/// The rows and columns of tiles of `side` pixels that a picture of this height and width is stretched to: the longer side
/// up to the next multiple, and the other one after it, as far as the ratio of both asks.
fn grid(side: usize, height: usize, width: usize) -> [usize; 2] {
    let ratio = width as f64 / height as f64;
    let other = |length: f64| (length as usize).div_ceil(side).max(1);
    match width >= height {
        true => {
            let columns = width.div_ceil(side);
            [other((columns * side) as f64 / ratio), columns]
        }
        false => {
            let rows = height.div_ceil(side);
            [rows, other((rows * side) as f64 * ratio)]
        }
    }
}

/// A picture with the right longest side as one of whole tiles.
pub fn whole(picture: Picture, config: &ImageConfig) -> Picture {
    let side = config.size.height();
    let [rows, columns] = grid(side, picture.height, picture.width);
    stretched(picture, (rows * side, columns * side), config.interpolation)
}

/// Normalises the pictures of each medium into one batch, tile by tile.
///
/// # Panics
/// When a picture is none of whole tiles.
pub fn collate<'a>(config: &ImageConfig, media: impl ExactSizeIterator<Item = &'a [Picture]>) -> Collated {
    let (side, tables) = ([config.size.height(), config.size.width()], tables(config));
    let mut grids = Vec::with_capacity(media.len());
    let mut filled: Vec<Vec<f32>> = Vec::with_capacity(media.len());
    for pictures in media {
        let mut pixels = Vec::new();
        for picture in pictures {
            for part in parts(config, picture) {
                normalize(config, &tables, &part, &mut pixels);
            }
        }
        let grid = |picture: &Picture| [picture.height / side[0], picture.width / side[1]];
        grids.push(pictures.iter().map(grid).collect());
        filled.push(pixels);
    }
    let size = side[0] * side[1] * CHANNELS;
    let most = filled.iter().map(Vec::len).max().unwrap_or(0);
    filled.iter_mut().for_each(|pixels| pixels.resize(most, 0.0));
    Collated::Tiles {
        shape: [filled.len(), most / size, side[0], side[1], CHANNELS],
        pixels: filled.concat(),
        grids,
    }
}

/// The tiles of a picture and the whole; this alone where it is not read in tiles.
fn parts<'a>(config: &ImageConfig, picture: &'a Picture) -> Vec<Cow<'a, Picture>> {
    if config.tiles() == 0 {
        return vec![Cow::Borrowed(picture)];
    }
    let side = config.size.height();
    let whole = stretched(picture.clone(), (side, side), config.interpolation);
    let parts = cut(picture, side).into_iter().chain([whole]);
    parts.map(Cow::Owned).collect()
}

/// The tiles of a picture row by row; none of a picture that is one tile.
fn cut(picture: &Picture, side: usize) -> Vec<Picture> {
    let [rows, columns] = [picture.height, picture.width].map(|length| length / side);
    assert_eq!(
        [rows * side, columns * side],
        [picture.height, picture.width],
        "a picture of whole tiles"
    );
    let tile = |place: usize| {
        let (top, left) = (place / columns * side, place % columns * side);
        let line = |row: usize| {
            let start = ((top + row) * picture.width + left) * CHANNELS;
            picture.pixels[start..start + side * CHANNELS].iter().copied()
        };
        Picture {
            height: side,
            width: side,
            pixels: (0..side).flat_map(line).collect(),
        }
    };
    match rows * columns {
        1 => Vec::new(),
        count => (0..count).map(tile).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{encode, pattern};
    use super::super::{Interpolation, Size, prepare_bytes, resize};
    use super::*;

    fn config(longest: u32, side: u32) -> ImageConfig {
        ImageConfig {
            size: Size::new(side, side),
            resize: Resize::Tiles(longest),
            interpolation: Interpolation::Lanczos,
            mean: [0.0; CHANNELS],
            deviation: [1.0; CHANNELS],
            ..ImageConfig::default()
        }
    }

    fn one(picture: &Picture) -> &[Picture] {
        std::slice::from_ref(picture)
    }

    /// What `reference/resize/tiles.py` made of a picture.
    #[derive(serde::Deserialize, Debug)]
    struct Case {
        height: usize,
        width: usize,
        longest: u32,
        side: u32,
        split: bool,
        /// None of a picture that is read whole, as the columns.
        rows: usize,
        columns: usize,
    }

    /// The bytes of a case, tile by tile, and its rows and columns.
    fn read(case: &Case) -> (Vec<u8>, [usize; 2]) {
        let mut config = config(case.longest, case.side);
        if !case.split {
            config.resize = Resize::Longest(case.longest);
        }
        let bytes = encode(&pattern(case.height, case.width), image::ImageFormat::Png);
        let picture = prepare_bytes(&config, &bytes).unwrap();
        match super::super::collate(&config, [one(&picture)].into_iter()) {
            Collated::Tiles { pixels, grids, .. } => {
                let byte = |value: &f32| (value * 255.0).round() as u8;
                (pixels.iter().map(byte).collect(), grids[0][0])
            }
            _ => (picture.pixels, [1; 2]),
        }
    }

    #[test]
    fn every_byte_is_that_of_the_original() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/resize/");
        let file = |name: &str| std::fs::read(format!("{folder}{name}")).unwrap();
        let cases: Vec<Case> = serde_json::from_slice(&file("tiles.json")).unwrap();
        let expected = file("tiles.rgb");
        let mut at = 0;
        for case in &cases {
            let (found, grid) = read(case);
            assert_eq!(grid, [case.rows.max(1), case.columns.max(1)], "{case:?}");
            assert!(found == expected[at..at + found.len()], "{case:?}");
            at += found.len();
        }
        assert!(cases.len() > 50 && at == expected.len());
    }

    fn check(longest: u32, picture: (usize, usize), expected: [usize; 2]) {
        let config = config(longest, 8);
        let found = resize::resize(pattern(picture.0, picture.1).into(), &config);
        assert_eq!([found.height / 8, found.width / 8], expected, "{picture:?}");
        let Collated::Tiles { shape, grids, .. } = collate(&config, [one(&found)].into_iter()) else {
            panic!("not a batch of tiles")
        };
        let [rows, columns] = expected;
        let count = if rows * columns == 1 { 1 } else { rows * columns + 1 };
        assert_eq!((shape, grids), ([1, count, 8, 8, CHANNELS], vec![vec![expected]]));
    }

    #[test]
    fn the_ratio_of_sides_gives_the_rows_and_columns() {
        check(32, (10, 10), [4, 4]);
        check(32, (10, 20), [2, 4]);
        check(32, (31, 90), [2, 4]);
        check(32, (90, 1), [4, 1]);
        check(30, (10, 20), [3, 4]);
        check(8, (10, 20), [1, 1]);
        check(4, (10, 20), [1, 1]);
    }

    #[test]
    fn no_picture_has_more_tiles_than_are_told() {
        assert_eq!(
            (config(32, 8).tiles(), config(30, 8).tiles(), config(16, 1).tiles()),
            (4, 4, 16)
        );
        let (height, width) = scaled(15, 10.0, 10.0);
        assert_eq!((grid(1, height, width), config(15, 1).tiles()), ([16, 15], 16));
    }

    #[test]
    fn a_longest_side_leaves_the_other_one_even() {
        assert_eq!(scaled(30, 10.0, 20.0), (16, 30));
        assert_eq!(scaled(30, 20.0, 10.0), (30, 16));
        assert_eq!(scaled(30, 1.0, 1000.0), (1, 30));
        assert_eq!(scaled(30, 7.0, 7.0), (30, 30));
    }

    #[test]
    fn tiles_stand_row_by_row_in_front_of_the_whole() {
        let picture = pattern(16, 16);
        let Collated::Tiles { pixels, .. } = collate(&config(16, 8), [one(&picture)].into_iter()) else {
            panic!("not a batch of tiles")
        };
        let at = |row: usize, column: usize| f32::from(picture.pixels[(row * 16 + column) * CHANNELS]) / 255.0;
        let first = |tile: usize| pixels[tile * 8 * 8 * CHANNELS];
        let found = [0, 1, 2, 3].map(first);
        assert_eq!(found, [at(0, 0), at(0, 8), at(8, 0), at(8, 8)]);
        let whole = stretched(picture, (8, 8), Interpolation::Lanczos);
        assert_eq!(first(4), f32::from(whole.pixels[0]) / 255.0);
    }

    #[test]
    fn shorter_media_are_filled_with_zeros() {
        let (single, several) = (pattern(8, 8), pattern(8, 16));
        let Collated::Tiles { shape, pixels, grids } =
            collate(&config(16, 8), [one(&single), one(&several)].into_iter())
        else {
            panic!("not a batch of tiles")
        };
        assert_eq!(
            (shape, grids),
            ([2, 3, 8, 8, CHANNELS], vec![vec![[1, 1]], vec![[1, 2]]])
        );
        let tile = 8 * 8 * CHANNELS;
        assert!(pixels[tile..3 * tile].iter().all(|&value| value == 0.0));
        assert!(pixels[..tile].iter().any(|&value| value > 0.0));
    }

    #[test]
    fn several_pictures_of_a_medium_stand_one_after_the_other() {
        let (first, second) = (pattern(8, 16), pattern(8, 8));
        let media = [vec![first.clone(), second.clone()], vec![second]];
        let batch = |config: &ImageConfig, media: &[Vec<Picture>]| {
            super::super::collate(config, media.iter().map(Vec::as_slice))
        };
        let Collated::Tiles { shape, pixels, grids } = batch(&config(16, 8), &media) else {
            panic!("not a batch of tiles")
        };
        assert_eq!((shape[1], grids), (4, vec![vec![[1, 2], [1, 1]], vec![[1, 1]]]));
        let tile = 8 * 8 * CHANNELS;
        assert_eq!(pixels[3 * tile..4 * tile], pixels[4 * tile..5 * tile]);
        // Whole pictures are a batch of pictures while each medium is one, and of tiles where it is not.
        let mut whole = config(16, 8);
        whole.resize = Resize::Stretch;
        whole.list = Some(2);
        let one = pattern(8, 8);
        let pairs = [vec![one.clone(), one.clone()], vec![one.clone()]];
        let Collated::Tiles { shape, grids, .. } = batch(&whole, &pairs) else {
            panic!("not a batch of tiles")
        };
        assert_eq!((shape[1], grids), (2, vec![vec![[1, 1]; 2], vec![[1, 1]]]));
        assert!(matches!(batch(&whole, &pairs[1..]), Collated::Image { .. }));
    }
}
