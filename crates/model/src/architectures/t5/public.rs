//! T5's and mT5's configurations, as `transformers` has them.

use super::super::{Architecture, Head, Pool, TextHead, sentences};
use super::T5StemConfig;
use super::names::{OUTPUT, in_encoder, in_writer};
use crate::decoder::{DecoderConfig, T5DecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::error::{ModelError, Result as FileResult};
use crate::layers::{Activation, T5StackConfig};
use crate::stems::StemConfig;
use crate::tasks::GenerateConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The words of `model_type` that are read here.
pub const KINDS: [&str; 2] = ["mt5", "t5"];
/// What writes texts, the last of them by its older name, and what encodes them.
const WRITERS: [&str; 3] = [
    "T5ForConditionalGeneration",
    "MT5ForConditionalGeneration",
    "T5WithLMHeadModel",
];
const ENCODERS: [&str; 2] = ["T5EncoderModel", "MT5EncoderModel"];
/// What the kinds of feed-forward networks begin with that have a second map.
const GATED: &str = "gated-";
/// The longest text that may be written, and the longest one that is read: no place is learnt, and the original knows no bound.
const LONGEST_WRITTEN: usize = 4096;
const LONGEST_READ: usize = 65_536;
/// A tokenizer in the format of another program.
const SENTENCE_PIECES: &str = "spiece.model";
const TOKENIZER: &str = "tokenizer.json";

/// What is read of a `config.json` and a `generation_config.json`.
#[derive(Deserialize)]
struct Public {
    vocab_size: usize,
    d_model: usize,
    d_kv: usize,
    d_ff: usize,
    num_layers: usize,
    num_decoder_layers: Option<usize>,
    num_heads: usize,
    #[serde(default = "default_buckets")]
    relative_attention_num_buckets: usize,
    #[serde(default = "default_distance")]
    relative_attention_max_distance: usize,
    #[serde(default = "default_dropout")]
    dropout_rate: f64,
    #[serde(default = "default_epsilon")]
    layer_norm_epsilon: f64,
    feed_forward_proj: Option<String>,
    pad_token_id: Option<u32>,
    decoder_start_token_id: Option<u32>,
    eos_token_id: Option<Value>,
    tie_word_embeddings: Option<bool>,
    scale_decoder_outputs: Option<bool>,
    max_length: Option<usize>,
    max_new_tokens: Option<usize>,
}

fn default_buckets() -> usize {
    32
}

fn default_distance() -> usize {
    128
}

fn default_dropout() -> f64 {
    0.1
}

fn default_epsilon() -> f64 {
    1e-6
}

impl Public {
    /// Every size must be one, and no number out of its bounds.
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_layers", self.num_layers),
            ("num_decoder_layers", self.decoder_layers()),
            ("num_heads", self.num_heads),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(format!("{name}: expected at least 1, found 0"));
        }
        let (buckets, farthest) = (
            self.relative_attention_num_buckets,
            self.relative_attention_max_distance,
        );
        if buckets < 4 {
            return Err(format!(
                "relative_attention_num_buckets: expected at least 4, found {buckets}"
            ));
        }
        if farthest <= buckets / 2 {
            return Err(format!(
                "relative_attention_max_distance: expected more than half of relative_attention_num_buckets {buckets}, found \
                 {farthest}"
            ));
        }
        let shares = [
            ("dropout_rate", self.dropout_rate),
            ("layer_norm_epsilon", self.layer_norm_epsilon),
        ];
        match shares.iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
            Some((name, share)) => Err(format!("{name}: expected a number from 0 to below 1, found {share}")),
            None => Ok(()),
        }
    }

    fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// What stands between the maps of a feed-forward network, and whether there is a second map in front.
    fn feed_forward(&self, kind: &str) -> Result<(Activation, bool), String> {
        let usual = if kind == "mt5" { "gated-gelu" } else { "relu" };
        let said = self.feed_forward_proj.as_deref().unwrap_or(usual);
        let (name, gated) = match said.strip_prefix(GATED) {
            Some(name) => (name, true),
            None => (said, false),
        };
        let activation = match (name, gated) {
            // It stands for the approximation alone.
            ("gelu", true) | ("gelu_new" | "gelu_pytorch_tanh", _) => Activation::GeluTanh,
            ("gelu", false) => Activation::Gelu,
            ("relu", _) => Activation::Relu,
            ("silu" | "swish", _) => Activation::Silu,
            _ => {
                return Err(format!(
                    "feed_forward_proj: expected `relu`, `gelu`, `gelu_new` or `silu`, or one of them behind `{GATED}`, found `{said}`, \
                     which is not known here"
                ));
            }
        };
        Ok((activation, gated))
    }

    fn stack(&self, kind: &str, layers: usize) -> Result<T5StackConfig, String> {
        let (activation, gated) = self.feed_forward(kind)?;
        Ok(T5StackConfig {
            width: self.d_model,
            layers,
            heads: self.num_heads,
            head_width: self.d_kv,
            hidden: self.d_ff,
            activation,
            gated,
            buckets: self.relative_attention_num_buckets,
            farthest: self.relative_attention_max_distance,
            epsilon: self.layer_norm_epsilon,
            dropout: self.dropout_rate,
        })
    }

    /// The tokens that a text begins and ends with.
    fn vocabulary(&self) -> Result<Vocabulary, String> {
        let size = self.vocab_size;
        let end = match &self.eos_token_id {
            None | Some(Value::Null) => Some(1),
            Some(Value::Array(ends)) if ends.len() == 1 => ends[0].as_u64(),
            Some(end) => end.as_u64(),
        };
        let end = end.filter(|end| *end < size as u64).ok_or_else(|| {
            let found = self.eos_token_id.clone().unwrap_or_default();
            format!("eos_token_id: expected one token below vocab_size {size}, found {found}")
        })?;
        let begin = self.decoder_start_token_id.or(self.pad_token_id).unwrap_or(0);
        let end = end as u32;
        match (begin as usize) < size && begin != end {
            true => Ok(Vocabulary { size, begin, end }),
            false => Err(format!(
                "decoder_start_token_id: expected a token below vocab_size {size} other than eos_token_id {end}, found {begin}"
            )),
        }
    }

    /// The most tokens of an answer; the original's number counts the begin too.
    fn written(&self) -> usize {
        let said = self
            .max_new_tokens
            .or(self.max_length.map(|length| length.saturating_sub(1)));
        said.unwrap_or(DecodingConfig::default().max_length)
            .clamp(1, LONGEST_WRITTEN)
    }

    fn head(&self, kind: &str) -> Result<TextHead, String> {
        // mT5 never does it. Of T5 those do that have one table, by what configurations said before they said it themselves.
        let scaled = self
            .scale_decoder_outputs
            .unwrap_or(self.tie_word_embeddings.unwrap_or(true));
        let decoder = T5DecoderConfig {
            stack: self.stack(kind, self.decoder_layers())?,
            tied: true,
            scaled: kind == "t5" && scaled,
        };
        let generate = GenerateConfig {
            text: texts(),
            decoder: DecoderConfig::T5(decoder),
            decoding: DecodingConfig {
                max_length: self.written(),
                ..DecodingConfig::default()
            },
            ..GenerateConfig::default()
        };
        Ok(TextHead {
            generate,
            vocabulary: self.vocabulary()?,
            question: None,
        })
    }
}

/// How texts are read and written.
fn texts() -> TextConfig {
    TextConfig {
        max_length: LONGEST_READ,
        ..TextConfig::default()
    }
}

/// Whether a model writes, or else encodes alone; others do something else.
fn is_writer(config: &Value) -> Result<bool, String> {
    let found = &config["architectures"];
    match found[0].as_str() {
        Some(name) if WRITERS.contains(&name) => Ok(true),
        Some(name) if ENCODERS.contains(&name) => Ok(false),
        _ => Err(format!(
            "architectures: expected `{}` or `{}`, or those of mT5, found {found}, which is not known here",
            WRITERS[0], ENCODERS[0]
        )),
    }
}

/// The architecture that a configuration of the type `kind` describes, or what is wrong with it.
pub fn read(kind: &str, config: Value) -> Result<Architecture, String> {
    let writes = is_writer(&config)?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    public.check()?;
    let trunk = public.stack(kind, public.num_layers)?;
    let table = (public.vocab_size as u128).saturating_mul(public.d_model as u128);
    let encoder = trunk.parameters(None).saturating_add(table);
    let decoder = match writes {
        true => public
            .stack(kind, public.decoder_layers())?
            .parameters(Some(public.d_model)),
        false => 0,
    };
    Ok(Architecture {
        stem: Some(StemConfig::T5(T5StemConfig {
            vocabulary: public.vocab_size,
            width: public.d_model,
        })),
        trunk: Some(TrunkConfig::T5(trunk)),
        processor: ProcessorConfig::Text(texts()),
        head: match writes {
            true => Head::Text(Box::new(public.head(kind)?)),
            false => Head::Nothing,
        },
        parameters: encoder.saturating_add(decoder),
        place: if writes { in_writer } else { in_encoder },
        lacks: |_| false,
    })
}

/// What a folder and the names of its tensors say beside the configuration: how tokens become one vector, and whether the table of
/// tokens scores the next one too.
///
/// # Errors
/// For another vector than the mean, and for a tokenizer in a format that is not read.
pub fn settle(
    architecture: &mut Architecture,
    folder: &Path,
    tensors: &BTreeMap<String, Vec<usize>>,
) -> FileResult<()> {
    check_folder(folder)?;
    if let Head::Text(head) = &mut architecture.head
        && let DecoderConfig::T5(decoder) = &mut head.generate.decoder
    {
        decoder.tied = !tensors.contains_key(OUTPUT);
    }
    Ok(())
}

fn check_folder(folder: &Path) -> FileResult<()> {
    if let Some(Pool::First) = sentences::pool(folder)? {
        let message = "expected the mean of all tokens, found the first one, which stands for nothing in T5";
        return Err(ModelError::file(folder, message));
    }
    let has = |name: &str| folder.join(name).exists();
    match has(SENTENCE_PIECES) && !has(TOKENIZER) {
        true => Err(ModelError::file(
            folder,
            format!(
                "expected {TOKENIZER}, found {SENTENCE_PIECES} alone, which is not read; `AutoTokenizer.from_pretrained(FOLDER)\
                 .save_pretrained(FOLDER)` of transformers, with sentencepiece beside it, writes {TOKENIZER} from it"
            ),
        )),
        false => Ok(()),
    }
}
