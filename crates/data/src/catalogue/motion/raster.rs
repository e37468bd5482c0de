//! A scene as pixels.
//!
//! Only additions, multiplications, divisions and comparisons touch the coordinates: they round
//! the same way on every machine, which sines and cosines do not.

use super::scene::{Figure, REACH, SIZE, Scene, Shape};
use crate::random::Key;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageResult, Rgb, RgbImage};
use rand::RngExt;

/// Each pixel is looked at in a grid of this many points each way.
pub(super) const POINTS: u32 = 4;

const TRIANGLE: [(f64, f64); 3] = [(0.0, -1.0), (0.866, 0.5), (-0.866, 0.5)];
/// Ten corners at every 36 degrees, in turns at 1 and 0.45 radii from the centre.
const STAR: [(f64, f64); 10] = [
    (0.0, -1.0),
    (0.2645, -0.3641),
    (0.9511, -0.309),
    (0.428, 0.1391),
    (0.5878, 0.809),
    (0.0, 0.45),
    (-0.5878, 0.809),
    (-0.428, 0.1391),
    (-0.9511, -0.309),
    (-0.2645, -0.3641),
];

/// The scene as a PNG file of [`SIZE`] by [`SIZE`] pixels, eight bits of red, green and blue each.
pub(super) fn png(scene: &Scene, key: &Key) -> ImageResult<Vec<u8>> {
    let picture = paint(scene, key);
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Default, FilterType::Sub).write_image(
        &picture,
        SIZE,
        SIZE,
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

fn paint(scene: &Scene, key: &Key) -> RgbImage {
    let mut picture = background(key);
    scene.figures.iter().for_each(|figure| fill(&mut picture, figure));
    picture
}

/// A light colour with a little grain.
fn background(key: &Key) -> RgbImage {
    let mut generator = key.with("background").generator();
    let base: [i16; 3] = std::array::from_fn(|_| generator.random_range(222..=248));
    let grain = generator.random_range(0..=4_i16);
    RgbImage::from_fn(SIZE, SIZE, |_, _| {
        let noise = generator.random_range(-grain..=grain);
        Rgb(base.map(|channel| (channel + noise).clamp(0, 255) as u8))
    })
}

/// Draws a figure with smooth edges: a pixel takes its colour as far as the figure covers it.
fn fill(picture: &mut RgbImage, figure: &Figure) {
    let reach = figure.radius * REACH;
    let from = |centre: f64| (centre - reach).floor().max(0.0) as u32;
    let to = |centre: f64| ((centre + reach).ceil() as u32).min(SIZE);
    let colour = figure.colour.rgb();
    for y in from(figure.y)..to(figure.y) {
        for x in from(figure.x)..to(figure.x) {
            let covered = coverage(figure, x, y);
            let whole = POINTS * POINTS;
            let pixel = picture.get_pixel_mut(x, y);
            for (channel, colour) in pixel.0.iter_mut().zip(colour) {
                let sum = u32::from(*channel) * (whole - covered) + u32::from(colour) * covered;
                *channel = ((sum + whole / 2) / whole) as u8;
            }
        }
    }
}

/// How many of a pixel's points lie in the figure.
fn coverage(figure: &Figure, x: u32, y: u32) -> u32 {
    let part = |pixel: u32, point: u32| f64::from(pixel) + (f64::from(point) + 0.5) / f64::from(POINTS);
    let points = (0..POINTS * POINTS).map(|n| (part(x, n % POINTS), part(y, n / POINTS)));
    points.filter(|(x, y)| covers(figure, *x, *y)).count() as u32
}

/// Whether a point, in pixels, lies in the figure.
fn covers(figure: &Figure, x: f64, y: f64) -> bool {
    let (x, y) = ((x - figure.x) / figure.radius, (y - figure.y) / figure.radius);
    // The cosine and sine of an angle from the tangent of its half.
    let square = figure.turn * figure.turn;
    let (cosine, sine) = ((1.0 - square) / (1.0 + square), 2.0 * figure.turn / (1.0 + square));
    inside(figure.shape, x * cosine + y * sine, y * cosine - x * sine)
}

/// Whether a point lies in the shape of radius 1 around the origin, upright.
pub(super) fn inside(shape: Shape, x: f64, y: f64) -> bool {
    match shape {
        Shape::Circle => x * x + y * y <= 1.0,
        Shape::Rectangle => x.abs() <= 1.0 && y.abs() <= 0.6,
        Shape::Cross => x.abs().max(y.abs()) <= 1.0 && x.abs().min(y.abs()) <= 0.32,
        Shape::Triangle => in_polygon(&TRIANGLE, x, y),
        Shape::Star => in_polygon(&STAR, x, y),
    }
}

/// Even-odd rule: a ray from an inner point crosses the outline an odd number of times.
fn in_polygon(corners: &[(f64, f64)], x: f64, y: f64) -> bool {
    let next = corners.iter().cycle().skip(1);
    let crossings = corners
        .iter()
        .zip(next)
        .filter(|((x1, y1), (x2, y2))| (*y1 > y) != (*y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1);
    crossings.count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::super::scene::Colour;
    use super::*;

    /// The share of the square around it that a shape fills, over a grid of points.
    fn check_area(shape: Shape, expected: f64) {
        let at = |n: u32| (f64::from(n) + 0.5) / 100.0 - 1.25;
        let points = (0..250).flat_map(|row| (0..250).map(move |column| (at(column), at(row))));
        let area = points.filter(|(x, y)| inside(shape, *x, *y)).count() as f64 / 10_000.0;
        assert!((area - expected).abs() < 0.03, "{shape}: {area}");
        let far = |(x, y): &(f64, f64)| x * x + y * y > REACH * REACH;
        let points = (0..250).flat_map(|row| (0..250).map(move |column| (at(column), at(row))));
        assert!(
            !points.filter(far).any(|(x, y)| inside(shape, x, y)),
            "{shape} reaches too far"
        );
    }

    #[test]
    fn shapes_have_their_areas_and_stay_in_reach() {
        check_area(Shape::Circle, std::f64::consts::PI);
        check_area(Shape::Triangle, 1.299);
        check_area(Shape::Rectangle, 2.4);
        check_area(Shape::Cross, 2.0 * 1.28 - 0.4096);
        // Ten triangles between neighbouring corners: 10 / 2 * 1 * 0.45 * sin 36 degrees.
        check_area(Shape::Star, 1.3225);
    }

    #[test]
    fn a_figure_takes_its_colour_inside_and_leaves_the_rest() {
        let (shape, colour) = (Shape::Cross, Colour::Teal);
        let figure = Figure {
            shape,
            colour,
            x: 40.0,
            y: 20.0,
            radius: 10.0,
            turn: 0.1,
        };
        let key = Key::new(3);
        let picture = paint(&Scene { figures: vec![figure] }, &key);
        assert_eq!(picture.get_pixel(40, 20).0, colour.rgb());
        let empty = background(&key);
        for (x, y) in [(0, 0), (20, 20), (48, 12), (40, 45)] {
            assert_eq!(picture.get_pixel(x, y), empty.get_pixel(x, y));
            assert!(picture.get_pixel(x, y).0.iter().all(|channel| *channel > 200));
        }
        let edge = |pixel: &&Rgb<u8>| pixel.0[0] > colour.rgb()[0] + 20 && pixel.0[0] < 200;
        assert!(picture.pixels().filter(edge).count() > 20, "edges are smooth");
    }
}
