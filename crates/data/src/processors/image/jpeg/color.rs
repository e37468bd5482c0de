//! Samples of the components become red, green and blue (JFIF 1.02, section 7, and Adobe's inverted inks).

use super::header::Remarks;
use crate::processors::image::CHANNELS;

/// What the components of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    Grey,
    Rgb,
    /// Luma, blue difference, red difference.
    Ycc,
    /// Cyan, magenta, yellow and black, stored inverted: 255 stands for no ink.
    Cmyk,
    /// The same with the first three as luma and differences.
    Ycck,
}

impl Color {
    /// What libjpeg concludes from the remarks and from the components' identifiers.
    pub fn of(identifiers: &[u8], remarks: &Remarks) -> Self {
        match (identifiers, remarks.adobe) {
            ([_], _) => Self::Grey,
            ([_, _, _, _], None | Some(0)) => Self::Cmyk,
            ([_, _, _, _], _) => Self::Ycck,
            _ if remarks.jfif => Self::Ycc,
            (_, Some(0)) | (b"RGB", None) => Self::Rgb,
            _ => Self::Ycc,
        }
    }
}

/// Writes one line of pixels from the lines of the components.
#[inline(always)]
pub fn convert(color: Color, lines: [&[u8]; 4], target: &mut [u8]) {
    let [first, second, third, fourth] = lines;
    let (pixels, _) = target.as_chunks_mut::<CHANNELS>();
    match color {
        Color::Grey => pixels
            .iter_mut()
            .zip(first)
            .for_each(|(pixel, &grey)| *pixel = [grey; CHANNELS]),
        Color::Rgb => each(pixels, [first, second, third], |a, b, c| [a, b, c]),
        Color::Ycc => each(pixels, [first, second, third], rgb),
        Color::Cmyk => {
            each(pixels, [first, second, third], |a, b, c| [255 - a, 255 - b, 255 - c]);
            darken(pixels, fourth);
        }
        Color::Ycck => {
            each(pixels, [first, second, third], rgb);
            darken(pixels, fourth);
        }
    }
}

/// Pixels that are converted together.
const CHUNK: usize = 256;

/// Converts to planes first and mixes them then: each of the two steps suits vector instructions.
#[inline(always)]
fn each(
    pixels: &mut [[u8; CHANNELS]],
    [first, second, third]: [&[u8]; 3],
    convert: impl Fn(u8, u8, u8) -> [u8; CHANNELS],
) {
    let samples = first.chunks(CHUNK).zip(second.chunks(CHUNK)).zip(third.chunks(CHUNK));
    for (pixels, ((first, second), third)) in pixels.chunks_mut(CHUNK).zip(samples) {
        let mut planes = [[0; CHUNK]; CHANNELS];
        let [reds, greens, blues] = &mut planes;
        let targets = reds.iter_mut().zip(greens).zip(blues);
        for (((red, green), blue), ((&first, &second), &third)) in targets.zip(first.iter().zip(second).zip(third)) {
            [*red, *green, *blue] = convert(first, second, third);
        }
        let [reds, greens, blues] = &planes;
        for (pixel, ((&red, &green), &blue)) in pixels.iter_mut().zip(reds.iter().zip(greens).zip(blues)) {
            *pixel = [red, green, blue];
        }
    }
}

/// Turns cyan, magenta and yellow over black into colours that light gives, rounded as Pillow does.
#[inline(always)]
fn darken(pixels: &mut [[u8; CHANNELS]], blacks: &[u8]) {
    for (pixel, &light) in pixels.iter_mut().zip(blacks) {
        *pixel = pixel.map(|ink| {
            let product = u32::from(ink) * u32::from(light) + 128;
            light - ((product + (product >> 8)) >> 8) as u8
        });
    }
}

/// Sixteen bits below the point, each product rounded as in libjpeg's tables.
#[inline(always)]
fn rgb(luma: u8, blue: u8, red: u8) -> [u8; CHANNELS] {
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let rounded = |product: i32| luma + ((product + (1 << 15)) >> 16);
    [
        rounded(91_881 * red),
        rounded(-22_554 * blue - 46_802 * red),
        rounded(116_130 * blue),
    ]
    .map(|value| value.clamp(0, 255) as u8)
}
