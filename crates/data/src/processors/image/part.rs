//! Parts of pictures: what a resize needs of a picture, in the picture as it is seen and as it is stored.

use super::Picture;
use image::metadata::Orientation;

/// A part of something, in whole units of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    pub top: usize,
    pub left: usize,
    pub height: usize,
    pub width: usize,
}

/// The pixels of a part of a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub picture: Picture,
    /// Where the pixels begin in the whole.
    pub top: usize,
    pub left: usize,
    /// The size of the whole.
    pub height: usize,
    pub width: usize,
}

impl From<Picture> for Part {
    fn from(picture: Picture) -> Self {
        let (height, width) = (picture.height, picture.width);
        Self {
            picture,
            top: 0,
            left: 0,
            height,
            width,
        }
    }
}

impl Region {
    pub fn whole((height, width): (usize, usize)) -> Self {
        Self {
            top: 0,
            left: 0,
            height,
            width,
        }
    }

    /// Where this region of an upright picture lies in the picture as it is stored, of this height and width.
    pub fn stored(self, orientation: Orientation, (height, width): (usize, usize)) -> Self {
        let mut region = match is_on_its_side(orientation) {
            false => self,
            true => Self {
                top: self.left,
                left: self.top,
                height: self.width,
                width: self.height,
            },
        };
        let (mirrored_down, mirrored_across) = match orientation {
            Orientation::NoTransforms | Orientation::Rotate90FlipH => (false, false),
            Orientation::FlipHorizontal | Orientation::Rotate270 => (false, true),
            Orientation::FlipVertical | Orientation::Rotate90 => (true, false),
            Orientation::Rotate180 | Orientation::Rotate270FlipH => (true, true),
        };
        if mirrored_down {
            region.top = height - region.top - region.height;
        }
        if mirrored_across {
            region.left = width - region.left - region.width;
        }
        region
    }
}

/// The height and width of an upright picture that is stored with these.
pub fn upright(orientation: Orientation, (height, width): (usize, usize)) -> (usize, usize) {
    match is_on_its_side(orientation) {
        false => (height, width),
        true => (width, height),
    }
}

fn is_on_its_side(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{DynamicImage, RgbImage};

    #[test]
    fn a_region_is_found_in_the_stored_picture() {
        let stored = DynamicImage::from(RgbImage::from_fn(7, 5, |x, y| image::Rgb([x as u8, y as u8, 0])));
        let region = Region {
            top: 1,
            left: 2,
            height: 3,
            width: 1,
        };
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            let cut = |image: &DynamicImage, it: Region| {
                image.crop_imm(it.left as u32, it.top as u32, it.width as u32, it.height as u32)
            };
            let mut whole = stored.clone();
            whole.apply_orientation(orientation);
            assert_eq!(
                upright(orientation, (5, 7)),
                (whole.height() as usize, whole.width() as usize)
            );
            let mut part = cut(&stored, region.stored(orientation, (5, 7)));
            part.apply_orientation(orientation);
            assert_eq!(part, cut(&whole, region), "{orientation:?}");
        }
    }
}
