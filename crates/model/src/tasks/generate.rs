//! A text for each row, written token by token: captions, answers, translations, transcripts.

use super::texts::Texts;
use super::writing::Writing;
use super::{Decoded, Losses};
use crate::decoder::{Decoder, DecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::encoded::Reading;
use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::writer::Writer;
use burn::module::Module;
use schemars::JsonSchema;
use sensorium_data::Targets;
use sensorium_data::processors::TextConfig;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GenerateConfig {
    #[serde(flatten)]
    pub text: TextConfig,
    /// What writes the text.
    pub decoder: DecoderConfig,
    /// The part of a target's weight that is spread evenly over all tokens in training (Szegedy et al. 2016).
    #[schemars(range(min = 0.0, max = 0.9))]
    pub label_smoothing: f64,
    /// How the text is found once the model is trained.
    pub decoding: DecodingConfig,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self {
            text: TextConfig::default(),
            decoder: DecoderConfig::default(),
            label_smoothing: 0.1,
            decoding: DecodingConfig::default(),
        }
    }
}

#[derive(Module, Debug)]
pub struct Generate {
    decoder: Decoder,
    #[module(skip)]
    vocabulary: Vocabulary,
    #[module(skip)]
    label_smoothing: f64,
    #[module(skip)]
    decoding: DecodingConfig,
}

impl Generate {
    /// `width` is that of the source.
    pub fn new(config: &GenerateConfig, vocabulary: Vocabulary, width: usize, init: &Init) -> Result<Self> {
        config.decoding.check("decoding")?;
        Ok(Self {
            decoder: Decoder::new(&config.decoder, vocabulary.size, Some(width), &init.at("decoder"))?,
            vocabulary,
            label_smoothing: config.label_smoothing,
            decoding: config.decoding.clone(),
        })
    }

    /// The losses of each next token after the right ones before it.
    pub fn losses(&self, reading: Reading, targets: &Targets, pass: &Pass) -> Losses {
        let texts = Texts::first(targets.texts.as_ref().expect("a text is read for this task"));
        let memory = reading.tokens();
        let device = memory.embeddings.device();
        let (decoder, vocabulary) = (&self.decoder, self.vocabulary);
        texts.losses(decoder, vocabulary, Some(&memory), self.label_smoothing, pass, &device)
    }

    /// The text that the decoder finds for each row.
    pub fn decode(&self, reading: Reading, writer: &Writer) -> Vec<Decoded> {
        let memory = reading.tokens();
        let device = memory.embeddings.device();
        let rows = &reading.numbers();
        let prompts = vec![vec![self.vocabulary.begin]; rows.len()];
        let writing = Writing {
            decoder: &self.decoder,
            vocabulary: self.vocabulary,
            decoding: &self.decoding,
            writer,
        };
        let written = writing.write(&prompts, Some(memory), rows, &device);
        written.expect("the settings were checked when the task was made")
    }
}
