//! Tasks: each owns its head, its loss and its decoding.

mod align;
mod asking;
mod classify;
mod embed;
mod fitted;
mod generate;
mod head;
mod language_model;
mod prediction;
mod rank;
mod regress;
mod tag;
mod texts;
mod transcribe;
mod writing;

use crate::encoded::Reading;
use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::plain;
use crate::writer::Writer;
pub use align::{Align, AlignConfig, AlignLoss};
#[cfg(test)]
pub(crate) use asking::Seen;
pub use asking::{Asking, Marks};
use burn::module::Module;
use burn::tensor::{Int, Tensor};
pub use classify::{Classify, ClassifyConfig};
pub use embed::{Embed, EmbedConfig};
pub use fitted::{Fitted, TextTargets};
pub use generate::{Generate, GenerateConfig};
pub use head::{Head, HeadConfig, HiddenActivation};
pub use language_model::{LanguageModel, LanguageModelConfig, TextTokens};
pub use prediction::{Alternative, Answer, Decoded, Part, Prediction};
pub use rank::{CandidateEncoderConfig, CandidateWidth, Rank, RankConfig};
pub use regress::{Regress, RegressConfig, RegressLoss, Scale, number};
use schemars::JsonSchema;
use sensorium_data::{Batch, Targets, Value};
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
pub use tag::{AsymmetricConfig, FocalConfig, Tag, TagConfig, TagLoss, tags};
pub use transcribe::{Transcribe, TranscribeConfig};

/// What an output answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum TaskConfig {
    /// One label out of those seen in training.
    Classify(ClassifyConfig),
    /// Any number of the labels seen in training.
    Tag(TagConfig),
    /// A number.
    Regress(RegressConfig),
    /// A text, written token by token.
    Generate(GenerateConfig),
    /// What is said in a sound.
    Transcribe(TranscribeConfig),
    /// The next token of a text, of every one.
    LanguageModel(LanguageModelConfig),
    /// A common space of several inputs, in which what belongs together lies close.
    Align(AlignConfig),
    /// The right one among candidates that each row brings.
    Rank(RankConfig),
    /// The embedding of an input that was learnt elsewhere.
    #[schemars(skip)]
    Embed(EmbedConfig),
}

#[derive(Module, Debug)]
pub enum Task {
    Classify(Classify),
    Tag(Tag),
    Regress(Regress),
    Generate(Generate),
    Transcribe(Transcribe),
    LanguageModel(LanguageModel),
    Align(Align),
    Rank(Rank),
    Embed(Embed),
}

/// The losses of a batch.
pub struct Losses {
    /// The summed loss of each row, [rows], in nats where the task has probabilities; zero where the row has no usable
    /// target.
    pub rows: Tensor<1>,
    /// How many targets each row has: one, the tokens of its text, the pairs of its inputs, or none.
    pub counts: Vec<usize>,
}

/// Why the writer of a task that writes is there.
const WRITER: &str = "a run has a writer for what it writes";

impl Losses {
    /// From the losses of some rows of a batch, at `rows`, to those of `all` rows of it.
    pub(crate) fn spread(self, rows: &[usize], all: usize) -> Self {
        if rows.len() == all {
            return self;
        }
        let mut counts = vec![0; all];
        rows.iter()
            .zip(&self.counts)
            .for_each(|(&row, &count)| counts[row] = count);
        Self {
            rows: spread(self.rows, rows, all),
            counts,
        }
    }

    /// Targets in the batch.
    pub fn count(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// From values of some rows to values of all, zero where there is none.
fn spread(values: Tensor<1>, rows: &[usize], all: usize) -> Tensor<1> {
    let mut index = vec![0i64; all];
    for (place, &row) in rows.iter().enumerate() {
        index[row] = place as i64 + 1;
    }
    let device = plain(&values.device());
    let zero = Tensor::<1>::zeros([1], &device);
    let index = Tensor::<1, Int>::from_ints(index.as_slice(), &device);
    Tensor::cat(vec![zero, values], 0).select(0, index)
}

impl Task {
    /// `width` is that of the output's source, `inputs` are those of every encoded input.
    ///
    /// # Panics
    /// When `fitted` belongs to another task: a run's description has both.
    pub fn new(
        config: &TaskConfig,
        fitted: &Fitted,
        width: usize,
        inputs: &BTreeMap<&str, usize>,
        init: &Init,
    ) -> Result<Self> {
        Ok(match config {
            TaskConfig::Classify(config) => Self::Classify(Classify::new(config, fitted.labels(), width, init)),
            TaskConfig::Tag(config) => Self::Tag(Tag::new(config, fitted.labels(), width, init)),
            TaskConfig::Regress(config) => Self::Regress(Regress::new(config, fitted.scale(), width, init)),
            TaskConfig::Generate(config) => Self::Generate(Generate::new(config, fitted.vocabulary(), width, init)?),
            TaskConfig::Transcribe(config) => {
                Self::Transcribe(Transcribe::new(config, fitted.vocabulary(), width, init)?)
            }
            TaskConfig::LanguageModel(config) => {
                Self::LanguageModel(LanguageModel::new(config, fitted.vocabulary(), init)?)
            }
            TaskConfig::Align(config) => Self::Align(Align::new(config, inputs, init)?),
            TaskConfig::Rank(config) => Self::Rank(Rank::new(config, fitted.vocabulary(), width, init)),
            TaskConfig::Embed(config) => Self::Embed(Embed::new(config, inputs)),
        })
    }

    /// The places of the rows of a batch that this task can learn from, and that it is measured on. A label that was not
    /// seen in training counts among them.
    pub fn rows_with_target(&self, batch: &Batch, targets: &Targets) -> Vec<usize> {
        let value = |row: usize| &targets.values[row];
        let has_text = |row: usize| {
            targets
                .texts
                .as_ref()
                .is_some_and(|texts| !texts.of_row[row].is_empty())
        };
        let has = |row: &usize| match self {
            Self::Classify(_) => value(*row).label().is_some(),
            Self::Tag(_) => tags(value(*row)).is_some(),
            Self::Regress(_) => number(value(*row)).is_some(),
            Self::Generate(_) | Self::Transcribe(_) | Self::LanguageModel(_) => has_text(*row),
            Self::Align(task) => task.compares(batch, *row),
            Self::Rank(_) => has_text(*row) && *value(*row) != Value::Absent,
            Self::Embed(_) => false,
        };
        (0..batch.rows.len()).filter(has).collect()
    }

    /// The losses against `targets`, those of the rows that are read; each of them has one.
    pub fn losses(&self, reading: Reading, targets: &Targets, pass: &Pass) -> Losses {
        match self {
            Self::Classify(task) => task.losses(reading.pooled(), &targets.values, pass),
            Self::Tag(task) => task.losses(reading.pooled(), &targets.values, pass),
            Self::Regress(task) => task.losses(reading.pooled(), &targets.values, pass),
            Self::Generate(task) => task.losses(reading, targets, pass),
            Self::Transcribe(task) => task.losses(reading, targets, pass),
            Self::LanguageModel(task) => task.losses(targets, pass),
            Self::Align(task) => task.losses(reading, &targets.values),
            Self::Rank(task) => task.losses(reading.pooled(), targets, pass),
            Self::Embed(_) => panic!("no row has a target for an embedding"),
        }
    }

    /// One answer for each row that is read; `writer` reads and writes the texts of tasks that have any.
    pub fn decode(&self, reading: Reading, writer: Option<&Writer>) -> Vec<Decoded> {
        match self {
            Self::Classify(task) => task.decode(reading.pooled()),
            Self::Tag(task) => task.decode(reading.pooled()),
            Self::Regress(task) => task.decode(reading.pooled()),
            Self::Generate(task) => task.decode(reading, writer.expect(WRITER)),
            Self::Transcribe(task) => task.decode(reading, writer.expect(WRITER)),
            Self::LanguageModel(task) => task.decode(reading, writer.expect(WRITER)),
            Self::Align(task) => task.decode(reading),
            Self::Rank(task) => task.decode(reading),
            Self::Embed(task) => task.decode(reading),
        }
    }

    /// The inputs whose media the task embeds in one space, and the width of that space; none where it has no space.
    pub fn space(&self) -> Option<(Vec<&str>, usize)> {
        match self {
            Self::Align(task) => Some((task.inputs().collect(), task.width())),
            Self::Embed(task) => Some((vec![task.input()], task.width())),
            _ => None,
        }
    }

    /// What a query and media with these cosines have to do with one another, see [`Align::probabilities`]; none where the task
    /// has not learnt how cosines are weighed.
    pub fn probabilities(&self, cosines: &[f64]) -> Option<Vec<f64>> {
        match self {
            Self::Align(task) => Some(task.probabilities(cosines)),
            _ => None,
        }
    }

    /// With the weights of its decoder, which are not trained, in few bits.
    pub fn hold(self, precision: Precision) -> Self {
        match self {
            Self::Generate(task) => Self::Generate(task.hold(precision)),
            Self::LanguageModel(task) => Self::LanguageModel(task.hold(precision)),
            other => other,
        }
    }

    /// Prepared for inference, as far as it has large maps.
    pub fn pack(self, precision: Precision) -> Self {
        match self {
            Self::Generate(task) => Self::Generate(task.pack(precision)),
            Self::LanguageModel(task) => Self::LanguageModel(task.pack(precision)),
            other => other,
        }
    }

    /// Whether a measurement needs answers: a language model is measured by its losses.
    pub fn is_answered(&self) -> bool {
        !matches!(self, Self::LanguageModel(_))
    }

    /// The task's word in recipes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Classify(_) => "classify",
            Self::Tag(_) => "tag",
            Self::Regress(_) => "regress",
            Self::Generate(_) => "generate",
            Self::Transcribe(_) => "transcribe",
            Self::LanguageModel(_) => "language_model",
            Self::Align(_) => "align",
            Self::Rank(_) => "rank",
            Self::Embed(_) => "embed",
        }
    }

    /// The labels that the task chooses from; none where it has no labels.
    pub fn labels(&self) -> &[String] {
        match self {
            Self::Classify(task) => task.labels(),
            Self::Tag(task) => task.labels(),
            Self::Regress(_) | Self::Generate(_) | Self::Transcribe(_) | Self::LanguageModel(_) => &[],
            Self::Align(_) | Self::Rank(_) | Self::Embed(_) => &[],
        }
    }
}
