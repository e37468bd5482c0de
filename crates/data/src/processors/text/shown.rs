//! What a row shows that its text asks about, and the words for it.

use super::super::Feature;
use serde::{Deserialize, Serialize};

/// The pictures or sounds and the video of a row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shown {
    /// How many pictures, or sounds; as many as the text has places for, and at least one, where it is not known.
    pub pictures: Option<usize>,
    /// Whether these are sounds.
    pub heard: bool,
    pub video: Option<Shots>,
}

/// The frames that are read of a video.
#[derive(Debug, Clone, PartialEq)]
pub struct Shots {
    /// When each is shown, in seconds from the first one.
    pub seconds: Vec<f32>,
    /// How long the video is, in seconds.
    pub duration: f32,
}

/// The words around the frames of a video, as a model was trained with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VideoWords {
    /// What stands for a video in a text.
    pub name: String,
    /// In front of all frames; `{count}` stands for their number in words, `{duration}` for hours, minutes and seconds.
    pub intro: String,
    /// In front of each frame; `{time}` stands for its minutes and seconds.
    pub frame: String,
    /// Behind all frames.
    pub end: String,
    /// Whether a video is one medium as a picture is: then nothing else is said of it, and its frames have no places of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_whole: bool,
}

/// How far below a whole second a time may be rounded.
const ROUNDED: f32 = 1e-3;

impl Shown {
    /// What a row with these features shows.
    pub fn of<'a>(features: impl Iterator<Item = &'a Feature>) -> Self {
        let mut shown = Self {
            pictures: Some(0),
            ..Self::default()
        };
        for feature in features {
            shown.heard |= matches!(feature, Feature::Audio(_));
            match feature {
                Feature::Image(_) | Feature::Audio(_) => shown.pictures = shown.pictures.map(|count| count + 1),
                Feature::Pictures(pictures) => shown.pictures = shown.pictures.map(|count| count + pictures.len()),
                Feature::Video(clip) => {
                    shown.video = Some(Shots {
                        seconds: clip.timestamps.clone(),
                        duration: clip.duration,
                    });
                }
                Feature::Text(_) => {}
            }
        }
        shown
    }
}

impl VideoWords {
    pub fn intro(&self, shots: &Shots) -> String {
        let seconds = whole(shots.duration);
        let duration = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let count = in_words(shots.seconds.len());
        self.intro.replace("{count}", &count).replace("{duration}", &duration)
    }

    pub fn frame(&self, seconds: f32) -> String {
        let seconds = whole(seconds);
        let time = format!("{:02}:{:02}", seconds / 60, seconds % 60);
        self.frame.replace("{time}", &time)
    }
}

/// The whole seconds of a time.
fn whole(seconds: f32) -> u64 {
    (seconds + ROUNDED) as u64
}

/// A number below a thousand in English words; digits of others.
fn in_words(number: usize) -> String {
    const SMALL: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    match number {
        0..20 => SMALL[number].into(),
        20..100 if number.is_multiple_of(10) => TENS[number / 10 - 2].into(),
        20..100 => format!("{}-{}", TENS[number / 10 - 2], SMALL[number % 10]),
        100..1000 if number.is_multiple_of(100) => format!("{} hundred", SMALL[number / 100]),
        100..1000 => format!("{} hundred and {}", SMALL[number / 100], in_words(number % 100)),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_in_words() {
        let expected = [
            (4, "four"),
            (13, "thirteen"),
            (40, "forty"),
            (64, "sixty-four"),
            (300, "three hundred"),
            (512, "five hundred and twelve"),
            (1000, "1000"),
        ];
        for (number, words) in expected {
            assert_eq!(in_words(number), words);
        }
    }

    #[test]
    fn times_are_cut_to_seconds() {
        let words = VideoWords {
            name: "<video>".into(),
            intro: "{count} in {duration}".into(),
            frame: "at {time}".into(),
            end: String::new(),
            is_whole: false,
        };
        let shots = Shots {
            seconds: vec![0.0, 0.99999, 61.5, 6001.0],
            duration: 7265.9,
        };
        assert_eq!(words.intro(&shots), "four in 2:01:05");
        let found: Vec<String> = shots.seconds.iter().map(|&seconds| words.frame(seconds)).collect();
        assert_eq!(found, ["at 00:00", "at 00:01", "at 01:01", "at 100:01"]);
    }
}
