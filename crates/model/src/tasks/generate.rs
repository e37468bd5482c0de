//! A text for each row, written token by token: captions, answers, translations, transcripts.

use super::asking::{Asking, Parted, Seen};
use super::texts::Texts;
use super::writing::Writing;
use super::{Decoded, Losses};
use crate::adapters::LoraConfig;
use crate::checkpoint::to_vec;
use crate::decoder::{Decoder, DecoderConfig, ReadsConfig, Vocabulary};
use crate::decoding::search::{DecodingConfig, Rules};
use crate::encoded::{Pictures, Reading};
use crate::error::Result;
use crate::held::HeldIn;
use crate::init::Init;
use crate::pass::Pass;
use crate::source::Source;
use crate::tokens::Tokens;
use crate::transcription::window::LONGEST_REPEAT;
use crate::transcription::{SpeechRules, SpeechTokens};
use crate::writer::Writer;
use burn::module::Module;
use schemars::JsonSchema;
use sensorium_data::Targets;
use sensorium_data::processors::TextConfig;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GenerateConfig {
    #[serde(flatten)]
    pub text: TextConfig,
    /// What writes the text.
    pub decoder: DecoderConfig,
    /// How it reads the source.
    #[serde(skip_serializing_if = "ReadsConfig::is_default")]
    pub reads: ReadsConfig,
    /// The input whose text stands between the source and what is written, such as a question: the decoder reads it as it
    /// stands, and the tokenizer of this output is its too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The part of a target's weight that is spread evenly over all tokens in training (Szegedy et al. 2016).
    #[schemars(range(min = 0.0, max = 0.9))]
    pub label_smoothing: f64,
    /// How the text is found once the model is trained.
    pub decoding: DecodingConfig,
    /// A checkpoint that others trained, or the run of a `language_model`, whose decoder and tokenizer take the place of
    /// `decoder` and `tokenizer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretrained: Option<String>,
    /// Whether the weights of that decoder stay as they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub freeze: bool,
    /// Adapters that are trained beside the weights of that decoder, which stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The bits in which the weights of that decoder are held in training, where they stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<HeldIn>,
    /// The code of the language that is spoken, for a decoder of speech that knows several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// The tokens of a decoder that was trained elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub vocabulary: Option<Vocabulary>,
    /// How a decoder that was trained elsewhere is asked about its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub asking: Option<Asking>,
    /// The tokens by which a decoder of speech that was trained elsewhere is told what to write.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub speech: Option<SpeechTokens>,
}

impl Default for GenerateConfig {
    fn default() -> Self {
        Self {
            text: TextConfig::default(),
            decoder: DecoderConfig::default(),
            reads: ReadsConfig::default(),
            prompt: None,
            label_smoothing: 0.1,
            decoding: DecodingConfig::default(),
            pretrained: None,
            freeze: false,
            lora: None,
            precision: None,
            language: None,
            vocabulary: None,
            asking: None,
            speech: None,
        }
    }
}

/// What a decoder reads before it writes: the source with what stands in front of it, and what stands behind.
struct Asked {
    source: Tokens,
    /// None where the begin alone does for all rows.
    openings: Option<Vec<Vec<u32>>>,
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
    #[module(skip)]
    prompt: Option<String>,
    #[module(skip)]
    asking: Option<Asking>,
    #[module(skip)]
    speech: Option<SpeechTokens>,
    #[module(skip)]
    language: Option<String>,
}

impl Generate {
    /// `width` is that of the source.
    ///
    /// # Errors
    /// For settings that no decoder can be built from, and for a language that its decoder does not know.
    pub fn new(config: &GenerateConfig, vocabulary: Vocabulary, width: usize, init: &Init) -> Result<Self> {
        config.decoding.check("decoding")?;
        if let (Some(speech), Some(code)) = (&config.speech, &config.language) {
            speech.language(code)?;
        }
        let longest = config.text.max_length.max(config.decoding.max_length);
        // A prompt has as many tokens as a text at the most.
        let longest = longest + config.prompt.as_ref().map_or(0, |_| config.text.max_length);
        let (sizes, place) = ([vocabulary.size, longest], init.at("decoder"));
        let memory = config.reads.is_default().then_some(width);
        let decoder = Decoder::new(&config.decoder, sizes, memory, &place)?;
        let decoder = match (&config.lora, config.freeze) {
            (Some(lora), _) => lora.adapt(decoder, &place)?,
            (None, true) => decoder.no_grad(),
            (None, false) => decoder,
        };
        Ok(Self {
            decoder: match &config.reads {
                ReadsConfig::CrossAttention => decoder,
                ReadsConfig::Prefix(prefix) => decoder.behind(prefix, width, &place)?,
            },
            vocabulary,
            label_smoothing: config.label_smoothing,
            decoding: config.decoding.clone(),
            prompt: config.prompt.clone(),
            asking: config.asking.clone(),
            speech: config.speech.clone(),
            language: config.language.clone(),
        })
    }

    pub fn decoder(&self) -> &Decoder {
        &self.decoder
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

    /// How the decoder is asked about its source, where it was trained elsewhere to be.
    pub fn asking(&self) -> Option<&Asking> {
        self.asking.as_ref()
    }

    pub fn vocabulary(&self) -> Vocabulary {
        self.vocabulary
    }

    /// The tokens by which the decoder is told what to write of a recording; none where it is no decoder of speech.
    pub fn speech(&self) -> Option<&SpeechTokens> {
        self.speech.as_ref()
    }

    /// The code of the language that is spoken; none where it is heard in each recording.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// What stands before every text of speech; none where its language is heard first.
    fn opening(&self) -> Option<Vec<u32>> {
        let speech = self.speech.as_ref()?;
        let language = match &self.language {
            Some(code) => speech.language(code).expect("it was known when the task was made"),
            None if speech.languages.is_empty() => None,
            None => return None,
        };
        Some(speech.opening(language))
    }

    /// What is read before the text of each row.
    fn asked(&self, reading: &Reading) -> Asked {
        if let Some((source, parts)) = self.pieces(reading) {
            let (pieces, openings): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
            return Asked {
                source: self.decoder.arranged(source, &pieces),
                openings: Some(openings),
            };
        }
        let behind = |prompt: Vec<u32>| [prompt, vec![self.vocabulary.begin]].concat();
        let prompts = self.prompt.as_ref().map(|prompt| reading.text(prompt));
        Asked {
            source: self.decoder.prepare(reading.tokens()),
            openings: match prompts {
                Some(prompts) => Some(prompts.into_iter().map(behind).collect()),
                None => self.opening().map(|opening| vec![opening; reading.rows.len()]),
            },
        }
    }

    /// The pictures that a decoder trained elsewhere is asked about, and of each row what is read up to the last of them, with the
    /// tokens behind it; none of other decoders.
    pub(crate) fn pieces(&self, reading: &Reading) -> Option<(Tokens, Vec<Parted>)> {
        let (prompt, asking) = self.prompt.as_ref().zip(self.asking.as_ref())?;
        let shows = match (&asking.shows[..], reading.source) {
            ([], Source::Input(input)) => std::slice::from_ref(input),
            (shows, _) => shows,
        };
        let prompts = reading.text(prompt);
        let mut sources = Vec::with_capacity(shows.len());
        let mut shown = vec![Vec::with_capacity(shows.len()); prompts.len()];
        let mut first = 0;
        for input in shows {
            let source = self.decoder.prepare(reading.present_tokens(input));
            let [_, length] = source.mask.dims();
            let seen: Vec<_> = match reading.pictures(input) {
                Pictures::OneSize { most, of_rows } => {
                    let seen = of_rows.iter().map(|grids| Seen::in_tiles(first, length / most, grids));
                    seen.collect()
                }
                Pictures::AnySize { of_rows } => {
                    let seen = of_rows.iter().map(|grids| Seen::of_any_size(first, asking.pace, grids));
                    seen.collect()
                }
            };
            shown.iter_mut().zip(seen).for_each(|(row, seen)| row.push(seen));
            first += length;
            sources.push(source);
        }
        let parts = prompts.iter().zip(&shown);
        let parts = parts.map(|(prompt, shown)| asking.parted(prompt, shown, self.vocabulary.begin));
        Some((Tokens::side_by_side(sources), parts.collect()))
    }

    /// The losses of each next token after the right ones before it.
    pub fn losses(&self, reading: Reading, targets: &Targets, pass: &Pass) -> Losses {
        let texts = Texts::first(targets.texts.as_ref().expect("a text is read for this task"));
        let Asked { source, openings } = self.asked(&reading);
        let texts = match openings {
            Some(openings) => texts.behind(&openings),
            None => texts,
        };
        let device = source.embeddings.device();
        let (decoder, vocabulary) = (&self.decoder, self.vocabulary);
        texts.losses(decoder, vocabulary, Some(&source), self.label_smoothing, pass, &device)
    }

    /// The text that the decoder finds for each row; of speech in the language that is set, or else in the one that it hears.
    pub fn decode(&self, reading: Reading, writer: &Writer) -> Vec<Decoded> {
        let Asked { source, openings } = self.asked(&reading);
        let device = source.embeddings.device();
        let rows = &reading.numbers();
        let prompts = match (openings, &self.speech) {
            (Some(openings), _) => openings,
            (None, Some(speech)) => self.prompts(speech, &source),
            (None, None) => vec![vec![self.vocabulary.begin]; rows.len()],
        };
        let rules = self.speech.as_ref().map(|speech| self.rules(speech, false));
        let writing = Writing {
            decoder: &self.decoder,
            vocabulary: self.vocabulary,
            decoding: &self.decoding,
            writer,
            rules: rules.as_ref().map(|rules| rules as &dyn Rules),
            again: rules.is_some().then_some(LONGEST_REPEAT),
            continues: false,
            ends: self.asking.as_ref().map(|asking| asking.ends.as_slice()),
        };
        let written = writing.write(&prompts, Some(source), rows, &device);
        written.expect("the settings were checked when the task was made")
    }

    /// What a text of speech keeps to.
    pub fn rules<'a>(&self, speech: &'a SpeechTokens, times: bool) -> SpeechRules<'a> {
        SpeechRules {
            tokens: speech,
            end: self.vocabulary.end,
            times,
        }
    }

    /// Asks for each recording's text in its own language, without times.
    fn prompts(&self, speech: &SpeechTokens, memory: &Tokens) -> Vec<Vec<u32>> {
        let ([rows, _], device) = (memory.mask.dims(), memory.embeddings.device());
        let mut state = self.decoder.start(rows, Some(memory), 1, &device);
        let logits = to_vec(self.decoder.step(&vec![speech.start; rows], &mut state));
        let rows = logits.chunks(self.vocabulary.size);
        rows.map(|logits| speech.opening(speech.detect(logits).0)).collect()
    }
}
