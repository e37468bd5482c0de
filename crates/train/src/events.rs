//! What happens in training, as it happens: for the progress display, `metrics.jsonl` and TensorBoard.

use crate::error::Result;
use crate::tensorboard::EventWriter;
use sensorium_data::{DataError, files};
use sensorium_model::RunDirectory;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    Step(StepEvent),
    Evaluation(EvaluationEvent),
    Search(SearchEvent),
}

/// One step of the optimiser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepEvent {
    /// Steps taken, this one included.
    pub step: u64,
    pub epoch: u64,
    /// The mean loss of the step's rows, in nats.
    pub loss: f64,
    pub learning_rate: f64,
    /// Before clipping.
    pub gradient_norm: f64,
    pub rows: usize,
}

/// One evaluation on the validation split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationEvent {
    pub step: u64,
    pub epoch: u64,
    /// By full name: `train.loss`, `validation.loss`, `validation.OUTPUT.METRIC`.
    pub metrics: BTreeMap<String, f64>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// Whether this is the best so far.
    pub best: bool,
    /// Rows that could not be read in this sitting so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unreadable: usize,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// How the transcripts of an output are searched for from now on, chosen on the validation rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchEvent {
    pub step: u64,
    pub output: String,
    pub language_model_weight: f32,
    pub insertion_bonus: f32,
    /// The character error rate of these rows with the choice, and before it.
    pub cer: f64,
    pub cer_before: f64,
}

impl Event {
    fn step(&self) -> u64 {
        match self {
            Self::Step(event) => event.step,
            Self::Evaluation(event) => event.step,
            Self::Search(event) => event.step,
        }
    }
}

/// Reads `metrics.jsonl`; a last line that a kill has cut is left out.
pub fn read_events(run: &RunDirectory) -> Result<Vec<Event>> {
    let path = run.metrics();
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = files::read(&path)?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map_while(|line| serde_json::from_slice(line).ok()).collect())
}

/// Appends events to the files of a run.
pub struct EventLog {
    metrics: File,
    tensorboard: EventWriter,
    run: RunDirectory,
}

impl EventLog {
    /// Forgets what was logged after `step`: those steps will be taken again.
    pub fn open(run: &RunDirectory, step: u64) -> Result<Self> {
        let kept = read_events(run)?.into_iter().filter(|event| event.step() <= step);
        let text: String = kept.map(|event| line(&event)).collect();
        files::write_atomically(&run.metrics(), text.as_bytes())?;
        let io = |error: std::io::Error| DataError::io(&error, &run.metrics());
        let metrics = OpenOptions::new().append(true).open(run.metrics()).map_err(io)?;
        files::create_folder(&run.tensorboard())?;
        let tensorboard =
            EventWriter::create(&run.tensorboard()).map_err(|error| DataError::io(&error, &run.tensorboard()))?;
        Ok(Self {
            metrics,
            tensorboard,
            run: run.clone(),
        })
    }

    pub fn write(&mut self, event: &Event) -> Result<()> {
        let line = line(event);
        let written = self.metrics.write_all(line.as_bytes());
        written.map_err(|error| DataError::io(&error, &self.run.metrics()))?;
        self.write_scalars(event)
            .map_err(|error| DataError::io(&error, &self.run.tensorboard()).into())
    }

    fn write_scalars(&mut self, event: &Event) -> std::io::Result<()> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs_f64();
        let mut scalar = |tag: &str, value: f64| self.tensorboard.scalar(tag, event.step(), value, now);
        match event {
            Event::Step(step) => {
                scalar("train/loss", step.loss)?;
                scalar("train/learning_rate", step.learning_rate)?;
                scalar("train/gradient_norm", step.gradient_norm)
            }
            Event::Evaluation(evaluation) => {
                let metrics = evaluation.metrics.iter();
                metrics
                    .into_iter()
                    .try_for_each(|(name, value)| scalar(&name.replace('.', "/"), *value))
            }
            Event::Search(search) => scalar(&format!("search/{}/cer", search.output), search.cer),
        }
    }
}

fn line(event: &Event) -> String {
    let mut line = serde_json::to_string(event).expect("an event is plain data");
    line.push('\n');
    line
}
