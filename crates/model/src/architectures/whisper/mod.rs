//! Whisper (Radford et al. 2022), as `transformers` names and configures it: a Transformer over a spectrogram, and the
//! decoder of texts behind it.

mod encoder;
mod languages;

pub use encoder::{WhisperStem, WhisperStemConfig};

use super::{Architecture, Head, Place, TextHead};
use crate::decoder::{DecoderConfig, TransformerDecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::layers::PositionKind;
use crate::stems::StemConfig;
use crate::tasks::GenerateConfig;
use crate::transcription::SpeechTokens;
use crate::trunks::{TransformerConfig, TrunkConfig};
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{AudioConfig, AudioFeatures, LogMelConfig, TextConfig};
use serde::Deserialize;

/// How many times wider the hidden layer of a feed-forward network is.
const EXPANSION: usize = 4;
/// Samples a second, and of them those from one token of the encoder to the next.
const SAMPLE_RATE: u32 = 16_000;
const SAMPLES_OF_TOKEN: usize = 320;
/// The longest sound that an encoder may have places for, in its tokens: an hour.
const MOST_PLACES: usize = 180_000;
/// The tokens of times, from 0 to 30 seconds in steps of 20 milliseconds: the last ones of the vocabulary.
const TIMES: usize = 1501;
/// Between the languages and the times stand: translate, transcribe, start of a language model's text, start of the text
/// before, no speech, no times.
const COMMANDS: usize = 6;
/// The vocabulary of the models that know no language but English.
const ENGLISH: usize = 51_864;
/// Room that a text leaves for the tokens before it.
const PROMPT: usize = 4;

/// What is read of a `config.json`.
#[derive(Deserialize)]
struct Public {
    d_model: usize,
    encoder_layers: usize,
    encoder_attention_heads: usize,
    encoder_ffn_dim: usize,
    decoder_layers: usize,
    decoder_attention_heads: usize,
    decoder_ffn_dim: usize,
    vocab_size: usize,
    max_source_positions: usize,
    max_target_positions: usize,
    #[serde(default = "default_mels")]
    num_mel_bins: usize,
    #[serde(default = "default_activation")]
    activation_function: String,
    #[serde(default)]
    scale_embedding: bool,
    #[serde(default)]
    dropout: f64,
    eos_token_id: u32,
    decoder_start_token_id: Option<u32>,
    is_multilingual: Option<bool>,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    alignment_heads: Option<Vec<[usize; 2]>>,
}

fn default_mels() -> usize {
    80
}

fn default_activation() -> String {
    "gelu".into()
}

impl Public {
    /// Every size must be one, and fit the others.
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("encoder_layers", self.encoder_layers),
            ("decoder_layers", self.decoder_layers),
            ("num_mel_bins", self.num_mel_bins),
            ("max_source_positions", self.max_source_positions),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name}: expected at least 1, found 0"));
        }
        if self.max_source_positions > MOST_PLACES {
            let found = self.max_source_positions;
            return Err(format!(
                "max_source_positions: expected at most {MOST_PLACES}, found {found}"
            ));
        }
        if self.max_target_positions < 2 * PROMPT {
            let (least, found) = (2 * PROMPT, self.max_target_positions);
            return Err(format!(
                "max_target_positions: expected at least {least}, found {found}"
            ));
        }
        self.check_widths()?;
        self.check_computed()
    }

    fn check_widths(&self) -> Result<(), String> {
        for (name, heads) in [
            ("encoder_attention_heads", self.encoder_attention_heads),
            ("decoder_attention_heads", self.decoder_attention_heads),
        ] {
            if heads == 0 || self.d_model == 0 || !self.d_model.is_multiple_of(heads) {
                let width = self.d_model;
                return Err(format!("{name}: expected a divisor of d_model {width}, found {heads}"));
            }
        }
        let expected = self.d_model.saturating_mul(EXPANSION);
        for (name, found) in [
            ("encoder_ffn_dim", self.encoder_ffn_dim),
            ("decoder_ffn_dim", self.decoder_ffn_dim),
        ] {
            if found != expected {
                return Err(format!(
                    "{name}: expected {expected}, {EXPANSION} times d_model, found {found}"
                ));
            }
        }
        Ok(())
    }

    /// Refuses what would be computed otherwise here.
    fn check_computed(&self) -> Result<(), String> {
        if self.activation_function != "gelu" {
            let found = &self.activation_function;
            return Err(format!(
                "activation_function: expected `gelu`, found `{found}`, which is not known here"
            ));
        }
        if self.scale_embedding {
            return Err("scale_embedding: expected false, found true, which is not known here".into());
        }
        match (0.0..1.0).contains(&self.dropout) {
            true => Ok(()),
            false => Err(format!(
                "dropout: expected a number from 0 to below 1, found {}",
                self.dropout
            )),
        }
    }

    /// The numbers that the tensors hold.
    fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let (width, mels) = (of(self.d_model), of(self.num_mel_bins));
        let square = width.saturating_mul(width);
        let attention = square.saturating_mul(4).saturating_add(3 * width);
        let feed_forward = square.saturating_mul(8).saturating_add(5 * width);
        let block = |attentions: u128| {
            let attended = attention.saturating_add(2 * width).saturating_mul(attentions);
            attended.saturating_add(feed_forward).saturating_add(2 * width)
        };
        let stem = width
            .saturating_mul(3 * mels + 2)
            .saturating_add(square.saturating_mul(3));
        let tables = of(self.max_source_positions) + of(self.vocab_size) + of(self.max_target_positions) + 4;
        let encoder = of(self.encoder_layers).saturating_mul(block(1));
        let decoder = of(self.decoder_layers).saturating_mul(block(2));
        stem.saturating_add(tables.saturating_mul(width))
            .saturating_add(encoder)
            .saturating_add(decoder)
    }

    /// All tokens with a meaning of their own follow from the size of the vocabulary: behind the end stand the start, the
    /// languages, the commands and the times.
    fn speech(&self) -> Result<SpeechTokens, String> {
        let start = self
            .decoder_start_token_id
            .unwrap_or(self.eos_token_id.saturating_add(1));
        let few = || {
            format!(
                "vocab_size: expected at least {} tokens behind decoder_start_token_id {start}, found {} in all",
                COMMANDS + TIMES,
                self.vocab_size
            )
        };
        let commands = self.vocab_size.checked_sub(TIMES + COMMANDS).ok_or_else(few)? as u32;
        let languages = commands.checked_sub(start.saturating_add(1)).ok_or_else(few)? as usize;
        let codes = languages::first(languages)
            .ok_or_else(|| format!("vocab_size: expected at most 100 languages, found room for {languages}"))?;
        let known = |tokens: &Option<Vec<i64>>| -> Vec<u32> {
            let tokens = tokens.iter().flatten().copied();
            tokens
                .filter(|&token| (0..self.vocab_size as i64).contains(&token))
                .map(|token| token as u32)
                .collect()
        };
        let multilingual = self.is_multilingual.unwrap_or(self.vocab_size != ENGLISH);
        Ok(SpeechTokens {
            start,
            languages: if multilingual { codes } else { Vec::new() },
            translate: commands,
            transcribe: commands + 1,
            previous: commands + 3,
            no_speech: commands + 4,
            no_times: commands + 5,
            first_time: commands + COMMANDS as u32,
            suppressed: known(&self.suppress_tokens),
            suppressed_first: known(&self.begin_suppress_tokens),
            alignment: self.alignment_heads.clone().unwrap_or_default(),
        })
    }

    fn processor(&self) -> AudioConfig {
        let seconds = (self.max_source_positions * SAMPLES_OF_TOKEN) as f64 / f64::from(SAMPLE_RATE);
        AudioConfig {
            sample_rate: SAMPLE_RATE,
            max_seconds: seconds,
            features: AudioFeatures::LogMel(LogMelConfig {
                mels: self.num_mel_bins,
                pad_to_seconds: Some(seconds),
            }),
            ..AudioConfig::default()
        }
    }

    fn trunk(&self) -> TransformerConfig {
        TransformerConfig {
            width: self.d_model,
            layers: self.encoder_layers,
            heads: self.encoder_attention_heads,
            expansion: EXPANSION,
            // Waves, but other ones than those of this program: the checkpoint brings them along.
            positions: PositionKind::Learned,
            dropout: self.dropout,
            ..TransformerConfig::default()
        }
    }

    fn head(&self) -> Result<TextHead, String> {
        let speech = self.speech()?;
        let (begin, end) = (speech.start, self.eos_token_id);
        if end >= begin {
            return Err(format!(
                "eos_token_id: expected a token before decoder_start_token_id {begin}, found {end}"
            ));
        }
        let decoder = TransformerDecoderConfig {
            width: self.d_model,
            layers: self.decoder_layers,
            heads: self.decoder_attention_heads,
            dropout: self.dropout,
            places: Some(self.max_target_positions),
            ..TransformerDecoderConfig::default()
        };
        let generate = GenerateConfig {
            text: TextConfig {
                max_length: self.max_target_positions - PROMPT,
                leading_space: true,
                ..TextConfig::default()
            },
            decoder: DecoderConfig::Transformer(decoder),
            decoding: DecodingConfig {
                max_length: self.max_target_positions / 2,
                ..DecodingConfig::default()
            },
            speech: Some(speech),
            ..GenerateConfig::default()
        };
        let size = self.vocab_size;
        Ok(TextHead {
            generate,
            vocabulary: Vocabulary { size, begin, end },
            question: None,
            video: None,
        })
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    public.check()?;
    Ok(Architecture {
        stem: Some(StemConfig::Whisper(WhisperStemConfig {
            width: public.d_model,
            places: public.max_source_positions,
        })),
        trunk: Some(TrunkConfig::Transformer(public.trunk())),
        processor: ProcessorConfig::Audio(public.processor()),
        head: Head::Text(Box::new(public.head()?)),
        parameters: public.parameters(),
        place,
        // A bias of keys moves all scores of a query alike, and so none of its weights: the original has none.
        lacks: |path| path.ends_with("attention.key.bias") || path.ends_with(".decoder.bias"),
    })
}

fn place(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    match name {
        // The table of the decoder's tokens once more.
        "proj_out.weight" => return Place::Known,
        "encoder.embed_positions.weight" => return Place::Parameter("trunk.positions.axes.0".into()),
        _ => {}
    }
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let place = match layer.split_once('.') {
        Some(("encoder", layer)) => in_encoder(layer).map(|path| Place::Parameter(format!("{path}.{parameter}"))),
        Some(("decoder", layer)) => in_decoder(layer).map(|path| Place::Head(format!("decoder.{path}.{parameter}"))),
        _ => None,
    };
    place.unwrap_or(Place::Unknown)
}

fn in_encoder(layer: &str) -> Option<String> {
    Some(match layer {
        "conv1" => "stem.first".into(),
        "conv2" => "stem.second".into(),
        "layer_norm" => "trunk.norm".into(),
        _ => format!("trunk.blocks.{}", in_block(layer)?),
    })
}

fn in_decoder(layer: &str) -> Option<String> {
    Some(match layer {
        "embed_tokens" => "embedding".into(),
        "embed_positions" => "body.places".into(),
        "layer_norm" => "body.norm".into(),
        _ => format!("body.blocks.{}", in_block(layer)?),
    })
}

/// A layer of a block, with the block's number.
fn in_block(layer: &str) -> Option<String> {
    let (index, layer) = layer.strip_prefix("layers.")?.split_once('.')?;
    if !index.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let ours = match layer {
        "self_attn_layer_norm" => "attention_norm",
        "encoder_attn_layer_norm" => "cross_norm",
        "final_layer_norm" => "feed_forward_norm",
        "fc1" => "expand",
        "fc2" => "contract",
        _ => {
            let (attention, map) = layer.split_once('.')?;
            return Some(format!("{index}.{}.{}", in_attention(attention)?, of_attention(map)?));
        }
    };
    Some(format!("{index}.{ours}"))
}

fn in_attention(attention: &str) -> Option<&'static str> {
    match attention {
        "self_attn" => Some("attention"),
        "encoder_attn" => Some("cross_attention"),
        _ => None,
    }
}

fn of_attention(map: &str) -> Option<&'static str> {
    match map {
        "q_proj" => Some("query"),
        "k_proj" => Some("key"),
        "v_proj" => Some("value"),
        "out_proj" => Some("output"),
        _ => None,
    }
}
