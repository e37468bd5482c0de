//! Transcripts as files: plain text, subtitles, JSON.

use sensorium_model::transcription::{Segment, Transcript};
use serde_json::{Value, json};
use std::fmt::Write;

/// How transcripts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// What is said, a line for each stretch of it
    Text,
    /// Subtitles of SubRip
    Srt,
    /// Subtitles of the web
    Vtt,
    /// One document with language, text and times
    Json,
}

impl Format {
    /// How the names of its files end.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Srt => "srt",
            Self::Vtt => "vtt",
            Self::Json => "json",
        }
    }

    /// Whether the transcripts of several files may stand one behind the other.
    pub fn joins(self) -> bool {
        matches!(self, Self::Text | Self::Json)
    }

    /// The transcript of one file as a whole file; `file` is its name.
    pub fn write(self, file: &str, transcript: &Transcript) -> String {
        let segments = transcript.segments.iter();
        match self {
            Self::Text => segments.map(|segment| format!("{}\n", segment.text)).collect(),
            Self::Srt => (1..)
                .zip(segments)
                .map(|(number, segment)| srt(number, segment))
                .collect(),
            Self::Vtt => segments.fold("WEBVTT\n".into(), |text, segment| text + &vtt(segment)),
            Self::Json => format!("{:#}\n", json!([document(file, transcript)])),
        }
    }
}

/// A file's entry in the JSON document.
pub fn document(file: &str, transcript: &Transcript) -> Value {
    json!({
        "file": file,
        "language": transcript.language,
        "text": transcript.text,
        "segments": transcript.segments,
    })
}

fn srt(number: usize, segment: &Segment) -> String {
    let [start, end] = [segment.start, segment.end].map(|seconds| time(seconds, ','));
    format!("{number}\n{start} --> {end}\n{}\n\n", on_one_line(&segment.text))
}

fn vtt(segment: &Segment) -> String {
    let [start, end] = [segment.start, segment.end].map(|seconds| time(seconds, '.'));
    // An arrow in a text would be read as a time.
    let text = on_one_line(&segment.text).replace("-->", "->");
    format!("\n{start} --> {end}\n{text}\n")
}

/// A line break would end a subtitle.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Hours, minutes, seconds and milliseconds; `point` stands before these.
fn time(seconds: f64, point: char) -> String {
    let milliseconds = (seconds * 1000.0).round() as u64;
    let mut text = String::new();
    let (whole, rest) = (milliseconds / 1000, milliseconds % 1000);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    write!(text, "{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}").expect("a string takes all that is written");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, expected: &str) {
        let segment = |start, end, text: &str| Segment {
            start,
            end,
            text: text.into(),
        };
        let transcript = Transcript {
            language: "en".into(),
            text: "A ship. It\nleaves --> now.".into(),
            segments: vec![
                segment(0.0, 1.5, "A ship."),
                segment(3599.99, 3661.02, "It\nleaves --> now."),
            ],
        };
        assert_eq!(format.write("a.wav", &transcript), expected);
    }

    #[test]
    fn transcripts_are_written_as_players_read_them() {
        check(Format::Text, "A ship.\nIt\nleaves --> now.\n");
        check(
            Format::Srt,
            "1\n00:00:00,000 --> 00:00:01,500\nA ship.\n\n2\n00:59:59,990 --> 01:01:01,020\nIt leaves --> now.\n\n",
        );
        check(
            Format::Vtt,
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nA ship.\n\n00:59:59.990 --> 01:01:01.020\nIt leaves -> now.\n",
        );
    }
}
