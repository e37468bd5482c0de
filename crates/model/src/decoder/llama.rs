//! Llama's decoder (Touvron et al. 2023), and those of its relatives.

use super::prefix::Origins;
use super::rotation::{StretchConfig, frequencies};
use super::transformer::TransformerState;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{AttentionBias, Dropout, GroupedAttentionOptions, LlamaBlock, LlamaBlockOptions, RmsNorm};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{Precision, TurnAxis, Turns};
use serde::{Deserialize, Serialize};

/// The hidden layer of a feed-forward network is so many thirds of the width by default, so that its three maps have as many
/// numbers as two of four times the width.
const THIRDS: usize = 8;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LlamaDecoderConfig {
    /// The width of a token.
    #[schemars(range(min = 1, max = 65_536))]
    pub width: usize,
    #[schemars(range(min = 1, max = 256))]
    pub layers: usize,
    /// The heads of queries; by default the width is a multiple of them.
    #[schemars(range(min = 1, max = 256))]
    pub heads: usize,
    /// The heads of keys and values, a divisor of `heads`; as many by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub key_heads: Option<usize>,
    /// The width of each head, an even number; by default `width` divided by `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 8192))]
    pub head_width: Option<usize>,
    /// The width of the hidden layer of the feed-forward networks; by default eight thirds of `width`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hidden: Option<usize>,
    /// Of the wavelengths of rotary positions.
    #[schemars(range(min = 1.0, max = 1_000_000_000_000.0))]
    pub base: f64,
    /// How these waves are stretched for longer texts; not at all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stretch: Option<StretchConfig>,
    /// How many pairs of columns turn by the time of a token, by its row and by its column, where it is a patch; all turn by the
    /// place of a token in the text where this is not set (Wang et al. 2024).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 0, max = 4096)))]
    pub sections: Option<[usize; 3]>,
    /// Added to the mean square in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    /// Whether each head of queries and keys is normalised before it turns (Henry et al. 2020).
    pub head_norms: bool,
    /// The maps of attention that have a bias.
    pub attention_bias: AttentionBias,
    /// Whether the maps of the feed-forward networks have a bias.
    pub feed_forward_bias: bool,
    /// Whether one table embeds tokens and scores the next one.
    pub tied: bool,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for LlamaDecoderConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            key_heads: None,
            head_width: None,
            hidden: None,
            base: 10_000.0,
            stretch: None,
            sections: None,
            epsilon: 1e-6,
            head_norms: false,
            attention_bias: AttentionBias::None,
            feed_forward_bias: false,
            tied: true,
            dropout: 0.1,
        }
    }
}

impl LlamaDecoderConfig {
    pub(crate) fn key_heads(&self) -> usize {
        self.key_heads.unwrap_or(self.heads)
    }

    pub(crate) fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.width / self.heads)
    }

    pub(crate) fn hidden(&self) -> usize {
        self.hidden.unwrap_or((THIRDS * self.width).div_ceil(3))
    }

    /// What each block is built of; `memory` is the width of what is attended to, where there is anything.
    fn block(&self, memory: Option<usize>) -> Result<LlamaBlockOptions> {
        let (width, heads, key_heads) = (self.width, self.heads, self.key_heads());
        if !heads.is_multiple_of(key_heads) {
            let message = format!("expected a divisor of {heads} heads, found {key_heads}");
            return Err(ModelError::config("decoder.key_heads", message));
        }
        let divided = width.is_multiple_of(heads);
        if !divided && (self.head_width.is_none() || memory.is_some()) {
            let message = format!("{heads} heads do not divide a width of {width}");
            return Err(ModelError::config("decoder.heads", message));
        }
        let head_width = self.head_width();
        if head_width == 0 || !head_width.is_multiple_of(2) {
            let message = format!("expected an even number, because columns turn in pairs, found {head_width}");
            return Err(ModelError::config("decoder.head_width", message));
        }
        Ok(LlamaBlockOptions {
            attention: GroupedAttentionOptions {
                width,
                heads,
                key_heads,
                head_width,
                bias: self.attention_bias,
                norm: self.head_norms.then_some(self.epsilon),
                dropout: self.dropout,
            },
            hidden: self.hidden(),
            bias: self.feed_forward_bias,
            epsilon: self.epsilon,
            memory,
        })
    }
}

#[derive(Module, Debug)]
pub struct LlamaDecoder {
    blocks: Vec<LlamaBlock>,
    norm: RmsNorm,
    dropout: Dropout,
    /// By what each pair of columns of a head turns from one place to the next.
    #[module(skip)]
    frequencies: Vec<f64>,
    #[module(skip)]
    sections: Option<[usize; 3]>,
}

impl LlamaDecoder {
    /// # Errors
    /// For heads that do not fit the width or one another.
    pub fn new(config: &LlamaDecoderConfig, memory: Option<usize>, init: &Init) -> Result<Self> {
        let options = config.block(memory)?;
        let pairs = options.attention.head_width / 2;
        if let Some(sections) = config
            .sections
            .filter(|sections| sections.iter().sum::<usize>() != pairs)
        {
            let message = format!("expected three numbers that sum up to {pairs}, found {sections:?}");
            return Err(ModelError::config("decoder.sections", message));
        }
        let block = |index: usize| LlamaBlock::new(options, &init.at("blocks").at(index));
        Ok(Self {
            blocks: (0..config.layers).map(block).collect(),
            norm: RmsNorm::new(config.width, config.epsilon, &init.at("norm")),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
            frequencies: frequencies(pairs, config.base, config.stretch.as_ref()),
            sections: config.sections,
        })
    }

    /// The states of embedded tokens `x` [batch, length, width]. Columns turn, not places: scores depend on how far apart
    /// two of them are, and so not on where a sequence begins.
    pub fn forward(&self, x: Tensor<3>, memory: Option<&Tokens>, origins: &Origins, pass: &Pass) -> Tensor<3> {
        let [_, length, _] = x.dims();
        let turns = self.turns(origins, 0, length);
        let mask = origins.mask(length, &x.device());
        let x = self.dropout.forward(x, pass);
        let forward = |x, block: &LlamaBlock| block.forward(x, memory, &turns, mask.as_ref(), pass);
        self.norm.forward(self.blocks.iter().fold(x, forward))
    }

    pub fn start(
        &self,
        batch: usize,
        memory: Option<&Tokens>,
        origins: Origins,
        capacity: usize,
        device: &Device,
    ) -> TransformerState {
        let start = |block: &LlamaBlock| block.start(batch, memory, capacity, device);
        TransformerState::new(self.blocks.iter().map(start).collect(), origins)
    }

    /// The states of the next embedded tokens of each sequence, `x` [batch, length, width].
    pub fn step(&self, mut x: Tensor<3>, state: &mut TransformerState) -> Tensor<3> {
        let length = x.dims()[1];
        let first = state.advance(length);
        let turns = self.turns(state.origins(), first, length);
        let mask = state.mask(&x.device());
        for (block, state) in self.blocks.iter().zip(state.blocks()) {
            x = block.step(x, &turns, mask.as_ref(), state);
        }
        self.norm.forward(x)
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            ..self
        }
    }

    /// Of `length` columns from the `first` on; each sequence has its own where patches stand among its tokens.
    fn turns(&self, origins: &Origins, first: usize, length: usize) -> Turns {
        let Some((sections, rows)) = self.sections.zip(origins.spots(first, length)) else {
            return Turns::at_frequencies(first..first + length, &self.frequencies);
        };
        let turned = |spots: Vec<[usize; 3]>| {
            let mut pair = 0;
            let axis = |axis: usize| {
                let pairs = sections[axis];
                let own = self.frequencies[pair..pair + pairs].to_vec();
                pair += pairs;
                let coordinates = spots.iter().map(|spot| spot[axis]).collect();
                (TurnAxis { coordinates, pairs }, own)
            };
            let (axes, frequencies): (Vec<_>, Vec<_>) = (0..3).map(axis).unzip();
            Turns::by(&axes, &frequencies)
        };
        Turns::join(&rows.into_iter().map(turned).collect::<Vec<_>>())
    }
}
