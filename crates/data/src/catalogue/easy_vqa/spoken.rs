//! The questions of easy-VQA spoken by `espeak-ng` in several voices, one of which is heard in the
//! test split alone.

use super::super::fetch::write_rows;
use super::super::packages::{Outcome, last_lines, run};
use super::super::{Entry, Progress};
use super::Asked;
use crate::random::Key;
use crate::split::Split;
use crate::{DataError, ErrorKind, Result, files};
use rand::RngExt;
use rand::seq::IndexedRandom;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(in super::super) const ENTRY: Entry = Entry {
    name: "easy-vqa-spoken",
    description: "The pictures and questions of easy-vqa with the questions spoken in six voices, one of them \
                  unheard before the test; needs the program espeak-ng",
    tasks: &["spoken visual question answering", "speech recognition"],
    source: "Python package easy-vqa 1.0, spoken by espeak-ng",
    version: "spoken-1",
    build,
    ..super::ENTRY
};

const PROGRAM: &str = "espeak-ng";
/// The names of voices: a variety of English, and a timbre where one is added.
const VOICES: [&str; 5] = ["en-gb", "en-us+f3", "en-gb-scotland+m3", "en-029+m7", "en-us+m1"];
/// The voice of the test split.
const UNHEARD: &str = "en-gb-x-rp+f2";
/// A sentence takes some hundredths of a second; a program that hangs is stopped.
const PATIENCE: Duration = Duration::from_secs(60);
/// A WAV file of a minute; a question takes three seconds.
const LARGEST: usize = 44 + 60 * 2 * 22_050;
/// How many sentences are spoken between two reports of progress.
const STEP: usize = 32;

fn build(packages: &[PathBuf], folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    // Before the pictures are unpacked, so that the lack of the program is known at once.
    speak("ready", VOICES[0], PROGRAM)?;
    let rows = rows(super::unpack(&packages[0], folder, progress)?)?;
    let spoken: BTreeSet<(&str, &str, &str)> = rows.iter().map(Row::utterance).collect();
    say(spoken.into_iter().collect(), folder, progress)?;
    write_rows(folder, rows)
}

#[derive(Debug, Serialize)]
struct Row {
    image: String,
    audio: String,
    /// The words that are spoken.
    question: String,
    answer: String,
    voice: &'static str,
    split: Split,
    scene: String,
}

impl Row {
    /// Path, text and voice of the recording.
    fn utterance(&self) -> (&str, &str, &str) {
        (&self.audio, &self.question, self.voice)
    }
}

/// One row for each question about a picture, in a drawn voice. Each different question is recorded
/// once in a voice.
fn rows(asked: Vec<Asked>) -> Result<Vec<Row>> {
    let texts: BTreeSet<String> = asked.iter().map(|asked| asked.question.clone()).collect();
    let numbers: BTreeMap<String, usize> = texts.into_iter().zip(0..).collect();
    let row = |(place, asked): (usize, Asked)| {
        let mut generator = Key::new(0).with("easy-vqa-spoken").at(place as u64).generator();
        let voice = match asked.split()? {
            Split::Test => UNHEARD,
            _ => VOICES.choose(&mut generator).copied().unwrap_or(VOICES[0]),
        };
        Ok(Row {
            image: asked.image(),
            audio: format!("audio/{voice}/{}.wav", numbers[&asked.question]),
            split: asked.split()?,
            scene: asked.scene(),
            question: asked.question,
            answer: asked.answer,
            voice,
        })
    };
    asked.into_iter().enumerate().map(row).collect()
}

/// Records every path, text and voice, on all threads.
fn say(spoken: Vec<(&str, &str, &str)>, folder: &Path, progress: &mut dyn FnMut(Progress)) -> Result<()> {
    for voice in VOICES.iter().chain([&UNHEARD]) {
        files::create_folder(&folder.join("audio").join(voice))?;
    }
    for (step, part) in spoken.chunks(STEP).enumerate() {
        progress(Progress::new("speaking", step * STEP, Some(spoken.len())));
        part.par_iter().try_for_each(|(path, text, voice)| {
            let target = folder.join(path);
            let wav = speak(text, voice, PROGRAM)?;
            std::fs::write(&target, wav).map_err(|error| DataError::io(&error, &target))
        })?;
    }
    Ok(())
}

/// A text as the WAV file that the program writes: one channel, 22,050 samples of 16 bits a second.
/// Every text of a voice has its own pace and pitch, as people do not repeat themselves exactly.
fn speak(text: &str, voice: &str, program: &str) -> Result<Vec<u8>> {
    let mut generator = Key::new(0).with("speak").with(voice).with(text).generator();
    let pace = generator.random_range(135..=185);
    let pitch = generator.random_range(40..=60);
    let folder = tempfile::tempdir().map_err(|error| DataError::io(&error, &std::env::temp_dir()))?;
    let (log, wav) = (folder.path().join("log"), folder.path().join("speech.wav"));
    let mut command = Command::new(program);
    command.args(["-v", voice, "-s", &pace.to_string(), "-p", &pitch.to_string(), "-w"]);
    command.arg(&wav).args(["--", text]);
    let failed = |found: &str| {
        let message = format!(
            "expected `{program}` to speak in the voice {voice}, found {found}; install it (on Debian: \
             apt-get install espeak-ng) and fetch again"
        );
        DataError::new(ErrorKind::Fetch, message)
    };
    match run(&mut command, &log, PATIENCE, &mut || 0)? {
        Outcome::Absent => return Err(failed("no such program")),
        Outcome::Stalled => return Err(failed("no end")),
        Outcome::Finished(status) if !status.success() => {
            return Err(failed(&format!("{status}: {}", last_lines(&log))));
        }
        Outcome::Finished(_) => {}
    }
    let wav = std::fs::read(&wav).unwrap_or_default();
    match wav.starts_with(b"RIFF") && wav.len() <= LARGEST {
        true => Ok(wav),
        false => Err(failed(&format!("a file of {} bytes that is no short WAV", wav.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Part;
    use super::*;

    fn asked(part: Part, number: u32, question: &str) -> Asked {
        Asked {
            part,
            number,
            question: question.to_string(),
            answer: "yes".to_string(),
        }
    }

    #[test]
    fn a_question_is_recorded_once_in_a_voice_and_the_test_has_its_own() {
        let questions = (0..400).map(|n| asked(Part::Train, n, ["a?", "b?"][n as usize % 2]));
        let test = (0..50).map(|n| asked(Part::Test, n, "b?"));
        let rows = rows(questions.chain(test).collect()).unwrap();
        let recordings: BTreeSet<_> = rows.iter().map(Row::utterance).collect();
        assert_eq!(recordings.len(), 2 * VOICES.len() + 1);
        let paths: BTreeSet<&str> = recordings.iter().map(|(path, ..)| *path).collect();
        assert_eq!(paths.len(), recordings.len());
        for row in &rows {
            assert_eq!(row.voice == UNHEARD, row.split == Split::Test);
            assert_eq!(row.audio.ends_with("/1.wav"), row.question == "b?");
        }
        for voice in VOICES {
            let count = rows.iter().filter(|row| row.voice == voice).count();
            assert!((50..110).contains(&count), "{voice}: {count}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_or_fails_says_what_to_do() {
        for (program, found) in [
            ("/nowhere/espeak-ng", "no such program"),
            ("false", "exit status"),
            ("true", "no short WAV"),
        ] {
            let error = speak("is it?", "en-gb", program).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Fetch);
            assert!(error.message.contains(found), "{error}");
            assert!(error.message.contains("apt-get install espeak-ng"), "{error}");
        }
    }
}
