//! A scene as tones: one for each figure, from left to right, the higher the figure the higher the
//! tone.

use super::scene::{SIZE, Scene};
use crate::random::Key;
use rand::RngExt;

/// Samples in a second; every clip lasts one.
const RATE: u32 = 8000;
/// Samples over which a tone swells and fades.
const EDGE: usize = 80;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pitch {
    Low,
    Middle,
    High,
}

impl Pitch {
    fn of(y: f64) -> Self {
        match 3.0 * y / f64::from(SIZE) {
            third if third < 1.0 => Self::High,
            third if third < 2.0 => Self::Middle,
            _ => Self::Low,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Middle => "middle",
            Self::High => "high",
        }
    }

    /// In Hz, before it is detuned.
    fn frequency(self) -> f64 {
        match self {
            Self::Low => 300.0,
            Self::Middle => 550.0,
            Self::High => 1000.0,
        }
    }
}

/// What is heard of a scene.
#[derive(Debug)]
pub(super) struct Tones {
    pitches: Vec<Pitch>,
    is_fast: bool,
    /// By which all frequencies are multiplied.
    tuning: f64,
    /// Of full scale.
    loudness: f64,
    /// The samples before the first tone.
    silence: usize,
}

impl Tones {
    /// The tones of a scene and its key: equal for equal ones.
    pub fn draw(scene: &Scene, key: &Key) -> Self {
        let mut generator = key.with("tones").generator();
        let pitches: Vec<Pitch> = scene.figures.iter().map(|figure| Pitch::of(figure.y)).collect();
        let is_fast = generator.random_range(0..2) == 0;
        let sounding = pitches.len() * spacing(is_fast);
        Self {
            pitches,
            is_fast,
            tuning: generator.random_range(0.88..1.12),
            loudness: generator.random_range(0.3..0.9),
            silence: generator.random_range(0..=RATE as usize - sounding),
        }
    }

    /// The pitches in their order: "high low".
    pub fn label(&self) -> String {
        let names: Vec<&str> = self.pitches.iter().map(|pitch| pitch.name()).collect();
        names.join(" ")
    }

    /// Four questions with their answers.
    pub fn ask(&self) -> Vec<(String, String)> {
        let count = ["none", "one", "two", "three"];
        let count = count.get(self.pitches.len()).copied().unwrap_or("many");
        let pitch = |pitch: Option<&Pitch>| pitch.map_or("none", |pitch| pitch.name());
        let asked = [
            ("how many tones are there?", count),
            ("how high is the first tone?", pitch(self.pitches.first())),
            ("how high is the last tone?", pitch(self.pitches.last())),
            (
                "are the tones short or long?",
                if self.is_fast { "short" } else { "long" },
            ),
        ];
        asked
            .map(|(question, answer)| (question.to_string(), answer.to_string()))
            .to_vec()
    }

    /// A WAV file of one second: one channel of unsigned eight-bit samples, 8,000 in a second.
    pub fn wav(&self) -> Vec<u8> {
        let mut samples = vec![128; RATE as usize];
        let spacing = spacing(self.is_fast);
        for (place, pitch) in self.pitches.iter().enumerate() {
            let start = self.silence + place * spacing;
            let tone = &mut samples[start..start + spacing * 2 / 3];
            sound(tone, pitch.frequency() * self.tuning, self.loudness);
        }
        let mut bytes = header(samples.len() as u32);
        bytes.extend(samples);
        bytes
    }
}

/// The samples from the start of one tone to that of the next; the last third is silent.
fn spacing(is_fast: bool) -> usize {
    if is_fast { 1200 } else { 2400 }
}

/// Fills `tone` with a sine that swells and fades.
///
/// A point is turned by one angle for each sample. Tangent of half the angle by its series, and
/// from it the turn: no function that rounds differently on another machine.
fn sound(tone: &mut [u8], frequency: f64, loudness: f64) {
    let angle = std::f64::consts::PI * frequency / f64::from(RATE);
    let square = angle * angle;
    let half = angle * (1.0 + square / 3.0 + 2.0 * square * square / 15.0);
    let cosine = (1.0 - half * half) / (1.0 + half * half);
    let sine = 2.0 * half / (1.0 + half * half);
    let (mut x, mut y) = (1.0, 0.0);
    let length = tone.len();
    for (place, sample) in tone.iter_mut().enumerate() {
        let edge = place.min(length - 1 - place).min(EDGE) as f64 / EDGE as f64;
        *sample = (128.0 + 127.0 * loudness * edge * y).round() as u8;
        (x, y) = (x * cosine - y * sine, x * sine + y * cosine);
    }
}

/// The header of a canonical WAV file with so many samples of one byte.
fn header(samples: u32) -> Vec<u8> {
    let mut header = b"RIFF".to_vec();
    header.extend((36 + samples).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    // Plain samples of one channel.
    header.extend([1_u16, 1].map(u16::to_le_bytes).concat());
    header.extend([RATE, RATE].map(u32::to_le_bytes).concat());
    // One byte for each moment, eight bits for each sample.
    header.extend([1_u16, 8].map(u16::to_le_bytes).concat());
    header.extend(b"data");
    header.extend(samples.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Colour, Figure, Shape};
    use super::*;

    fn tones(heights: &[f64]) -> Tones {
        let figure = |y: &f64| Figure {
            shape: Shape::Star,
            colour: Colour::Red,
            x: 0.0,
            y: *y,
            radius: 1.0,
            turn: 0.0,
        };
        let scene = Scene {
            figures: heights.iter().map(figure).collect(),
        };
        Tones::draw(&scene, &Key::new(1))
    }

    fn check(heights: &[f64], label: &str, answers: [&str; 3]) {
        let tones = tones(heights);
        assert_eq!(tones.label(), label);
        let given: Vec<String> = tones.ask().into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(given[..3], answers);
    }

    #[test]
    fn tones_tell_how_many_figures_there_are_and_how_high() {
        check(&[10.0], "high", ["one", "high", "high"]);
        check(&[50.0, 30.0, 12.0], "low middle high", ["three", "low", "high"]);
    }

    #[test]
    fn a_tone_has_its_frequency_and_fades() {
        for frequency in [300.0, 1000.0, 1120.0] {
            let mut tone = [128; 1600];
            sound(&mut tone, frequency, 0.9);
            let crossings = tone.windows(2).filter(|pair| pair[0] < 128 && pair[1] >= 128).count();
            let expected = frequency * 1600.0 / f64::from(RATE);
            assert!((crossings as f64 - expected).abs() <= 3.0, "{frequency}: {crossings}");
            assert_eq!((tone[0], tone[1599]), (128, 128));
            let peak = tone.iter().map(|sample| sample.abs_diff(128)).max();
            assert!(peak.is_some_and(|peak| (110..=115).contains(&peak)), "{peak:?}");
        }
    }

    #[test]
    fn the_file_holds_the_tones_between_silences() {
        let tones = Tones {
            pitches: vec![Pitch::Low, Pitch::High],
            is_fast: false,
            tuning: 1.0,
            loudness: 0.5,
            silence: 400,
        };
        let wav = tones.wav();
        let mut reader = hound::WavReader::new(&wav[..]).unwrap();
        assert_eq!((reader.spec().channels, reader.spec().sample_rate), (1, RATE));
        let samples: Vec<i32> = reader.samples::<i32>().map(Result::unwrap).collect();
        assert_eq!(samples.len(), RATE as usize);
        let is_silent = |part: std::ops::Range<usize>| samples[part].iter().all(|sample| *sample == 0);
        for part in [0..400, 2000..2800, 4400..8000] {
            assert!(is_silent(part));
        }
        assert!(!is_silent(500..700) && !is_silent(2900..3100));
    }
}
