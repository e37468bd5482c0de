//! Decoders: text token by token, from what an encoder or the fusion made of the inputs.

mod llama;
mod merge;
mod pieces;
mod prefix;
mod projector;
mod recurrent;
mod rotation;
mod t5;
#[cfg(test)]
mod tests;
mod transformer;

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Embedding, Linear};
use crate::pass::Pass;
use crate::tokens::{Tokens, plain};
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
pub use llama::{LlamaDecoder, LlamaDecoderConfig};
pub use pieces::{PatchPlanes, Piece};
use prefix::{Origins, Prefix};
pub use prefix::{PrefixConfig, ReadsConfig};
use projector::Projector;
pub use projector::ProjectorKind;
use recurrent::RecurrentState;
pub use recurrent::{RecurrentConfig, RecurrentDecoder};
pub use rotation::{Llama3Config, StretchConfig};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};
pub use t5::{T5Decoder, T5DecoderConfig};
use transformer::TransformerState;
pub use transformer::{TransformerDecoder, TransformerDecoderConfig};

/// What writes a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DecoderConfig {
    /// Causal self-attention and attention to the source.
    Transformer(TransformerDecoderConfig),
    /// Llama's: root mean square norms, gated feed-forward networks, and queries and keys that turn by their places.
    Llama(LlamaDecoderConfig),
    /// T5's: root mean square norms, and scores that are moved by how far apart two tokens stand.
    T5(T5DecoderConfig),
    /// A gated recurrent unit with attention to the source (Luong et al. 2015).
    Gru(RecurrentConfig),
}

impl DecoderConfig {
    /// See [`Decoder::places`].
    fn places(&self) -> Option<usize> {
        match self {
            Self::Transformer(config) => config.places,
            Self::Llama(_) | Self::T5(_) | Self::Gru(_) => None,
        }
    }

    /// The same without what training takes away at random.
    pub fn without_dropout(mut self) -> Self {
        match &mut self {
            Self::Transformer(config) => config.dropout = 0.0,
            Self::Llama(config) => config.dropout = 0.0,
            Self::T5(config) => config.stack.dropout = 0.0,
            Self::Gru(config) => config.dropout = 0.0,
        }
        self
    }

    /// The width of a token.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Transformer(config) => config.width,
            Self::Llama(config) => config.width,
            Self::T5(config) => config.stack.width,
            Self::Gru(config) => config.width,
        }
    }

    /// What vectors of tokens are multiplied by. A tied table has short ones: they are brought to the scale of waves
    /// (Vaswani et al. 2017, 3.4), while vectors that are learned for places have their own, and Llama and T5 add none.
    fn scale(&self, width: usize) -> f32 {
        match (self, self.places()) {
            (Self::Llama(_) | Self::T5(_), _) | (_, Some(_)) => 1.0,
            _ => (width as f32).sqrt(),
        }
    }

    /// Whether another table than the one that embeds tokens scores the next one.
    fn is_untied(&self) -> bool {
        match self {
            Self::Llama(config) => !config.tied,
            Self::T5(config) => !config.tied,
            Self::Transformer(_) | Self::Gru(_) => false,
        }
    }

    /// Whether each token has a number of its own in the scores.
    fn has_bias(&self) -> bool {
        matches!(self, Self::Transformer(_) | Self::Gru(_))
    }
}

impl Default for DecoderConfig {
    fn default() -> Self {
        Self::Transformer(TransformerDecoderConfig::default())
    }
}

/// The token identifiers that a decoder knows: those of a vocabulary and, where it lacks them, a begin and an end of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// One more than the largest identifier.
    pub size: usize,
    pub begin: u32,
    pub end: u32,
}

impl Vocabulary {
    /// `size` identifiers, of which some may be special.
    pub fn new(size: usize, begin: Option<u32>, end: Option<u32>) -> Self {
        let begin = begin.filter(|_| begin != end);
        let mut next = size as u32;
        let mut own = || {
            next += 1;
            next - 1
        };
        let begin = begin.unwrap_or_else(&mut own);
        let end = end.unwrap_or_else(&mut own);
        Self {
            size: next as usize,
            begin,
            end,
        }
    }
}

/// A network over tokens with its table, which also scores the next token.
#[derive(Module, Debug)]
pub struct Decoder {
    embedding: Embedding,
    body: Body,
    /// What scores the next token, where it is not the table.
    output: Option<Linear>,
    /// [vocabulary]; Llama and T5 have none.
    bias: Option<Param<Tensor<1>>>,
    /// What brings a source to the width of tokens, where it is read in front of the text.
    projector: Option<Projector>,
    #[module(skip)]
    scale: f32,
    /// The places in front of the longest text; none where there is no limit.
    #[module(skip)]
    room: Option<usize>,
}

#[derive(Module, Debug)]
enum Body {
    Transformer(TransformerDecoder),
    Llama(LlamaDecoder),
    T5(T5Decoder),
    Gru(RecurrentDecoder),
}

/// Sequences under way.
#[derive(Debug, Clone)]
pub struct DecoderState(BodyState);

#[derive(Debug, Clone)]
enum BodyState {
    Transformer(TransformerState),
    Gru(RecurrentState),
}

impl Decoder {
    /// The longest text has `longest` tokens; `memory` is the width of the source, where there is one.
    ///
    /// # Errors
    /// For a configuration that no network can be built from, and for longer texts than it learns places for.
    pub fn new(
        config: &DecoderConfig,
        [vocabulary, longest]: [usize; 2],
        memory: Option<usize>,
        init: &Init,
    ) -> Result<Self> {
        // A begin stands in front of each text.
        if let Some(places) = config.places().filter(|places| *places <= longest) {
            let message = format!("expected more places than the {longest} tokens of a text, found {places}");
            return Err(ModelError::config("decoder.places", message));
        }
        let body = init.at("body");
        let width = config.width();
        let network = match config {
            DecoderConfig::Transformer(config) => Body::Transformer(TransformerDecoder::new(config, memory, &body)?),
            DecoderConfig::Llama(config) => Body::Llama(LlamaDecoder::new(config, memory, &body)?),
            DecoderConfig::T5(config) => Body::T5(T5Decoder::new(config, memory, &body)?),
            DecoderConfig::Gru(config) => Body::Gru(RecurrentDecoder::new(config, memory, &body)),
        };
        let untied = || Linear::biased_if(false, width, vocabulary, &init.at("output"));
        let bias = config.has_bias().then(|| init.constant([vocabulary], 0.0));
        Ok(Self {
            embedding: Embedding::tied(vocabulary, width, &init.at("embedding")),
            body: network,
            output: config.is_untied().then(untied),
            bias,
            projector: None,
            scale: config.scale(width),
            room: config.places().map(|places| places - longest - 1),
        })
    }

    /// The same decoder, which was made without a memory, behind the tokens of a source of the width `source`. Each text is
    /// learnt behind the real ones of them, and where places are learnt and there are fewer than tokens, the first tokens
    /// share the first place.
    ///
    /// # Errors
    /// [`Config`](ModelError::Config) with the field `reads` for a recurrent decoder.
    pub fn behind(self, prefix: &PrefixConfig, source: usize, init: &Init) -> Result<Self> {
        if let Body::Gru(_) = self.body {
            let message = "expected `cross_attention` of a recurrent decoder, found `prefix`; choose `transformer`, `llama` or `t5`";
            return Err(ModelError::config("reads", message));
        }
        let [_, width] = self.embedding.table().dims();
        let size = f64::from(self.scale) / (width as f64).sqrt();
        let projector = Projector::new(prefix, [source, width], size, &init.at("projector"));
        Ok(Self {
            projector: Some(projector),
            ..self
        })
    }

    /// The logits of each next token, [batch, length, vocabulary], of tokens [batch, length] whose padding is behind them.
    pub fn forward(&self, tokens: Tensor<2, Int>, memory: Option<&Tokens>, pass: &Pass) -> Tensor<3> {
        let text = self.embed(tokens);
        let Some(prefix) = self.prefix(memory) else {
            return self.score(self.states(text, memory, &Origins::default(), pass));
        };
        let [_, length, _] = text.dims();
        let [_, before, _] = prefix.embeddings.dims();
        let whole = Tensor::cat(vec![prefix.embeddings, text], 1);
        let states = self.states(whole, None, &prefix.origins, pass);
        self.score(states.narrow(1, before, length))
    }

    /// The states of embedded tokens `x` [batch, length, width].
    fn states(&self, x: Tensor<3>, memory: Option<&Tokens>, origins: &Origins, pass: &Pass) -> Tensor<3> {
        match &self.body {
            Body::Transformer(body) => body.forward(x, memory, origins, pass),
            Body::Llama(body) => body.forward(x, memory, origins, pass),
            Body::T5(body) => body.forward(x, memory, origins, pass),
            Body::Gru(body) => body.forward(x, memory, pass),
        }
    }

    /// What stands in front of texts about `memory`, where it is read so.
    fn prefix(&self, memory: Option<&Tokens>) -> Option<Prefix> {
        self.projector.as_ref()?;
        memory.map(|memory| Prefix::new(memory, self.room))
    }

    /// What the other functions take as their memory: the tokens of `source` themselves or, where they stand in front of
    /// texts, with the width of this decoder.
    pub fn prepare(&self, source: Tokens) -> Tokens {
        match &self.projector {
            Some(projector) => projector.forward(source),
            None => source,
        }
    }

    /// The tokens that [`prepare`](Self::prepare) gave of a source, and others, as each row is to read them.
    pub fn arranged(&self, source: Tokens, rows: &[Vec<Piece>]) -> Tokens {
        pieces::arranged(source, rows, |tokens| self.embed(self.on_device(&[tokens])))
    }

    /// The logits [1, length, vocabulary] of what follows each of the `tokens` of a text about `memory`, and of each layer the
    /// scores [1, heads, length, positions] that its heads give the places of `memory`.
    ///
    /// # Panics
    /// For a recurrent decoder, and for one without a memory.
    pub fn regard(&self, tokens: &[u32], memory: &Tokens) -> (Tensor<3>, Vec<Tensor<4>>) {
        let Body::Transformer(body) = &self.body else {
            panic!("a decoder with heads of attention");
        };
        let (states, scores) = body.regard(self.embed(self.on_device(&[tokens])), memory);
        (self.score(states), scores)
    }

    /// Sequences of up to `capacity` tokens before their first one.
    pub fn start(&self, batch: usize, memory: Option<&Tokens>, capacity: usize, device: &Device) -> DecoderState {
        if let Some(prefix) = self.prefix(memory) {
            return self.start_behind(prefix, batch, capacity, device);
        }
        let origins = Origins::default();
        DecoderState(match &self.body {
            Body::Transformer(body) => BodyState::Transformer(body.start(batch, memory, origins, capacity, device)),
            Body::Llama(body) => BodyState::Transformer(body.start(batch, memory, origins, capacity, device)),
            Body::T5(body) => BodyState::Transformer(body.start(batch, memory, origins, capacity, device)),
            Body::Gru(body) => BodyState::Gru(body.start(batch, memory, device)),
        })
    }

    /// The same behind a prefix, whose keys and values are computed once.
    fn start_behind(&self, prefix: Prefix, batch: usize, capacity: usize, device: &Device) -> DecoderState {
        let Prefix { embeddings, origins } = prefix;
        let capacity = capacity + embeddings.dims()[1];
        let state = match &self.body {
            Body::Transformer(body) => {
                let mut state = body.start(batch, None, origins, capacity, device);
                body.step(embeddings, &mut state);
                state
            }
            Body::Llama(body) => {
                let mut state = body.start(batch, None, origins, capacity, device);
                body.step(embeddings, &mut state);
                state
            }
            Body::T5(body) => {
                let mut state = body.start(batch, None, origins, capacity, device);
                body.step(embeddings, &mut state);
                state
            }
            Body::Gru(_) => unreachable!("a recurrent decoder has no prefix"),
        };
        DecoderState(BodyState::Transformer(state))
    }

    /// One more token for each sequence: the logits of the next one, [batch, vocabulary]. Without a gradient.
    pub fn step(&self, tokens: &[u32], state: &mut DecoderState) -> Tensor<2> {
        self.read(&tokens.chunks(1).collect::<Vec<_>>(), state)
    }

    /// As many more tokens for each sequence: the logits of the next one, [batch, vocabulary]. Without a gradient.
    ///
    /// # Panics
    /// When the sequences are given different numbers of tokens, or none.
    pub fn read(&self, tokens: &[&[u32]], state: &mut DecoderState) -> Tensor<2> {
        let (batch, length) = (tokens.len(), tokens.first().map_or(0, |tokens| tokens.len()));
        assert!(
            length > 0 && tokens.iter().all(|tokens| tokens.len() == length),
            "as many tokens for each sequence"
        );
        let x = self.embed(self.on_device(tokens));
        let states = match (&self.body, &mut state.0) {
            (Body::Transformer(body), BodyState::Transformer(state)) => body.step(x, state),
            (Body::Llama(body), BodyState::Transformer(state)) => body.step(x, state),
            (Body::T5(body), BodyState::Transformer(state)) => body.step(x, state),
            (Body::Gru(body), BodyState::Gru(state)) => body.step(x, state),
            _ => unreachable!("a state belongs to the decoder that started it"),
        };
        let [_, found, _] = states.dims();
        let logits = self.score(states.narrow(1, found - 1, 1));
        let [_, _, vocabulary] = logits.dims();
        logits.reshape([batch, vocabulary])
    }

    /// The most tokens of a text, its begin included; none where there is no limit.
    pub fn places(&self) -> Option<usize> {
        match &self.body {
            Body::Transformer(body) => body.places(),
            Body::Llama(_) | Body::T5(_) | Body::Gru(_) => None,
        }
    }

    pub fn device(&self) -> Device {
        self.embedding.device()
    }

    /// Prepared for inference; a recurrent one stays as it is.
    pub fn pack(self, precision: Precision) -> Self {
        let projector = self.projector.clone().map(|projector| projector.pack(precision));
        match self.body {
            Body::Gru(_) => self,
            _ => Self {
                projector,
                ..self.hold(precision)
            },
        }
    }

    /// With all weights in few bits but those of what brings a source to the width of tokens, which is trained.
    pub fn hold(self, precision: Precision) -> Self {
        let body = match self.body {
            Body::Transformer(body) => Body::Transformer(body.pack(precision)),
            Body::Llama(body) => Body::Llama(body.pack(precision)),
            Body::T5(body) => Body::T5(body.pack(precision)),
            Body::Gru(_) => return self,
        };
        Self {
            embedding: self.embedding.pack(precision),
            output: self.output.map(|output| output.pack(precision)),
            body,
            ..self
        }
    }

    /// As many tokens for each sequence, [batch, length].
    fn on_device(&self, tokens: &[&[u32]]) -> Tensor<2, Int> {
        let shape = [tokens.len(), tokens.first().map_or(0, |tokens| tokens.len())];
        let tokens: Vec<i64> = tokens.concat().into_iter().map(i64::from).collect();
        Tensor::from_data(TensorData::new(tokens, shape), &plain(&self.device()))
    }

    fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embedding.forward(tokens) * self.scale
    }

    fn score(&self, states: Tensor<3>) -> Tensor<3> {
        match &self.output {
            Some(output) => output.forward(states),
            None => self.embedding.score(states, self.bias.as_ref().map(Param::val)),
        }
    }
}

impl DecoderState {
    /// Lets sequence i go on from what was sequence `rows[i]`.
    pub fn reorder(&mut self, rows: &[usize]) {
        match &mut self.0 {
            BodyState::Transformer(state) => state.reorder(rows),
            BodyState::Gru(state) => state.reorder(rows),
        }
    }
}
