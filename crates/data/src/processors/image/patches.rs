//! Pictures and frames of any size as the patches that they are cut into, as Qwen2-VL reads them (Wang et al. 2024).

use super::super::{Collated, PatchGrid, in_bounds, invalid};
use super::{CHANNELS, ImageConfig, Picture, Resize, tables};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most pixels of a picture.
const MOST_PIXELS: u32 = 4096 * 4096;
/// How many pixels take as much memory as a picture that is read whole.
const PIXELS: u32 = 512 * 512;

/// What pictures are cut into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatchesConfig {
    /// The side of a patch in pixels.
    #[schemars(range(min = 1, max = 256))]
    pub side: u32,
    /// The side, in patches, of the squares whose patches follow one another.
    #[schemars(range(min = 1, max = 16))]
    pub square: u32,
    /// The neighbouring frames of a video whose pixels a patch holds; it holds a picture as often.
    #[schemars(range(min = 1, max = 16))]
    pub frames: u32,
}

/// What one medium shows: pictures by themselves, or the frames of a video.
pub struct Shots<'a> {
    pub pictures: Vec<&'a Picture>,
    /// The seconds between two neighbouring frames; none of pictures.
    pub apart: Option<f32>,
}

impl PatchesConfig {
    /// The numbers of a patch.
    pub fn numbers(&self) -> usize {
        CHANNELS * (self.frames * self.side * self.side) as usize
    }

    /// The side of a square in pixels.
    fn pixels(&self) -> usize {
        (self.square * self.side) as usize
    }
}

impl ImageConfig {
    /// The most patches of a picture or frame that is cut into them.
    pub fn most_patches(&self) -> usize {
        match (self.resize, &self.patches) {
            (Resize::Pixels([_, most]), Some(patches)) => (most / patches.side.pow(2)) as usize,
            _ => 0,
        }
    }

    /// How many pictures that are read whole take as much memory as one of any size.
    pub(super) fn pictures(&self) -> usize {
        match self.resize {
            Resize::Pixels([_, most]) => most.div_ceil(PIXELS) as usize,
            _ => 1,
        }
    }

    pub(super) fn validate_patches(&self) -> Result<()> {
        let (pixels, patches) = match (self.resize, &self.patches) {
            (Resize::Pixels(pixels), Some(patches)) => (pixels, patches),
            (Resize::Pixels(_), None) => {
                let message = "expected `patches` beside it, since pictures differ in size, found none";
                return Err(invalid(message).in_field("resize.pixels"));
            }
            (_, Some(_)) => {
                let message = "expected `resize = { pixels = [least, most] }` beside it, found another way";
                return Err(invalid(message).in_field("patches"));
            }
            (_, None) => return Ok(()),
        };
        in_bounds("patches.side", patches.side, 1..=256)?;
        in_bounds("patches.square", patches.square, 1..=16)?;
        in_bounds("patches.frames", patches.frames, 1..=16)?;
        let side = patches.pixels();
        if [self.size.height(), self.size.width()] != [side; 2] {
            let message = format!("expected the side of a square of patches, {side}, found another");
            return Err(invalid(message).in_field("size"));
        }
        let [least, most] = pixels;
        in_bounds("resize.pixels", most, (side * side) as u32..=MOST_PIXELS)?;
        in_bounds("resize.pixels", least, 1..=most)
    }
}

/// The height and width in whole multiples of `side` that are the nearest ones to a picture's, scaled alike where it would
/// have less or more pixels than it may; neither is zero.
pub fn scaled(side: usize, [least, most]: [u32; 2], height: f64, width: f64) -> (usize, usize) {
    let side = side as f64;
    let area = height * width;
    let pair = |round: fn(f64) -> f64, scale: f64| [height, width].map(|length| round(length * scale / side) * side);
    let [rows, columns] = pair(f64::round_ties_even, 1.0);
    let sides = if rows * columns > f64::from(most) {
        let scale = (area / f64::from(most)).sqrt();
        [height, width].map(|length| (length / scale / side).floor() * side)
    } else if rows * columns < f64::from(least) {
        pair(f64::ceil, (f64::from(least) / area).sqrt())
    } else {
        [rows, columns]
    };
    let [height, width] = sides.map(|length| length.max(side) as usize);
    (height, width)
}

/// Cuts what each medium shows into normalised patches, square by square.
///
/// # Panics
/// For pictures that are not cut into patches, or not of whole squares.
pub fn collate<'a>(config: &ImageConfig, media: impl ExactSizeIterator<Item = Vec<Shots<'a>>>) -> Collated {
    let patches = config.patches.expect("pictures that are cut into patches");
    let tables = tables(config);
    let numbers = patches.numbers();
    let mut grids = Vec::with_capacity(media.len());
    let mut filled: Vec<Vec<f32>> = Vec::with_capacity(media.len());
    for shots in media {
        let mut values = Vec::new();
        let mut own = Vec::new();
        for Shots { pictures, apart } in shots {
            let together = apart.map_or(1, |_| patches.frames as usize);
            for group in pictures.chunks(together) {
                cut(&patches, &tables, group, &mut values);
            }
            let seconds = apart.unwrap_or(0.0) * patches.frames as f32;
            own.extend(grids_of(&patches, &pictures, apart.is_some(), seconds));
        }
        grids.push(own);
        filled.push(values);
    }
    let most = filled.iter().map(Vec::len).max().unwrap_or(0);
    filled.iter_mut().for_each(|values| values.resize(most, 0.0));
    Collated::Patches {
        shape: [filled.len(), most / numbers, numbers],
        values: filled.concat(),
        square: patches.square as usize,
        grids,
    }
}

/// One grid for each picture, or one for all frames.
fn grids_of(patches: &PatchesConfig, pictures: &[&Picture], is_video: bool, seconds: f32) -> Vec<PatchGrid> {
    let side = patches.pixels();
    let grid = |time: usize, picture: &Picture| PatchGrid {
        time,
        rows: picture.height / side,
        columns: picture.width / side,
        seconds,
    };
    match is_video {
        true => vec![grid(pictures.len().div_ceil(patches.frames as usize), pictures[0])],
        false => pictures.iter().map(|picture| grid(1, picture)).collect(),
    }
}

/// Adds the patches of a `group` of frames, of which the last one stands for those that are missing: by channel, frame, row
/// and column.
fn cut(patches: &PatchesConfig, tables: &[[f32; 256]; CHANNELS], group: &[&Picture], values: &mut Vec<f32>) {
    let (side, square) = (patches.side as usize, patches.square as usize);
    let [rows, columns] = [group[0].height, group[0].width].map(|length| length / patches.pixels());
    let same = group
        .iter()
        .all(|frame| [frame.height, frame.width] == [rows * patches.pixels(), columns * patches.pixels()]);
    assert!(same, "pictures of whole squares");
    let within = square * square;
    for place in 0..rows * columns * within {
        let (at, inside) = (place / within, place % within);
        let top = (at / columns * square + inside / square) * side;
        let left = (at % columns * square + inside % square) * side;
        for (channel, table) in tables.iter().enumerate() {
            for frame in 0..patches.frames as usize {
                let frame = group[frame.min(group.len() - 1)];
                for row in top..top + side {
                    let start = (row * frame.width + left) * CHANNELS;
                    let line = &frame.pixels[start..start + side * CHANNELS];
                    values.extend(
                        line.iter()
                            .skip(channel)
                            .step_by(CHANNELS)
                            .map(|&value| table[value as usize]),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::super::samples::pattern;
    use super::*;

    fn config(pixels: [u32; 2]) -> ImageConfig {
        ImageConfig {
            size: Size::new(4, 4),
            resize: Resize::Pixels(pixels),
            patches: Some(PatchesConfig {
                side: 2,
                square: 2,
                frames: 2,
            }),
            mean: [0.0; CHANNELS],
            deviation: [1.0 / 255.0; CHANNELS],
            ..ImageConfig::default()
        }
    }

    #[test]
    fn sides_are_whole_squares_within_the_bounds() {
        let check = |side, pixels, picture: [f64; 2], expected| {
            assert_eq!(scaled(side, pixels, picture[0], picture[1]), expected, "{picture:?}");
        };
        check(28, [3136, 1_003_520], [480.0, 640.0], (476, 644));
        check(28, [3136, 1_003_520], [3000.0, 4000.0], (840, 1148));
        check(28, [3136, 1_003_520], [20.0, 20.0], (56, 56));
        check(28, [3136, 1_003_520], [5.0, 900.0], (28, 756));
        // A half is rounded to the even number of squares.
        check(28, [3136, 1_003_520], [70.0, 98.0], (56, 112));
        check(28, [784, 1_000_000], [1.0, 100_000.0], (28, 8876));
        check(4, [16, 64], [1.0, 90.0], (4, 40));
    }

    #[test]
    fn patches_of_a_square_follow_one_another() {
        let picture = pattern(4, 8);
        let shots = vec![Shots {
            pictures: vec![&picture],
            apart: None,
        }];
        let Collated::Patches {
            shape, values, grids, ..
        } = collate(&config([16, 64]), [shots].into_iter())
        else {
            panic!("no patches");
        };
        assert_eq!(shape, [1, 8, 24]);
        let grid = PatchGrid {
            time: 1,
            rows: 1,
            columns: 2,
            seconds: 0.0,
        };
        assert_eq!(grids, [vec![grid]]);
        // The third patch of the second square, its green: twice two rows of two pixels.
        let at = |row: usize, column: usize| f32::from(picture.pixels[(row * 8 + column) * CHANNELS + 1]);
        let expected = [at(2, 4), at(2, 5), at(3, 4), at(3, 5)];
        let found: Vec<f32> = values[6 * 24 + 8..][..8].iter().map(|value| value.round()).collect();
        assert_eq!(found, [expected, expected].concat());
    }

    #[test]
    fn frames_are_read_in_groups_and_the_last_one_stands_for_what_is_missing() {
        let frames: Vec<Picture> = (0..3)
            .map(|value| Picture {
                height: 4,
                width: 4,
                pixels: vec![value; 48],
            })
            .collect();
        let shots = || Shots {
            pictures: frames.iter().collect(),
            apart: Some(0.5),
        };
        let short = || Shots {
            pictures: vec![&frames[0]],
            apart: Some(0.5),
        };
        let media = [vec![shots()], vec![short()]];
        let Collated::Patches {
            shape, values, grids, ..
        } = collate(&config([16, 64]), media.into_iter())
        else {
            panic!("no patches");
        };
        assert_eq!(shape, [2, 8, 24]);
        assert_eq!([grids[0][0].time, grids[1][0].time], [2, 1]);
        assert_eq!(grids[0][0].seconds, 1.0);
        let firsts: Vec<f32> = values.chunks(24).map(|patch| patch[0].round()).collect();
        let lasts: Vec<f32> = values.chunks(24).map(|patch| patch[4].round()).collect();
        assert_eq!(firsts[..8], [0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(lasts[..8], [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        // What is padding is zero.
        assert!(values[12 * 24..].iter().all(|value| *value == 0.0));
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_by_name() {
        let check = |change: fn(&mut ImageConfig), field: &str| {
            let mut config = config([16, 64]);
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        };
        assert!(config([16, 64]).validate().is_ok());
        check(|config| config.patches = None, "resize.pixels");
        check(|config| config.resize = Resize::Stretch, "patches");
        check(|config| config.size = Size::new(4, 8), "size");
        check(|config| config.resize = Resize::Pixels([64, 16]), "resize.pixels");
        check(|config| config.resize = Resize::Pixels([1, 15]), "resize.pixels");
    }
}
