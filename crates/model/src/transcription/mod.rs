//! Recordings of any length become texts with times: windows as long as the encoder reads, each from where the one before
//! was understood to (Radford et al. 2022, section 4.5).

#[cfg(test)]
mod golden;
mod recording;
mod rules;
mod segments;
mod tokens;
mod voice;
pub(crate) mod window;
mod words;

pub use rules::SpeechRules;
pub use tokens::{Purpose, SpeechTokens};
pub use voice::VoiceDetector;
pub use words::Word;

use crate::error::{ModelError, Result};
use crate::model::Model;
use crate::pipeline::Pipeline;
use crate::source::Source;
use crate::tasks::Task;
use crate::tokens::Tokens;
use recording::Recording;
use segments::Pieces;
use sensorium_data::Processor;
use sensorium_data::random::Key;
use sensorium_kernels::on_compute_threads;
use serde::Serialize;
use std::path::Path;
use tokens::ENGLISH;
use window::{Heard, Language, Listener, Notice};
use words::Words;

/// A text that was decoded more freely than this is no guide for the next window.
const FREEST_GUIDE: f64 = 0.5;
/// So many loud seconds behind the last word say that decoding stopped before the speech did.
const UNHEARD: f64 = 1.5;
/// What a text that stopped too early must have brought, in seconds, for the rest to be heard once more.
const LEAST_HEARD: f64 = 1.0;
/// From one window to the next are so many seconds at least.
const LEAST_STEP: f64 = 0.02;

/// How a recording is transcribed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The code of the language; where there is none, that of the run holds, or it is detected.
    pub language: Option<String>,
    pub purpose: Purpose,
    /// How many texts grow side by side in the search; one is greedy.
    pub beam: usize,
    /// Whether a window's text is a guide for the next one's.
    pub guided: bool,
    /// Whether it is told when each word is said.
    pub words: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            language: None,
            purpose: Purpose::default(),
            beam: 5,
            guided: true,
            words: false,
        }
    }
}

/// What is said in a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// The code of the language.
    pub language: String,
    pub text: String,
    pub segments: Vec<Segment>,
}

/// What is said from one time to another, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Segment {
    pub start: f64,
    pub end: f64,
    pub text: String,
    /// Where they are asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
}

/// How far a recording has been transcribed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heeded<'a> {
    /// In seconds.
    pub seconds: f64,
    pub of: f64,
    /// What was said since the last report.
    pub segments: &'a [Segment],
    /// What the window that is being listened to says so far. The search may still take it back.
    pub hearing: &'a str,
}

/// What is told how far a recording has been transcribed, and says whether to go on.
pub type Report<'r> = dyn FnMut(Heeded) -> bool + Send + 'r;

/// A run that transcribes recordings.
pub struct Transcriber<'a> {
    model: &'a Model,
    /// The name of the input, and what reads it.
    input: (&'a str, &'a Processor),
    listener: Listener<'a>,
    language: Option<Language>,
    guided: bool,
    words: bool,
    voice: Option<VoiceDetector>,
}

/// A recording on its way to a text.
struct Progress {
    /// Where the next window begins, in seconds.
    start: f64,
    language: Option<Language>,
    /// The tokens that guide the next window.
    guide: Vec<u32>,
    text: String,
    segments: Vec<Segment>,
}

/// A window whose tokens are taken apart.
struct Understood {
    pieces: Pieces,
    words: Option<Words>,
    temperature: f64,
}

impl<'a> Transcriber<'a> {
    /// # Errors
    /// [`Config`](ModelError::Config) with the field `run` for a run without a decoder of speech, and with the setting for
    /// a language or a purpose that its model does not know.
    pub fn new(pipeline: &'a Pipeline, settings: &Settings) -> Result<Self> {
        let speaks = |(name, task): (&'a str, &'a Task)| match task {
            Task::Generate(generate) => Some((name, generate, generate.speech()?)),
            _ => None,
        };
        let found = pipeline.model().tasks().iter().find_map(speaks);
        let (output, generate, speech) = found.ok_or_else(|| {
            let message = "this run has no decoder of speech such as Whisper's; ask it for single clips by `predict`";
            ModelError::config("run", message)
        })?;
        if settings.purpose == Purpose::Translate && speech.languages.is_empty() {
            let message = "this model knows English alone, and has nothing to translate";
            return Err(ModelError::config("task", message));
        }
        let only = speech.languages.is_empty().then_some(ENGLISH);
        let language = settings
            .language
            .as_deref()
            .or(generate.language())
            .or(only)
            .map(|code| {
                let token = speech.language(code)?;
                let code = code.to_string();
                Ok::<_, ModelError>(Language { token, code })
            });
        Ok(Self {
            model: pipeline.model(),
            input: read(pipeline, output),
            listener: Listener {
                generate,
                speech,
                writer: &pipeline.writers()[output],
                beam: settings.beam,
                purpose: settings.purpose,
            },
            language: language.transpose()?,
            guided: settings.guided,
            words: settings.words,
            voice: None,
        })
    }

    /// What lies between voices is left out: there is nothing to be heard, however loud it is.
    pub fn hearing(self, voice: VoiceDetector) -> Self {
        let voice = Some(voice);
        Self { voice, ..self }
    }

    /// What is said in the recording at `path`, or nothing where `report`, which is told token by token what is heard and after
    /// each window how far it has come, asks to stop by false.
    ///
    /// # Errors
    /// For a recording that cannot be read, and for a model whose logits are no distribution.
    pub fn transcribe(&self, path: &Path, report: &mut Report) -> Result<Option<Transcript>> {
        let mut recording = Recording::open(self.input.1, path)?;
        let mut progress = Progress {
            start: 0.0,
            language: self.language.clone(),
            guide: Vec::new(),
            text: String::new(),
            segments: Vec::new(),
        };
        let stretches = match &self.voice {
            Some(voice) => voice.stretches(recording.samples()),
            None => vec![[0.0, recording.seconds()]],
        };
        for [start, end] in stretches {
            progress.start = progress.start.max(start);
            while progress.start < end {
                let (known, before) = (progress.segments.len(), progress.start);
                recording.hear((before + recording.window()).min(end));
                let mut goes_on = true;
                let mut notice = |hearing: &str| {
                    goes_on &= report(Heeded {
                        seconds: before,
                        of: recording.seconds(),
                        segments: &[],
                        hearing,
                    });
                    goes_on
                };
                self.advance(&recording, end, &mut progress, &mut notice)?;
                let heeded = Heeded {
                    seconds: progress.start.min(end),
                    of: recording.seconds(),
                    segments: &progress.segments[known..],
                    hearing: "",
                };
                if !goes_on || !report(heeded) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(progress.finish()))
    }

    /// Listens to the next window, which was heard and reaches to `end` at most.
    fn advance(&self, recording: &Recording, end: f64, progress: &mut Progress, notice: &mut Notice) -> Result<()> {
        let start = progress.start;
        let end = (start + recording.window()).min(end);
        progress.start = end;
        if recording.is_silent([start, end]) {
            return Ok(());
        }
        let batch = recording.part([start, end])?;
        let key = Key::new(0).with("transcription").at((start * 1000.0).round() as u64);
        let (guide, language) = (&progress.guide, &mut progress.language);
        let heard = on_compute_threads(|| {
            let memory = self.model.encode_media(self.input.0, &batch);
            let heard = self.listener.hear(&memory, guide, language, &key, notice)?;
            Ok::<_, ModelError>(heard.map(|heard| self.understand(heard, &memory, language.as_ref(), end - start)))
        })?;
        let Some(understood) = heard else {
            return Ok(());
        };
        progress.start = start + next(recording, &understood.pieces, [start, end]);
        self.keep(understood, start, progress);
        Ok(())
    }

    /// What the tokens of an encoded window of so many seconds say, and when.
    fn understand(&self, heard: Heard, memory: &Tokens, language: Option<&Language>, seconds: f64) -> Understood {
        let pieces = Pieces::new(&heard.tokens, self.listener.speech, seconds);
        let said = pieces.pieces.iter().map(|piece| self.listener.said(&piece.tokens));
        let texts: Vec<Vec<u32>> = said.collect();
        let words = language.filter(|_| self.words && texts.iter().any(|text| !text.is_empty()));
        Understood {
            words: words.map(|language| self.listener.words(memory, &texts, language, seconds)),
            pieces,
            temperature: heard.temperature,
        }
    }

    /// Takes up what was said in a window that begins at `start`.
    fn keep(&self, mut understood: Understood, start: f64, progress: &mut Progress) {
        for piece in understood.pieces.pieces {
            let said = self.listener.said(&piece.tokens);
            let text = self.listener.text(&said);
            let [from, to] = piece.span;
            let words = understood.words.as_mut().map(|words| words.take([from, to], start));
            if text.trim().is_empty() || from >= to {
                continue;
            }
            progress.segments.push(Segment {
                start: hundredths(start + from),
                end: hundredths(start + to),
                text: text.trim().into(),
                words: words.unwrap_or_default(),
            });
            progress.text += &text;
            progress.guide.extend(piece.tokens);
        }
        if !self.guided || understood.temperature > FREEST_GUIDE {
            progress.guide.clear();
        }
        let old = progress.guide.len().saturating_sub(self.listener.most_previous());
        progress.guide.drain(..old);
    }
}

impl Progress {
    fn finish(self) -> Transcript {
        Transcript {
            language: self.language.map_or_else(String::new, |language| language.code),
            text: self.text.trim().into(),
            segments: self.segments,
        }
    }
}

/// The input that an output reads.
fn read<'a>(pipeline: &'a Pipeline, output: &str) -> (&'a str, &'a Processor) {
    let Source::Input(source) = &pipeline.description.model.outputs[output].from else {
        unreachable!("a decoder of speech reads one input");
    };
    let input = pipeline.inputs().iter().find(|input| input.name == *source);
    let input = input.expect("an output reads an input of its run");
    (&input.name, &input.processor)
}

/// Where the next window begins, in seconds from the start of this one. A text that ends although it is loud long after it
/// has stopped too early: what is left is heard once more.
fn next(recording: &Recording, pieces: &Pieces, window: [f64; 2]) -> f64 {
    let seconds = window[1] - window[0];
    match pieces.last {
        Some(last) if pieces.next >= seconds && last >= LEAST_HEARD => {
            let rest = [window[0] + last, window[1]];
            let unheard = recording.loud_seconds(rest, window) > UNHEARD;
            if unheard { last } else { seconds }
        }
        _ => pieces.next.max(LEAST_STEP),
    }
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
