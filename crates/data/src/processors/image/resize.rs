//! Pictures to one size, by the Catmull-Rom cubic with antialiasing: Pillow's bicubic, with the
//! vertical pass first.

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

/// Brings a picture to the configured size; one that has it already is not resampled.
pub fn resize(picture: Picture, config: &ImageConfig) -> Picture {
    let (height, width) = (config.size.height(), config.size.width());
    if (picture.height, picture.width) == (height, width) {
        return picture;
    }
    match config.resize {
        Resize::Stretch => stretch(&picture, height, width),
        Resize::Crop => {
            let area = centre(&picture, height, width);
            sample(&picture, area, height, width, FilterType::CatmullRom)
        }
        Resize::Letterbox => letterbox(&picture, config),
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

/// The part of a picture that remains when it is scaled to cover `height` × `width` and cut evenly:
/// the longer side rounds down and the cut to whole pixels, as torchvision's `Resize` and
/// `CenterCrop` do.
fn centre(picture: &Picture, height: usize, width: usize) -> Area {
    let scale = (height as f64 / picture.height as f64).max(width as f64 / picture.width as f64);
    let (top, part_height) = kept(picture.height, scale, height);
    let (left, part_width) = kept(picture.width, scale, width);
    Area {
        left,
        top,
        width: part_width,
        height: part_height,
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

/// The whole picture in the middle of a field of the mean colour, which normalisation brings to
/// zero.
fn letterbox(picture: &Picture, config: &ImageConfig) -> Picture {
    let (height, width) = (config.size.height(), config.size.width());
    let scale = (height as f64 / picture.height as f64).min(width as f64 / picture.width as f64);
    let fit = |length: usize, most: usize| ((length as f64 * scale).round() as usize).clamp(1, most);
    let (inner_height, inner_width) = (fit(picture.height, height), fit(picture.width, width));
    let inner = match (picture.height, picture.width) == (inner_height, inner_width) {
        true => picture.clone(),
        false => stretch(picture, inner_height, inner_width),
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
            let found = resize(source, &config(method, height, width));
            let expected = golden_picture(name, height as usize, width as usize);
            assert_close(&found, &expected, 1, name);
        }
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_touched() {
        for method in [Resize::Stretch, Resize::Crop, Resize::Letterbox] {
            let picture = pattern(6, 5);
            assert_eq!(resize(picture.clone(), &config(method, 6, 5)), picture);
        }
    }

    #[test]
    fn a_letterbox_keeps_the_whole_picture_on_the_mean_colour() {
        let picture = pattern(2, 4);
        let mut config = config(Resize::Letterbox, 4, 4);
        config.mean = [0.0, 0.5, 1.0];
        let boxed = resize(picture.clone(), &config);
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
                let found = resize(flat, &config);
                assert_eq!((found.height, found.width), (64, 48));
                assert!(
                    found.pixels.iter().all(|&value| value == 77),
                    "{method:?} {height}×{width}"
                );
            }
        }
    }
}
