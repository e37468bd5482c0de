//! `sensorium transcribe RUN FILE…`: recordings of any length become texts with times.

mod format;

use super::precision::Precision;
use crate::exit::{Interrupted, Usage};
use crate::progress::{FetchProgress, TranscribeProgress};
use crate::{Global, interrupt, runs};
use format::{Format, document};
use sensorium_data::{Home, files};
use sensorium_model::transcription::{Heeded, Purpose, Settings, Transcriber, Transcript, VoiceDetector};
use sensorium_model::{ModelError, Pipeline, RunDirectory};
use sensorium_train::pretrained;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory, such as `import whisper-base` makes one
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The recordings, and videos whose sound is transcribed
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The language that is spoken, such as en or cs; heard by default
    #[arg(long, value_name = "CODE")]
    language: Option<String>,
    /// What is written: what is said, or what it means in English
    #[arg(long, value_enum, default_value_t = Task::Transcribe)]
    task: Task,
    /// How it is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A folder for one file of each recording, in the place of standard output
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// How many texts grow side by side in the search; 1 takes the most probable token each time
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    beam: u16,
    /// Decode each window by itself, without the text before it
    #[arg(long)]
    unguided: bool,
    /// Listen only where somebody speaks, as this network hears it: a folder, or a name of the catalogue
    #[arg(long, value_name = "MODEL", num_args = 0..=1, require_equals = true, default_missing_value = "silero-vad")]
    vad: Option<String>,
    /// Tell when each word is said, in formats that can: json, vtt
    #[arg(long)]
    words: bool,
    /// How finely the weights of Transformers and decoders are held
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Task {
    Transcribe,
    Translate,
}

/// A recording's transcript, or why there is none.
type Outcome = Result<Transcript, ModelError>;

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    arguments.check()?;
    let interrupt = interrupt::listen()?;
    let pipeline = Pipeline::load_packed(
        &RunDirectory::new(&arguments.run),
        &runs::device(),
        arguments.precision.into(),
    )?;
    let transcriber = Transcriber::new(&pipeline, &arguments.settings()).map_err(|error| match error {
        ModelError::Config { field, message } if field == "run" => {
            anyhow::anyhow!("{}: {message}", arguments.run.display())
        }
        ModelError::Config { field, message } => Usage(format!("--{field}: {message}")).into(),
        other => other.into(),
    })?;
    let transcriber = match &arguments.vad {
        Some(source) => transcriber.hearing(voice(source, global)?),
        None => transcriber,
    };
    if let Some(folder) = &arguments.output {
        files::create_folder(folder)?;
    }
    let mut progress = TranscribeProgress::new(global.quiet);
    let mut outcomes = Vec::new();
    for file in &arguments.files {
        let outcome = arguments.transcribe(&transcriber, file, &mut progress, interrupt)?;
        progress.finish();
        if let Err(error) = &outcome {
            eprintln!("error: {error}");
        }
        outcomes.push(outcome);
    }
    arguments.print_document(&outcomes);
    match outcomes.iter().filter(|outcome| outcome.is_err()).count() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {} files could not be transcribed", outcomes.len()),
    }
}

/// The network that hears voices, which is fetched where the catalogue has it.
fn voice(source: &str, global: &Global) -> anyhow::Result<VoiceDetector> {
    let mut progress = FetchProgress::new(global.quiet);
    let home = Home::from_environment();
    let folder = pretrained::locate(source, Path::new(""), &home, &mut |step| progress.update(step))?;
    Ok(VoiceDetector::open(&folder)?)
}

impl Arguments {
    /// The transcript of a file, which is written down: on standard output as it grows, in a folder as a whole.
    ///
    /// # Errors
    /// When a signal has come, and for a file that cannot be written.
    fn transcribe(
        &self,
        transcriber: &Transcriber,
        file: &Path,
        progress: &mut TranscribeProgress,
        interrupt: &AtomicBool,
    ) -> anyhow::Result<Outcome> {
        let begin = if self.output.is_none() { self.format.begin() } else { "" };
        let (mut out, mut known) = (String::from(begin), 0);
        let mut report = |heeded: Heeded| {
            progress.update(file, heeded);
            if self.output.is_none() {
                out += &self.format.go_on(known, heeded.segments);
                known += heeded.segments.len();
                progress.print(&std::mem::take(&mut out));
            }
            !interrupt.load(Ordering::SeqCst)
        };
        let transcript = match transcriber.transcribe(file, &mut report) {
            Ok(Some(transcript)) => transcript,
            Ok(None) => {
                let message = "interrupted; files that were transcribed before are written";
                return Err(Interrupted(message.into()).into());
            }
            Err(error) => return Ok(Err(error)),
        };
        // Nothing was reported of a recording without voices.
        progress.print(&out);
        if let Some(folder) = &self.output {
            let text = self.format.write(&file.display().to_string(), &transcript);
            files::write_atomically(&self.target(folder, file), text.as_bytes())?;
        }
        Ok(Ok(transcript))
    }

    /// Refuses what would write over itself or could not be read.
    fn check(&self) -> anyhow::Result<()> {
        if self.words && !self.format.tells_words() {
            let message = "--words: only `--format json` and `--format vtt` tell when words are said";
            return Err(Usage(message.into()).into());
        }
        let Some(folder) = &self.output else {
            return match self.files.len() == 1 || self.format.joins() {
                true => Ok(()),
                false => {
                    let message = "--format: subtitles of several files need a folder; give --output DIR";
                    Err(Usage(message.into()).into())
                }
            };
        };
        let mut targets = BTreeSet::new();
        match self
            .files
            .iter()
            .find(|file| !targets.insert(self.target(folder, file)))
        {
            None => Ok(()),
            Some(file) => {
                let target = self.target(folder, file);
                Err(Usage(format!(
                    "--output: two of the files would be written to {}",
                    target.display()
                ))
                .into())
            }
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            language: self.language.clone(),
            purpose: match self.task {
                Task::Transcribe => Purpose::Transcribe,
                Task::Translate => Purpose::Translate,
            },
            beam: self.beam.into(),
            guided: !self.unguided,
            words: self.words,
        }
    }

    /// The file that a recording's transcript is written to.
    fn target(&self, folder: &Path, file: &Path) -> PathBuf {
        let mut name = file.file_stem().unwrap_or_default().to_os_string();
        name.push(format!(".{}", self.format.extension()));
        folder.join(name)
    }

    /// Prints all transcripts as one document, where that is asked for.
    fn print_document(&self, outcomes: &[Outcome]) {
        if self.format != Format::Json || self.output.is_some() {
            return;
        }
        let entry = |(file, outcome): (&PathBuf, &Outcome)| entry(&file.display().to_string(), outcome);
        let entries: Vec<Value> = self.files.iter().zip(outcomes).map(entry).collect();
        println!("{:#}", Value::from(entries));
    }
}

fn entry(file: &str, outcome: &Outcome) -> Value {
    match outcome {
        Ok(transcript) => document(file, transcript),
        Err(error) => {
            let code = match error {
                ModelError::Data(error) => error.kind.code(),
                _ => "invalid",
            };
            json!({"file": file, "error": {"code": code, "message": error.to_string()}})
        }
    }
}
