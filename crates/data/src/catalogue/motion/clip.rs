//! What a clip shows: one figure that changes from frame to frame.
//!
//! Each property of the figure lies on a circle: the place comes in again on the other side, the
//! size starts anew at the other end, the blinking goes round its period. A property starts
//! anywhere on its circle, each place as likely as the others, and takes steps of one length.
//! Every single frame therefore has the same distribution whatever the figure does: only several
//! frames tell it.

use super::scene::{Colour, Shape};
use crate::random::Key;
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use std::fmt;

/// The number of frames of a clip.
pub(super) const FRAMES: u32 = 16;

/// The lengths of the circles: a place in quarters of a pixel across and down, an angle, a size
/// and a shade.
pub(super) const CIRCLES: [i32; 5] = [256, 256, 64, 24, 16];

/// A place on each of the [`CIRCLES`].
pub(super) type State = [i32; 5];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Motion {
    Left,
    Right,
    Up,
    Down,
    Clockwise,
    Anticlockwise,
    Grows,
    Shrinks,
    BlinksFast,
    BlinksSlowly,
}

/// Motions that exclude each other.
const KINDS: [&[Motion]; 4] = [
    &[Motion::Left, Motion::Right, Motion::Up, Motion::Down],
    &[Motion::Clockwise, Motion::Anticlockwise],
    &[Motion::Grows, Motion::Shrinks],
    &[Motion::BlinksFast, Motion::BlinksSlowly],
];

impl Motion {
    /// The circle along which the motion goes, and the shortest and the longest step.
    fn steps(self) -> (usize, i32, i32) {
        match self {
            Self::Left => (0, -10, -6),
            Self::Right => (0, 6, 10),
            Self::Up => (1, -10, -6),
            Self::Down => (1, 6, 10),
            Self::Clockwise => (2, 2, 4),
            Self::Anticlockwise => (2, -4, -2),
            Self::Grows => (3, 1, 1),
            Self::Shrinks => (3, -1, -1),
            Self::BlinksFast => (4, 4, 4),
            Self::BlinksSlowly => (4, 1, 1),
        }
    }

    fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Up => Self::Down,
            Self::Down => Self::Up,
            Self::Clockwise => Self::Anticlockwise,
            Self::Anticlockwise => Self::Clockwise,
            Self::Grows => Self::Shrinks,
            Self::Shrinks => Self::Grows,
            Self::BlinksFast => Self::BlinksSlowly,
            Self::BlinksSlowly => Self::BlinksFast,
        }
    }

    /// A verb in its plain form and what follows it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Left => ("move", "left"),
            Self::Right => ("move", "right"),
            Self::Up => ("move", "up"),
            Self::Down => ("move", "down"),
            Self::Clockwise => ("turn", "clockwise"),
            Self::Anticlockwise => ("turn", "anticlockwise"),
            Self::Grows => ("grow", ""),
            Self::Shrinks => ("shrink", ""),
            Self::BlinksFast => ("blink", "fast"),
            Self::BlinksSlowly => ("blink", "slowly"),
        }
    }

    /// A question for the direction of the motion, with its answer.
    fn question(self, thing: &str) -> (String, String) {
        let (verb, manner) = self.words();
        match verb {
            "move" | "turn" => (format!("which way does the {thing} {verb}?"), manner.to_string()),
            "blink" => (format!("does the {thing} blink fast or slowly?"), manner.to_string()),
            _ => (format!("does the {thing} grow or shrink?"), format!("it {self}")),
        }
    }
}

impl fmt::Display for Motion {
    /// "moves left", "grows".
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            (verb, "") => write!(out, "{verb}s"),
            (verb, manner) => write!(out, "{verb}s {manner}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clip {
    pub shape: Shape,
    pub colour: Colour,
    /// Red, green and blue.
    pub ground: [u8; 3],
    /// One or two of different kinds.
    pub motions: Vec<Motion>,
    start: State,
    steps: State,
}

impl Clip {
    /// The clip of a key about a coloured shape: equal for equal keys.
    pub fn draw(shape: Shape, colour: Colour, key: &Key) -> Self {
        let mut generator = key.with("clip").generator();
        let mut kinds = KINDS;
        kinds.shuffle(&mut generator);
        let count = generator.random_range(1..=2);
        let mut steps = State::default();
        let kinds = kinds.into_iter().take(count);
        let mut motions: Vec<Motion> = kinds.filter_map(|kind| kind.choose(&mut generator).copied()).collect();
        motions.sort();
        for motion in &motions {
            let (circle, shortest, longest) = motion.steps();
            steps[circle] = generator.random_range(shortest..=longest);
        }
        Self {
            shape,
            colour,
            ground: std::array::from_fn(|_| generator.random_range(222..=248)),
            motions,
            start: CIRCLES.map(|length| generator.random_range(0..length)),
            steps,
        }
    }

    /// Where the properties are in a frame.
    pub fn state(&self, frame: u32) -> State {
        let place = |circle: usize| self.start[circle] + self.steps[circle] * frame as i32;
        std::array::from_fn(|circle| place(circle).rem_euclid(CIRCLES[circle]))
    }

    /// "a red circle moves left and grows".
    pub fn caption(&self) -> String {
        let motions: Vec<String> = self.motions.iter().map(Motion::to_string).collect();
        let thing = super::questions::with_article(&format!("{} {}", self.colour, self.shape));
        format!("{thing} {}", motions.join(" and "))
    }

    /// Three questions about each motion with their answers, of which one is yes and one is no.
    pub fn ask(&self) -> Vec<(String, String)> {
        let shape = self.shape.to_string();
        let about = |motion: &Motion| {
            let whether = |motion: Motion, answer: &str| {
                let (verb, manner) = motion.words();
                let question = format!("does the {shape} {verb} {manner}");
                (format!("{}?", question.trim_end()), answer.to_string())
            };
            let no = whether(motion.opposite(), "no");
            [motion.question(&shape), whether(*motion, "yes"), no]
        };
        self.motions.iter().flat_map(about).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn clips(count: u64) -> impl Iterator<Item = Clip> {
        (0..count).map(|index| Clip::draw(Shape::Star, Colour::Red, &Key::new(2).at(index)))
    }

    /// From starts that are equally likely, a step of any length leads to places that are.
    #[test]
    fn every_motion_takes_the_whole_of_its_circle_to_the_whole() {
        let all: BTreeSet<Motion> = KINDS.iter().copied().flatten().copied().collect();
        assert_eq!(all.len(), 10);
        let clip = clips(1).next().unwrap();
        for motion in all {
            let (circle, shortest, longest) = motion.steps();
            let length = CIRCLES[circle];
            for (step, frame) in (shortest..=longest).flat_map(|step| (0..FRAMES).map(move |frame| (step, frame))) {
                let (mut start, mut steps) = (State::default(), State::default());
                steps[circle] = step;
                let places: BTreeSet<i32> = (0..length)
                    .map(|place| {
                        start[circle] = place;
                        let clip = Clip {
                            start,
                            steps,
                            ..clip.clone()
                        };
                        clip.state(frame)[circle]
                    })
                    .collect();
                assert_eq!(places, (0..length).collect(), "{motion} {step} {frame}");
            }
        }
    }

    /// Counts of frames by the eighth of a circle in which a property is.
    fn histogram(states: &[State], circle: usize) -> [usize; 8] {
        let mut counts = [0; 8];
        for state in states {
            counts[(state[circle] * 8 / CIRCLES[circle]) as usize] += 1;
        }
        counts
    }

    #[test]
    fn single_frames_are_distributed_alike_whatever_the_motion() {
        for frame in [0, FRAMES / 2, FRAMES - 1] {
            let mut states: BTreeMap<Motion, Vec<State>> = BTreeMap::new();
            for clip in clips(20_000) {
                for motion in &clip.motions {
                    states.entry(*motion).or_default().push(clip.state(frame));
                }
            }
            for (motion, states) in &states {
                let expected = states.len() as f64 / 8.0;
                for circle in 0..CIRCLES.len() {
                    let counts = histogram(states, circle);
                    let squares = counts.map(|count| (count as f64 - expected).powi(2) / expected);
                    let chi_square: f64 = squares.iter().sum();
                    // Seven degrees of freedom: beyond 36 by chance once in 100,000.
                    assert!(chi_square < 36.0, "{motion} {frame} {circle}: {counts:?}");
                }
            }
        }
    }

    #[test]
    fn motions_are_drawn_evenly_and_seen_in_the_order_of_frames() {
        let mut counts: BTreeMap<Motion, usize> = BTreeMap::new();
        for clip in clips(4000) {
            assert!((1..=2).contains(&clip.motions.len()));
            assert_ne!(clip.state(0), clip.state(1));
            clip.motions
                .iter()
                .for_each(|motion| *counts.entry(*motion).or_default() += 1);
        }
        for (motion, count) in counts {
            let expected = 4000.0 * 1.5 / 4.0 / if motion <= Motion::Down { 4.0 } else { 2.0 };
            assert!((count as f64 / expected - 1.0).abs() < 0.15, "{motion}: {count}");
        }
    }

    fn check(motions: &[Motion], caption: &str, asked: &[(&str, &str)]) {
        let clip = Clip {
            motions: motions.to_vec(),
            ..clips(1).next().unwrap()
        };
        assert_eq!(clip.caption(), caption);
        let expected = asked.iter().map(|(q, a)| (q.to_string(), a.to_string()));
        assert_eq!(clip.ask(), expected.collect::<Vec<_>>());
    }

    #[test]
    fn captions_and_questions_say_what_the_figure_does() {
        check(
            &[Motion::Left, Motion::Grows],
            "a red star moves left and grows",
            &[
                ("which way does the star move?", "left"),
                ("does the star move left?", "yes"),
                ("does the star move right?", "no"),
                ("does the star grow or shrink?", "it grows"),
                ("does the star grow?", "yes"),
                ("does the star shrink?", "no"),
            ],
        );
        check(
            &[Motion::BlinksSlowly],
            "a red star blinks slowly",
            &[
                ("does the star blink fast or slowly?", "slowly"),
                ("does the star blink slowly?", "yes"),
                ("does the star blink fast?", "no"),
            ],
        );
    }
}
