//! Pictures to one size, by the Catmull-Rom cubic with antialiasing: Pillow's bicubic, with the
//! vertical pass first.

use super::part::{Part, Region};
use super::{CHANNELS, ImageConfig, Picture, Resize};
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

/// Pixels to each side of a place that the cubic filter reads, when it enlarges.
const REACH: f64 = 2.0;

/// The part of an upright picture of this size from which [`resize`] makes the configured one.
pub fn needed(config: &ImageConfig, height: usize, width: usize) -> Region {
    if config.resize != Resize::Crop {
        return Region::whole((height, width));
    }
    let area = centre(height, width, config);
    let (top, height) = reached(area.top, area.height, config.size.height(), height);
    let (left, width) = reached(area.left, area.width, config.size.width(), width);
    Region {
        top,
        left,
        height,
        width,
    }
}

/// Where the pixels begin that resampling a part of one side reads, and how many they are.
fn reached(start: f64, length: f64, target: usize, limit: usize) -> (usize, usize) {
    // One more pixel, because the filter's border may round outwards.
    let margin = REACH * (length / target as f64).max(1.0) + 1.0;
    let first = (start - margin).max(0.0) as usize;
    let end = ((start + length + margin).ceil() as usize).min(limit);
    (first, end - first)
}

/// The most that decoding may scale a picture of this height and width down, of 1, 2, 4 and 8: both sides stay as
/// long as what they are resampled to.
pub fn scale(config: &ImageConfig, (height, width): (usize, usize)) -> usize {
    let (target_height, target_width) = match config.resize {
        Resize::Stretch | Resize::Crop => (config.size.height(), config.size.width()),
        Resize::Letterbox => inner(height, width, config),
    };
    let most = (height / target_height).min(width / target_width);
    [8, 4, 2].into_iter().find(|&scale| scale <= most).unwrap_or(1)
}

/// Brings a picture, of which at least the [`needed`] part is there, to the configured size; one
/// that has it already is not resampled.
pub fn resize(part: Part, config: &ImageConfig) -> Picture {
    let (height, width) = (config.size.height(), config.size.width());
    if (part.height, part.width) == (height, width) {
        return part.picture;
    }
    match config.resize {
        Resize::Stretch => stretch(&part.picture, height, width),
        Resize::Crop => {
            let mut area = centre(part.height, part.width, config);
            area.top -= part.top as f64;
            area.left -= part.left as f64;
            sample(&part.picture, area, height, width, FilterType::CatmullRom)
        }
        Resize::Letterbox => letterbox(part.picture, config),
    }
}

/// Resamples `area` to `height` × `width` pixels. Near the area's border the filter reads beyond
/// it, so the result equals resizing the whole picture and cutting the part out.
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
    sample(picture, whole(picture), height, width, FilterType::CatmullRom)
}

fn whole(picture: &Picture) -> Area {
    Area {
        left: 0.0,
        top: 0.0,
        width: picture.width as f64,
        height: picture.height as f64,
    }
}

/// The part of a picture that remains when it is scaled to cover the configured size and cut evenly:
/// the longer side rounds down and the cut to whole pixels, as torchvision's `Resize` and
/// `CenterCrop` do.
fn centre(height: usize, width: usize, config: &ImageConfig) -> Area {
    let (target_height, target_width) = (config.size.height(), config.size.width());
    let scale = (target_height as f64 / height as f64).max(target_width as f64 / width as f64);
    let (top, height) = kept(height, scale, target_height);
    let (left, width) = kept(width, scale, target_width);
    Area {
        left,
        top,
        width,
        height,
    }
}

/// Where the kept part of one side begins, and its length, in source pixels.
fn kept(length: usize, scale: f64, target: usize) -> (f64, f64) {
    // A hair is added because the product of a whole ratio may fall just under a whole number.
    let scaled = ((length as f64 * scale + 1e-6).floor()).max(target as f64);
    let pixel = length as f64 / scaled;
    let kept = (target as f64 * pixel).min(length as f64);
    let start = ((scaled - target as f64) / 2.0).round_ties_even() * pixel;
    (start.min(length as f64 - kept), kept)
}

/// The height and width of a picture that is scaled to fit the configured size.
fn inner(height: usize, width: usize, config: &ImageConfig) -> (usize, usize) {
    let (most_height, most_width) = (config.size.height(), config.size.width());
    let scale = (most_height as f64 / height as f64).min(most_width as f64 / width as f64);
    let fit = |length: usize, most: usize| ((length as f64 * scale).round() as usize).clamp(1, most);
    (fit(height, most_height), fit(width, most_width))
}

/// The whole picture in the middle of a field of the mean colour, which normalisation brings to
/// zero.
fn letterbox(picture: Picture, config: &ImageConfig) -> Picture {
    let (height, width) = (config.size.height(), config.size.width());
    let (inner_height, inner_width) = inner(picture.height, picture.width, config);
    let inner = match (picture.height, picture.width) == (inner_height, inner_width) {
        true => picture,
        false => stretch(&picture, inner_height, inner_width),
    };
    let fill = config.mean.map(|mean| (mean * 255.0).round() as u8);
    let mut pixels = fill.repeat(height * width);
    let (top, left) = ((height - inner_height) / 2, (width - inner_width) / 2);
    for (row, line) in inner.pixels.chunks_exact(CHANNELS * inner_width).enumerate() {
        let start = CHANNELS * ((top + row) * width + left);
        pixels[start..start + line.len()].copy_from_slice(line);
    }
    Picture { height, width, pixels }
}

#[cfg(test)]
mod tests {
    use super::super::Size;
    use super::super::samples::{assert_close, golden_picture, pattern};
    use super::*;

    fn config(resize: Resize, height: u32, width: u32) -> ImageConfig {
        ImageConfig {
            size: Size::new(height, width),
            resize,
            ..ImageConfig::default()
        }
    }

    #[test]
    fn resizing_agrees_with_pillow_and_torchvision() {
        for (name, method, height, width) in [
            ("noise_stretch_6x10", Resize::Stretch, 6, 10),
            ("noise_stretch_31x29", Resize::Stretch, 31, 29),
            ("soft_stretch_31x29", Resize::Stretch, 31, 29),
            ("noise_crop_8x8", Resize::Crop, 8, 8),
        ] {
            let source = golden_picture(&name[..name.find('_').unwrap()], 17, 23);
            let found = resize(source.into(), &config(method, height, width));
            let expected = golden_picture(name, height as usize, width as usize);
            assert_close(&found, &expected, 1, name);
        }
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
