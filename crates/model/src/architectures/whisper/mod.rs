//! Whisper (Radford et al. 2022), as `transformers` names and configures it: a Transformer over a spectrogram, and the
//! decoder of texts behind it.

mod encoder;
mod languages;
mod public;

pub use encoder::{WhisperStem, WhisperStemConfig};
pub(super) use public::PublicEncoder;

use super::{Architecture, Head, Place, TextHead};
use crate::decoder::{DecoderConfig, TransformerDecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::stems::StemConfig;
use crate::tasks::GenerateConfig;
use crate::transcription::SpeechTokens;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use serde::Deserialize;

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
    #[serde(flatten)]
    encoder: PublicEncoder,
    decoder_layers: usize,
    decoder_attention_heads: usize,
    decoder_ffn_dim: usize,
    vocab_size: usize,
    max_target_positions: usize,
    eos_token_id: u32,
    decoder_start_token_id: Option<u32>,
    is_multilingual: Option<bool>,
    suppress_tokens: Option<Vec<i64>>,
    begin_suppress_tokens: Option<Vec<i64>>,
    alignment_heads: Option<Vec<[usize; 2]>>,
}

impl Public {
    /// Every size must be one, and fit the others.
    fn check(&self) -> Result<(), String> {
        self.encoder.check()?;
        if self.decoder_layers == 0 {
            return Err("decoder_layers: expected at least 1, found 0".into());
        }
        if self.max_target_positions < 2 * PROMPT {
            let (least, found) = (2 * PROMPT, self.max_target_positions);
            return Err(format!(
                "max_target_positions: expected at least {least}, found {found}"
            ));
        }
        let heads = ("decoder_attention_heads", self.decoder_attention_heads);
        self.encoder
            .check_widths(heads, ("decoder_ffn_dim", self.decoder_ffn_dim))
    }

    /// The numbers that the tensors hold.
    fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let tables = of(self.vocab_size) + of(self.max_target_positions) + 2;
        let decoder = of(self.decoder_layers).saturating_mul(self.encoder.block(2));
        self.encoder
            .parameters()
            .saturating_add(tables.saturating_mul(of(self.encoder.d_model)))
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

    fn head(&self) -> Result<TextHead, String> {
        let speech = self.speech()?;
        let (begin, end) = (speech.start, self.eos_token_id);
        if end >= begin {
            return Err(format!(
                "eos_token_id: expected a token before decoder_start_token_id {begin}, found {end}"
            ));
        }
        let decoder = TransformerDecoderConfig {
            width: self.encoder.d_model,
            layers: self.decoder_layers,
            heads: self.decoder_attention_heads,
            dropout: self.encoder.dropout,
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
        })
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    public.check()?;
    Ok(Architecture {
        stem: Some(StemConfig::Whisper(public.encoder.stem())),
        trunk: Some(TrunkConfig::Transformer(public.encoder.trunk())),
        processor: ProcessorConfig::Audio(public.encoder.processor()),
        head: Head::Text(Box::new(public.head()?)),
        parameters: public.parameters(),
        place,
        // A bias of keys moves all scores of a query alike, and so none of its weights: the original has none.
        lacks: |path| path.ends_with("attention.key.bias") || path.ends_with(".decoder.bias"),
    })
}

fn place(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    // The table of the decoder's tokens once more.
    if name == "proj_out.weight" {
        return Place::Known;
    }
    let place = match name.split_once('.') {
        Some(("encoder", name)) => in_encoder(name).map(Place::Parameter),
        Some(("decoder", name)) => name.rsplit_once('.').and_then(|(layer, parameter)| {
            let path = in_decoder(layer)?;
            Some(Place::Head(format!("decoder.{path}.{parameter}")))
        }),
        _ => None,
    };
    place.unwrap_or(Place::Unknown)
}

fn in_decoder(layer: &str) -> Option<String> {
    Some(match layer {
        "embed_tokens" => "embedding".into(),
        "embed_positions" => "body.places".into(),
        "layer_norm" => "body.norm".into(),
        _ => format!("body.blocks.{}", in_block(layer)?),
    })
}

/// Where a tensor of the encoder goes, by its name from there on.
pub(super) fn in_encoder(name: &str) -> Option<String> {
    let (layer, parameter) = name.rsplit_once('.')?;
    let path = match layer {
        "embed_positions" => return (parameter == "weight").then(|| "trunk.positions.axes.0".into()),
        "conv1" => "stem.first".into(),
        "conv2" => "stem.second".into(),
        "layer_norm" => "trunk.norm".into(),
        _ => format!("trunk.blocks.{}", in_block(layer)?),
    };
    Some(format!("{path}.{parameter}"))
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
