//! The next token of a text, of every one: a language model, which goes on with what an input begins.

use super::texts::Texts;
use super::writing::Writing;
use super::{Decoded, Losses};
use crate::adapters::LoraConfig;
use crate::decoder::{Decoder, DecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::encoded::Reading;
use crate::error::Result;
use crate::held::HeldIn;
use crate::init::Init;
use crate::pass::Pass;
use crate::writer::Writer;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use sensorium_data::Targets;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// Texts that go through the decoder together in evaluation.
const TOGETHER: usize = 32;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LanguageModelConfig {
    /// What reads and writes the text.
    pub decoder: DecoderConfig,
    /// Tokens that are read together: a longer text is learnt and measured in as many parts as it takes.
    #[schemars(range(min = 2, max = 65536))]
    pub context: usize,
    /// How a text is continued.
    pub decoding: DecodingConfig,
    /// A checkpoint that others trained, or the run of another `language_model`, whose decoder takes the place of `decoder`,
    /// and whose tokenizer that of the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// Adapters that are trained beside the weights of that decoder, which stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The bits in which the weights of that decoder are held in training, where they stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<HeldIn>,
    /// The tokens of a decoder that was trained elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub vocabulary: Option<Vocabulary>,
    /// What a decoder that was trained elsewhere begins and ends texts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub tokens: Option<TextTokens>,
}

/// The tokens around the texts of a decoder that was trained elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextTokens {
    /// What stands in front of a text that is to be continued. The vocabulary's begin stands in front of others, and for an
    /// empty text that has nothing in front of it.
    pub opening: Vec<u32>,
    /// What ends a text beside the vocabulary's end.
    pub ends: Vec<u32>,
}

impl Default for LanguageModelConfig {
    fn default() -> Self {
        Self {
            decoder: DecoderConfig::default(),
            context: 256,
            decoding: DecodingConfig::default(),
            pretrained: None,
            lora: None,
            precision: None,
            vocabulary: None,
            tokens: None,
        }
    }
}

#[derive(Module, Debug)]
pub struct LanguageModel {
    decoder: Decoder,
    #[module(skip)]
    vocabulary: Vocabulary,
    #[module(skip)]
    context: usize,
    #[module(skip)]
    decoding: DecodingConfig,
    #[module(skip)]
    tokens: Option<TextTokens>,
}

impl LanguageModel {
    pub fn new(config: &LanguageModelConfig, vocabulary: Vocabulary, init: &Init) -> Result<Self> {
        config.decoding.check("decoding")?;
        // What is read has one token more, a begin, and the last one that is written is not read.
        let opening = config.tokens.as_ref().map_or(1, |tokens| tokens.opening.len().max(1));
        let longest = (config.context - 1).max(config.decoding.max_length + opening - 1);
        let (sizes, place) = ([vocabulary.size, longest], init.at("decoder"));
        let decoder = Decoder::new(&config.decoder, sizes, None, &place)?;
        Ok(Self {
            decoder: match &config.lora {
                Some(lora) => lora.adapt(decoder, &place)?,
                None => decoder,
            },
            vocabulary,
            context: config.context,
            decoding: config.decoding.clone(),
            tokens: config.tokens.clone(),
        })
    }

    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// With the weights of the decoder, which are not trained, in few bits.
    pub fn hold(self, precision: Precision) -> Self {
        Self {
            decoder: self.decoder.hold(precision),
            ..self
        }
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            decoder: self.decoder.pack(precision),
            ..self
        }
    }

    /// The losses of every token and of the end; a row without a text has none.
    pub fn losses(&self, targets: &Targets, pass: &Pass) -> Losses {
        let texts = targets.texts.as_ref().expect("a text is read for this task");
        let mut windows: Vec<(usize, &[u32], bool)> = Vec::new();
        for (row, places) in texts.of_row.iter().enumerate() {
            let tokens = places.iter().map(|&place| texts.tokens[place].as_slice());
            tokens.for_each(|tokens| windows.extend(self.windows(row, tokens)));
        }
        let device = self.decoder.device();
        let mut counts = vec![0; texts.of_row.len()];
        let mut rows = Tensor::<1>::zeros([counts.len()], &crate::tokens::plain(&device));
        let together = if pass.is_training() {
            windows.len().max(1)
        } else {
            TOGETHER
        };
        for part in windows.chunks(together) {
            let losses = Texts::parts(part.iter().map(|(_, tokens, ends)| (*tokens, *ends)));
            let losses = losses.losses(&self.decoder, self.vocabulary, None, 0.0, pass, &device);
            for ((row, ..), count) in part.iter().zip(&losses.counts) {
                counts[*row] += count;
            }
            let of_row: Vec<usize> = part.iter().map(|(row, ..)| *row).collect();
            rows = rows + sum_by_row(losses.rows, &of_row, counts.len());
        }
        Losses { rows, counts }
    }

    /// The parts of a text that are read together, with whether the text ends behind the part.
    fn windows<'a>(&self, row: usize, tokens: &'a [u32]) -> impl Iterator<Item = (usize, &'a [u32], bool)> + use<'a> {
        let context = self.context - 1;
        let count = tokens.len().div_ceil(context).max(1);
        (0..count).map(move |part| {
            let end = ((part + 1) * context).min(tokens.len());
            (row, &tokens[part * context..end], part + 1 == count)
        })
    }

    /// Each row's text goes on as the decoder finds it.
    pub fn decode(&self, reading: Reading, writer: &Writer) -> Vec<Decoded> {
        let rows = &reading.numbers();
        let texts = reading.targets.and_then(|targets| targets.texts.as_ref());
        let prompt = |row: usize| {
            let places = texts.map_or(&[][..], |texts| &texts.of_row[row]);
            let tokens = places
                .iter()
                .flat_map(|&place| &texts.expect("there are places").tokens[place]);
            self.prompt(&tokens.copied().collect::<Vec<_>>())
        };
        let prompts: Vec<Vec<u32>> = (0..rows.len()).map(prompt).collect();
        let writing = Writing {
            decoder: &self.decoder,
            vocabulary: self.vocabulary,
            decoding: &self.decoding,
            writer,
            rules: None,
            again: None,
            continues: true,
            ends: self.tokens.as_ref().map(|tokens| tokens.ends.as_slice()),
        };
        let written = writing.write(&prompts, None, rows, &self.decoder.device());
        written.expect("the settings were checked when the task was made")
    }

    /// As much of a text's end as leaves room for what follows, behind what stands in front of it.
    pub(crate) fn prompt(&self, tokens: &[u32]) -> Vec<u32> {
        let begin = [self.vocabulary.begin];
        let opening = self.tokens.as_ref().map_or(&begin[..], |tokens| &tokens.opening);
        let taken = self.decoding.max_length + opening.len().saturating_sub(1);
        let room = self.context.saturating_sub(taken).max(1);
        let kept = &tokens[tokens.len().saturating_sub(room)..];
        match [opening, kept].concat() {
            prompt if prompt.is_empty() => begin.to_vec(),
            prompt => prompt,
        }
    }
}

/// The sums of `values` [parts] over the parts of each row, [rows].
fn sum_by_row(values: Tensor<1>, of_row: &[usize], rows: usize) -> Tensor<1> {
    let parts = of_row.len();
    let mut matrix = vec![0.0f32; rows * parts];
    for (part, &row) in of_row.iter().enumerate() {
        matrix[row * parts + part] = 1.0;
    }
    let device: Device = crate::tokens::plain(&values.device());
    let matrix = Tensor::<2>::from_data(burn::tensor::TensorData::new(matrix, [rows, parts]), &device);
    (matrix * values.reshape([1, parts])).sum_dim(1).reshape([rows])
}
