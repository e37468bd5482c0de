//! What turns the tokens of an output into text: its processor and, for speech, a language model of its training texts.

use crate::decoding::ctc::NgramScorer;
use crate::decoding::ngram::{NgramModel, Unit};
use crate::error::{ModelError, Result};
use crate::run_directory::RunDirectory;
use sensorium_data::processors::FeatureShape;
use sensorium_data::{Processor, files};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The writers of a model's outputs, by name; an output without texts has none.
pub type Writers = BTreeMap<String, Writer>;

#[derive(Debug, Clone)]
pub struct Writer {
    pub processor: Processor,
    pub language_model: Option<LanguageModelOfTexts>,
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

    /// The text of tokens, without space around it.
    pub fn text(&self, tokens: &[u32]) -> String {
        self.processor.decode(tokens).unwrap_or_default().trim().to_string()
    }
}

/// The text that each token stands for inside of a text.
fn token_texts(processor: &Processor) -> Vec<String> {
    let FeatureShape::Text { vocabulary, .. } = processor.shape() else {
        return Vec::new();
    };
    (0..vocabulary as u32)
        .map(|token| processor.decode(&[token]).unwrap_or_default())
        .collect()
}
