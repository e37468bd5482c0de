//! The settings of a prefix beam search, as a recipe writes them.

use crate::{ModelError, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// Prefix beam search (Graves et al. 2006, section 3.2; Hannun et al. 2014) with a language model or without.
///
/// A hypothesis scores log p(tokens | frames) + weight × log p(text) + bonus × units of the language model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BeamConfig {
    /// How many prefixes live on from frame to frame.
    #[schemars(range(min = 1, max = 4096))]
    pub width: usize,
    /// How many hypotheses are returned; no more than `width`.
    #[schemars(range(min = 1, max = 4096))]
    pub hypotheses: usize,
    /// How many of a frame's classes, the most probable ones, may extend a prefix; all by default.
    #[schemars(range(min = 1))]
    pub classes: Option<usize>,
    /// Classes with less probability in a frame extend no prefix; the most probable one always may.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub minimum_probability: f32,
    /// What the language model's log probability is multiplied with. Where it is left out, training chooses it on the
    /// validation rows; without such rows it is 0.5.
    #[schemars(range(min = 0.0))]
    pub language_model_weight: Option<f32>,
    /// What each unit of the language model (character or word; without a model each token) adds to the score. Where it
    /// is left out, training chooses it on the validation rows; without such rows or a language model it is 0.
    pub insertion_bonus: Option<f32>,
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self {
            width: 32,
            hypotheses: 1,
            classes: None,
            minimum_probability: 1e-4,
            language_model_weight: None,
            insertion_bonus: None,
        }
    }
}

/// The weight of a language model that nobody has chosen.
const LANGUAGE_MODEL_WEIGHT: f32 = 0.5;

/// Beams beyond it take seconds for an utterance.
const LARGEST_WIDTH: usize = 4096;

impl BeamConfig {
    /// # Errors
    /// [`Config`](ModelError::Config) naming the field that no search can run with.
    pub fn validate(&self) -> Result<()> {
        check("width", self.width, 1..=LARGEST_WIDTH)?;
        check("hypotheses", self.hypotheses, 1..=self.width)?;
        check("classes", self.classes.unwrap_or(usize::MAX), 1..=usize::MAX)?;
        check("minimum_probability", self.minimum_probability, 0.0..=1.0)?;
        check("language_model_weight", self.weight(), 0.0..=f32::MAX)?;
        check("insertion_bonus", self.bonus(), f32::MIN..=f32::MAX)
    }

    /// The weight that the search takes, whether it was chosen or not.
    pub fn weight(&self) -> f32 {
        self.language_model_weight.unwrap_or(LANGUAGE_MODEL_WEIGHT)
    }

    /// The bonus that the search takes, whether it was chosen or not.
    pub fn bonus(&self) -> f32 {
        self.insertion_bonus.unwrap_or_default()
    }

    /// What the language model adds to a score.
    pub(super) fn weigh(&self, log_probability: f64, insertions: u32) -> f64 {
        let language_model = match self.weight() {
            // Zero times what is forbidden would be no number.
            0.0 => 0.0,
            weight => f64::from(weight) * log_probability,
        };
        language_model + f64::from(self.bonus()) * f64::from(insertions)
    }
}

fn check<T: PartialOrd + Debug>(field: &str, value: T, range: RangeInclusive<T>) -> Result<()> {
    if range.contains(&value) {
        return Ok(());
    }
    let message = format!(
        "expected a number from {:?} to {:?}, found {value:?}",
        range.start(),
        range.end()
    );
    Err(ModelError::config(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let refused = |config: BeamConfig| config.validate().err().map(|error| error.to_string());
        let default = BeamConfig::default;
        let cases = [
            (BeamConfig { width: 0, ..default() }, "width"),
            (
                BeamConfig {
                    hypotheses: 33,
                    ..default()
                },
                "hypotheses",
            ),
            (
                BeamConfig {
                    classes: Some(0),
                    ..default()
                },
                "classes",
            ),
            (
                BeamConfig {
                    minimum_probability: f32::NAN,
                    ..default()
                },
                "minimum_probability",
            ),
            (
                BeamConfig {
                    language_model_weight: Some(-0.1),
                    ..default()
                },
                "language_model_weight",
            ),
            (
                BeamConfig {
                    insertion_bonus: Some(f32::NAN),
                    ..default()
                },
                "insertion_bonus",
            ),
        ];
        for (config, field) in cases {
            assert!(refused(config).unwrap().starts_with(field));
        }
        assert_eq!(refused(default()), None);
    }
}
