//! What tasks learn from the training targets before any training.

use super::classify;
use super::regress::Scale;
use super::{GenerateConfig, LanguageModelConfig, TaskConfig, tag};
use crate::decoder::Vocabulary;
use crate::decoding::ngram::NgramConfig;
use crate::decoding::search::DecodingConfig;
use crate::error::Result;
use sensorium_data::processors::{FeatureShape, SpecialTokens, TextConfig};
use sensorium_data::{Processor, Takes, Value};
use serde::{Deserialize, Serialize};

/// What a task knows of its training targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    /// The labels to choose from, sorted.
    Labels(Vec<String>),
    /// The scale of numbers.
    Scale(Scale),
    /// The tokens of texts.
    Vocabulary(Vocabulary),
    /// Of a task that needs to know nothing.
    Nothing,
}

impl Fitted {
    pub(super) fn labels(&self) -> Vec<String> {
        match self {
            Self::Labels(labels) => labels.clone(),
            other => panic!("expected labels, found {other:?}"),
        }
    }

    pub(super) fn vocabulary(&self) -> Vocabulary {
        match self {
            Self::Vocabulary(vocabulary) => *vocabulary,
            other => panic!("expected a vocabulary, found {other:?}"),
        }
    }

    pub(super) fn scale(&self) -> Scale {
        match self {
            Self::Scale(scale) => *scale,
            other => panic!("expected a scale, found {other:?}"),
        }
    }
}

/// The texts that a task reads as tokens: from which column, and which of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct TextTargets {
    /// How they are read; as the input that is the output's source where there is none.
    pub config: Option<TextConfig>,
    /// The output's own column where there is none.
    pub column: Option<String>,
    pub takes: Takes,
}

impl TaskConfig {
    /// The texts that the task reads as tokens, if it does.
    pub fn texts(&self) -> Option<TextTargets> {
        match self {
            Self::Classify(_) | Self::Tag(_) | Self::Regress(_) | Self::Align(_) | Self::Embed(_) => None,
            Self::Generate(config) => Some(TextTargets {
                config: Some(config.text.clone()),
                column: None,
                takes: Takes::One,
            }),
            Self::Transcribe(config) => Some(TextTargets {
                config: Some(config.text.clone()),
                column: None,
                takes: Takes::One,
            }),
            Self::LanguageModel(_) => Some(TextTargets {
                config: None,
                column: None,
                takes: Takes::Whole,
            }),
            Self::Rank(config) => Some(TextTargets {
                config: Some(config.text.clone()),
                column: Some(config.candidates.clone()),
                takes: Takes::All,
            }),
        }
    }

    /// The inputs that the task names itself and reads by themselves.
    pub fn inputs(&self) -> Option<&[String]> {
        match self {
            Self::Align(config) => config.inputs.as_deref(),
            Self::Embed(config) => Some(&config.inputs),
            Self::Generate(config) => {
                let shows = config.asking.as_ref().map(|asking| &asking.shows[..]);
                shows.filter(|shows| !shows.is_empty())
            }
            _ => None,
        }
    }

    /// The n-gram model that the task wants of its training texts.
    pub fn ngram(&self) -> Option<&NgramConfig> {
        match self {
            Self::Transcribe(config) => config.ngram.as_ref(),
            _ => None,
        }
    }

    /// How the task finds its texts token by token, if it does.
    pub fn decoding(&self) -> Option<&DecodingConfig> {
        match self {
            Self::Generate(config) => Some(&config.decoding),
            Self::LanguageModel(config) => Some(&config.decoding),
            _ => None,
        }
    }

    /// The input whose text the task reads as it stands, beside its source.
    pub fn prompt(&self) -> Option<&String> {
        match self {
            Self::Generate(config) => config.prompt.as_ref(),
            _ => None,
        }
    }

    /// Whether the task reads its source as it stands, before any encoder.
    pub fn reads_raw(&self) -> bool {
        matches!(self, Self::LanguageModel(_))
    }

    /// Whether the task can do without a column of targets.
    pub fn needs_no_column(&self) -> bool {
        matches!(self, Self::Align(_) | Self::Embed(_))
    }

    /// Whether the targets are labels, of which every one should be seen before training.
    pub fn has_labels(&self) -> bool {
        matches!(self, Self::Classify(_) | Self::Tag(_))
    }

    /// What the task must know of its training targets.
    pub fn fit<'a>(&self, targets: impl Iterator<Item = &'a Value>, texts: Option<&Processor>) -> Result<Fitted> {
        match self {
            Self::Classify(_) => classify::labels(targets).map(Fitted::Labels),
            Self::Tag(config) => tag::labels(targets, config.minimum_count).map(Fitted::Labels),
            Self::Regress(_) => Scale::of(targets).map(Fitted::Scale),
            Self::Align(_) | Self::Embed(_) => Ok(Fitted::Nothing),
            Self::Generate(GenerateConfig {
                vocabulary: Some(vocabulary),
                ..
            })
            | Self::LanguageModel(LanguageModelConfig {
                vocabulary: Some(vocabulary),
                ..
            }) => Ok(Fitted::Vocabulary(*vocabulary)),
            Self::Generate(_) | Self::Transcribe(_) | Self::LanguageModel(_) | Self::Rank(_) => Ok(Fitted::Vocabulary(
                vocabulary(texts.expect("a task that reads texts is given them")),
            )),
        }
    }

    /// The names of the metrics that measure this task.
    pub fn metric_names(&self) -> &'static [&'static str] {
        match self {
            Self::Classify(_) => &["accuracy", "macro_f1"],
            Self::Tag(_) => &["map", "micro_ap", "auroc", "accuracy", "micro_f1", "macro_f1"],
            Self::Regress(_) => &["mae", "rmse", "r2", "pearson", "spearman"],
            Self::Generate(_) => &[
                "cider",
                "bleu4",
                "rouge_l",
                "meteor_exact",
                "accuracy",
                "wer",
                "cer",
                "perplexity",
            ],
            Self::Transcribe(_) => &["wer", "cer", "wer_unaided", "cer_unaided", "accuracy"],
            Self::LanguageModel(_) => &["perplexity", "bits_per_byte"],
            Self::Align(_) => &["recall@1", "recall@5", "recall@10", "mrr"],
            Self::Rank(_) => &[
                "accuracy",
                "mrr",
                "ndcg",
                "recall@1",
                "recall@5",
                "recall@10",
                "mean_rank",
            ],
            Self::Embed(_) => &[],
        }
    }
}

/// The tokens of a processor of texts.
fn vocabulary(texts: &Processor) -> Vocabulary {
    let size = match texts.shape() {
        FeatureShape::Text { vocabulary, .. } => vocabulary,
        other => panic!("expected texts, found {other:?}"),
    };
    let special = texts.special_tokens();
    let of = |token: fn(&SpecialTokens) -> Option<u32>| special.as_ref().and_then(token);
    Vocabulary::new(size, of(|special| special.begin), of(|special| special.end))
}
