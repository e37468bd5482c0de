//! Training: from a recipe to a run directory, with evaluation and report.

mod checkpoint;
mod collect;
pub mod config;
mod controls;
mod error;
mod evaluation;
mod events;
mod examples;
mod measure;
pub mod metrics;
mod mixing;
pub mod optimizer;
mod outputs;
mod page;
mod plan;
mod quarantine;
mod recipe;
mod report;
mod schedule;
mod score;
mod sources;
mod stats;
mod tensorboard;
mod trainer;

pub use checkpoint::TrainerState;
pub use collect::ReportSource;
pub use error::{Result, TrainError};
pub use evaluation::{Controls, Evaluation, EvaluationProgress, Request, store};
pub use events::{EvaluationEvent, Event, StepEvent, read_events};
pub use metrics::{Confusion, Intervals, Metrics};
pub use plan::{Plan, RunRows, open_rows};
pub use recipe::{DataConfig, InputConfig, OutputConfig, Recipe, StopConfig, TrainingConfig};
pub use score::{ScoredRow, Scores};
pub use sources::{Source, Sources};
pub use stats::DataPage;
pub use trainer::{Outcome, Trainer};
