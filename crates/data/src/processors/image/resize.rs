//! Pictures to one size: what becomes of the sides, and the part of a picture that is needed for it.

use super::cubic::{self, Order};
use super::part::{Part, Region};
use super::{CHANNELS, ImageConfig, Interpolation, Picture, Resize};
use super::{patches, tiles};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

/// A part of a picture in pixels; fractions fall inside a pixel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

impl Area {
    /// All of a picture.
    pub fn whole(picture: &Picture) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: picture.width as f64,
            height: picture.height as f64,
        }
    }
}

/// Pixels to each side of a place that a filter reads at least, when it enlarges.
const REACH: f64 = 2.0;

/// What a picture is scaled to, and the part of that which is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub height: usize,
    pub width: usize,
    pub kept: Region,
}

impl Frame {
    /// A frame that keeps all of the picture.
    pub fn whole(height: usize, width: usize) -> Self {
        Self {
            height,
            width,
            kept: Region::whole((height, width)),
        }
    }

    /// The kept part in pixels of the picture before it is scaled, of this height and width.
    fn area(&self, height: usize, width: usize) -> Area {
        let (top, height) = source(self.kept.top, self.kept.height, height, self.height);
        let (left, width) = source(self.kept.left, self.kept.width, width, self.width);
        Area {
            left,
            top,
            width,
            height,
        }
    }
}

/// Where the kept part of one side begins, and its length, in source pixels.
fn source(start: usize, kept: usize, length: usize, scaled: usize) -> (f64, f64) {
    let pixel = length as f64 / scaled as f64;
    let kept = (kept as f64 * pixel).min(length as f64);
    ((start as f64 * pixel).min(length as f64 - kept), kept)
}

/// What becomes of an upright picture or a drawing of this height and width. Where its sides differ from the size's
/// the longer one rounds down and the cut to whole pixels, as torchvision's `Resize` and `CenterCrop` do.
pub fn frame(config: &ImageConfig, height: f64, width: f64) -> Frame {
    let target = (config.size.height(), config.size.width());
    let ratios = [target.0 as f64 / height, target.1 as f64 / width];
    match config.resize {
        Resize::Stretch => Frame::whole(target.0, target.1),
        Resize::Letterbox => {
            let scale = ratios[0].min(ratios[1]);
            let fit = |length: f64, most: usize| ((length * scale).round() as usize).clamp(1, most);
            Frame::whole(fit(height, target.0), fit(width, target.1))
        }
        Resize::Crop => {
            let scale = ratios[0].max(ratios[1]);
            // A hair is added because the product of a whole ratio may fall just under a whole number.
            cut(target, |length| length * scale + 1e-6, height, width)
        }
        Resize::Shortest(side) => cut(
            target,
            |length| f64::from(side) * length / height.min(width),
            height,
            width,
        ),
        Resize::Pixels(pixels) => {
            let (height, width) = patches::scaled(config.size.height(), pixels, height, width);
            Frame::whole(height, width)
        }
        Resize::Longest(side) | Resize::Tiles(side) => {
            let (height, width) = tiles::scaled(side as usize, height, width);
            Frame::whole(height, width)
        }
    }
}

/// A frame of scaled sides, of which the middle is kept.
fn cut(target: (usize, usize), scaled: impl Fn(f64) -> f64, height: f64, width: f64) -> Frame {
    let (height, width) = (
        (scaled(height) as usize).max(target.0),
        (scaled(width) as usize).max(target.1),
    );
    let start = |length: usize, kept: usize| ((length - kept) as f64 / 2.0).round_ties_even() as usize;
    Frame {
        height,
        width,
        kept: Region {
            top: start(height, target.0),
            left: start(width, target.1),
            height: target.0,
            width: target.1,
        },
    }
}

/// The part of an upright picture of this size from which [`resize`] makes the configured one.
pub fn needed(config: &ImageConfig, height: usize, width: usize) -> Region {
    let frame = frame(config, height as f64, width as f64);
    let area = frame.area(height, width);
    let reach = config.interpolation.support().max(REACH);
    let (top, height) = reached(reach, area.top, area.height, frame.kept.height, height);
    let (left, width) = reached(reach, area.left, area.width, frame.kept.width, width);
    Region {
        top,
        left,
        height,
        width,
    }
}

/// Where the pixels begin that resampling a part of one side reads, `reach` pixels to each side of a place, and how many they
/// are.
fn reached(reach: f64, start: f64, length: f64, target: usize, limit: usize) -> (usize, usize) {
    // One more pixel, because the filter's border may round outwards.
    let margin = reach * (length / target as f64).max(1.0) + 1.0;
    let first = (start - margin).max(0.0) as usize;
    let end = ((start + length + margin).ceil() as usize).min(limit);
    (first, end - first)
}

/// The most that decoding may scale a picture of this height and width down, of 1, 2, 4 and 8: both sides stay as
/// long as what they are resampled to.
pub fn scale(config: &ImageConfig, (height, width): (usize, usize)) -> usize {
    let frame = frame(config, height as f64, width as f64);
    let most = (height / frame.height).min(width / frame.width);
    [8, 4, 2].into_iter().find(|&scale| scale <= most).unwrap_or(1)
}

/// Brings a picture, of which at least the [`needed`] part is there, to the configured size; one
/// that has it already is not resampled.
pub fn resize(part: Part, config: &ImageConfig) -> Picture {
    let frame = frame(config, part.height as f64, part.width as f64);
    let mut area = frame.area(part.height, part.width);
    area.top -= part.top as f64;
    area.left -= part.left as f64;
    let Region { height, width, .. } = frame.kept;
    let picture =
        match area == Area::whole(&part.picture) && (part.picture.height, part.picture.width) == (height, width) {
            true => part.picture,
            false => {
                let order = Order::of((part.height, part.width), (frame.height, frame.width));
                let sample = match config.resize {
                    // Every value is Pillow's: what is computed of such pictures takes far longer.
                    Resize::Pixels(_) => cubic::sample,
                    _ => resample,
                };
                sample(&part.picture, area, (height, width), order, config.interpolation)
            }
        };
    match config.resize {
        Resize::Longest(_) => stretched(
            picture,
            (config.size.height(), config.size.width()),
            config.interpolation,
        ),
        Resize::Tiles(_) => tiles::whole(picture, config),
        Resize::Pixels(_) => picture,
        _ if (height, width) == (config.size.height(), config.size.width()) => picture,
        _ => boxed(&picture, config),
    }
}

/// Resamples `area` as Pillow does, each value within one of Pillow's. Near the area's border the filter reads beyond it,
/// so the result equals resizing the whole picture and cutting the part out.
fn resample(
    picture: &Picture,
    area: Area,
    (height, width): (usize, usize),
    order: Order,
    filter: Interpolation,
) -> Picture {
    // Enlarged, a difference of one between the passes would not be evened out by the second; and pictures are resampled by
    // Lanczos' filter several times over.
    if area.height < height as f64 || area.width < width as f64 || filter == Interpolation::Lanczos {
        return cubic::sample(picture, area, (height, width), order, filter);
    }
    let filter = match filter {
        Interpolation::Bicubic => FilterType::CatmullRom,
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Lanczos => FilterType::Lanczos3,
    };
    let whole = Area::whole(picture);
    match order {
        Order::AcrossFirst => {
            let columns = Area {
                left: area.left,
                width: area.width,
                ..whole
            };
            let narrow = sample(picture, columns, picture.height, width, filter);
            let rows = Area {
                left: 0.0,
                width: width as f64,
                ..area
            };
            sample(&narrow, rows, height, width, filter)
        }
        Order::DownFirst => {
            let rows = Area {
                top: area.top,
                height: area.height,
                ..whole
            };
            let low = sample(picture, rows, height, picture.width, filter);
            let columns = Area {
                top: 0.0,
                height: height as f64,
                ..area
            };
            sample(&low, columns, height, width, filter)
        }
    }
}

/// Resamples `area` to `height` × `width` pixels with a filter that need not equal another program's.
pub fn sample(picture: &Picture, area: Area, height: usize, width: usize, filter: FilterType) -> Picture {
    let source = ImageRef::new(
        picture.width as u32,
        picture.height as u32,
        &picture.pixels,
        PixelType::U8x3,
    )
    .expect("a picture holds height × width × 3 bytes");
    let mut target = Image::new(width as u32, height as u32, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).crop(
        area.left,
        area.top,
        area.width,
        area.height,
    );
    Resizer::new()
        .resize(&source, &mut target, &options)
        .expect("both pictures are RGB and the area lies inside the picture");
    Picture {
        height,
        width,
        pixels: target.into_vec(),
    }
}

/// Resamples the whole picture, each side on its own.
pub fn stretch(picture: &Picture, height: usize, width: usize) -> Picture {
    let order = Order::of((picture.height, picture.width), (height, width));
    resample(
        picture,
        Area::whole(picture),
        (height, width),
        order,
        Interpolation::Bicubic,
    )
}

/// The same by another filter; a picture that has this size, [height, width], stays as it is.
pub fn stretched(picture: Picture, (height, width): (usize, usize), filter: Interpolation) -> Picture {
    let size = (picture.height, picture.width);
    match size == (height, width) {
        true => picture,
        false => resample(
            &picture,
            Area::whole(&picture),
            (height, width),
            Order::of(size, (height, width)),
            filter,
        ),
    }
}

/// The picture in the middle of a field of the mean colour, which normalisation brings to zero.
fn boxed(inner: &Picture, config: &ImageConfig) -> Picture {
    let (height, width) = (config.size.height(), config.size.width());
    let mut pixels = config.mean_color().repeat(height * width);
    let (top, left) = ((height - inner.height) / 2, (width - inner.width) / 2);
    for (row, line) in inner.pixels.chunks_exact(CHANNELS * inner.width).enumerate() {
        let start = CHANNELS * ((top + row) * width + left);
        pixels[start..start + line.len()].copy_from_slice(line);
    }
    Picture { height, width, pixels }
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::super::samples::{assert_close, pattern};
    use super::*;

    fn config(resize: Resize, height: u32, width: u32) -> ImageConfig {
        ImageConfig {
            size: Size::new(height, width),
            resize,
            ..ImageConfig::default()
        }
    }

    /// The source of a golden case, made as `reference/resize/make.py` makes it, as a PNG file.
    fn source(case: &serde_json::Value) -> Vec<u8> {
        let side = |name: &str| case[name].as_u64().unwrap() as usize;
        let (height, width) = (side("height"), side("width"));
        let scrambled = |index: usize| {
            let value = (index as u32 + 1).wrapping_mul(2_654_435_761);
            ((value ^ value >> 15).wrapping_mul(2_246_822_519) >> 24) as u8
        };
        let glass = case["source"] == "glass";
        let value = |index: usize| match case["source"].as_str().unwrap() {
            "soft" => 96 + scrambled(index) % 64,
            "edges" => 255 * (((index / 3 % width / 3 + index / 3 / width / 2) % 2) as u8),
            _ => scrambled(index),
        };
        let (channels, color) = match glass {
            true => (4, image::ExtendedColorType::Rgba8),
            false => (3, image::ExtendedColorType::Rgb8),
        };
        let pixels: Vec<u8> = (0..height * width * channels).map(value).collect();
        let mut bytes = std::io::Cursor::new(Vec::new());
        let (width, height) = (width as u32, height as u32);
        image::write_buffer_with_format(&mut bytes, &pixels, width, height, color, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn resizing_agrees_with_pillow_and_torchvision() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/resize/");
        let read = |name: &str| std::fs::read(format!("{folder}{name}")).unwrap();
        let cases: Vec<serde_json::Value> = serde_json::from_slice(&read("cases.json")).unwrap();
        let mut expected = read("expected.rgb");
        for case in &cases {
            let size: [u32; 2] = serde_json::from_value(case["size"].clone()).unwrap();
            let method = match case["method"].as_str().unwrap() {
                "stretch" | "bilinear" => Resize::Stretch,
                "letterbox" => Resize::Letterbox,
                "crop" => Resize::Crop,
                _ => Resize::Shortest(15),
            };
            let mut config = config(method, size[0], size[1]);
            config.ground = [10, 200, 90];
            if case["method"] == "bilinear" {
                config.interpolation = Interpolation::Bilinear;
            }
            let found = super::super::prepare_bytes(&config, &source(case)).unwrap();
            let rest = expected.split_off(found.pixels.len());
            let pixels = std::mem::replace(&mut expected, rest);
            let (height, width) = (config.size.height(), config.size.width());
            assert_close(&found, &Picture { height, width, pixels }, 1, &case.to_string());
        }
        assert!(cases.len() > 100 && expected.is_empty());
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_touched() {
        for method in [Resize::Stretch, Resize::Crop, Resize::Letterbox] {
            let picture = pattern(6, 5);
            assert_eq!(resize(picture.clone().into(), &config(method, 6, 5)), picture);
        }
    }

    #[test]
    fn a_letterbox_keeps_the_whole_picture_on_the_mean_colour() {
        let picture = pattern(2, 4);
        let mut config = config(Resize::Letterbox, 4, 4);
        config.mean = [0.0, 0.5, 1.0];
        let boxed = resize(picture.clone().into(), &config);
        let band = [0, 128, 255].repeat(4);
        assert_eq!(boxed.pixels, [band.clone(), picture.pixels, band].concat());
    }

    #[test]
    fn any_ratio_of_sides_gives_the_size() {
        for method in [Resize::Stretch, Resize::Crop, Resize::Letterbox] {
            for (height, width) in [(1, 1), (1, 16_384), (16_384, 1), (3, 1000), (65, 64), (64, 65)] {
                let flat = Picture {
                    height,
                    width,
                    pixels: vec![77; height * width * CHANNELS],
                };
                let mut config = config(method, 64, 48);
                config.mean = [77.0 / 255.0; CHANNELS];
                let found = resize(flat.into(), &config);
                assert_eq!((found.height, found.width), (64, 48));
                assert!(
                    found.pixels.iter().all(|&value| value == 77),
                    "{method:?} {height}×{width}"
                );
            }
        }
    }
}
