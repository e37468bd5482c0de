//! Language models, as `transformers` names and configures them.

#[cfg(test)]
mod golden;
mod gpt2;
mod llama;
mod opening;
mod rope;

pub(super) use llama::{names as names_of_llama, written as written_as_llama};
pub(super) use opening::opened;

use super::{Architecture, Head, Place};
use crate::decoder::{DecoderConfig, Vocabulary};
use crate::decoding::search::DecodingConfig;
use crate::tasks::{LanguageModelConfig, TextTokens};
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use serde::Deserialize;

/// The words of `model_type` that are known here.
pub(super) const KINDS: [&str; 4] = ["gpt2", "llama", "qwen2", "qwen3"];
/// The most tokens that are read together, and that a processor reads of a text.
const LONGEST: usize = 65_536;

/// A decoder that goes on with a text, and the tokens that its texts begin and end with.
#[derive(Debug, Clone)]
pub struct LanguageHead {
    pub task: LanguageModelConfig,
    pub vocabulary: Vocabulary,
}

/// The architecture that a configuration of the type `kind` describes, or what is wrong with it.
pub(super) fn read(kind: &str, config: serde_json::Value) -> Result<Architecture, String> {
    if config.get("quantization_config").is_some_and(|value| !value.is_null()) {
        return Err("quantization_config: expected none, found one; take the checkpoint that is not quantised".into());
    }
    match kind {
        "gpt2" => gpt2::read(config),
        _ => llama::read(kind, config),
    }
}

/// Where a tensor of Llama or of its relatives goes; `tied` where the table of tokens also scores the next one.
pub(super) fn place_of_llama(tied: bool, name: &str) -> Place {
    match tied {
        true => llama::tied(name),
        false => llama::place(name),
    }
}

/// One token, or several.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

/// What a configuration says of its tokens.
#[derive(Deserialize)]
struct PublicTokens {
    vocab_size: usize,
    bos_token_id: Option<Ids>,
    eos_token_id: Option<Ids>,
}

impl Ids {
    fn list(self) -> Vec<u32> {
        match self {
            Self::One(id) => vec![id],
            Self::Several(ids) => ids,
        }
    }
}

/// A language model without the parts that no decoder has.
struct Described {
    decoder: DecoderConfig,
    tokens: PublicTokens,
    /// The places that it was trained for, two or more.
    places: usize,
    parameters: u128,
    place: fn(&str) -> Place,
    lacks: fn(&str) -> bool,
}

impl Described {
    fn architecture(self) -> Result<Architecture, String> {
        let (vocabulary, ends) = self.tokens.read()?;
        let context = self.places.min(LONGEST);
        let decoding = DecodingConfig::default();
        let task = LanguageModelConfig {
            decoder: self.decoder,
            context,
            decoding: DecodingConfig {
                max_length: decoding.max_length.min(context / 2),
                ..decoding
            },
            tokens: Some(TextTokens {
                opening: Vec::new(),
                ends,
            }),
            ..LanguageModelConfig::default()
        };
        let text = TextConfig {
            max_length: context,
            ..TextConfig::default()
        };
        Ok(Architecture {
            stem: None,
            trunk: None,
            processor: ProcessorConfig::Text(text),
            head: Head::Continuation(Box::new(LanguageHead { task, vocabulary })),
            parameters: self.parameters,
            place: self.place,
            lacks: self.lacks,
        })
    }
}

impl PublicTokens {
    /// The vocabulary, and what ends a text beside its end.
    fn read(self) -> Result<(Vocabulary, Vec<u32>), String> {
        let size = self.vocab_size;
        let known = |name: &str, ids: Option<Ids>| match ids.map(Ids::list).unwrap_or_default() {
            ids if ids.iter().all(|&id| (id as usize) < size) => Ok(ids),
            ids => Err(format!(
                "{name}: expected tokens below vocab_size {size}, found {ids:?}"
            )),
        };
        let begin = known("bos_token_id", self.bos_token_id)?.first().copied();
        let mut ends = known("eos_token_id", self.eos_token_id)?;
        if ends.is_empty() {
            return Err("eos_token_id: expected the token that ends a text, found none".into());
        }
        let end = ends.remove(0);
        ends.retain(|&other| other != end);
        let begin = begin.unwrap_or(end);
        Ok((Vocabulary { size, begin, end }, ends))
    }
}

/// Refuses sizes of nothing.
fn at_least_one(sizes: &[(&str, usize)]) -> Result<(), String> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        Some((name, _)) => Err(format!("{name}: expected at least 1, found 0")),
        None => Ok(()),
    }
}

/// Refuses what would be computed otherwise here.
fn expect<T: PartialEq + std::fmt::Display>(name: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{name}: expected {expected}, found {found}, which is not known here"
        )),
    }
}

/// Refuses what is no share, or no number.
fn share(name: &str, found: f64) -> Result<(), String> {
    match (0.0..1.0).contains(&found) {
        true => Ok(()),
        false => Err(format!("{name}: expected a number from 0 to below 1, found {found}")),
    }
}

/// A product that may be too large to be written.
fn times(a: u128, b: u128) -> u128 {
    a.saturating_mul(b)
}

/// A layer of a block, with the block's number, behind `prefix`.
fn in_block(layer: &str, prefix: &str, within: fn(&str) -> Option<&'static str>) -> Option<String> {
    let (index, layer) = layer.strip_prefix(prefix)?.split_once('.')?;
    let number = !index.is_empty() && index.bytes().all(|digit| digit.is_ascii_digit());
    let ours = within(layer).filter(|_| number)?;
    Some(format!("body.blocks.{index}.{ours}"))
}
