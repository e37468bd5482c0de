//! Random changes of training texts, token by token. Every draw comes from the key and the operation's name alone.

use super::super::{in_bounds, invalid};
use crate::Result;
use crate::random::Key;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One random change of a training text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextAugment {
    /// Leaves out each token with this probability, but never all of them.
    Drop(#[schemars(range(min = 0.0, max = 0.9))] f64),
    /// Puts the vocabulary's unknown token in the place of each token with this probability.
    Mask(#[schemars(range(min = 0.0, max = 0.9))] f64),
}

impl TextAugment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drop(_) => "drop",
            Self::Mask(_) => "mask",
        }
    }

    fn validate(self) -> Result<()> {
        match self {
            Self::Drop(probability) => in_bounds("augment.drop", probability, 0.0..=0.9),
            Self::Mask(probability) => in_bounds("augment.mask", probability, 0.0..=0.9),
        }
    }

    fn apply(self, tokens: &mut Vec<u32>, unknown: Option<u32>, key: &Key) {
        let mut generator = key.with(self.name()).generator();
        match self {
            Self::Drop(probability) => {
                let spare = tokens[generator.random_range(0..tokens.len())];
                tokens.retain(|_| !generator.random_bool(probability));
                if tokens.is_empty() {
                    tokens.push(spare);
                }
            }
            Self::Mask(probability) => {
                let unknown = unknown.expect("a vocabulary without an unknown token was refused");
                let masked = tokens.iter_mut().filter(|_| generator.random_bool(probability));
                masked.for_each(|token| *token = unknown);
            }
        }
    }
}

/// Checks the bounds of every change, and that each is listed once.
pub fn validate(augments: &[TextAugment]) -> Result<()> {
    for (index, augment) in augments.iter().enumerate() {
        augment.validate()?;
        let same = |other: &TextAugment| other.name() == augment.name();
        if augments[..index].iter().any(same) {
            let message = format!("`{}` is listed twice; keep one of them", augment.name());
            return Err(invalid(message).in_field("augment"));
        }
    }
    Ok(())
}

/// Refuses a mask over a vocabulary that has nothing to mask with.
pub fn check_vocabulary(augments: &[TextAugment], unknown: Option<u32>) -> Result<()> {
    let masks = augments.iter().any(|augment| matches!(augment, TextAugment::Mask(_)));
    match masks && unknown.is_none() {
        true => Err(invalid(
            "expected a vocabulary with an unknown token to mask others with, found one without; use `drop`",
        )
        .in_field("augment.mask")),
        false => Ok(()),
    }
}

/// Applies the changes, in their order, to the tokens of a text without those that are set around it.
pub fn augment(augments: &[TextAugment], mut tokens: Vec<u32>, unknown: Option<u32>, key: &Key) -> Vec<u32> {
    if !tokens.is_empty() {
        for operation in augments {
            operation.apply(&mut tokens, unknown, key);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processors::{Collated, Feature, Processor};
    use crate::{Dataset, Draw, InputColumn, OutputColumn, Sample, Takes, TextColumn, Value};
    use serde_json::json;
    use std::borrow::Cow;
    use std::path::Path;

    const UNKNOWN: u32 = 1;

    fn run(operation: TextAugment, length: u32, index: u64) -> Vec<u32> {
        let tokens = (10..10 + length).collect();
        augment(&[operation], tokens, Some(UNKNOWN), &Key::new(1).at(index))
    }

    /// The share of 200 times 50 tokens that an operation leaves as they are, in order.
    fn kept(operation: TextAugment) -> f64 {
        let mut count = 0;
        for index in 0..200 {
            let mut result = run(operation, 50, index);
            result.retain(|token| *token != UNKNOWN);
            assert!(result.is_sorted(), "{result:?}");
            assert!(result.iter().all(|token| (10..60).contains(token)), "{result:?}");
            result.dedup();
            count += result.len();
        }
        count as f64 / 10_000.0
    }

    #[test]
    fn a_token_is_changed_with_its_probability() {
        for probability in [0.0, 0.1, 0.5, 0.9] {
            for operation in [TextAugment::Drop(probability), TextAugment::Mask(probability)] {
                let kept = kept(operation);
                assert!((kept - (1.0 - probability)).abs() < 0.02, "{operation:?}: {kept}");
            }
        }
    }

    #[test]
    fn masks_keep_the_length_and_drops_at_least_one_token() {
        let mut alone = std::collections::BTreeSet::new();
        for index in 0..200 {
            assert_eq!(run(TextAugment::Mask(0.5), 9, index).len(), 9);
            let left = run(TextAugment::Drop(0.9), 3, index);
            assert!(!left.is_empty());
            alone.extend(left);
            assert_eq!(run(TextAugment::Drop(0.9), 1, index), [10]);
        }
        assert_eq!(alone.into_iter().collect::<Vec<_>>(), [10, 11, 12]);
    }

    #[test]
    fn a_key_gives_one_text_and_other_keys_others() {
        for operation in [TextAugment::Drop(0.3), TextAugment::Mask(0.3)] {
            let all = || (0..20).map(|index| run(operation, 20, index)).collect::<Vec<_>>();
            assert_eq!(all(), all());
            assert!(all().iter().any(|result| *result != all()[0]), "{operation:?}");
        }
        // The draws of one operation do not depend on another one.
        let (drop, mask) = (TextAugment::Drop(0.3), TextAugment::Mask(0.3));
        let tokens: Vec<u32> = (10..60).collect();
        let both = augment(&[mask, drop], tokens.clone(), Some(UNKNOWN), &Key::new(2));
        let masked = augment(&[mask], tokens.clone(), Some(UNKNOWN), &Key::new(2));
        let dropped = augment(&[drop], tokens, Some(UNKNOWN), &Key::new(2));
        let expected = dropped.iter().map(|token| masked[*token as usize - 10]);
        assert_eq!(both, expected.collect::<Vec<_>>());
    }

    fn processor(settings: serde_json::Value) -> Result<Processor> {
        let mut config = json!({"modality": "text", "tokenizer": {"kind": "word"}});
        for (key, value) in settings.as_object().unwrap() {
            config[key] = value.clone();
        }
        Processor::fit(
            &serde_json::from_value(config).unwrap(),
            &["one two three four five six"],
        )
    }

    /// The results of augmenting a text with 50 keys.
    fn results(processor: &Processor, text: &str) -> Vec<Vec<u32>> {
        let feature = processor.prepare(&Value::Text(text.into()), Path::new("")).unwrap();
        let result = |index| match processor.augment(&feature, &Key::new(1).at(index)).into_owned() {
            Feature::Text(tokens) => tokens,
            other => panic!("{other:?}"),
        };
        (0..50).map(result).collect()
    }

    /// The path of a public vocabulary.
    fn public(name: &str) -> serde_json::Value {
        let path = format!("{}/../../reference/tokenizers/{name}", env!("CARGO_MANIFEST_DIR"));
        json!({"kind": "file", "path": path})
    }

    #[test]
    fn what_a_public_vocabulary_sets_around_a_text_stays() {
        let augment = json!([{"drop": 0.5}, {"mask": 0.5}]);
        let bert = processor(json!({"tokenizer": public("bert.json"), "augment": augment})).unwrap();
        let whole = bert.prepare(&Value::Text("the quick brown fox".into()), Path::new(""));
        let Feature::Text(whole) = whole.unwrap() else {
            panic!("not tokens")
        };
        let (first, last) = (whole[0], whole[whole.len() - 1]);
        let changed = results(&bert, "the quick brown fox");
        assert!(changed.iter().any(|tokens| tokens.len() < whole.len()));
        for tokens in &changed {
            assert!(tokens.len() > 2, "{tokens:?}");
            assert_eq!((tokens[0], tokens[tokens.len() - 1]), (first, last));
        }
        // With nothing between them there is nothing to change.
        assert!(results(&bert, "").iter().all(|tokens| *tokens == [first, last]));
    }

    #[test]
    fn an_empty_text_stays_and_nothing_configured_lends_the_tokens_back() {
        let masked = processor(json!({"augment": [{"mask": 0.9}]})).unwrap();
        assert!(results(&masked, "").iter().all(|tokens| *tokens == [3]));
        assert!(results(&masked, "two").contains(&vec![UNKNOWN]));
        let plain = processor(json!({})).unwrap();
        let feature = plain.prepare(&Value::Text("two".into()), Path::new("")).unwrap();
        assert!(matches!(plain.augment(&feature, &Key::new(1)), Cow::Borrowed(_)));
    }

    /// The text of a row as an input and as a target that the same processor reads.
    #[test]
    fn inputs_are_changed_in_training_alone_and_targets_never() {
        let (text, name) = ("one two three four five six", || "text".to_string());
        let sample = |row| Sample {
            row,
            values: [(name(), Value::Text(text.into()))].into(),
        };
        let processor = processor(json!({"augment": [{"drop": 0.5}]})).unwrap();
        let texts = TextColumn {
            column: name(),
            processor: processor.clone(),
            takes: Takes::One,
        };
        let output = OutputColumn {
            texts: Some(texts),
            ..OutputColumn::plain("text", "text")
        };
        let input = InputColumn {
            name: name(),
            column: name(),
            processor,
        };
        let data = Dataset::new(vec![sample(0), sample(1)], "".into(), vec![input], vec![output]);
        let read = |epoch: Option<u64>| {
            let draw = epoch.map(|epoch| Draw {
                key: Key::new(1).at(epoch),
                modality_dropout: 0.0,
                mixing: None,
            });
            let (batch, _) = data.batch(&[0, 1], draw.as_ref());
            assert_eq!(batch.targets["text"].texts.as_ref().unwrap().tokens[0].len(), 6);
            // Rows that share a text share its change.
            assert_eq!(batch.inputs["text"].medium_of_row, [Some(0), Some(0)]);
            match &batch.inputs["text"].media {
                Some(Collated::Text { tokens, .. }) => tokens.clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((read(None).len(), read(Some(0))), (6, read(Some(0))));
        let lengths: std::collections::BTreeSet<usize> = (0..20).map(|epoch| read(Some(epoch)).len()).collect();
        assert!(lengths.len() > 3, "{lengths:?}");
    }

    #[test]
    fn settings_that_cannot_be_are_refused() {
        let ranks = format!(
            "{}/../../reference/tokenizers/ranks.tiktoken",
            env!("CARGO_MANIFEST_DIR")
        );
        let ranks = json!({"kind": "tiktoken", "path": ranks, "pattern": "gpt2"});
        let settings = |augment: serde_json::Value| json!({"augment": augment, "tokenizer": ranks.clone()});
        for (augment, field, words) in [
            (json!([{"drop": 0.95}]), "augment.drop", "from 0 to 0.9, found 0.95"),
            (json!([{"mask": -0.1}]), "augment.mask", "from 0 to 0.9, found -0.1"),
            (
                json!([{"drop": 0.1}, {"drop": 0.2}]),
                "augment",
                "`drop` is listed twice",
            ),
            (json!([{"mask": 0.1}]), "augment.mask", "found one without; use `drop`"),
        ] {
            let error = processor(settings(augment)).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
        assert!(processor(settings(json!([{"drop": 0.1}]))).is_ok());
    }

    #[test]
    fn stored_settings_of_texts_that_nothing_changes_are_what_they_were() {
        let config = |settings| serde_json::to_value(processor(settings).unwrap().config()).unwrap();
        assert_eq!(config(json!({})).get("augment"), None);
        let augment = json!([{"drop": 0.1}, {"mask": 0.2}]);
        assert_eq!(config(json!({"augment": augment.clone()}))["augment"], augment);
    }
}
