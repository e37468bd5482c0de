//! Random changes of training pictures. Every draw comes from the key and the operation's name
//! alone.

use super::erase::erase;
use super::rand_augment::{self, rand_augment};
use super::resize::{Area, sample};
use super::{Augment, CHANNELS, ImageConfig, Picture};
use crate::random::Key;
use fast_image_resize::FilterType;
use rand::RngExt;
use std::borrow::Cow;

/// Applies the configured changes in their order; a picture that none of them changes is lent back.
pub fn augment<'a>(config: &ImageConfig, picture: &'a Picture, key: &Key) -> Cow<'a, Picture> {
    let mut result = Cow::Borrowed(picture);
    for operation in &config.augment {
        if let Some(changed) = apply(*operation, config, &result, key) {
            result = Cow::Owned(changed);
        }
    }
    result
}

/// The changed picture, or nothing when the draw leaves it as it is.
fn apply(operation: Augment, config: &ImageConfig, picture: &Picture, key: &Key) -> Option<Picture> {
    let mut generator = key.with(operation.name()).generator();
    match operation {
        Augment::Flip => generator.random_bool(0.5).then(|| flipped(picture)),
        Augment::VerticalFlip => generator.random_bool(0.5).then(|| vertically_flipped(picture)),
        Augment::Rotate(degrees) => Some(rotated(picture, generator.random_range(-degrees..=degrees))),
        Augment::Crop(minimum) => {
            let draws = std::array::from_fn(|_| generator.random());
            Some(cropped(picture, crop_area(picture, minimum, draws)))
        }
        Augment::Color(strength) => {
            let factors = std::array::from_fn(|_| generator.random_range(1.0 - strength..=1.0 + strength));
            Some(coloured(picture, factors))
        }
        Augment::Grayscale(probability) => generator.random_bool(probability).then(|| colourless(picture)),
        Augment::Erase(probability) => match generator.random_bool(probability) {
            true => erase(picture, config.mean_color(), &mut generator),
            false => None,
        },
        Augment::Shift(pixels) => {
            let most = i64::from(pixels);
            let moves = std::array::from_fn(|_| generator.random_range(-most..=most));
            Some(shifted(picture, moves))
        }
        Augment::RandAugment { operations, magnitude } => {
            Some(rand_augment(picture, operations, magnitude, &mut generator))
        }
    }
}

/// Mirrors left and right.
fn flipped(picture: &Picture) -> Picture {
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for row in picture.pixels.chunks_exact(CHANNELS * picture.width) {
        pixels.extend(row.as_chunks::<CHANNELS>().0.iter().rev().flatten());
    }
    Picture { pixels, ..*picture }
}

/// Mirrors top and bottom.
fn vertically_flipped(picture: &Picture) -> Picture {
    let rows = picture.pixels.chunks_exact(CHANNELS * picture.width);
    Picture {
        pixels: rows.rev().flatten().copied().collect(),
        ..*picture
    }
}

/// Turns counter-clockwise about the centre, keeping the size; bilinear, and beyond the border its
/// nearest pixel.
fn rotated(picture: &Picture, degrees: f32) -> Picture {
    let (sine, cosine) = degrees.to_radians().sin_cos();
    let centre_x = (picture.width as f32 - 1.0) / 2.0;
    let centre_y = (picture.height as f32 - 1.0) / 2.0;
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for row in 0..picture.height {
        let y = row as f32 - centre_y;
        for column in 0..picture.width {
            let x = column as f32 - centre_x;
            let source_x = centre_x + cosine * x - sine * y;
            let source_y = centre_y + sine * x + cosine * y;
            pixels.extend(bilinear(picture, source_x, source_y));
        }
    }
    Picture { pixels, ..*picture }
}

/// Moves right and down, or left and up by negative numbers; beyond the border stands its nearest pixel.
fn shifted(picture: &Picture, [right, down]: [i64; 2]) -> Picture {
    let (source, _) = picture.pixels.as_chunks::<CHANNELS>();
    let place = |at: usize, by: i64, length: usize| (at as i64 - by).clamp(0, length as i64 - 1) as usize;
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for row in 0..picture.height {
        let start = picture.width * place(row, down, picture.height);
        let column = |column: usize| source[start + place(column, right, picture.width)];
        pixels.extend((0..picture.width).flat_map(column));
    }
    Picture { pixels, ..*picture }
}

/// The colour at a point between pixel centres.
fn bilinear(picture: &Picture, x: f32, y: f32) -> [u8; CHANNELS] {
    let x = x.clamp(0.0, (picture.width - 1) as f32);
    let y = y.clamp(0.0, (picture.height - 1) as f32);
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(picture.width - 1), (top + 1).min(picture.height - 1));
    let (right_share, bottom_share) = (x - left as f32, y - top as f32);
    let (pixels, _) = picture.pixels.as_chunks::<CHANNELS>();
    let at = |row: usize, column: usize| &pixels[row * picture.width + column];
    let corners = [at(top, left), at(top, right), at(bottom, left), at(bottom, right)];
    std::array::from_fn(|channel| {
        let [a, b, c, d] = corners.map(|corner| f32::from(corner[channel]));
        let upper = a + (b - a) * right_share;
        let lower = c + (d - c) * right_share;
        (upper + (lower - upper) * bottom_share + 0.5) as u8
    })
}

/// The part to cut out. Of the draws, each in 0…1, the first decides the area from `minimum` to all
/// of the picture, the second the ratio of sides from 3/4 to 4/3 on a logarithmic scale, the others
/// the place (random resized crop, Szegedy et al. 2015).
fn crop_area(picture: &Picture, minimum: f32, draws: [f64; 4]) -> Area {
    let area = f64::from(minimum) + (1.0 - f64::from(minimum)) * draws[0];
    let ratio = ((4.0f64 / 3.0).ln() * (2.0 * draws[1] - 1.0)).exp();
    let width = picture.width as f64 * (area * ratio).sqrt().min(1.0);
    let height = picture.height as f64 * (area / ratio).sqrt().min(1.0);
    Area {
        left: (picture.width as f64 - width) * draws[2],
        top: (picture.height as f64 - height) * draws[3],
        width,
        height,
    }
}

fn cropped(picture: &Picture, area: Area) -> Picture {
    sample(picture, area, picture.height, picture.width, FilterType::Bilinear)
}

/// Scales the brightness, the distance from the mean grey, and the distance from each pixel's own
/// grey.
fn coloured(picture: &Picture, [brightness, contrast, saturation]: [f32; 3]) -> Picture {
    let (pixels, _) = picture.pixels.as_chunks::<CHANNELS>();
    let sum: f64 = pixels.iter().map(|pixel| f64::from(grey(pixel.map(f32::from)))).sum();
    let mean = brightness * (sum / pixels.len() as f64) as f32;
    let change = |pixel: &[u8; CHANNELS]| {
        let pixel = pixel.map(|value| mean + contrast * (brightness * f32::from(value) - mean));
        let grey = grey(pixel);
        // A cast of a float to a byte saturates.
        pixel.map(|value| (grey + saturation * (value - grey) + 0.5) as u8)
    };
    Picture {
        pixels: pixels.iter().flat_map(change).collect(),
        ..*picture
    }
}

/// Every channel becomes the luma in whole numbers, as Pillow's `convert("L")` gives it.
pub(super) fn colourless(picture: &Picture) -> Picture {
    let (pixels, _) = picture.pixels.as_chunks::<CHANNELS>();
    Picture {
        pixels: pixels
            .iter()
            .flat_map(|pixel| [rand_augment::grey(*pixel); CHANNELS])
            .collect(),
        ..*picture
    }
}

/// Luma (ITU-R BT.601).
fn grey([red, green, blue]: [f32; CHANNELS]) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::super::samples::{assert_close, pattern};
    use super::*;

    const OPERATIONS: [Augment; 9] = [
        Augment::Flip,
        Augment::VerticalFlip,
        Augment::Rotate(30.0),
        Augment::Crop(0.5),
        Augment::Color(0.4),
        Augment::Grayscale(0.5),
        Augment::Erase(0.5),
        Augment::Shift(3),
        Augment::RandAugment {
            operations: 2,
            magnitude: 9,
        },
    ];

    /// A picture of numbered pixels.
    fn numbered<const N: usize>(height: usize, numbers: [u8; N]) -> Picture {
        Picture {
            height,
            width: N / height,
            pixels: numbers.iter().flat_map(|&it| [it; 3]).collect(),
        }
    }

    fn run(augments: &[Augment], key: &Key) -> Picture {
        let picture = pattern(12, 10);
        let config = ImageConfig {
            size: Size::new(12, 10),
            augment: augments.to_vec(),
            ..ImageConfig::default()
        };
        augment(&config, &picture, key).into_owned()
    }

    #[test]
    fn flips_and_turns_move_every_pixel_to_its_place() {
        let picture = numbered(2, [1, 2, 3, 4, 5, 6]);
        assert_eq!(flipped(&picture), numbered(2, [3, 2, 1, 6, 5, 4]));
        assert_eq!(vertically_flipped(&picture), numbered(2, [4, 5, 6, 1, 2, 3]));
        let square = numbered(3, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(rotated(&square, 0.0), square);
        assert_eq!(rotated(&square, 90.0), numbered(3, [3, 6, 9, 2, 5, 8, 1, 4, 7]));
        assert_eq!(rotated(&square, -90.0), numbered(3, [7, 4, 1, 8, 5, 2, 9, 6, 3]));
        assert_eq!(rotated(&square, 180.0), numbered(3, [9, 8, 7, 6, 5, 4, 3, 2, 1]));
        assert_eq!(rotated(&picture, 180.0), numbered(2, [6, 5, 4, 3, 2, 1]));
    }

    #[test]
    fn shifts_move_every_pixel_and_repeat_the_border() {
        let picture = numbered(3, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let check = |moves, expected| assert_eq!(shifted(&picture, moves), numbered(3, expected), "{moves:?}");
        check([0, 0], [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        check([1, 0], [1, 1, 2, 4, 4, 5, 7, 7, 8]);
        check([-1, 0], [2, 3, 3, 5, 6, 6, 8, 9, 9]);
        check([0, 1], [1, 2, 3, 1, 2, 3, 4, 5, 6]);
        check([-1, -1], [5, 6, 6, 8, 9, 9, 8, 9, 9]);
        check([4096, -4096], [7; 9]);
        let drawn: std::collections::BTreeSet<_> = (0..300)
            .map(|index| run(&[Augment::Shift(1)], &Key::new(4).at(index)).pixels)
            .collect();
        assert_eq!(drawn.len(), 9);
    }

    #[test]
    fn what_is_erased_has_the_mean_colour() {
        let config = ImageConfig {
            size: Size::new(12, 10),
            augment: vec![Augment::Erase(1.0)],
            mean: [0.0, 0.5, 1.0],
            ..ImageConfig::default()
        };
        let picture = pattern(12, 10);
        for index in 0..50 {
            let erased = augment(&config, &picture, &Key::new(5).at(index));
            let pairs = erased.pixels.as_chunks::<CHANNELS>().0.iter();
            let changed = pairs.zip(picture.pixels.as_chunks::<CHANNELS>().0);
            let changed: Vec<_> = changed.filter(|(found, before)| found != before).collect();
            assert!(changed.iter().all(|(found, _)| **found == [0, 128, 255]), "{changed:?}");
            assert!((1..=50).contains(&changed.len()), "{} pixels", changed.len());
        }
    }

    #[test]
    fn between_pixels_the_colour_is_interpolated() {
        let picture = numbered(2, [0, 100, 200, 100]);
        assert_eq!(bilinear(&picture, 0.25, 0.0), [25; 3]);
        assert_eq!(bilinear(&picture, 0.5, 0.5), [100; 3]);
        assert_eq!(bilinear(&picture, -9.0, 9.0), [200; 3]);
    }

    #[test]
    fn a_crop_of_the_whole_changes_nothing_and_others_stay_inside() {
        let picture = pattern(12, 10);
        let whole = crop_area(&picture, 1.0, [0.3, 0.5, 0.2, 0.9]);
        assert_close(&cropped(&picture, whole), &picture, 0, "whole");
        for draw in [0.0, 0.4, 1.0] {
            for other in [0.0, 0.7, 1.0] {
                let area = crop_area(&picture, 0.5, [draw, other, other, draw]);
                assert!(area.left >= 0.0 && area.left + area.width <= 10.0 + 1e-9, "{area:?}");
                assert!(area.top >= 0.0 && area.top + area.height <= 12.0 + 1e-9, "{area:?}");
                assert!(area.width * area.height >= 0.5 * 120.0 - 1e-9, "{area:?}");
                let ratio = area.width / area.height * 1.2;
                assert!((0.75 - 1e-9..=4.0 / 3.0 + 1e-9).contains(&ratio), "{area:?}");
            }
        }
    }

    #[test]
    fn colours_change_by_the_three_factors() {
        let picture = Picture {
            height: 1,
            width: 2,
            pixels: vec![100, 100, 100, 200, 200, 200],
        };
        let check = |factors, expected: [u8; 6]| {
            assert_eq!(coloured(&picture, factors).pixels, expected, "{factors:?}");
        };
        check([1.0, 1.0, 1.0], [100, 100, 100, 200, 200, 200]);
        check([0.5, 1.0, 1.0], [50, 50, 50, 100, 100, 100]);
        check([2.0, 1.0, 1.0], [200, 200, 200, 255, 255, 255]);
        check([1.0, 0.0, 1.0], [150; 6]);
        check([1.0, 1.0, 3.0], [100, 100, 100, 200, 200, 200]);
        let red = Picture {
            height: 1,
            width: 1,
            pixels: vec![255, 0, 0],
        };
        assert_eq!(coloured(&red, [1.0, 1.0, 0.0]).pixels, [76, 76, 76]);
    }

    /// Against Pillow: `Image.new("RGB", (1, 1), colour).convert("L")`.
    #[test]
    fn a_picture_without_colours_is_as_bright_as_pillow_says() {
        for (colour, expected) in [
            ([255, 0, 0], 76),
            ([0, 255, 0], 150),
            ([0, 0, 255], 29),
            ([255, 255, 255], 255),
            ([10, 200, 90], 131),
            ([7, 7, 7], 7),
        ] {
            let picture = Picture {
                height: 1,
                width: 1,
                pixels: colour.to_vec(),
            };
            assert_eq!(colourless(&picture).pixels, [expected; 3], "{colour:?}");
        }
    }

    #[test]
    fn colours_and_rectangles_go_with_their_probability() {
        let picture = pattern(12, 10);
        for (probability, expected) in [(0.0, 0..=0), (0.2, 60..=100), (1.0, 400..=400)] {
            for operation in [Augment::Grayscale(probability), Augment::Erase(probability)] {
                let results = (0..400).map(|index| run(&[operation], &Key::new(3).at(index)));
                let changed = results.filter(|result| *result != picture).count();
                assert!(expected.contains(&changed), "{operation:?}: {changed} of 400");
            }
        }
    }

    #[test]
    fn a_key_gives_one_picture_and_other_keys_others() {
        for operation in OPERATIONS {
            let results: Vec<_> = (0..20).map(|index| run(&[operation], &Key::new(1).at(index))).collect();
            for (index, result) in results.iter().enumerate() {
                assert_eq!(*result, run(&[operation], &Key::new(1).at(index as u64)));
                assert_eq!((result.height, result.width), (12, 10));
            }
            assert!(results.iter().any(|result| *result != results[0]), "{operation:?}");
        }
        assert_ne!(run(&OPERATIONS, &Key::new(1)), run(&OPERATIONS, &Key::new(2)));
    }

    #[test]
    fn the_draw_of_one_operation_does_not_depend_on_the_others() {
        let key = Key::new(7);
        let picture = pattern(12, 10);
        let with_flip = run(&[Augment::Flip, Augment::Color(0.4)], &key);
        let color = run(&[Augment::Color(0.4)], &key);
        assert!(with_flip == color || with_flip == flipped(&color));
        assert_ne!(color, picture);
    }

    #[test]
    fn flips_happen_in_half_of_the_cases() {
        let picture = pattern(12, 10);
        for operation in [Augment::Flip, Augment::VerticalFlip] {
            let flips = (0..400)
                .filter(|&index| run(&[operation], &Key::new(3).at(index)) != picture)
                .count();
            assert!((160..=240).contains(&flips), "{operation:?}: {flips} of 400");
        }
    }

    #[test]
    fn nothing_configured_lends_the_picture_back() {
        let picture = pattern(4, 4);
        let result = augment(&ImageConfig::default(), &picture, &Key::new(1));
        assert!(matches!(result, Cow::Borrowed(_)));
    }
}
