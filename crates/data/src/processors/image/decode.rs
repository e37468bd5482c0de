//! Encoded bytes become RGB pixels: format by content, limits before memory, upright, opaque on the ground colour.

use super::super::read;
use super::jpeg::Jpeg;
use super::part::{Part, upright};
use super::svg::{self, Scale};
use super::{CHANNELS, Decode, ImageConfig, Picture, complete, resize};
use crate::shield::shielded;
use crate::{DataError, ErrorKind, Result};
use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::Cursor;

/// The longest side of a picture, in pixels.
const MAX_SIDE: u32 = 16_384;
/// The largest area of a picture, in pixels: above what the cameras of telephones give.
const MAX_PIXELS: u64 = 128 << 20;
/// What a decoder may allocate, in bytes: the largest area at eight bytes a pixel.
const MAX_ALLOCATION: u64 = 8 * MAX_PIXELS;

const NEEDS_MEMORY: &str = "one that needs more memory";

/// Decodes a PNG, JPEG, WebP, GIF, BMP or TIFF to RGB, turned as its EXIF orientation says; of an
/// animation the first picture, and of a JPEG only what is needed for the configured size. An SVG is drawn at `scale`.
///
/// # Errors
/// [`ErrorKind::Damaged`] for cut or altered bytes, [`ErrorKind::Unsupported`] for another format,
/// [`ErrorKind::TooLarge`] beyond 16,384 pixels a side or 128 Mi pixels in all.
pub fn decode(bytes: &[u8], config: &ImageConfig, scale: Scale) -> Result<Part> {
    read::check_length(bytes, "a picture")?;
    let Ok(format) = image::guess_format(bytes) else {
        return match svg::is_svg(bytes) {
            true => svg::decode(bytes, config, scale),
            false => Err(unknown(bytes)),
        };
    };
    // A decoder's fault ends the work on this picture, not the program.
    shielded(|| decode_as(format, bytes, config))
        .unwrap_or_else(|| Err(damaged(format, "the decoder failed on its bytes")))
}

/// The name of a format in messages.
pub fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Gif => "GIF",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        other => other.extensions_str().first().unwrap_or(&"unknown"),
    }
}

fn decode_as(format: ImageFormat, bytes: &[u8], config: &ImageConfig) -> Result<Part> {
    match format {
        ImageFormat::Jpeg => match Jpeg::open(bytes)? {
            Some(jpeg) => decode_jpeg(jpeg, config),
            None => decode_whole(format, bytes, config.ground),
        },
        _ => decode_whole(format, bytes, config.ground),
    }
}

/// Decodes the part that is needed, at the scale that suffices.
fn decode_jpeg(jpeg: Jpeg, config: &ImageConfig) -> Result<Part> {
    let (height, width) = jpeg.size(1);
    check_size(height as u64, width as u64)?;
    let orientation = jpeg.orientation();
    let scale = match config.decode {
        Decode::Exact => 1,
        Decode::Fast => resize::scale(config, upright(orientation, (height, width))),
    };
    let stored = jpeg.size(scale);
    let (height, width) = upright(orientation, stored);
    let needed = resize::needed(config, height, width);
    let part = needed.stored(orientation, stored);
    if jpeg.memory(scale, part) > MAX_ALLOCATION {
        return Err(too_large(NEEDS_MEMORY.to_string()));
    }
    let picture = turned(jpeg.decode(scale, part)?, orientation);
    Ok(Part {
        picture,
        top: needed.top,
        left: needed.left,
        height,
        width,
    })
}

fn turned(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let Picture { height, width, pixels } = picture;
    let image = RgbImage::from_raw(width as u32, height as u32, pixels);
    let mut image = DynamicImage::from(image.expect("a picture holds height × width × 3 bytes"));
    image.apply_orientation(orientation);
    Picture {
        height: image.height() as usize,
        width: image.width() as usize,
        pixels: image.into_rgb8().into_raw(),
    }
}

fn decode_whole(format: ImageFormat, bytes: &[u8], ground: [u8; CHANNELS]) -> Result<Part> {
    let fault = |error: ImageError| explain(format, error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits());
    let mut decoder = reader.into_decoder().map_err(fault)?;
    let (width, height) = decoder.dimensions();
    check_size(height.into(), width.into())?;
    complete::check(format, bytes)?;
    let orientation = decoder.orientation().map_err(fault)?;
    let mut image = DynamicImage::from_decoder(decoder).map_err(fault)?;
    if orientation != Orientation::NoTransforms {
        image.apply_orientation(orientation);
    }
    Ok(opaque(image, ground).into())
}

fn check_size(height: u64, width: u64) -> Result<()> {
    match height.max(width) > MAX_SIDE.into() || height * width > MAX_PIXELS {
        true => Err(too_large(format!("{width} × {height}"))),
        false => Ok(()),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    limits
}

/// Any colour type becomes RGB, eight bits a channel, transparent parts showing the ground.
fn opaque(image: DynamicImage, ground: [u8; CHANNELS]) -> Picture {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let pixels = match image.color().has_alpha() {
        false => image.into_rgb8().into_raw(),
        true => on_ground(image.into_rgba8().into_raw(), ground),
    };
    Picture { height, width, pixels }
}

/// RGBA pixels as RGB on a ground of one colour.
pub fn on_ground(mut pixels: Vec<u8>, ground: [u8; CHANNELS]) -> Vec<u8> {
    let count = pixels.len() / 4;
    // In place, because a pixel is never written behind where the next one is read.
    for index in 0..count {
        let [red, green, blue, alpha] = std::array::from_fn(|at| pixels[4 * index + at]);
        for (channel, value) in [red, green, blue].into_iter().enumerate() {
            pixels[CHANNELS * index + channel] = over(ground[channel], value, alpha);
        }
    }
    pixels.truncate(CHANNELS * count);
    pixels
}

/// value·alpha + ground·(1 − alpha), rounded.
fn over(ground: u8, value: u8, alpha: u8) -> u8 {
    let (ground, value, alpha) = (u32::from(ground), u32::from(value), u32::from(alpha));
    ((value * alpha + ground * (255 - alpha) + 127) / 255) as u8
}

fn explain(format: ImageFormat, error: ImageError) -> DataError {
    match error {
        ImageError::Limits(limit) => match limit.kind() {
            LimitErrorKind::DimensionError => too_large("a longer side".to_string()),
            _ => too_large(NEEDS_MEMORY.to_string()),
        },
        ImageError::Unsupported(error) => {
            let message = format!(
                "expected a common kind of {}, found {error}; convert it to PNG",
                name(format)
            );
            DataError::new(ErrorKind::Unsupported, message)
        }
        error => damaged(format, &error.to_string()),
    }
}

pub fn damaged(format: ImageFormat, found: &str) -> DataError {
    let message = format!(
        "expected a whole {} picture, found one that is cut or altered: {found}; replace the file",
        name(format)
    );
    DataError::new(ErrorKind::Damaged, message)
}

fn too_large(found: String) -> DataError {
    let message = format!(
        "expected a picture of at most {MAX_SIDE} pixels a side and {MAX_PIXELS} in all, found \
         {found}; make it smaller"
    );
    DataError::new(ErrorKind::TooLarge, message)
}

fn unknown(bytes: &[u8]) -> DataError {
    let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let message = format!(
        "expected a PNG, JPEG, WebP, GIF, BMP, TIFF or SVG picture, found bytes that start with {}; \
         convert or replace it",
        start.join(" ")
    );
    DataError::new(ErrorKind::Damaged, message)
}

#[cfg(test)]
mod tests {
    use super::super::Resize;
    use super::super::samples::{assert_close, encode, golden, golden_picture, pattern};
    use super::*;
    use image::{ImageBuffer, Luma, Rgba};

    /// The whole picture.
    fn decode(bytes: &[u8]) -> Result<Picture> {
        let config = ImageConfig {
            resize: Resize::Stretch,
            ..Default::default()
        };
        super::decode(bytes, &config, Scale::Target).map(|part| part.picture)
    }

    const LOSSLESS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP];

    fn png(image: DynamicImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn every_kind_of_picture_reads_as_pillow_reads_it() {
        for (name, tolerance) in [
            ("cmyk.jpg", 3),
            ("progressive.jpg", 4),
            ("grey.jpg", 2),
            ("cmyk.tiff", 2),
            ("transparent.webp", 1),
            ("palette.png", 1),
            ("grey16.png", 0),
            ("bits.png", 0),
            ("palette.bmp", 0),
            ("animated.gif", 0),
            ("animated.webp", 0),
            ("animated_apng.png", 0),
        ] {
            let picture = decode(&golden(name)).unwrap();
            assert_close(&picture, &golden_picture(name, 17, 23), tolerance, name);
        }
    }

    #[test]
    fn lossless_formats_give_back_every_pixel() {
        for format in LOSSLESS {
            for (height, width) in [(1, 1), (1, 9), (9, 1), (7, 5)] {
                let picture = pattern(height, width);
                assert_eq!(decode(&encode(&picture, format)).unwrap(), picture, "{format:?}");
            }
        }
    }

    #[test]
    fn transparency_shows_white_paper() {
        let image = ImageBuffer::from_fn(4, 1, |x, _| Rgba([0, 100, 200, [0u8, 255, 128, 1][x as usize]]));
        let picture = decode(&png(image.into())).unwrap();
        assert_eq!(
            picture.pixels,
            [255, 255, 255, 0, 100, 200, 127, 177, 227, 254, 254, 255]
        );
    }

    #[test]
    fn transparency_shows_the_chosen_ground() {
        let image = ImageBuffer::from_fn(3, 1, |x, _| Rgba([0, 100, 200, [0u8, 255, 51][x as usize]]));
        let config = ImageConfig {
            ground: [10, 20, 30],
            resize: Resize::Stretch,
            ..Default::default()
        };
        let picture = super::decode(&png(image.into()), &config, Scale::Target)
            .unwrap()
            .picture;
        assert_eq!(picture.pixels, [10, 20, 30, 0, 100, 200, 8, 36, 64]);
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let image = ImageBuffer::from_fn(4, 1, |x, _| Luma([[0u16, 128, 129, 65535][x as usize]]));
        let picture = decode(&png(image.into())).unwrap();
        assert_eq!(picture.pixels, [0, 0, 0, 0, 0, 0, 1, 1, 1, 255, 255, 255]);
    }

    /// A JPEG, 48 wide and 32 high, black but for its upper left quarter, with an EXIF orientation.
    fn oriented(orientation: u8) -> Vec<u8> {
        let pixels = (0..32 * 48).flat_map(|at| [if at % 48 < 24 && at / 48 < 16 { 255 } else { 0 }; 3]);
        let picture = Picture {
            height: 32,
            width: 48,
            pixels: pixels.collect(),
        };
        let jpeg = encode(&picture, ImageFormat::Jpeg);
        // Marker APP1, its length, and a big-endian TIFF folder of one entry: tag 0x112, one short.
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        [&jpeg[..2], &exif, &jpeg[2..]].concat()
    }

    /// Where the white quarter is after decoding: height, and whether it is at the top and at the
    /// left.
    fn quarter(orientation: u8) -> (usize, bool, bool) {
        let picture = decode(&oriented(orientation)).unwrap();
        let white = |row: usize, column: usize| picture.pixels[3 * (row * picture.width + column)] > 128;
        let (bottom, right) = (picture.height - 3, picture.width - 3);
        let corners = [white(2, 2), white(2, right), white(bottom, 2), white(bottom, right)];
        assert_eq!(corners.iter().filter(|&&corner| corner).count(), 1, "{corners:?}");
        (picture.height, corners[0] || corners[1], corners[0] || corners[2])
    }

    #[test]
    fn a_picture_is_turned_as_its_exif_orientation_says() {
        for (orientation, expected) in [
            (0, (32, true, true)),
            (1, (32, true, true)),
            (2, (32, true, false)),
            (3, (32, false, false)),
            (4, (32, false, true)),
            (5, (48, true, true)),
            (6, (48, true, false)),
            (7, (48, false, false)),
            (8, (48, false, true)),
            (9, (32, true, true)),
        ] {
            assert_eq!(quarter(orientation), expected, "orientation {orientation}");
        }
    }

    fn check_refused(bytes: &[u8], kind: ErrorKind, words: &str) {
        let error = decode(bytes).unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }

    #[test]
    fn bytes_that_are_no_picture_are_refused() {
        check_refused(b"", ErrorKind::Damaged, "empty file of 0 bytes");
        check_refused(
            b"hello, world",
            ErrorKind::Damaged,
            "start with 68 65 6c 6c 6f 2c 20 77",
        );
        check_refused(b"\x89PNG\r\n\x1a\n", ErrorKind::Damaged, "PNG");
        check_refused(b"\x00\x00\x00\x20ftypavif\0\0\0\0", ErrorKind::Unsupported, "avif");
    }

    #[test]
    fn every_cut_of_every_format_is_damaged() {
        let mut whole: Vec<_> = LOSSLESS.map(|format| encode(&pattern(9, 7), format)).to_vec();
        whole.push(encode(&pattern(9, 7), ImageFormat::Jpeg));
        whole.extend(["animated.gif", "progressive.jpg", "animated.webp", "palette.bmp"].map(golden));
        for bytes in whole {
            let format = image::guess_format(&bytes).unwrap();
            for length in 0..bytes.len() {
                let found = decode(&bytes[..length]).map_err(|error| error.kind);
                assert_eq!(
                    found,
                    Err(ErrorKind::Damaged),
                    "{format:?}: {length} of {}",
                    bytes.len()
                );
            }
        }
    }

    #[test]
    fn a_flipped_byte_in_the_pixels_of_a_png_is_noticed() {
        let mut bytes = encode(&pattern(20, 20), ImageFormat::Png);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        check_refused(&bytes, ErrorKind::Damaged, "PNG");
    }

    /// A PNG without pixels whose header claims a size.
    fn claiming(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = encode(&pattern(1, 1), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let bit = |sum: u32, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
        !bytes
            .iter()
            .fold(!0, |sum, &byte| (0..8).fold(sum ^ u32::from(byte), bit))
    }

    #[test]
    fn a_claimed_size_beyond_the_limits_is_refused_before_memory_is_taken() {
        assert!(decode(&claiming(1, 1)).is_ok());
        check_refused(&claiming(60_000, 60_000), ErrorKind::TooLarge, "16384 pixels a side");
        check_refused(&claiming(16_385, 1), ErrorKind::TooLarge, "16384 pixels a side");
        check_refused(&claiming(16_384, 16_384), ErrorKind::TooLarge, "found 16384 × 16384");
        check_refused(&claiming(16_384, 8192), ErrorKind::Damaged, "PNG");
        for (format, at) in [(ImageFormat::Bmp, 18), (ImageFormat::Gif, 6)] {
            let mut bytes = match format {
                ImageFormat::Gif => golden("animated.gif"),
                _ => encode(&pattern(3, 3), format),
            };
            bytes[at..at + 2].copy_from_slice(&60_000u16.to_le_bytes());
            check_refused(&bytes, ErrorKind::TooLarge, "16384 pixels a side");
        }
    }
}
