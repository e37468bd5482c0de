//! BERT's encoder (Devlin et al. 2019) and RoBERTa's (Liu et al. 2019), as `transformers` names and configures them.

mod public;

pub(super) use public::{in_block, read};

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Dropout, Embedding, Filled, LayerNorm, Linear, MultiHeadAttention, Order};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
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

impl BertTrunkConfig {
    /// All blocks, in order.
    pub(super) fn build(&self, init: &Init) -> Vec<Block> {
        let block = |index| Block::new(self, &init.at("blocks").at(index));
        (0..self.layers).map(block).collect()
    }
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

/// Attention and a feed-forward network, each around a residual and in front of a norm.
#[derive(Module, Debug)]
pub struct Block {
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
        Ok(Self {
            blocks: config.build(init),
            width: config.width,
            pool: config.pool,
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            ..self
        }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let states = self.states(&tokens, pass);
        let tokens = Tokens::new(states, tokens.mask, tokens.layout);
        match self.pool {
            Pool::Mean => tokens,
            Pool::First => {
                let [batch, _, width] = tokens.embeddings.dims();
                let first = tokens.embeddings.clone().narrow(1, 0, 1);
                tokens.with_summary(first.reshape([batch, width]))
            }
        }
    }

    /// The last states. Where no gradient is asked for, nothing is computed of padding.
    fn states(&self, tokens: &Tokens, pass: &Pass) -> Tensor<3> {
        let x = tokens.embeddings.clone();
        let through = |x: Tensor<3>, mask: &Tensor<2, Bool>, order: &Order| {
            let block = |x, block: &Block| block.states(x, mask, order, pass);
            self.blocks.iter().fold(x, block)
        };
        let filled = (!x.is_autodiff()).then(|| Filled::new(&x, &tokens.mask)).flatten();
        let Some(filled) = filled else {
            return through(x, &tokens.mask, &Order::default());
        };
        let order = Order {
            parts: Some(filled.parts.clone()),
            ..Order::default()
        };
        let states = through(filled.x.clone(), &tokens.mask, &order);
        filled.restored(states)
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

    /// Self-attention over the real tokens.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let states = self.states(tokens.embeddings, &tokens.mask, &Order::default(), pass);
        Tokens::new(states, tokens.mask, tokens.layout)
    }

    fn states(&self, x: Tensor<3>, mask: &Tensor<2, Bool>, order: &Order, pass: &Pass) -> Tensor<3> {
        let x = self.attention.itself(x.clone(), x, mask, order, pass);
        let x = self.attention_norm.forward(x);
        let hidden = self.expand.forward_then(x.clone(), Epilogue::Gelu);
        let x = self.dropout.add(&self.contract, hidden, x, pass);
        self.feed_forward_norm.forward(x)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            attention: self.attention.pack(precision),
            expand: self.expand.pack(precision),
            contract: self.contract.pack(precision),
            ..self
        }
    }
}
