//! What tasks learn from the training targets before any training.

use super::classify;
use super::regress::Scale;
use super::{TaskConfig, tag};
use crate::error::Result;
use sensorium_data::Value;
use serde::{Deserialize, Serialize};

/// What a task knows of its training targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    /// The labels to choose from, sorted.
    Labels(Vec<String>),
    /// The scale of numbers.
    Scale(Scale),
}

impl Fitted {
    pub(super) fn labels(&self) -> Vec<String> {
        match self {
            Self::Labels(labels) => labels.clone(),
            other => panic!("expected labels, found {other:?}"),
        }
    }

    pub(super) fn scale(&self) -> Scale {
        match self {
            Self::Scale(scale) => *scale,
            other => panic!("expected a scale, found {other:?}"),
        }
    }
}

impl TaskConfig {
    /// What the task must know of its training targets.
    pub fn fit<'a>(&self, targets: impl Iterator<Item = &'a Value>) -> Result<Fitted> {
        match self {
            Self::Classify(_) => classify::labels(targets).map(Fitted::Labels),
            Self::Tag(config) => tag::labels(targets, config.minimum_count).map(Fitted::Labels),
            Self::Regress(_) => Scale::of(targets).map(Fitted::Scale),
        }
    }

    /// The names of the metrics that measure this task.
    pub fn metric_names(&self) -> &'static [&'static str] {
        match self {
            Self::Classify(_) => &["accuracy", "macro_f1"],
            Self::Tag(_) => &["map", "auroc", "micro_f1", "macro_f1"],
            Self::Regress(_) => &["mae", "rmse", "r2", "pearson", "spearman"],
        }
    }
}
