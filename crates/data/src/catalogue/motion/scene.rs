//! What a scene shows: one to three shapes that do not touch.

use crate::random::Key;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use std::fmt;

/// The width and height of a scene in pixels.
pub(super) const SIZE: u32 = 64;

/// The radii of figures in pixels.
const SMALLEST: f64 = 6.5;
const LARGEST: f64 = 11.5;
/// No point of a figure is further from its centre than this many radii.
pub(super) const REACH: f64 = 1.17;
/// The least number of pixels between two figures, and between a figure and the border.
const GAP: f64 = 1.5;
/// How often a place is drawn for a figure before the scene does without it.
const TRIES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Circle,
    Triangle,
    Rectangle,
    Cross,
    Star,
}

impl Shape {
    pub const ALL: [Self; 5] = [Self::Circle, Self::Triangle, Self::Rectangle, Self::Cross, Self::Star];
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Circle => "circle",
            Self::Triangle => "triangle",
            Self::Rectangle => "rectangle",
            Self::Cross => "cross",
            Self::Star => "star",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Colour {
    Red,
    Orange,
    Yellow,
    Green,
    Teal,
    Blue,
    Purple,
    Black,
}

impl Colour {
    pub const ALL: [Self; 8] = [
        Self::Red,
        Self::Orange,
        Self::Yellow,
        Self::Green,
        Self::Teal,
        Self::Blue,
        Self::Purple,
        Self::Black,
    ];

    /// Red, green and blue.
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [214, 32, 40],
            Self::Orange => [244, 130, 12],
            Self::Yellow => [238, 212, 16],
            Self::Green => [44, 150, 48],
            Self::Teal => [16, 168, 172],
            Self::Blue => [36, 68, 210],
            Self::Purple => [138, 44, 168],
            Self::Black => [28, 28, 30],
        }
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Red => "red",
            Self::Orange => "orange",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Teal => "teal",
            Self::Blue => "blue",
            Self::Purple => "purple",
            Self::Black => "black",
        })
    }
}

/// A coloured shape in its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub shape: Shape,
    pub colour: Colour,
    /// The centre, in pixels from the left upper corner.
    pub x: f64,
    pub y: f64,
    /// In pixels.
    pub radius: f64,
    /// The tangent of half the angle by which the figure is turned.
    pub turn: f64,
}

impl Figure {
    fn draw(shape: Shape, colour: Colour, generator: &mut impl RngExt) -> Self {
        let radius = generator.random_range(SMALLEST..LARGEST);
        let border = radius * REACH + GAP;
        let mut place = || generator.random_range(border..f64::from(SIZE) - border);
        let (x, y) = (place(), place());
        Self {
            shape,
            colour,
            x,
            y,
            radius,
            turn: generator.random_range(-0.2..0.2),
        }
    }

    fn is_clear_of(&self, other: &Self) -> bool {
        let (x, y) = (self.x - other.x, self.y - other.y);
        let apart = (self.radius + other.radius) * REACH + GAP;
        x * x + y * y >= apart * apart
    }
}

/// Figures of different colours, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scene {
    pub figures: Vec<Figure>,
}

impl Scene {
    /// The scene of a key: equal for equal keys.
    pub fn draw(key: &Key) -> Self {
        let mut generator = key.with("figures").generator();
        let wanted = generator.random_range(1..=3);
        let mut colours = Colour::ALL;
        colours.shuffle(&mut generator);
        let mut figures: Vec<Figure> = Vec::new();
        for colour in colours.into_iter().take(wanted) {
            let shape = *Shape::ALL.choose(&mut generator).unwrap_or(&Shape::Circle);
            let mut places = (0..TRIES).map(|_| Figure::draw(shape, colour, &mut generator));
            figures.extend(places.find(|figure| figures.iter().all(|f| f.is_clear_of(figure))));
        }
        figures.sort_by(|one, other| one.x.total_cmp(&other.x));
        Self { figures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_hold_one_to_three_figures_apart_from_each_other() {
        let mut counts = [0; 4];
        for index in 0..600 {
            let scene = Scene::draw(&Key::new(1).at(index));
            counts[scene.figures.len()] += 1;
            for (place, figure) in scene.figures.iter().enumerate() {
                let reach = figure.radius * REACH;
                let inside = |at: f64| at - reach >= 0.0 && at + reach <= f64::from(SIZE);
                assert!(inside(figure.x) && inside(figure.y), "{figure:?}");
                for other in &scene.figures[place + 1..] {
                    assert!(figure.is_clear_of(other) && figure.colour != other.colour);
                    assert!(figure.x <= other.x);
                }
            }
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| *count > 150), "{counts:?}");
    }
}
