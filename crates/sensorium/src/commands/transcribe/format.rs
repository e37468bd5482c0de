//! Transcripts as files: plain text, subtitles, JSON.

use sensorium_model::transcription::{Segment, Transcript, Word};
use serde_json::{Value, json};
use std::fmt::Write;

/// How transcripts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// What is said, a line for each stretch of it
    Text,
    /// Subtitles of SubRip
    Srt,
    /// Subtitles of the web; with `--words`, each word appears when it is said
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

    /// Whether it tells when words are said.
    pub fn tells_words(self) -> bool {
        matches!(self, Self::Vtt | Self::Json)
    }

    /// The transcript of one file as a whole file; `file` is its name.
    pub fn write(self, file: &str, transcript: &Transcript) -> String {
        match self {
            Self::Json => format!("{:#}\n", json!([document(file, transcript)])),
            _ => self.begin().to_string() + &self.go_on(0, &transcript.segments),
        }
    }

    /// What stands before the first segment; nothing of what is written as a whole.
    pub fn begin(self) -> &'static str {
        match self {
            Self::Vtt => "WEBVTT\n",
            Self::Text | Self::Srt | Self::Json => "",
        }
    }

    /// The next segments, behind `known` ones; nothing of what is written as a whole.
    pub fn go_on(self, known: usize, segments: &[Segment]) -> String {
        let numbered = (known + 1..).zip(segments);
        let write = |(number, segment): (usize, &Segment)| match self {
            Self::Text => format!("{}\n", segment.text),
            Self::Srt => srt(number, segment),
            Self::Vtt => vtt(segment),
            Self::Json => String::new(),
        };
        numbered.map(write).collect()
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
    let text = match segment.words.is_empty() {
        true => plain(&segment.text),
        false => segment.words.iter().map(|word| vtt_word(word, segment)).collect(),
    };
    format!("\n{start} --> {end}\n{}\n", text.trim())
}

/// A word behind the time at which it appears, which lies within its segment.
fn vtt_word(word: &Word, segment: &Segment) -> String {
    let text = plain(&word.word);
    let space = if word.word.starts_with(' ') { " " } else { "" };
    match word.start > segment.start && word.start < segment.end {
        true => format!("{space}<{}>{text}", time(word.start, '.')),
        false => format!("{space}{text}"),
    }
}

/// Without what the web's subtitles give a meaning: an arrow is part of a time, other signs begin names and tags.
fn plain(text: &str) -> String {
    on_one_line(text)
        .replace("-->", "->")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
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
            words: Vec::new(),
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

    #[test]
    fn words_appear_when_they_are_said() {
        let word = |word: &str, start, end| Word {
            word: word.into(),
            start,
            end,
            probability: 0.9,
        };
        let segment = Segment {
            start: 1.0,
            end: 3.0,
            text: "A <ship> & sea.".into(),
            words: vec![
                word(" A", 0.9, 1.2),
                word(" <ship>", 1.2, 2.0),
                word(" &", 2.0, 2.1),
                word(" sea.", 2.1, 3.2),
            ],
        };
        let expected =
            "\n00:00:01.000 --> 00:00:03.000\nA <00:00:01.200>&lt;ship> <00:00:02.000>&amp; <00:00:02.100>sea.\n";
        assert_eq!(Format::Vtt.go_on(4, &[segment]), expected);
    }
}
