//! What is said in a sound: connectionist temporal classification (Graves et al. 2006), alone or with an attention decoder
//! beside it (Watanabe et al. 2017).

use super::texts::Texts;
use super::{Alternative, Answer, Decoded, Losses, Part, Prediction};
use crate::checkpoint::to_vec;
use crate::decoder::{Decoder, DecoderConfig, Vocabulary};
use crate::decoding::ctc::{BeamConfig, BeamSearch, Frames, Hypothesis, Unscored, greedy};
use crate::decoding::ngram::NgramConfig;
use crate::encoded::Reading;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Dropout, Linear};
use crate::pass::Pass;
use crate::tokens::{Tokens, lengths, plain};
use crate::writer::Writer;
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::Targets;
use sensorium_data::processors::TextConfig;
use sensorium_kernels::ctc_loss;
use serde::{Deserialize, Serialize};

/// Hypotheses of the search that an attention decoder scores again.
const RESCORED: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TranscribeConfig {
    #[serde(flatten)]
    pub text: TextConfig,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// An attention decoder that learns beside the frames, and scores again what the search has found.
    pub attention: Option<AttentionConfig>,
    /// A language model of the training texts, which the search listens to.
    pub ngram: Option<NgramConfig>,
    /// How the text is searched for.
    pub beam: BeamConfig,
    /// Whether the most probable class of every frame is taken, without any search.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub greedy: bool,
}

impl TranscribeConfig {
    /// Refuses what has no meaning together.
    fn validate(&self) -> Result<()> {
        if self.greedy && (self.attention.is_some() || self.ngram.is_some()) {
            let message =
                "expected neither `attention` nor `ngram` beside `greedy`, which searches for nothing; leave one out";
            return Err(ModelError::config("greedy", message));
        }
        self.beam.validate()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AttentionConfig {
    /// Its share of the loss and of the score.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub weight: f64,
    pub decoder: DecoderConfig,
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            weight: 0.5,
            decoder: DecoderConfig::default(),
        }
    }
}

#[derive(Module, Debug)]
pub struct Transcribe {
    dropout: Dropout,
    /// To the tokens of the vocabulary and the blank behind them.
    output: Linear,
    attention: Option<Decoder>,
    #[module(skip)]
    weight: f64,
    #[module(skip)]
    vocabulary: Vocabulary,
    #[module(skip)]
    beam: BeamConfig,
    #[module(skip)]
    greedy: bool,
}

impl Transcribe {
    /// `width` is that of the source, whose tokens are the frames.
    pub fn new(config: &TranscribeConfig, vocabulary: Vocabulary, width: usize, init: &Init) -> Result<Self> {
        config.validate()?;
        let attention = config.attention.as_ref().map(|attention| {
            let init = init.at("attention");
            let sizes = [vocabulary.size, config.text.max_length];
            Decoder::new(&attention.decoder, sizes, Some(width), &init)
        });
        Ok(Self {
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            output: Linear::new(width, vocabulary.size + 1, &init.at("output")),
            attention: attention.transpose()?,
            weight: config.attention.as_ref().map_or(0.0, |attention| attention.weight),
            vocabulary,
            beam: config.beam.clone(),
            greedy: config.greedy,
        })
    }

    /// The same with another search.
    pub fn searching(self, beam: BeamConfig) -> Self {
        Self { beam, ..self }
    }

    fn blank(&self) -> usize {
        self.vocabulary.size
    }

    /// A row with a text that is longer than its frames has no loss.
    pub fn losses(&self, reading: Reading, targets: &Targets, pass: &Pass) -> Losses {
        let tokens = targets.texts.as_ref().expect("a text is read for this task");
        let texts = Texts::first(tokens);
        let source = reading.tokens();
        let device = plain(&source.embeddings.device());
        let frames = lengths(&source.mask);
        let (labels, lengths) = labels(texts.tokens(), &device);
        let logits = self.logits(self.dropout.forward(source.embeddings.clone(), pass));
        let losses = ctc_loss(logits, labels, &frames, &lengths, self.blank());
        // A text that does not fit into its frames has an infinite loss and a zero gradient.
        let possible = losses.clone().without_autodiff().is_finite();
        let fits = to_vec(possible.clone().float());
        let losses = losses.mask_fill(possible.bool_not(), 0.0);
        let mut total = texts.spread(losses) * (1.0 - self.weight as f32);
        if let Some(decoder) = &self.attention {
            let attended = texts.losses(decoder, self.vocabulary, Some(&source), 0.1, pass, &device);
            total = total + attended.rows * self.weight as f32;
        }
        let mut counts = texts.counts();
        for (row, _) in texts.rows().iter().zip(&fits).filter(|(_, fits)| **fits == 0.0) {
            counts[*row] = 0;
        }
        Losses { rows: total, counts }
    }

    /// Of the tokens and the blank behind them in each frame: [batch, frames, width] → [batch, frames, classes].
    pub(crate) fn logits(&self, frames: Tensor<3>) -> Tensor<3> {
        self.output.forward(frames)
    }

    /// The text that is found in each row's frames.
    pub fn decode(&self, reading: Reading, writer: &Writer) -> Vec<Decoded> {
        let source = reading.tokens();
        let counts = lengths(&source.mask);
        let logits = self.logits(source.embeddings.clone());
        let [rows, length, classes] = logits.dims();
        let values = to_vec(log_softmax(logits, 2));
        let decode = |row: usize| {
            let values = &values[row * length * classes..][..counts[row] * classes];
            let frames = Frames::new(values, counts[row], classes, self.blank());
            let frames = frames.expect("the frames have the shape of the logits");
            self.transcript(&frames, row, &source, writer)
        };
        (0..rows).map(decode).collect()
    }

    fn transcript(&self, frames: &Frames, row: usize, source: &Tokens, writer: &Writer) -> Decoded {
        let best = greedy(frames);
        let plain: Vec<u32> = best.tokens.iter().map(|token| token.token).collect();
        let mut found = match self.greedy {
            true => vec![best.into()],
            false => self.searched(frames, writer),
        };
        if let Some(decoder) = &self.attention {
            self.rescore(&mut found, decoder, source, row);
        }
        Decoded {
            unaided: Some(writer.text(&plain)),
            ..prediction(&found, self.beam.hypotheses, writer).into()
        }
    }

    /// What a beam finds, the best first.
    fn searched(&self, frames: &Frames, writer: &Writer) -> Vec<Hypothesis> {
        let mut config = self.beam.clone();
        if self.attention.is_some() {
            config.hypotheses = config.hypotheses.max(RESCORED.min(config.width));
        }
        let found = match &writer.language_model {
            Some(model) => BeamSearch::new(config, &model.scorer).and_then(|mut search| search.search(frames)),
            None => BeamSearch::new(config, &Unscored).and_then(|mut search| search.search(frames)),
        };
        found.unwrap_or_default()
    }

    /// Orders hypotheses by the scores of both models.
    fn rescore(&self, found: &mut [Hypothesis], decoder: &Decoder, source: &Tokens, row: usize) {
        let tokens: Vec<Vec<u32>> = found.iter().map(token_identifiers).collect();
        let device = plain(&source.embeddings.device());
        let index = vec![row as i64; tokens.len()];
        let memory = source.clone().select(Tensor::from_ints(index.as_slice(), &device));
        let texts = Texts::new(tokens.iter().map(|tokens| Some(tokens.as_slice())));
        let pass = Pass::evaluation();
        let losses = to_vec(
            texts
                .losses(decoder, self.vocabulary, Some(&memory), 0.0, &pass, &device)
                .rows,
        );
        for (hypothesis, loss) in found.iter_mut().zip(losses) {
            hypothesis.score = (1.0 - self.weight) * hypothesis.score - self.weight * f64::from(loss);
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
    }
}

fn token_identifiers(hypothesis: &Hypothesis) -> Vec<u32> {
    hypothesis.tokens.iter().map(|token| token.token).collect()
}

fn prediction(found: &[Hypothesis], wanted: usize, writer: &Writer) -> Prediction {
    let Some(best) = found.first() else {
        return Prediction::new(Answer::Text(String::new()), None);
    };
    let alternative = |one: &Hypothesis| Alternative {
        value: writer.text(&token_identifiers(one)),
        probability: one.log_probability.exp(),
    };
    let part = |token: &crate::decoding::ctc::AlignedToken| Part {
        text: writer.processor.decode(&[token.token]).unwrap_or_default(),
        probability: f64::from(token.probability),
        frames: Some([token.start, token.end]),
    };
    Prediction {
        top: match wanted {
            1 => Vec::new(),
            _ => found.iter().take(wanted).map(alternative).collect(),
        },
        tokens: best.tokens.iter().map(part).collect(),
        ..Prediction::new(
            Answer::Text(writer.text(&token_identifiers(best))),
            Some(best.log_probability.exp()),
        )
    }
}

/// The labels of texts, padded [texts, length], and how many each has.
fn labels(tokens: &[&[u32]], device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    let lengths: Vec<usize> = tokens.iter().map(|tokens| tokens.len()).collect();
    let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
    let mut labels = vec![0i64; tokens.len() * longest];
    for (row, tokens) in tokens.iter().enumerate() {
        for (label, &token) in labels[row * longest..].iter_mut().zip(*tokens) {
            *label = i64::from(token);
        }
    }
    let labels = Tensor::from_data(TensorData::new(labels, [tokens.len(), longest]), device);
    (labels, lengths)
}
