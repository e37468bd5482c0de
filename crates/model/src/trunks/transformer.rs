//! A Transformer encoder over the tokens (Vaswani et al. 2017, pre-norm).

use super::Space;
use super::space_time::{SpaceTime, ThroughTime};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BlockOptions, LayerNorm, Linear, Order, PositionKind, Positions, Rates, TransformerBlock, Within};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// Of frames: time, rows and columns.
const MOST_AXES: usize = 3;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TransformerConfig {
    /// The width of a token, a multiple of `heads`.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    /// How many blocks of attention and a feed-forward network follow one another.
    #[schemars(range(min = 1, max = 64))]
    pub layers: usize,
    /// Parts of the width that attend each on their own.
    #[schemars(range(min = 1, max = 64))]
    pub heads: usize,
    /// How many times wider than a token the hidden layer of the feed-forward network is.
    #[schemars(range(min = 1, max = 16))]
    pub expansion: usize,
    /// How attention knows the places of tokens; `learned` is for trunks only.
    pub positions: PositionKind,
    /// Each token of a text or a sound sees itself and those before it only; for trunks only.
    pub causal: bool,
    /// What the tokens of a video attend to; for trunks only.
    pub space_time: SpaceTime,
    /// Dropout of what each attention and each feed-forward network adds.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// Stochastic depth: the probability that a sample goes past an attention or a feed-forward network of the last
    /// layer; it grows linearly up to there.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
    /// How many neighbouring tokens of a sequence become one, their mean, before the last norm.
    #[serde(skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 64))]
    pub average: usize,
}

fn is_one(count: &usize) -> bool {
    *count == 1
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            expansion: 4,
            positions: PositionKind::default(),
            causal: false,
            space_time: SpaceTime::default(),
            dropout: 0.0,
            drop_path: 0.0,
            average: 1,
        }
    }
}

impl TransformerConfig {
    /// The block `index` of self-attention.
    pub fn block(&self, index: usize) -> BlockOptions {
        let rates = Rates {
            dropout: self.dropout,
            drop_path: self.drop_path,
        };
        BlockOptions {
            width: self.width,
            memory: self.width,
            heads: self.heads,
            expansion: self.expansion,
            rates: rates.of_layer(index, self.layers),
        }
    }

    /// Refuses a width that the heads do not divide; `place` is the configuration's own in a recipe.
    pub fn check(&self, place: &str) -> Result<()> {
        check_heads(place, self.width, self.heads)
    }

    /// Refuses what no fusion can be built of: its tokens come from several inputs, each with a layout of its own.
    pub fn check_fusion(&self) -> Result<()> {
        let refuse = |field: &str, message: &str| Err(ModelError::config(format!("fusion.{field}"), message));
        if self.positions == PositionKind::Learned {
            let message = "a fusion takes `sinusoidal` or `rotary` positions; `learned` ones are for trunks";
            return refuse("positions", message);
        }
        if self.causal {
            let message = "the tokens of several inputs have no common order; set `causal` in a trunk";
            return refuse("causal", message);
        }
        if self.space_time == SpaceTime::Factorised {
            let message = "the tokens of several inputs have no common frames; set `space_time` in the video's trunk";
            return refuse("space_time", message);
        }
        self.check("fusion")?;
        self.check_rotary("fusion", MOST_AXES)
    }

    fn check_trunk(&self, space: Space) -> Result<()> {
        if self.causal && !space.is_line() {
            let message = "only a text or a sound has tokens in one order; leave `causal` out for an image or a video";
            return Err(ModelError::config("trunk.causal", message));
        }
        if self.space_time == SpaceTime::Factorised && !matches!(space, Space::Volume { .. }) {
            let message = "`factorised` attention is for the frames of a video; other inputs take `joint`";
            return Err(ModelError::config("trunk.space_time", message));
        }
        self.check("trunk")?;
        let axes = match self.space_time {
            SpaceTime::Joint => space.extents().len(),
            // Time has the whole head in one attention, rows and columns share it in the other.
            SpaceTime::Factorised => 2,
        };
        self.check_rotary("trunk", axes)
    }

    fn check_rotary(&self, place: &str, axes: usize) -> Result<()> {
        match self.positions {
            PositionKind::Rotary => check_rotary(place, [self.width, self.heads], axes),
            PositionKind::Sinusoidal | PositionKind::Learned => Ok(()),
        }
    }
}

/// Refuses a width that the heads do not divide.
pub(super) fn check_heads(place: &str, width: usize, heads: usize) -> Result<()> {
    if width.is_multiple_of(heads) {
        return Ok(());
    }
    let message = format!("{heads} heads do not divide a width of {width}");
    Err(ModelError::config(format!("{place}.heads"), message))
}

/// Refuses heads that have not a pair of columns for each of `axes`.
pub(super) fn check_rotary(place: &str, [width, heads]: [usize; 2], axes: usize) -> Result<()> {
    let (head, least) = (width / heads, 2 * axes);
    if head.is_multiple_of(2) && head >= least {
        return Ok(());
    }
    let message = format!(
        "rotary positions turn pairs of a head's columns: expected heads of an even width of {least} or more, found \
         {head} (a width of {width} in {heads} heads)"
    );
    Err(ModelError::config(format!("{place}.heads"), message))
}

#[derive(Module, Debug)]
pub struct TransformerTrunk {
    /// Present where the stem has another width.
    projection: Option<Linear>,
    positions: Positions,
    /// One in front of each block where space and time are factorised.
    through_time: Vec<ThroughTime>,
    blocks: Vec<TransformerBlock>,
    norm: LayerNorm,
    #[module(skip)]
    causal: bool,
    #[module(skip)]
    average: usize,
    width: usize,
}

impl TransformerTrunk {
    pub fn new(config: &TransformerConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        config.check_trunk(space)?;
        let width = config.width;
        let block = |index| TransformerBlock::with(config.block(index), &init.at("blocks").at(index));
        let through_time = |index| ThroughTime::new(config.block(index), &init.at("through_time").at(index));
        let factorised = match config.space_time {
            SpaceTime::Joint => 0,
            SpaceTime::Factorised => config.layers,
        };
        let project = || Linear::new(input, width, &init.at("projection"));
        let head = [width, width / config.heads];
        Ok(Self {
            projection: (input != width).then(project),
            positions: Positions::new(config.positions, head, &space.extents(), &init.at("positions")),
            through_time: (0..factorised).map(through_time).collect(),
            blocks: (0..config.layers).map(block).collect(),
            norm: LayerNorm::new(width, &init.at("norm")),
            causal: config.causal,
            average: config.average,
            width,
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
        let x = match &self.projection {
            Some(projection) => projection.forward(tokens.embeddings),
            None => tokens.embeddings,
        };
        let length = x.dims()[1];
        let mut tokens = Tokens {
            embeddings: self.positions.add(x, tokens.layout),
            summary: None,
            ..tokens
        };
        let (through_time, itself) = self.orders(tokens.layout, length);
        for (index, block) in self.blocks.iter().enumerate() {
            if let Some(layer) = self.through_time.get(index) {
                tokens = layer.forward(tokens, &through_time, pass);
            }
            tokens = block.ordered(tokens, &itself, pass);
        }
        let tokens = tokens.averaged(self.average);
        Tokens {
            embeddings: self.norm.forward(tokens.embeddings),
            ..tokens
        }
    }

    /// What attention through time knows of the tokens, and what that of the blocks does.
    fn orders(&self, layout: Layout, length: usize) -> (Order, Order) {
        let order = |layout, length, within| Order {
            turns: self.positions.turns(layout, length),
            causal: self.causal,
            within,
            ..Order::default()
        };
        match layout {
            Layout::Frames { time, height, width } if !self.through_time.is_empty() => {
                let places = height * width;
                (
                    order(Layout::Sequence, time, Within::Place { places }),
                    order(Layout::Grid { height, width }, places, Within::Frame { places }),
                )
            }
            _ => (Order::default(), order(layout, length, Within::Sample)),
        }
    }
}
