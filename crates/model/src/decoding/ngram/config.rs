//! The settings of an n-gram model, as a recipe writes them.

use super::vocabulary::Unit;
use crate::{ModelError, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// More than any corpus fills: an order costs a level of the model even where it is empty.
pub(super) const LARGEST_ORDER: usize = 12;

/// An n-gram language model that is trained on a column's texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NgramConfig {
    /// What a token is: a word or a character.
    pub unit: Unit,
    /// The number of tokens in the longest n-gram.
    #[schemars(range(min = 1, max = 12))]
    pub order: usize,
    /// The largest number of tokens, the most frequent ones; all by default. N-grams with other tokens are dropped.
    #[schemars(range(min = 1))]
    pub vocabulary: Option<usize>,
    /// N-grams seen this often or less are dropped: a number for each order from 1, never smaller than the one before;
    /// the last holds for all higher orders. Nothing is dropped by default.
    pub prune: Vec<u64>,
}

impl Default for NgramConfig {
    fn default() -> Self {
        Self {
            unit: Unit::Word,
            order: 3,
            vocabulary: None,
            prune: Vec::new(),
        }
    }
}

impl NgramConfig {
    /// # Errors
    /// [`Config`](ModelError::Config) naming the field that no model can be trained with.
    pub fn validate(&self) -> Result<()> {
        if !(1..=LARGEST_ORDER).contains(&self.order) {
            let message = format!("expected an order from 1 to {LARGEST_ORDER}, found {}", self.order);
            return Err(ModelError::config("order", message));
        }
        if self.vocabulary == Some(0) {
            return Err(ModelError::config("vocabulary", "expected at least 1 token, found 0"));
        }
        if self.prune.len() > self.order {
            let message = format!("expected at most {} numbers, found {}", self.order, self.prune.len());
            return Err(ModelError::config("prune", message));
        }
        match self.prune.is_sorted() {
            true => Ok(()),
            false => {
                let message = format!("expected numbers that never fall, found {:?}", self.prune);
                Err(ModelError::config("prune", message))
            }
        }
    }

    /// The largest count at which an n-gram of `order` is dropped.
    pub(super) fn threshold(&self, order: usize) -> u64 {
        let given = self.prune.get(order - 1).or(self.prune.last());
        given.copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: NgramConfig, expected: Option<&str>) {
        let field = match config.validate() {
            Err(ModelError::Config { field, .. }) => Some(field),
            other => other.map(|()| None).unwrap(),
        };
        assert_eq!(field.as_deref(), expected, "{config:?}");
    }

    #[test]
    fn what_cannot_be_trained_is_refused() {
        let config = NgramConfig::default;
        check(config(), None);
        check(NgramConfig { order: 0, ..config() }, Some("order"));
        check(NgramConfig { order: 13, ..config() }, Some("order"));
        let vocabulary = Some(0);
        check(NgramConfig { vocabulary, ..config() }, Some("vocabulary"));
        for (prune, expected) in [
            (vec![0, 0, 1], None),
            (vec![0, 2, 1], Some("prune")),
            (vec![0; 4], Some("prune")),
        ] {
            check(NgramConfig { prune, ..config() }, expected);
        }
    }

    #[test]
    fn the_last_threshold_holds_for_higher_orders() {
        let prune = vec![0, 2];
        let config = NgramConfig {
            prune,
            ..NgramConfig::default()
        };
        assert_eq!([1, 2, 3].map(|order| config.threshold(order)), [0, 2, 2]);
    }
}
