//! BERT's and RoBERTa's configurations and the names of their tensors, as `transformers` has them.

use super::super::labels::{LabelHead, OF_TEXTS};
use super::super::towers::BlocksConfig;
use super::super::{Architecture, Head, Place};
use super::{BertStemConfig, BertTrunkConfig, Pool};
use crate::layers::Activation;
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use serde::Deserialize;

/// What is read of a `config.json`.
#[derive(Deserialize)]
struct Public {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    #[serde(default = "default_activation")]
    hidden_act: String,
    max_position_embeddings: usize,
    type_vocab_size: usize,
    vocab_size: usize,
    #[serde(default = "default_epsilon")]
    layer_norm_eps: f64,
    #[serde(default)]
    hidden_dropout_prob: f64,
    #[serde(default = "default_positions")]
    position_embedding_type: String,
    #[serde(default)]
    pad_token_id: Option<usize>,
}

impl Public {
    /// What it has in common with the blocks of towers.
    fn blocks(&self) -> BlocksConfig {
        BlocksConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            epsilon: self.layer_norm_eps,
            activation: Activation::Gelu,
            layer_scale: false,
            dropout: self.hidden_dropout_prob,
            drop_path: 0.0,
        }
    }

    /// Every size must be one, and no number out of its bounds.
    fn check(&self) -> Result<(), String> {
        self.blocks().check("")?;
        let tables = [
            ("type_vocab_size", self.type_vocab_size),
            ("vocab_size", self.vocab_size),
        ];
        match tables.iter().find(|(_, size)| *size == 0) {
            Some((name, _)) => Err(format!("{name}: expected at least 1, found 0")),
            None => Ok(()),
        }
    }

    /// The numbers that the encoder's tensors hold.
    fn parameters(&self) -> u128 {
        let rows = [self.vocab_size, self.max_position_embeddings, self.type_vocab_size, 2];
        let stem: u128 = rows.iter().map(|&rows| rows as u128).sum();
        let stem = stem.saturating_mul(self.hidden_size as u128);
        self.blocks().parameters().saturating_add(stem)
    }
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_epsilon() -> f64 {
    1e-12
}

fn default_positions() -> String {
    "absolute".into()
}

/// The architecture that a configuration of the type `kind` describes, or what is wrong with it.
pub fn read(kind: &str, config: serde_json::Value) -> Result<Architecture, String> {
    let labels = LabelHead::read(&config, OF_TEXTS)?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let known = |field: &str, found: &str, known: &str| match found == known {
        true => Ok(()),
        false => Err(format!(
            "{field}: expected `{known}`, found `{found}`, which is not known here"
        )),
    };
    known("hidden_act", &public.hidden_act, "gelu")?;
    known("position_embedding_type", &public.position_embedding_type, "absolute")?;
    public.check()?;
    // RoBERTa counts places from behind the one of padding.
    let first_place = match kind {
        "roberta" => public.pad_token_id.unwrap_or(1) + 1,
        _ => 0,
    };
    let max_length = public
        .max_position_embeddings
        .checked_sub(first_place)
        .filter(|most| *most > 0);
    let max_length = max_length.ok_or("max_position_embeddings: no place is left for a token")?;
    let (width, epsilon) = (public.hidden_size, public.layer_norm_eps);
    Ok(Architecture {
        stem: Some(StemConfig::Bert(BertStemConfig {
            vocabulary: public.vocab_size,
            places: public.max_position_embeddings,
            first_place,
            segments: public.type_vocab_size,
            width,
            epsilon,
        })),
        trunk: Some(TrunkConfig::Bert(BertTrunkConfig {
            width,
            layers: public.num_hidden_layers,
            heads: public.num_attention_heads,
            hidden: public.intermediate_size,
            epsilon,
            dropout: public.hidden_dropout_prob,
            pool: Pool::default(),
        })),
        processor: ProcessorConfig::Text(TextConfig {
            max_length,
            ..TextConfig::default()
        }),
        // Both read the first token through a layer of the same width.
        head: match labels {
            Some(labels) => Head::Labels(labels.behind(width)),
            None => Head::Nothing,
        },
        parameters: public.parameters(),
        place: match kind {
            "roberta" => in_roberta,
            _ => in_bert,
        },
        lacks: |_| false,
    })
}

/// What the names of heads begin with that are not read.
const HEADS: [&str; 4] = ["pooler.", "cls.", "lm_head.", "classifier."];

fn in_bert(name: &str) -> Place {
    let name = name.strip_prefix("bert.").unwrap_or(name);
    let head = match name.rsplit_once('.') {
        Some(("pooler.dense", parameter)) => format!("hidden.{parameter}"),
        Some(("classifier", parameter)) => format!("output.{parameter}"),
        _ => return in_encoder(name),
    };
    Place::Head(head)
}

fn in_roberta(name: &str) -> Place {
    let name = name.strip_prefix("roberta.").unwrap_or(name);
    let head = match name.rsplit_once('.') {
        Some(("classifier.dense", parameter)) => format!("hidden.{parameter}"),
        Some(("classifier.out_proj", parameter)) => format!("output.{parameter}"),
        _ => return in_encoder(name),
    };
    Place::Head(head)
}

fn in_encoder(name: &str) -> Place {
    if HEADS.iter().any(|head| name.starts_with(head)) {
        return Place::Unused;
    }
    if name == "embeddings.position_ids" {
        return Place::Known;
    }
    let Some((layer, parameter)) = name.rsplit_once('.') else {
        return Place::Unknown;
    };
    let path = match layer
        .strip_prefix("encoder.layer.")
        .and_then(|layer| layer.split_once('.'))
    {
        None => in_stem(layer).map(|ours| format!("stem.{ours}")),
        Some((index, layer)) if index.bytes().all(|digit| digit.is_ascii_digit()) => {
            in_block(layer).map(|ours| format!("trunk.blocks.{index}.{ours}"))
        }
        Some(_) => None,
    };
    // Early checkpoints have the names of TensorFlow's norms.
    let parameter = match parameter {
        "gamma" => "weight",
        "beta" => "bias",
        parameter => parameter,
    };
    path.map_or(Place::Unknown, |path| Place::Parameter(format!("{path}.{parameter}")))
}

fn in_stem(layer: &str) -> Option<&'static str> {
    Some(match layer {
        "embeddings.word_embeddings" => "words",
        "embeddings.position_embeddings" => "places",
        "embeddings.token_type_embeddings" => "segments",
        "embeddings.LayerNorm" => "norm",
        _ => return None,
    })
}

/// What a layer of a block is here, of BLIP's too.
pub fn in_block(layer: &str) -> Option<&'static str> {
    Some(match layer {
        "attention.self.query" => "attention.query",
        "attention.self.key" => "attention.key",
        "attention.self.value" => "attention.value",
        "attention.output.dense" => "attention.output",
        "attention.output.LayerNorm" => "attention_norm",
        "intermediate.dense" => "expand",
        "output.dense" => "contract",
        "output.LayerNorm" => "feed_forward_norm",
        _ => return None,
    })
}
