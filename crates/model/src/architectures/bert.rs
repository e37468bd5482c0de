//! BERT's encoder (Devlin et al. 2019) and RoBERTa's (Liu et al. 2019), as `transformers` names and configures them.

use super::towers::BlocksConfig;
use super::{Architecture, Head, Place};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Activation, Dropout, Embedding, LayerNorm, Linear, MultiHeadAttention, Order};
use crate::pass::Pass;
use crate::stems::StemConfig;
use crate::tokens::{Layout, Tokens};
use crate::trunks::TrunkConfig;
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use sensorium_kernels::{Epilogue, Precision};
use serde::{Deserialize, Serialize};

/// A vector for each token and one for its place, normalised together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BertStemConfig {
    /// One more than the largest token identifier that there is a vector for.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub vocabulary: usize,
    /// The vectors for places, of which the first `first_place` are not used.
    #[schemars(range(min = 1, max = 65_536))]
    pub places: usize,
    #[serde(default)]
    #[schemars(range(min = 0, max = 1024))]
    pub first_place: usize,
    /// The kinds of segments, of which there may be none; a text is of the first.
    #[schemars(range(min = 0, max = 1024))]
    pub segments: usize,
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
}

#[derive(Module, Debug)]
pub struct BertStem {
    words: Embedding,
    places: Embedding,
    segments: Option<Embedding>,
    norm: LayerNorm,
    #[module(skip)]
    first_place: usize,
}

impl BertStem {
    /// `vocabulary` and `max_length` are those of the texts.
    ///
    /// # Errors
    /// For texts with more tokens, or longer ones, than there are vectors for.
    pub fn new(config: &BertStemConfig, [vocabulary, max_length]: [usize; 2], init: &Init) -> Result<Self> {
        if vocabulary > config.vocabulary {
            let message = format!(
                "expected a tokenizer of at most {} tokens, found {vocabulary}; take the checkpoint's own",
                config.vocabulary
            );
            return Err(ModelError::config("stem.vocabulary", message));
        }
        let most = config.places - config.first_place;
        if max_length > most {
            let message = format!("expected texts of at most {most} tokens, found {max_length}; lower `max_length`");
            return Err(ModelError::config("max_length", message));
        }
        let table = |name: &str, count: usize| Embedding::new(count, config.width, &init.at(name));
        Ok(Self {
            words: table("words", config.vocabulary),
            places: table("places", config.places),
            segments: (config.segments > 0).then(|| table("segments", config.segments)),
            norm: LayerNorm::with_epsilon(config.width, config.epsilon, &init.at("norm")),
            first_place: config.first_place,
        })
    }

    pub fn width(&self) -> usize {
        self.words.table().dims()[1]
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>, mask: Tensor<2, Bool>) -> Tokens {
        let [_, length] = tokens.dims();
        let places = self.places.table().narrow(0, self.first_place, length);
        let added = match &self.segments {
            Some(segments) => places + segments.table().narrow(0, 0, 1),
            None => places,
        };
        let x = self.words.forward(tokens) + added.unsqueeze::<3>();
        Tokens::new(self.norm.forward(x), mask, Layout::Sequence)
    }
}

/// Blocks that normalise behind each residual, instead of in front of each branch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BertTrunkConfig {
    /// The width of a token, a multiple of `heads`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// None leaves tokens as the stem makes them.
    #[schemars(range(min = 0, max = 128))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 128))]
    pub heads: usize,
    /// The width of the hidden layer of the feed-forward network.
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: usize,
    /// Added to the variance in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Dropout of what each attention and each feed-forward network adds.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    #[serde(default)]
    pub pool: Pool,
}

/// How the tokens of a text become one vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// Their mean.
    #[default]
    Mean,
    /// The one that is set in front of each text.
    First,
}

#[derive(Module, Debug)]
pub struct BertTrunk {
    blocks: Vec<Block>,
    #[module(skip)]
    width: usize,
    #[module(skip)]
    pool: Pool,
}

#[derive(Module, Debug)]
struct Block {
    attention: MultiHeadAttention,
    attention_norm: LayerNorm,
    expand: Linear,
    contract: Linear,
    feed_forward_norm: LayerNorm,
    dropout: Dropout,
}

impl BertTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For another width than the stem's, and for heads that do not divide it.
    pub fn new(config: &BertTrunkConfig, input: usize, init: &Init) -> Result<Self> {
        if input != config.width || !config.width.is_multiple_of(config.heads) {
            let message = format!(
                "expected the width of the stem, a multiple of {} heads, found {} behind a stem of {input}",
                config.heads, config.width
            );
            return Err(ModelError::config("trunk.width", message));
        }
        let block = |index| Block::new(config, &init.at("blocks").at(index));
        Ok(Self {
            blocks: (0..config.layers).map(block).collect(),
            width: config.width,
            pool: config.pool,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let pack = |block: Block| Block {
            attention: block.attention.pack(precision),
            expand: block.expand.pack(precision),
            contract: block.contract.pack(precision),
            ..block
        };
        Self {
            blocks: self.blocks.into_iter().map(pack).collect(),
            ..self
        }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let forward = |tokens, block: &Block| block.forward(tokens, pass);
        let tokens = self.blocks.iter().fold(tokens, forward);
        match self.pool {
            Pool::Mean => tokens,
            Pool::First => {
                let [batch, _, width] = tokens.embeddings.dims();
                let first = tokens.embeddings.clone().narrow(1, 0, 1);
                tokens.with_summary(first.reshape([batch, width]))
            }
        }
    }
}

impl Block {
    fn new(config: &BertTrunkConfig, init: &Init) -> Self {
        let (width, rate) = (config.width, config.dropout);
        let norm = |name: &str| LayerNorm::with_epsilon(width, config.epsilon, &init.at(name));
        Self {
            attention: MultiHeadAttention::new(width, width, config.heads, rate, &init.at("attention")),
            attention_norm: norm("attention_norm"),
            expand: Linear::new(width, config.hidden, &init.at("expand")),
            contract: Linear::new(config.hidden, width, &init.at("contract")),
            feed_forward_norm: norm("feed_forward_norm"),
            dropout: Dropout::new(rate, &init.at("dropout")),
        }
    }

    fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let x = tokens.embeddings;
        let x = self
            .attention
            .itself(x.clone(), x, &tokens.mask, &Order::default(), pass);
        let x = self.attention_norm.forward(x);
        let hidden = self.expand.forward_then(x.clone(), Epilogue::Gelu);
        let x = self.dropout.add(&self.contract, hidden, x, pass);
        Tokens {
            embeddings: self.feed_forward_norm.forward(x),
            mask: tokens.mask,
            layout: tokens.layout,
            summary: None,
        }
    }
}

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
pub(super) fn read(kind: &str, config: serde_json::Value) -> Result<Architecture, String> {
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
        head: Head::Nothing,
        parameters: public.parameters(),
        place,
        lacks: |_| false,
    })
}

/// What the names of heads begin with.
const HEADS: [&str; 4] = ["pooler.", "cls.", "lm_head.", "classifier."];

fn place(name: &str) -> Place {
    let name = ["bert.", "roberta."]
        .iter()
        .find_map(|model| name.strip_prefix(model))
        .unwrap_or(name);
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
pub(super) fn in_block(layer: &str) -> Option<&'static str> {
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
