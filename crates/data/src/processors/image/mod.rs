//! Pictures: a file or an upload becomes RGB pixels of one size, then normalised floats.

mod augment;
mod complete;
pub(super) mod config;
mod cubic;
pub(super) mod decode;
mod erase;
mod jpeg;
mod part;
pub(super) mod patches;
mod rand_augment;
pub(super) mod resize;
mod svg;
mod tiles;

pub use augment::augment;
pub use config::{Augment, Decode, ImageConfig, Interpolation, Resize, Size};
pub use patches::PatchesConfig;
pub(crate) use resize::{Area, sample};
pub(crate) use svg::is_svg;

use super::{Collated, read};
use crate::Result;
use std::path::Path;
use svg::Scale;

/// Red, green and blue.
pub const CHANNELS: usize = 3;

/// A decoded picture: RGB, eight bits a channel, row after row from the top left; height × width ×
/// 3 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    pub height: usize,
    pub width: usize,
    pub pixels: Vec<u8>,
}

impl Picture {
    /// The picture as a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let (width, height) = (self.width as u32, self.height as u32);
        let color = image::ExtendedColorType::Rgb8;
        image::write_buffer_with_format(&mut bytes, &self.pixels, width, height, color, image::ImageFormat::Png)
            .expect("pixels of the right number can be written to memory");
        bytes.into_inner()
    }
}

/// Reads, decodes and resizes the picture at `path`; every error carries the path.
pub fn prepare_file(config: &ImageConfig, path: &Path) -> Result<Picture> {
    read::read(path, "a picture")
        .and_then(|bytes| prepare_bytes(config, &bytes))
        .map_err(|error| error.at_path(path))
}

/// Decodes a whole picture at its own size, and a drawing at that or a smaller one.
pub(crate) fn decode_whole(bytes: &[u8]) -> Result<Picture> {
    let config = ImageConfig {
        resize: Resize::Stretch,
        ..ImageConfig::default()
    };
    Ok(decode::decode(bytes, &config, Scale::Own)?.picture)
}

/// Decodes and resizes an encoded picture.
pub fn prepare_bytes(config: &ImageConfig, bytes: &[u8]) -> Result<Picture> {
    let picture = resize::resize(decode::decode(bytes, config, Scale::Target)?, config);
    Ok(match config.grayscale {
        true => augment::colourless(&picture),
        false => picture,
    })
}

/// Normalises the pictures of each medium into one batch: (value / 255 − mean) / deviation, by channel; tiles by themselves.
///
/// # Panics
/// When a picture does not have the configured size.
pub fn collate<'a>(config: &ImageConfig, media: impl ExactSizeIterator<Item = &'a [Picture]> + Clone) -> Collated {
    if config.patches.is_some() {
        let shots = |pictures: &'a [Picture]| {
            let pictures = pictures.iter().collect();
            vec![patches::Shots { pictures, apart: None }]
        };
        return patches::collate(config, media.map(shots));
    }
    if config.tiles() > 0 || media.clone().any(|pictures| pictures.len() != 1) {
        return tiles::collate(config, media);
    }
    let (height, width) = (config.size.height(), config.size.width());
    let shape = [media.len(), height, width, CHANNELS];
    let mut pixels = Vec::with_capacity(shape.iter().product());
    let tables = tables(config);
    for picture in media.flatten() {
        normalize(config, &tables, picture, &mut pixels);
    }
    Collated::Image { shape, pixels }
}

/// Reads what a row lists, at most so many pictures, each by `read`.
///
/// # Errors
/// For more pictures and for none, and what `read` refuses.
pub fn prepare_list<T>(items: &[T], most: usize, read: impl Fn(&T) -> Result<Picture>) -> Result<Vec<Picture>> {
    match items.len() {
        0 => Err(super::invalid(
            "expected a list of pictures, found an empty one; leave the value out",
        )),
        count if count > most => Err(super::invalid(format!(
            "expected at most {most} pictures in a list, found {count}"
        ))),
        _ => items.iter().map(read).collect(),
    }
}

/// Appends the normalised pixels of one picture.
///
/// # Panics
/// When the picture does not have the configured size.
pub fn normalize(config: &ImageConfig, tables: &[[f32; 256]; CHANNELS], picture: &Picture, pixels: &mut Vec<f32>) {
    assert_eq!(
        (picture.height, picture.width),
        (config.size.height(), config.size.width()),
        "a picture of another size"
    );
    let (rgb, _) = picture.pixels.as_chunks::<CHANNELS>();
    pixels.extend(rgb.iter().flat_map(|&[red, green, blue]| {
        [
            tables[0][red as usize],
            tables[1][green as usize],
            tables[2][blue as usize],
        ]
    }));
}

/// The normalised value of each of the 256 pixel values, by channel: a look-up is faster than the
/// arithmetic.
pub fn tables(config: &ImageConfig) -> [[f32; 256]; CHANNELS] {
    std::array::from_fn(|channel| {
        let (mean, deviation) = (config.mean[channel], config.deviation[channel]);
        std::array::from_fn(|value| (value as f32 / 255.0 - mean) / deviation)
    })
}

#[cfg(test)]
mod tests {
    use super::samples::{assert_close, encode, golden, golden_picture, pattern};
    use super::*;

    #[test]
    fn a_jpeg_becomes_what_pillow_and_torchvision_make_of_it() {
        for (decode, expected, tolerance) in [(Decode::Exact, "photo_exact", 1), (Decode::Fast, "photo_fast", 2)] {
            let config = ImageConfig {
                size: Size::new(48, 48),
                decode,
                ..ImageConfig::default()
            };
            let found = prepare_bytes(&config, &golden("photo.jpg")).unwrap();
            assert_close(&found, &golden_picture(expected, 48, 48), tolerance, expected);
        }
    }

    /// A JPEG with an EXIF orientation.
    fn oriented(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        [&jpeg[..2], &exif, &jpeg[2..]].concat()
    }

    #[test]
    fn decoding_a_part_changes_no_pixel() {
        for (height, width) in [(40, 100), (100, 40), (65, 64)] {
            let jpeg = encode(&pattern(height, width), image::ImageFormat::Jpeg);
            for orientation in 1..=8 {
                let bytes = oriented(&jpeg, orientation);
                let config = |resize| ImageConfig {
                    size: Size::new(16, 16),
                    resize,
                    ..ImageConfig::default()
                };
                let whole = decode::decode(&bytes, &config(Resize::Stretch), Scale::Target).unwrap();
                let crop = config(Resize::Crop);
                let part = decode::decode(&bytes, &crop, Scale::Target).unwrap();
                assert_eq!((part.height, part.width), (whole.height, whole.width));
                assert!(part.picture.pixels.len() < whole.picture.pixels.len() || height.abs_diff(width) < 2);
                let what = format!("{height} × {width}, orientation {orientation}");
                assert_close(&resize::resize(part, &crop), &resize::resize(whole, &crop), 0, &what);
            }
        }
    }

    #[test]
    fn colours_are_lost_where_the_recipe_says_so() {
        let colored = pattern(9, 12);
        let bytes = encode(&colored, image::ImageFormat::Png);
        let config = |grayscale| ImageConfig {
            size: Size::new(9, 12),
            grayscale,
            ..ImageConfig::default()
        };
        assert_eq!(prepare_bytes(&config(false), &bytes).unwrap(), colored);
        let grey = prepare_bytes(&config(true), &bytes).unwrap();
        let (pixels, colors) = (grey.pixels.as_chunks::<3>().0, colored.pixels.as_chunks::<3>().0);
        assert!(colors.iter().any(|[red, green, _]| red != green));
        for (pixel, color) in pixels.iter().zip(colors) {
            let [red, green, blue] = color.map(f64::from);
            let luma = 0.299 * red + 0.587 * green + 0.114 * blue;
            assert_eq!([pixel[0]; 3], *pixel);
            assert!((f64::from(pixel[0]) - luma).abs() <= 0.51, "{color:?} became {pixel:?}");
        }
    }

    #[test]
    fn a_batch_is_normalised_by_channel() {
        let config = ImageConfig {
            size: Size::new(1, 2),
            mean: [0.0, 0.5, 1.0],
            deviation: [1.0, 0.5, 0.25],
            ..ImageConfig::default()
        };
        let picture = |pixels: [u8; 6]| Picture {
            height: 1,
            width: 2,
            pixels: pixels.to_vec(),
        };
        let (first, second) = (picture([0, 0, 0, 255, 255, 255]), picture([51, 51, 51, 0, 0, 255]));
        let Collated::Image { shape, pixels } =
            collate(&config, [&first, &second].into_iter().map(std::slice::from_ref))
        else {
            panic!("not an image batch");
        };
        assert_eq!(shape, [2, 1, 2, 3]);
        let expected = [0.0, -1.0, -4.0, 1.0, 1.0, 0.0, 0.2, -0.6, -3.2, 0.0, -1.0, 0.0];
        for (found, expected) in pixels.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{pixels:?}");
        }
    }

    #[test]
    fn an_empty_batch_has_no_pixels() {
        let collated = collate(&ImageConfig::default(), std::iter::empty());
        assert_eq!(
            collated,
            Collated::Image {
                shape: [0, 64, 64, 3],
                pixels: vec![]
            }
        );
    }
}

/// What the tests of this folder share: the golden files and pictures made by formula.
#[cfg(test)]
mod samples {
    use super::Picture;
    use image::{ImageFormat, RgbImage};
    use std::io::Cursor;
    use std::path::PathBuf;

    pub fn golden_path(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../reference/pictures")
            .join(name)
    }

    pub fn golden(name: &str) -> Vec<u8> {
        std::fs::read(golden_path(name)).unwrap()
    }

    /// Pillow's reading of a golden file, or a golden picture of its own.
    pub fn golden_picture(name: &str, height: usize, width: usize) -> Picture {
        Picture {
            height,
            width,
            pixels: golden(&format!("{name}.rgb")),
        }
    }

    /// A picture in which every pixel differs from its neighbours.
    pub fn pattern(height: usize, width: usize) -> Picture {
        let value = |index: usize| (index * 7 + index / 5) as u8;
        Picture {
            height,
            width,
            pixels: (0..height * width * 3).map(value).collect(),
        }
    }

    pub fn encode(picture: &Picture, format: ImageFormat) -> Vec<u8> {
        let (height, width) = (picture.height as u32, picture.width as u32);
        let mut bytes = Cursor::new(Vec::new());
        let image = RgbImage::from_raw(width, height, picture.pixels.clone()).unwrap();
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// Both pictures have one size, and no byte differs by more than `tolerance`.
    pub fn assert_close(found: &Picture, expected: &Picture, tolerance: u8, what: &str) {
        assert_eq!((found.height, found.width), (expected.height, expected.width), "{what}");
        assert_eq!(found.pixels.len(), expected.pixels.len(), "{what}");
        let pairs = found.pixels.iter().zip(&expected.pixels);
        let worst = pairs.map(|(&a, &b)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= tolerance, "{what}: differs by {worst}");
    }
}
