//! What turns the tokens of an output into text: its processor, for speech a language model of its training texts, and the
//! form that its answers must have.

use crate::decoding::ctc::NgramScorer;
use crate::decoding::ngram::{NgramModel, Unit};
use crate::decoding::search::{Constraint, ConstraintConfig};
use crate::error::{ModelError, Result};
use crate::run_directory::RunDirectory;
use sensorium_data::processors::FeatureShape;
use sensorium_data::{DataError, ErrorKind, Processor, files};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The writers of a model's outputs, by name; an output without texts has none.
pub type Writers = BTreeMap<String, Writer>;

#[derive(Debug, Clone)]
pub struct Writer {
    pub processor: Processor,
    pub language_model: Option<LanguageModelOfTexts>,
    /// What an answer may be.
    pub constraint: Option<Arc<Constraint>>,
}

/// An n-gram model with what it scores tokens by.
#[derive(Debug, Clone)]
pub struct LanguageModelOfTexts {
    model: Arc<NgramModel>,
    pub scorer: NgramScorer,
}

impl Writer {
    pub fn new(processor: Processor, model: Option<NgramModel>) -> Self {
        let with_scorer = |model: NgramModel| {
            let model = Arc::new(model);
            LanguageModelOfTexts {
                scorer: NgramScorer::new(model.clone(), token_texts(&processor)),
                model,
            }
        };
        Self {
            language_model: model.map(with_scorer),
            processor,
            constraint: None,
        }
    }

    /// Keeps answers to `config`, where there is one.
    ///
    /// # Errors
    /// A list or a pattern that no tokens of the processor spell.
    pub fn constrained(mut self, config: Option<&ConstraintConfig>) -> Result<Self> {
        let constraint = config.map(|config| match config {
            ConstraintConfig::List(texts) => {
                let tokens = texts.iter().map(|text| self.spelled(text));
                Constraint::list(&tokens.collect::<Result<Vec<_>>>()?)
            }
            // A tokenizer may set a space before the first word too; it is trimmed off the answer.
            ConstraintConfig::Pattern(pattern) => {
                Constraint::grammar(&format!(" ?(?:{pattern})"), &token_texts(&self.processor))
            }
        });
        self.constraint = constraint.transpose()?.map(Arc::new);
        Ok(self)
    }

    /// The tokens of an answer, all of them known ones.
    fn spelled(&self, text: &str) -> Result<Vec<u32>> {
        let tokens = self.processor.text_tokens(text, true)?;
        let unknown = self.processor.special_tokens().and_then(|special| special.unknown);
        match unknown.is_some_and(|unknown| tokens.contains(&unknown)) {
            true => {
                let message = format!(
                    "expected answers that the training texts can spell, found {text:?}; leave it out, or take another \
                     tokenizer"
                );
                Err(DataError::new(ErrorKind::Invalid, message).into())
            }
            false => Ok(tokens),
        }
    }

    /// Reads what [`save`](Self::save) wrote; `unit` is that of the language model, where there is one.
    ///
    /// # Errors
    /// A missing or altered file, with its path.
    pub fn load(run: &RunDirectory, output: &str, processor: Processor, unit: Option<Unit>) -> Result<Self> {
        let model = unit.map(|unit| {
            let path = run.language_model(output);
            let bytes = files::read(&path)?;
            NgramModel::read_arpa(&bytes, unit).map_err(|error| ModelError::file(&path, error.to_string()))
        });
        Ok(Self::new(processor, model.transpose()?))
    }

    /// Writes the processor and the language model into the run directory.
    pub fn save(&self, run: &RunDirectory, output: &str) -> Result<()> {
        self.processor.save(&run.output_processors(), output)?;
        if let Some(language_model) = &self.language_model {
            let path = run.language_model(output);
            files::create_folder(path.parent().unwrap_or(Path::new("")))?;
            files::write_atomically(&path, &language_model.model.to_arpa())?;
        }
        Ok(())
    }

    /// The text by which `tokens` go on with that of a `prompt`, with the space between both.
    pub fn continuation(&self, prompt: &[u32], tokens: &[u32]) -> String {
        let decode = |tokens: &[u32]| self.processor.decode(tokens).unwrap_or_default();
        let (before, whole) = (decode(prompt), decode(&[prompt, tokens].concat()));
        match whole.strip_prefix(&before) {
            Some(rest) => rest.to_string(),
            None => decode(tokens),
        }
    }

    /// The text of tokens, without space around it.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.processor.decode(tokens).unwrap_or_default().trim().to_string()
    }
}

/// The text that each token stands for behind another one, with the space that parts them; nothing for special tokens.
fn token_texts(processor: &Processor) -> Vec<String> {
    let FeatureShape::Text { vocabulary, .. } = processor.shape() else {
        return Vec::new();
    };
    let decode = |tokens: &[u32]| processor.decode(tokens).unwrap_or_default();
    let tokens = 0..vocabulary as u32;
    let whole = |text: &String| !text.trim().is_empty() && !text.contains(char::REPLACEMENT_CHARACTER);
    let Some((before, start)) = tokens
        .clone()
        .map(|token| (token, decode(&[token])))
        .find(|(_, text)| whole(text))
    else {
        return vec![String::new(); vocabulary];
    };
    let behind = |token| {
        let both = decode(&[before, token]);
        both.strip_prefix(&start).unwrap_or_default().to_string()
    };
    tokens.map(behind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::ProcessorConfig;
    use serde_json::json;

    fn processor(tokenizer: serde_json::Value) -> Processor {
        let config = json!({"modality": "text", "tokenizer": tokenizer});
        let config: ProcessorConfig = serde_json::from_value(config).unwrap();
        Processor::fit(&config, &["a red frog sits", "two red frogs sit"]).unwrap()
    }

    /// The answers that are allowed, as the tokenizer would write them.
    fn check(tokenizer: serde_json::Value, constraint: serde_json::Value, text: &str, allowed: bool) {
        let processor = processor(tokenizer.clone());
        let tokens = processor.text_tokens(text, true).unwrap();
        let config: ConstraintConfig = serde_json::from_value(constraint.clone()).unwrap();
        let writer = Writer::new(processor, None).constrained(Some(&config)).unwrap();
        let found = writer.constraint.unwrap().accepts(&tokens);
        assert_eq!(found, allowed, "{tokenizer}, {constraint}: {text}");
    }

    #[test]
    fn answers_keep_to_a_list_or_a_pattern_with_every_tokenizer() {
        let kinds = [
            json!({"kind": "word"}),
            json!({"kind": "character"}),
            json!({"kind": "byte"}),
            json!({"kind": "bpe", "vocabulary": 280}),
            json!({"kind": "unigram", "vocabulary": 60}),
            json!({"kind": "word_piece", "vocabulary": 60}),
        ];
        for kind in kinds {
            let list = json!({"list": ["a red frog", "two frogs sit"]});
            check(kind.clone(), list.clone(), "a red frog", true);
            check(kind.clone(), list, "a red frog sits", false);
            let pattern = json!({"pattern": "(a|two) (red )?frogs? sits?"});
            check(kind.clone(), pattern.clone(), "two frogs sit", true);
            check(kind.clone(), pattern.clone(), "a red frog sits", true);
            check(kind, pattern, "a frog", false);
        }
    }

    #[test]
    fn a_continuation_keeps_the_space_behind_its_prompt() {
        for kind in ["word", "unigram", "word_piece", "bpe", "byte"] {
            let mut tokenizer = json!({"kind": kind});
            if !matches!(kind, "word" | "byte") {
                tokenizer["vocabulary"] = json!(280);
            }
            let writer = Writer::new(processor(tokenizer), None);
            let whole = writer.processor.text_tokens("two red frogs sit", true).unwrap();
            for place in 1..whole.len() {
                let (prompt, rest) = whole.split_at(place);
                let before = writer.processor.decode(prompt).unwrap();
                assert_eq!(
                    before + &writer.continuation(prompt, rest),
                    "two red frogs sit",
                    "{kind} {place}"
                );
            }
        }
    }

    #[test]
    fn what_cannot_be_spelled_is_refused() {
        let writer = || Writer::new(processor(json!({"kind": "word"})), None);
        for config in [
            ConstraintConfig::Pattern("(".into()),
            ConstraintConfig::Pattern("zebra".into()),
            ConstraintConfig::List(vec![]),
            ConstraintConfig::List(vec!["a zebra".into()]),
        ] {
            assert!(writer().constrained(Some(&config)).is_err(), "{config:?}");
        }
        assert!(writer().constrained(None).unwrap().constraint.is_none());
    }
}
