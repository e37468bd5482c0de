//! The settings of token-by-token decoding.

use crate::error::{ModelError, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// The most tokens that any answer may have.
const LONGEST: usize = 4096;

/// How answers are found, and what they may be.
///
/// The logits of a next token are processed in this order: what a [`Constraint`](super::Constraint) or the vocabulary
/// does not allow goes; `repetition_penalty`; `no_repeat_ngram`; `min_length`; then the diversity of a beam's groups, or
/// temperature, top-k and top-p of a sample. Where `no_repeat_ngram` and `min_length` would leave no token, the second
/// is lifted for once, and then the first: a constraint is never broken, and no answer ends nowhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DecodingConfig {
    /// How the next token is chosen.
    pub method: MethodConfig,
    /// The fewest tokens of an answer, its end not counted; no more than `max_length`.
    #[schemars(range(min = 0, max = 4096))]
    pub min_length: usize,
    /// The most tokens of an answer, its end not counted. With as many it ends, and the model is not asked for the end.
    #[schemars(range(min = 1, max = 4096))]
    pub max_length: usize,
    /// Divides the logit, or multiplies a negative one, of each token that the answer has already (Keskar et al.
    /// 2019); 1 changes nothing.
    #[schemars(range(min = 1.0, max = 10.0))]
    pub repetition_penalty: f64,
    /// No run of this many tokens stands twice in an answer; 0 allows any.
    #[schemars(range(min = 0, max = 64))]
    pub no_repeat_ngram: usize,
    /// What an answer may be; any text by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<ConstraintConfig>,
}

/// The form of an answer, which the search keeps to whatever the model finds probable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintConfig {
    /// One of these texts.
    List(#[schemars(length(min = 1))] Vec<String>),
    /// A text that this regular expression matches as a whole, such as `[0-9]+ (cats|dogs)`.
    Pattern(String),
}

/// How the next token is chosen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MethodConfig {
    /// The most probable one, until that is the end.
    #[default]
    Greedy,
    /// Several answers grow side by side, and the best whole one is taken.
    Beam(BeamConfig),
    /// Drawn at random by probability.
    Sample(SampleConfig),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BeamConfig {
    /// How many answers grow side by side, over all groups.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// α of the divisor ((5 + length) / 6)^α by which answers of different lengths are compared (Wu et al. 2016); 0
    /// compares plain sums, more favours longer answers.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub length_penalty: f64,
    /// Groups of equal width that search one after the other at each step and avoid each other's tokens (Vijayakumar
    /// et al. 2018); a divisor of `width`.
    #[schemars(range(min = 1, max = 1024))]
    pub groups: usize,
    /// What a token costs, in nats, for each time that an earlier group has just chosen it. With one group it has no
    /// effect.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub diversity: f64,
    /// The most answers of a row, the best first; no more than `width`.
    #[schemars(range(min = 1, max = 1024))]
    pub best: usize,
    /// A group stops once it has found as many answers as this times its width (Kasai et al. 2022); by default it goes on
    /// until nothing that still grows can become a better one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1024.0))]
    pub patience: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SampleConfig {
    /// Divides the logits: below 1 the probable becomes more so, above 1 less.
    #[schemars(range(min = 0.01, max = 100.0))]
    pub temperature: f64,
    /// Draws from this many most probable tokens only; from all by default.
    #[schemars(range(min = 1, max = 1000000))]
    pub top_k: Option<usize>,
    /// Draws from the smallest set of most probable tokens that has this mass only (Holtzman et al. 2020); from all by
    /// default.
    #[schemars(range(min = 0.000001, max = 1.0))]
    pub top_p: Option<f64>,
    /// How many answers are drawn for a row.
    #[schemars(range(min = 1, max = 1024))]
    pub samples: usize,
}

impl Default for DecodingConfig {
    fn default() -> Self {
        Self {
            method: MethodConfig::Greedy,
            min_length: 0,
            max_length: 64,
            repetition_penalty: 1.0,
            no_repeat_ngram: 0,
            constraint: None,
        }
    }
}

impl Default for BeamConfig {
    fn default() -> Self {
        Self {
            width: 4,
            length_penalty: 0.6,
            groups: 1,
            diversity: 0.5,
            best: 1,
            patience: None,
        }
    }
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: None,
            top_p: None,
            samples: 1,
        }
    }
}

impl DecodingConfig {
    /// Refuses values out of bounds and values that contradict each other. `field` is the name of these settings.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the name of the first field that is wrong.
    pub fn check(&self, field: &str) -> Result<()> {
        let named = |name: &str| format!("{field}.{name}");
        within(&named("min_length"), self.min_length, 0..=LONGEST)?;
        within(&named("max_length"), self.max_length, 1..=LONGEST)?;
        within(&named("repetition_penalty"), self.repetition_penalty, 1.0..=10.0)?;
        within(&named("no_repeat_ngram"), self.no_repeat_ngram, 0..=64)?;
        let Self {
            min_length, max_length, ..
        } = self;
        if min_length > max_length {
            let message = format!("expected at most the max_length of {max_length}, found {min_length}");
            return Err(ModelError::config(named("min_length"), message));
        }
        match &self.method {
            MethodConfig::Greedy => Ok(()),
            MethodConfig::Beam(config) => config.check(&named("method")),
            MethodConfig::Sample(config) => config.check(&named("method")),
        }
    }
}

impl BeamConfig {
    /// The beam that goes where the next token is the most probable.
    pub(super) const GREEDY: Self = Self {
        width: 1,
        length_penalty: 0.0,
        groups: 1,
        diversity: 0.0,
        best: 1,
        patience: None,
    };

    fn check(&self, field: &str) -> Result<()> {
        let named = |name: &str| format!("{field}.{name}");
        within(&named("width"), self.width, 1..=1024)?;
        within(&named("length_penalty"), self.length_penalty, 0.0..=5.0)?;
        within(&named("groups"), self.groups, 1..=1024)?;
        within(&named("diversity"), self.diversity, 0.0..=100.0)?;
        within(&named("best"), self.best, 1..=1024)?;
        within(&named("patience"), self.patience.unwrap_or(1.0), 0.001..=1024.0)?;
        let (width, groups) = (self.width, self.groups);
        if !width.is_multiple_of(groups) {
            let message = format!("{groups} groups do not divide a width of {width}");
            return Err(ModelError::config(named("groups"), message));
        }
        if groups > 1 && self.diversity == 0.0 {
            let message = format!("{groups} groups would all find the same; expected more than 0, or one group");
            return Err(ModelError::config(named("diversity"), message));
        }
        if self.best > width {
            let message = format!("expected at most the width of {width}, found {}", self.best);
            return Err(ModelError::config(named("best"), message));
        }
        Ok(())
    }
}

impl SampleConfig {
    fn check(&self, field: &str) -> Result<()> {
        let named = |name: &str| format!("{field}.{name}");
        within(&named("temperature"), self.temperature, 0.01..=100.0)?;
        within(&named("top_k"), self.top_k.unwrap_or(1), 1..=1_000_000)?;
        within(&named("top_p"), self.top_p.unwrap_or(1.0), 1e-6..=1.0)?;
        within(&named("samples"), self.samples, 1..=1024)
    }
}

fn within<T: PartialOrd + Display>(field: &str, value: T, bounds: RangeInclusive<T>) -> Result<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let message = format!("expected {} to {}, found {value}", bounds.start(), bounds.end());
    Err(ModelError::config(field, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `field` is the one that is refused.
    fn check(json: &str, field: Option<&str>) {
        let config: DecodingConfig = serde_json::from_str(json).unwrap();
        let found = match config.check("decoding") {
            Ok(()) => None,
            Err(ModelError::Config { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found.as_deref(), field, "{json}");
    }

    #[test]
    fn contradictions_are_refused_by_name() {
        check("{}", None);
        check(r#"{"method": {"kind": "beam"}}"#, None);
        check(r#"{"method": {"kind": "sample", "top_k": 5, "top_p": 0.9}}"#, None);
        check(r#"{"min_length": 64, "max_length": 64}"#, None);
        check(r#"{"min_length": 65, "max_length": 64}"#, Some("decoding.min_length"));
        check(r#"{"max_length": 0}"#, Some("decoding.max_length"));
        check(r#"{"repetition_penalty": 0.5}"#, Some("decoding.repetition_penalty"));
        check(r#"{"no_repeat_ngram": 65}"#, Some("decoding.no_repeat_ngram"));
        for (settings, field) in [
            (r#""width": 0"#, "width"),
            (r#""length_penalty": -1.0"#, "length_penalty"),
            (r#""width": 4, "groups": 3"#, "groups"),
            (r#""groups": 2, "diversity": 0.0"#, "diversity"),
            (r#""width": 2, "best": 3"#, "best"),
            (r#""patience": 0.0"#, "patience"),
        ] {
            let json = format!(r#"{{"method": {{"kind": "beam", {settings}}}}}"#);
            check(&json, Some(&format!("decoding.method.{field}")));
        }
        for (settings, field) in [
            (r#""temperature": 0.0"#, "temperature"),
            (r#""top_k": 0"#, "top_k"),
            (r#""top_p": 0.0"#, "top_p"),
            (r#""top_p": 1.5"#, "top_p"),
            (r#""samples": 0"#, "samples"),
        ] {
            let json = format!(r#"{{"method": {{"kind": "sample", {settings}}}}}"#);
            check(&json, Some(&format!("decoding.method.{field}")));
        }
    }

    #[test]
    fn no_number_is_refused() {
        let config = DecodingConfig {
            repetition_penalty: f64::NAN,
            ..DecodingConfig::default()
        };
        assert!(config.check("decoding").is_err());
    }
}
