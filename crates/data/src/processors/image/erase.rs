//! Random erasing (Zhong et al. 2020): a rectangle of a picture is filled with one colour. Areas, ratios and the number of
//! attempts are torchvision's.

use super::{CHANNELS, Picture};
use rand::{Rng, RngExt};
use std::ops::RangeInclusive;

/// The share of the picture that is erased.
const AREA: RangeInclusive<f64> = 0.02..=0.33;
/// The rectangle's height over its width.
const RATIO: [f64; 2] = [0.3, 3.3];
/// A rectangle that does not fit is drawn anew so often.
const ATTEMPTS: usize = 10;

/// Rows and columns of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rectangle {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
}

/// The picture with a rectangle filled; nothing where none fits, as into a single pixel.
pub fn erase(picture: &Picture, fill: [u8; CHANNELS], generator: &mut impl Rng) -> Option<Picture> {
    let rectangle = (0..ATTEMPTS).find_map(|_| draw(picture, generator))?;
    Some(filled(picture, rectangle, fill))
}

/// The area is drawn evenly, the ratio evenly on a logarithmic scale, and the place evenly among those where the rectangle
/// lies inside.
fn draw(picture: &Picture, generator: &mut impl Rng) -> Option<Rectangle> {
    let area = (picture.height * picture.width) as f64 * generator.random_range(AREA);
    let [low, high] = RATIO.map(f64::ln);
    let ratio = generator.random_range(low..=high).exp();
    let side = |square: f64| square.sqrt().round().max(1.0) as usize;
    let (height, width) = (side(area * ratio), side(area / ratio));
    (height < picture.height && width < picture.width).then(|| Rectangle {
        top: generator.random_range(0..=picture.height - height),
        left: generator.random_range(0..=picture.width - width),
        height,
        width,
    })
}

fn filled(picture: &Picture, rectangle: Rectangle, fill: [u8; CHANNELS]) -> Picture {
    let mut result = picture.clone();
    let rows = result.pixels.chunks_exact_mut(CHANNELS * picture.width);
    for row in rows.skip(rectangle.top).take(rectangle.height) {
        let (pixels, _) = row.as_chunks_mut::<CHANNELS>();
        pixels[rectangle.left..][..rectangle.width].fill(fill);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::super::samples::pattern;
    use super::*;
    use crate::random::Key;

    #[test]
    fn a_rectangle_and_nothing_else_is_filled() {
        let picture = pattern(5, 4);
        let rectangle = Rectangle {
            top: 1,
            left: 2,
            height: 3,
            width: 2,
        };
        let result = filled(&picture, rectangle, [9, 8, 7]);
        let pairs = result.pixels.as_chunks::<CHANNELS>().0.iter();
        for (place, (found, before)) in pairs.zip(picture.pixels.as_chunks::<CHANNELS>().0).enumerate() {
            let (row, column) = (place / 4, place % 4);
            let inside = (1..4).contains(&row) && column >= 2;
            assert_eq!(found, if inside { &[9, 8, 7] } else { before }, "{row}, {column}");
        }
    }

    #[test]
    fn areas_ratios_and_places_have_their_range() {
        let picture = pattern(60, 90);
        let draws = (0..2000).filter_map(|index| draw(&picture, &mut Key::new(1).at(index).generator()));
        let (mut areas, mut ratios, mut corners) = (Vec::new(), Vec::new(), 0);
        for found in draws {
            let (bottom, right) = (found.top + found.height, found.left + found.width);
            assert!(bottom <= 60 && right <= 90, "{found:?}");
            corners += usize::from(found.top < 5 && found.left < 5) + usize::from(bottom > 55 && right > 85);
            areas.push((found.height * found.width) as f64 / 5400.0);
            ratios.push(found.height as f64 / found.width as f64);
        }
        let within = |values: &mut Vec<f64>, low: f64, high: f64| {
            values.sort_by(f64::total_cmp);
            let (least, most) = (values[0], values[values.len() - 1]);
            assert!(least > 0.85 * low && least < 1.3 * low, "{least} and {low}");
            assert!(most < 1.15 * high && most > 0.8 * high, "{most} and {high}");
        };
        assert!(areas.len() > 1800 && corners > 10, "{} and {corners}", areas.len());
        within(&mut areas, 0.02, 0.33);
        within(&mut ratios, 0.3, 3.3);
    }

    #[test]
    fn a_single_pixel_stays() {
        let generator = &mut Key::new(1).generator();
        assert_eq!(erase(&pattern(1, 1), [0; CHANNELS], generator), None);
        assert_eq!(erase(&pattern(1, 9), [0; CHANNELS], generator), None);
    }
}
