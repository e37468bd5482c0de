//! Progress for people, on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use sensorium_data::catalogue::Progress;
use sensorium_model::transcription::Heeded;
use sensorium_train::{EvaluationEvent, EvaluationProgress, Event, SearchEvent};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const BAR: &str = "{prefix:>12} {bar:30.cyan/dim} {human_pos}/{human_len} · {rate} · {eta} left {msg}";
const SPINNER: &str = "{prefix:>12} {spinner} {human_pos} {msg}";

fn bar(quiet: bool, length: Option<u64>) -> ProgressBar {
    let target = if quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(length, target);
    let template = if length.is_some() { BAR } else { SPINNER };
    let style = ProgressStyle::with_template(template).expect("the template is a constant");
    let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A rate that cannot be written to the terminal is no reason to stop.
        let _ = write!(out, "{:.1}/s", state.per_sec());
    };
    bar.set_style(style.with_key("rate", rate).progress_chars("━╸─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Letters of what is heard that are shown.
const HEARING: usize = 40;

/// Fetching and generating, stage by stage.
pub struct FetchProgress {
    quiet: bool,
    shown: Option<(String, ProgressBar)>,
}

impl FetchProgress {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, shown: None }
    }

    pub fn update(&mut self, progress: Progress) {
        let same = self.shown.as_ref().is_some_and(|(stage, _)| *stage == progress.stage);
        if !same {
            self.finish();
            if !self.quiet {
                eprintln!("{}", progress.stage);
            }
            self.shown = Some((progress.stage.clone(), bar(self.quiet, progress.total)));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_position(progress.done);
        }
    }

    pub fn finish(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for FetchProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Media that are looked at, reported from several threads.
pub struct CheckProgress(ProgressBar);

impl CheckProgress {
    pub fn new(quiet: bool) -> Self {
        Self(bar(quiet, Some(0)))
    }

    pub fn update(&self, done: usize, all: usize) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }
}

impl Drop for CheckProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Recordings that are transcribed, in seconds of each.
pub struct TranscribeProgress {
    quiet: bool,
    shown: Option<ProgressBar>,
}

impl TranscribeProgress {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, shown: None }
    }

    pub fn update(&mut self, file: &Path, heeded: Heeded) {
        let bar = self
            .shown
            .get_or_insert_with(|| bar(self.quiet, Some(heeded.of.ceil() as u64)).with_prefix("seconds"));
        bar.set_position(heeded.seconds as u64);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        // What was heard last stays in sight.
        let skipped = heeded.hearing.chars().count().saturating_sub(HEARING);
        let end: String = heeded.hearing.chars().skip(skipped).collect();
        bar.set_message(format!("· {name} {end}"));
    }

    /// Writes to standard output, where the bar may stand below.
    pub fn print(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let print = || {
            print!("{text}");
            // A reader that has gone is told by the next line.
            let _ = std::io::stdout().flush();
        };
        match &self.shown {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    pub fn finish(&mut self) {
        if let Some(bar) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for TranscribeProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Steps of training, with a line for each evaluation.
pub struct TrainProgress {
    bar: ProgressBar,
    quiet: bool,
    smooth: Option<f64>,
}

impl TrainProgress {
    pub fn new(quiet: bool, total: u64, done: u64) -> Self {
        let bar = bar(quiet, Some(total)).with_prefix("training").with_position(done);
        bar.reset_eta();
        Self {
            bar,
            quiet,
            smooth: None,
        }
    }

    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Step(step) => {
                let before = self.smooth.unwrap_or(step.loss);
                let smooth = 0.95 * before + 0.05 * step.loss;
                self.smooth = Some(smooth);
                self.bar.set_position(step.step);
                self.bar.set_message(format!("· loss {smooth:.4}"));
            }
            Event::Evaluation(evaluation) => self.line(evaluation),
            Event::Search(search) => self.tell_search(search),
        }
    }

    fn tell_search(&self, search: &SearchEvent) {
        let SearchEvent {
            output,
            language_model_weight: weight,
            insertion_bonus: bonus,
            cer,
            cer_before,
            ..
        } = search;
        if !self.quiet {
            self.bar.suspend(|| {
                eprintln!(
                    "search of {output}: its language model weighs {weight}, each of its units adds {bonus}; on validation rows \
                     a CER of {cer:.4}, {cer_before:.4} before"
                );
            });
        }
    }

    fn line(&self, evaluation: &EvaluationEvent) {
        if self.quiet {
            return;
        }
        // `validation.OUTPUT.METRIC` is told, and not its parts, such as the directions of a search.
        let metrics = evaluation.metrics.iter();
        let metrics = metrics.filter(|(name, _)| name.matches('.').count() <= 2);
        let metrics: Vec<String> = metrics.map(|(name, value)| format!("{name} {value:.4}")).collect();
        let star = if evaluation.best { "  ← best" } else { "" };
        let (epoch, seconds) = (evaluation.epoch + 1, evaluation.seconds);
        self.bar.suspend(|| {
            eprintln!("epoch {epoch:>3} · {seconds:6.1} s · {}{star}", metrics.join(" · "));
            if evaluation.unreadable > 0 {
                let count = evaluation.unreadable;
                eprintln!(
                    "rows that could not be read so far: {count}; quarantine.jsonl in the run says which, and why"
                );
            }
        });
    }

    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// Rows of an evaluation, for the whole and for each control.
pub struct ScoreProgress {
    quiet: bool,
    shown: Option<(String, ProgressBar)>,
}

impl ScoreProgress {
    pub fn new(quiet: bool) -> Self {
        Self { quiet, shown: None }
    }

    pub fn update(&mut self, progress: EvaluationProgress) {
        if self.shown.as_ref().is_none_or(|(stage, _)| stage != progress.stage) {
            self.finish();
            let bar = bar(self.quiet, Some(progress.total as u64)).with_prefix("evaluating");
            bar.set_message(format!("· {}", progress.stage));
            self.shown = Some((progress.stage.to_string(), bar));
        }
        if let Some((_, bar)) = &self.shown {
            bar.set_position(progress.rows as u64);
        }
    }

    fn finish(&mut self) {
        if let Some((_, bar)) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for ScoreProgress {
    fn drop(&mut self) {
        self.finish();
    }
}
