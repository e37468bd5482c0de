//! Pictures: decoded as training decodes them, and kept as a thumbnail of 16 × 16 pixels.

use super::{Facts, Probe, Source};
use crate::Result;
use crate::check::fingerprint::Fingerprint;
use crate::check::gate::Gate;
use crate::processors::Picture;
use crate::processors::image::{Area, CHANNELS, decode_whole, is_svg, sample};
use crate::processors::read::read;
use crate::shield::shielded;
use fast_image_resize::FilterType;
use image::ImageReader;
use std::io::Cursor;
use std::sync::Arc;

/// The side of a thumbnail, in pixels.
const SIDE: usize = 16;
/// What decoding takes for each pixel, in bytes: eight in the decoder, three as RGB.
const PIXEL: u64 = 11;
/// What drawing an SVG takes, in bytes: a few layers and the elements of its document.
const DRAWING: u64 = 256 << 20;

pub(super) fn probe(source: &Source, gate: &Gate) -> Result<Probe> {
    let bytes: Arc<[u8]> = match source {
        Source::File(path) => read(path, "a picture")?.into(),
        Source::Bytes(bytes) => bytes.clone(),
        Source::Stored(stored) => stored.read()?,
    };
    let _pass = gate.enter(claimed_memory(&bytes));
    let picture = decode_whole(&bytes)?;
    Ok(Probe {
        content: blake3::hash(&bytes),
        bytes: bytes.len() as u64,
        facts: Facts {
            format: format(&bytes),
            width: Some(picture.width as u32),
            height: Some(picture.height as u32),
            ..Facts::default()
        },
        fingerprint: Some(fingerprint(&picture)),
    })
}

/// The memory that the picture's header asks for; none where it cannot be read, because then
/// nothing will be decoded.
fn claimed_memory(bytes: &[u8]) -> u64 {
    let size = shielded(|| {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
        reader.into_dimensions().ok()
    });
    let (width, height) = size.flatten().unwrap_or((0, 0));
    match is_svg(bytes) {
        true => DRAWING,
        false => u64::from(width) * u64::from(height) * PIXEL,
    }
}

fn format(bytes: &[u8]) -> Option<String> {
    if is_svg(bytes) {
        return Some("svg".to_string());
    }
    let format = image::guess_format(bytes).ok()?;
    format.extensions_str().first().map(|extension| extension.to_string())
}

/// The thumbnail by channel, each in quarters, so that the parts of the fingerprint are the
/// quarters' colours.
pub(super) fn fingerprint(picture: &Picture) -> Fingerprint {
    let thumbnail = thumbnail(picture);
    let half = SIDE / 2;
    let mut values = Vec::with_capacity(CHANNELS * SIDE * SIDE);
    for channel in 0..CHANNELS {
        for (top, left) in [(0, 0), (0, half), (half, 0), (half, half)] {
            let pixel = |at: usize| ((top + at / half) * SIDE + left + at % half) * CHANNELS + channel;
            values.extend((0..half * half).map(|at| thumbnail.pixels[pixel(at)]));
        }
    }
    Fingerprint::new(picture.width as f64 / picture.height as f64, values)
}

/// Each pixel the mean of its area.
fn thumbnail(picture: &Picture) -> Picture {
    sample(picture, Area::whole(picture), SIDE, SIDE, FilterType::Box)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{jpeg, photo, png, shape};

    fn of(bytes: &[u8]) -> Fingerprint {
        fingerprint(&decode_whole(bytes).unwrap())
    }

    fn smaller(picture: &Picture) -> Picture {
        let whole = Area {
            left: 0.0,
            top: 0.0,
            width: picture.width as f64,
            height: picture.height as f64,
        };
        sample(
            picture,
            whole,
            picture.height / 2,
            picture.width / 2,
            FilterType::CatmullRom,
        )
    }

    #[test]
    fn compression_and_size_make_no_other_picture() {
        for number in 0..12 {
            for picture in [photo(number), shape(number)] {
                let original = of(&png(&picture));
                for quality in [95, 75, 50] {
                    assert!(original.is_near(&of(&jpeg(&picture, quality))), "{number} at {quality}");
                }
                assert!(original.is_near(&of(&png(&smaller(&picture)))), "{number} smaller");
            }
        }
    }

    #[test]
    fn shapes_that_differ_are_other_pictures() {
        let all: Vec<Fingerprint> = (0..400).map(|number| fingerprint(&shape(number))).collect();
        for (place, one) in all.iter().enumerate() {
            for (other, two) in all.iter().enumerate().skip(place + 1) {
                assert!(!one.is_near(two), "{place} and {other}");
            }
        }
    }

    #[test]
    fn the_memory_is_known_from_the_header() {
        assert_eq!(claimed_memory(&png(&shape(1))), 64 * 64 * PIXEL);
        assert_eq!(claimed_memory(b"no picture"), 0);
    }
}
