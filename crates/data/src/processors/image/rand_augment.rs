//! RandAugment (Cubuk et al. 2019): a few operations drawn from fourteen, all of one strength. The operations and their
//! scale of strength are torchvision's; on pictures they give the same bytes as its Pillow backend.

use super::{CHANNELS, Picture};
use rand::{Rng, RngExt};

/// The strongest magnitude.
pub const STRONGEST: u32 = 30;

/// One operation; the order is the one in which they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
}

const OPERATIONS: [Operation; 14] = [
    Operation::Identity,
    Operation::ShearX,
    Operation::ShearY,
    Operation::TranslateX,
    Operation::TranslateY,
    Operation::Rotate,
    Operation::Brightness,
    Operation::Color,
    Operation::Contrast,
    Operation::Sharpness,
    Operation::Posterize,
    Operation::Solarize,
    Operation::AutoContrast,
    Operation::Equalize,
];

/// Applies `count` operations, drawn one by one and possibly the same again, each to the left or the right, to less or
/// to more, as another draw says.
pub fn rand_augment(picture: &Picture, count: u32, magnitude: u32, generator: &mut impl Rng) -> Picture {
    let mut result = picture.clone();
    for _ in 0..count {
        let operation = OPERATIONS[generator.random_range(0..OPERATIONS.len())];
        let sign = if generator.random_bool(0.5) { -1.0 } else { 1.0 };
        result = apply(operation, result, f64::from(magnitude) / f64::from(STRONGEST), sign);
    }
    result
}

/// One operation at a strength from 0 to 1. Shears and turns take the nearest pixel, and black where there is none.
fn apply(operation: Operation, picture: Picture, strength: f64, sign: f64) -> Picture {
    let signed = strength * sign;
    let factor = (1.0 + 0.9 * signed) as f32;
    let translation = |side: usize| -(150.0 / 331.0 * side as f64 * signed).trunc();
    match operation {
        Operation::Identity => picture,
        Operation::ShearX => affine(&picture, [1.0, 0.3 * signed, 0.0, 0.0, 1.0, 0.0]),
        Operation::ShearY => affine(&picture, [1.0, 0.0, 0.0, 0.3 * signed, 1.0, 0.0]),
        Operation::TranslateX => affine(&picture, [1.0, 0.0, translation(picture.width), 0.0, 1.0, 0.0]),
        Operation::TranslateY => affine(&picture, [1.0, 0.0, 0.0, 0.0, 1.0, translation(picture.height)]),
        Operation::Rotate => rotated(&picture, 30.0 * signed),
        Operation::Brightness => blended(picture, factor, |_| [0; CHANNELS]),
        Operation::Color => blended(picture, factor, |pixel| [grey(pixel); CHANNELS]),
        Operation::Contrast => {
            let mean = mean(&picture);
            blended(picture, factor, |_| [mean; CHANNELS])
        }
        Operation::Sharpness => sharpened(&picture, factor),
        Operation::Posterize => {
            let bits = 8 - (4.0 * strength).round_ties_even() as u32;
            each(picture, |_, value| value & !(0xff >> bits))
        }
        Operation::Solarize => {
            let threshold = 255.0 * (1.0 - strength);
            each(picture, |_, value| {
                if f64::from(value) < threshold {
                    value
                } else {
                    255 - value
                }
            })
        }
        Operation::AutoContrast => {
            let tables = tables(&picture, stretched);
            each(picture, |channel, value| tables[channel][usize::from(value)])
        }
        Operation::Equalize => {
            let tables = tables(&picture, equalized);
            each(picture, |channel, value| tables[channel][usize::from(value)])
        }
    }
}

/// The pixel of the source for every pixel: across a·x + b·y + c, down d·x + e·y + f between pixel centres, in numbers of
/// sixteen bits below the point.
fn affine(picture: &Picture, [a, b, c, d, e, f]: [f64; 6]) -> Picture {
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let start = [fixed(c + 0.5 * a + 0.5 * b), fixed(f + 0.5 * d + 0.5 * e)];
    let (across, down) = ([fixed(a), fixed(d)], [fixed(b), fixed(e)]);
    let (source, _) = picture.pixels.as_chunks::<CHANNELS>();
    let inside = |place: i64, length: usize| usize::try_from(place >> 16).ok().filter(|&at| at < length);
    let mut pixels = Vec::with_capacity(picture.pixels.len());
    for row in 0..picture.height as i64 {
        for column in 0..picture.width as i64 {
            let [x, y] = std::array::from_fn(|axis| start[axis] + row * down[axis] + column * across[axis]);
            let place = inside(x, picture.width).zip(inside(y, picture.height));
            pixels.extend(place.map_or([0; CHANNELS], |(x, y)| source[y * picture.width + x]));
        }
    }
    Picture { pixels, ..*picture }
}

/// Turns counter-clockwise about the centre.
fn rotated(picture: &Picture, degrees: f64) -> Picture {
    let (sine, cosine) = (-degrees.to_radians()).sin_cos();
    let (x, y) = (picture.width as f64 / 2.0, picture.height as f64 / 2.0);
    let left = x - cosine * x - sine * y;
    let top = y + sine * x - cosine * y;
    affine(picture, [cosine, sine, left, -sine, cosine, top])
}

/// Each pixel moved away from another colour: at a factor of 0 it is that colour, at 1 it stays as it is.
fn blended(mut picture: Picture, factor: f32, other: impl Fn([u8; CHANNELS]) -> [u8; CHANNELS]) -> Picture {
    let (pixels, _) = picture.pixels.as_chunks_mut::<CHANNELS>();
    for pixel in pixels {
        let other = other(*pixel);
        *pixel = std::array::from_fn(|channel| blend(other[channel], pixel[channel], factor));
    }
    picture
}

/// Rounded towards zero, within the range of a byte.
fn blend(other: u8, value: u8, factor: f32) -> u8 {
    (f32::from(other) + factor * (f32::from(value) - f32::from(other))) as u8
}

/// Luma (ITU-R BT.601) in sixteen bits below the point.
pub fn grey([red, green, blue]: [u8; CHANNELS]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue);
    ((sum + 0x8000) >> 16) as u8
}

/// The mean luma, rounded.
fn mean(picture: &Picture) -> u8 {
    let (pixels, _) = picture.pixels.as_chunks::<CHANNELS>();
    let sum: u64 = pixels.iter().map(|&pixel| u64::from(grey(pixel))).sum();
    (sum as f64 / pixels.len() as f64 + 0.5) as u8
}

/// Away from the picture whose pixels are means of three by three, the middle five times; the border stays as it is.
fn sharpened(picture: &Picture, factor: f32) -> Picture {
    let (height, length) = (picture.height, CHANNELS * picture.width);
    let mut pixels = picture.pixels.clone();
    for row in 1..height.saturating_sub(1) {
        let lines = [row - 1, row, row + 1].map(|row| &picture.pixels[row * length..(row + 1) * length]);
        let target = &mut pixels[row * length..(row + 1) * length];
        let inner = target.iter_mut().enumerate().skip(CHANNELS);
        for (at, pixel) in inner.take(length.saturating_sub(2 * CHANNELS)) {
            let around = [at - CHANNELS, at, at + CHANNELS];
            let sum: u32 = lines.iter().flat_map(|line| around.map(|at| u32::from(line[at]))).sum();
            let smooth = (2 * (sum + 4 * u32::from(*pixel)) + 13) / 26;
            *pixel = blend(smooth as u8, *pixel, factor);
        }
    }
    Picture { pixels, ..*picture }
}

/// Every value by its channel.
fn each(mut picture: Picture, change: impl Fn(usize, u8) -> u8) -> Picture {
    let (pixels, _) = picture.pixels.as_chunks_mut::<CHANNELS>();
    for pixel in pixels {
        *pixel = std::array::from_fn(|channel| change(channel, pixel[channel]));
    }
    picture
}

/// For each channel a table made of how often its values are there.
fn tables(picture: &Picture, table: impl Fn(&[usize; 256]) -> [u8; 256]) -> [[u8; 256]; CHANNELS] {
    let mut counts = [[0; 256]; CHANNELS];
    let (pixels, _) = picture.pixels.as_chunks::<CHANNELS>();
    for pixel in pixels {
        for (counts, &value) in counts.iter_mut().zip(pixel) {
            counts[usize::from(value)] += 1;
        }
    }
    counts.each_ref().map(table)
}

/// The lowest value becomes 0 and the highest 255.
fn stretched(counts: &[usize; 256]) -> [u8; 256] {
    let low = counts.iter().position(|&count| count > 0).unwrap_or(0);
    let high = counts.iter().rposition(|&count| count > 0).unwrap_or(0);
    if high <= low {
        return std::array::from_fn(|value| value as u8);
    }
    let scale = 255.0 / (high - low) as f64;
    let offset = -(low as f64) * scale;
    std::array::from_fn(|value| (value as f64 * scale + offset) as u8)
}

/// Values that are there equally often lie equally far apart.
fn equalized(counts: &[usize; 256]) -> [u8; 256] {
    let last = counts.iter().rfind(|&&count| count > 0).copied().unwrap_or(0);
    let step = (counts.iter().sum::<usize>() - last) / 255;
    if step == 0 {
        return std::array::from_fn(|value| value as u8);
    }
    let mut sum = step / 2;
    std::array::from_fn(|value| {
        let place = sum / step;
        sum += counts[value];
        place.min(255) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors::image::samples::{assert_close, pattern};
    use crate::random::Key;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/rand_augment/");
        std::fs::read(format!("{folder}{name}")).unwrap()
    }

    fn picture(pixels: Vec<u8>) -> Picture {
        Picture {
            height: 15,
            width: 19,
            pixels,
        }
    }

    #[test]
    fn every_operation_gives_the_bytes_that_torchvision_gives() {
        let source = picture(golden("picture.rgb"));
        let operations = golden("operations.rgb");
        let mut expected = operations.chunks_exact(source.pixels.len());
        for operation in OPERATIONS {
            for magnitude in [9.0, 30.0] {
                for sign in [1.0, -1.0] {
                    let found = apply(operation, source.clone(), magnitude / 30.0, sign);
                    let expected = picture(expected.next().unwrap().to_vec());
                    assert_close(&found, &expected, 0, &format!("{operation:?}, {magnitude} · {sign}"));
                }
            }
        }
        assert_eq!(expected.count(), 0);
    }

    #[test]
    fn pictures_of_one_pixel_or_one_colour_stay_whole() {
        for (height, width) in [(1, 1), (1, 5), (5, 1), (2, 2)] {
            for operation in OPERATIONS {
                let found = apply(operation, pattern(height, width), 0.3, 1.0);
                assert_eq!((found.height, found.width), (height, width), "{operation:?}");
                assert_eq!(found.pixels.len(), CHANNELS * height * width, "{operation:?}");
            }
        }
        let flat = picture(vec![9; 15 * 19 * 3]);
        for operation in [
            Operation::AutoContrast,
            Operation::Equalize,
            Operation::Contrast,
            Operation::Sharpness,
        ] {
            assert_eq!(apply(operation, flat.clone(), 0.5, 1.0), flat, "{operation:?}");
        }
    }

    #[test]
    fn the_key_decides_and_every_operation_is_drawn() {
        let source = picture(golden("picture.rgb"));
        let run = |index: u64, count: u32| rand_augment(&source, count, 30, &mut Key::new(1).at(index).generator());
        assert_eq!(run(3, 2), run(3, 2));
        assert_eq!(run(3, 0), source);
        let mut results: Vec<Vec<u8>> = (0..400).map(|index| run(index, 1).pixels).collect();
        results.sort();
        results.dedup();
        // Nine of the operations have a sign; all others but the identity change the picture in one way.
        assert_eq!(results.len(), 2 * 9 + 5);
    }
}
