//! A clip as an animated PNG.
//!
//! A frame depends on the clip's colours and shape and on the state in that frame, on nothing else.
//! The figure has a hole near its top, so that every shape can be seen to turn.

use super::clip::{CIRCLES, Clip, FRAMES, State};
use super::raster::{POINTS, inside};
use super::scene::{REACH, SIZE};
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter};

/// Frames last a tenth of a second.
const RATE: u16 = 10;
const SMALLEST: f64 = 7.0;
const LARGEST: f64 = 14.0;
/// The centre and the radius of the hole in an upright figure of radius 1.
const HOLE: (f64, f64, f64) = (0.0, -0.42, 0.2);
/// The tangent of an eighth of a half circle.
const TANGENT: f64 = 0.414_213_562_373_095_1;
/// How much of a pixel a figure can cover.
const WHOLE: u8 = (POINTS * POINTS) as u8;

/// [`FRAMES`] frames of [`SIZE`] by [`SIZE`] pixels of a palette of red, green and blue.
pub(super) fn animated_png(clip: &Clip) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, SIZE, SIZE);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette(clip));
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::NoFilter);
    encoder.set_animated(FRAMES, 0)?;
    encoder.set_frame_delay(1, RATE)?;
    let mut writer = encoder.write_header()?;
    for frame in 0..FRAMES {
        writer.write_image_data(&paint(clip, clip.state(frame)))?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// The ground with more and more of the figure's colour over it; then the same of a paler colour.
fn palette(clip: &Clip) -> Vec<u8> {
    let mix = |parts: u32, whole: u32| {
        let channels = clip.ground.into_iter().zip(clip.colour.rgb());
        channels.map(move |(ground, colour)| {
            ((u32::from(ground) * (whole - parts) + u32::from(colour) * parts + whole / 2) / whole) as u8
        })
    };
    let whole = u32::from(WHOLE);
    let full = (0..=whole).flat_map(|covered| mix(covered, whole));
    let pale = (0..=whole).flat_map(|covered| mix(covered, 3 * whole));
    full.chain(pale).collect()
}

/// The colours of a frame's pixels by their places in the palette.
fn paint(clip: &Clip, state: State) -> Vec<u8> {
    let [x, y, angle, size, shade] = state;
    let (x, y) = (f64::from(x) / 4.0, f64::from(y) / 4.0);
    let radius = SMALLEST + (LARGEST - SMALLEST) * f64::from(size) / f64::from(CIRCLES[3]);
    let turn = Turn::new(angle);
    let covers = |from_x: f64, from_y: f64| {
        let (x, y) = turn.back(from_x / radius, from_y / radius);
        let (hole_x, hole_y) = (x - HOLE.0, y - HOLE.1);
        inside(clip.shape, x, y) && hole_x * hole_x + hole_y * hole_y > HOLE.2 * HOLE.2
    };
    let first = if shade < CIRCLES[4] / 2 { 0 } else { WHOLE + 1 };
    let mut pixels = vec![first; (SIZE * SIZE) as usize];
    let reach = (radius * REACH).ceil() as i32 + 1;
    for (row, column) in (-reach..reach).flat_map(|row| (-reach..reach).map(move |column| (row, column))) {
        // What leaves on one side comes in on the other.
        let (column, row) = (x.floor() + f64::from(column), y.floor() + f64::from(row));
        let covered = (0..POINTS * POINTS).filter(|point| {
            let part = |point: u32| (f64::from(point) + 0.5) / f64::from(POINTS);
            covers(column + part(point % POINTS) - x, row + part(point / POINTS) - y)
        });
        let wrapped = |at: f64| (at as i32).rem_euclid(SIZE as i32) as usize;
        pixels[wrapped(row) * SIZE as usize + wrapped(column)] += covered.count() as u8;
    }
    pixels
}

/// A turn about the origin, clockwise as seen with the second axis pointing down.
struct Turn {
    quarters: i32,
    cosine: f64,
    sine: f64,
}

impl Turn {
    /// A quarter turn has 16 steps, which only nearly are of one size: they divide the tangent of
    /// half the angle evenly, because that takes no sine and rounds alike on every machine.
    fn new(angle: i32) -> Self {
        let steps = CIRCLES[2] / 4;
        let half = TANGENT * (f64::from(2 * (angle % steps) + 1) / f64::from(steps) - 1.0);
        let square = half * half;
        Self {
            quarters: angle / steps,
            cosine: (1.0 - square) / (1.0 + square),
            sine: 2.0 * half / (1.0 + square),
        }
    }

    /// Where a point was before the turn.
    fn back(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = (x * self.cosine + y * self.sine, y * self.cosine - x * self.sine);
        match self.quarters {
            0 => (x, y),
            1 => (y, -x),
            2 => (-x, -y),
            _ => (-y, x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clip::Motion;
    use super::super::scene::{Colour, Shape};
    use super::*;
    use crate::random::Key;
    use image::AnimationDecoder;
    use image::codecs::png::PngDecoder;

    fn clip_of(motion: Motion) -> Clip {
        let drawn = (0..).map(|index| Clip::draw(Shape::Circle, Colour::Blue, &Key::new(4).at(index)));
        drawn.into_iter().find(|clip| clip.motions == [motion]).unwrap()
    }

    /// Where the figure is seen in a frame: the covered pixels as offsets from `x` and `y`.
    fn covered(clip: &Clip, state: State) -> Vec<(i32, i32, u8)> {
        let pixels = paint(clip, state);
        let half = SIZE as i32 / 2;
        let from = |pixel: usize, centre: i32| (pixel as i32 - centre / 4 + half).rem_euclid(2 * half) - half;
        let places = pixels.iter().enumerate().map(|(place, covered)| {
            let (x, y) = (place % SIZE as usize, place / SIZE as usize);
            (from(x, state[0]), from(y, state[1]), covered % (WHOLE + 1))
        });
        places.filter(|(.., covered)| *covered > 0).collect()
    }

    /// The direction of the hole from the centre of a circle, as the emptiest eighth around it.
    fn hole(clip: &Clip, angle: i32) -> (i32, i32) {
        let there = covered(clip, [128, 128, angle, 23, 0]);
        let empty = |(x, y): &(i32, i32)| {
            let at = |dx, dy| {
                there
                    .iter()
                    .any(|(a, b, n)| (*a, *b) == (x + dx, y + dy) && *n == WHOLE)
            };
            !at(0, 0) && !at(-1, 0) && !at(0, -1) && !at(-1, -1)
        };
        let around = [(0, -6), (6, 0), (0, 6), (-6, 0)];
        around.into_iter().find(empty).unwrap_or_default()
    }

    #[test]
    fn a_turn_to_higher_angles_is_clockwise() {
        let clip = clip_of(Motion::Clockwise);
        let seen = [7, 23, 39, 55].map(|angle| hole(&clip, angle));
        assert_eq!(seen, [(0, -6), (6, 0), (0, 6), (-6, 0)]);
        let next = clip.state(1)[2] - clip.state(0)[2];
        assert!((2..=4).contains(&next.rem_euclid(CIRCLES[2])));
    }

    #[test]
    fn a_figure_wraps_around_the_borders_whole() {
        let clip = clip_of(Motion::Left);
        let middle = covered(&clip, [128, 128, 5, 10, 0]);
        assert!(middle.len() > 150);
        for (x, y) in [(0, 0), (252, 128), (128, 8), (252, 252)] {
            let mut wrapped = covered(&clip, [x, y, 5, 10, 0]);
            wrapped.sort();
            let mut expected = middle.clone();
            expected.sort();
            assert_eq!(wrapped, expected, "{x} {y}");
        }
    }

    #[test]
    fn sizes_and_shades_differ() {
        let clip = clip_of(Motion::Grows);
        let area = |size| covered(&clip, [128, 128, 0, size, 0]).len();
        assert!(area(0) > 100 && area(23) > 3 * area(0), "{} {}", area(0), area(23));
        let lightest = |shade| paint(&clip, [0, 0, 0, 0, shade])[2000];
        assert_eq!([0, 7, 8, 15].map(lightest), [0, 0, WHOLE + 1, WHOLE + 1]);
        let palette = palette(&clip);
        let colour = |place: u8| &palette[3 * usize::from(place)..][..3];
        assert_eq!(colour(0), clip.ground);
        assert_eq!(colour(WHOLE), clip.colour.rgb());
        assert_eq!(colour(WHOLE + 1), clip.ground);
        assert!(colour(2 * WHOLE + 1)[0] > 100);
    }

    #[test]
    fn the_file_holds_every_frame() {
        let clip = clip_of(Motion::Down);
        let bytes = animated_png(&clip).unwrap();
        let decoder = PngDecoder::new(std::io::Cursor::new(bytes)).unwrap();
        let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
        assert_eq!(frames.len(), FRAMES as usize);
        let palette = palette(&clip);
        for (number, frame) in frames.iter().enumerate() {
            assert_eq!(frame.delay().numer_denom_ms(), (100, 1));
            let expected = paint(&clip, clip.state(number as u32));
            for (pixel, place) in frame.buffer().pixels().zip(expected) {
                assert_eq!(pixel.0[..3], palette[3 * usize::from(place)..][..3]);
                assert_eq!(pixel.0[3], 255);
            }
        }
    }
}
