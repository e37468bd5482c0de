//! The Transformer of Qwen2.5-VL over the patches of pictures and videos of any size (Bai et al. 2025).

use super::windows::Windows;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Activation, Order, Parts, RmsBlock, RmsBlockOptions, RmsNorm};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use crate::trunks::Space;
use burn::module::Module;
use burn::tensor::{Int, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{Precision, TurnAxis, Turns};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Patches that are read together, so that what is between their blocks needs no more memory than so many; those of one medium always
/// are.
const AT_ONCE: usize = 16_384;
/// Of the wavelengths by which queries and keys turn along rows and along columns.
const BASE: f64 = 10_000.0;

/// Blocks with root mean square norms over patches, which attend to those of their window alone but in some blocks; behind the stem
/// `qwen2_5_vl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QwenVlTrunkConfig {
    /// The width of a patch, a multiple of four times `heads`.
    #[schemars(range(min = 4, max = 65_536))]
    pub width: usize,
    #[schemars(range(min = 1, max = 256))]
    pub layers: usize,
    #[schemars(range(min = 1, max = 256))]
    pub heads: usize,
    /// The width of the feed-forward networks.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub hidden: usize,
    /// The side of a window in squares of patches.
    #[schemars(range(min = 1, max = 4096))]
    pub window: usize,
    /// The blocks, from 0 on, in which patches attend to all of their picture or frame.
    #[schemars(inner(range(min = 0, max = 255)))]
    pub whole: Vec<usize>,
    /// Added to the mean square in each normalisation.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: f64,
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
}

impl Default for QwenVlTrunkConfig {
    fn default() -> Self {
        Self {
            width: 128,
            layers: 2,
            heads: 4,
            hidden: 384,
            window: 4,
            whole: vec![1],
            epsilon: 1e-6,
            dropout: 0.0,
        }
    }
}

#[derive(Module, Debug)]
pub struct QwenVlTrunk {
    blocks: Vec<RmsBlock>,
    norm: RmsNorm,
    #[module(skip)]
    config: QwenVlTrunkConfig,
}

impl QwenVlTrunkConfig {
    /// The numbers that the tensors hold.
    pub fn parameters(&self) -> u128 {
        let of = |size: usize| size as u128;
        let (width, hidden) = (of(self.width), of(self.hidden));
        let maps = width.saturating_mul(4).saturating_add(hidden.saturating_mul(3));
        let block = maps.saturating_add(7).saturating_mul(width);
        let block = block.saturating_add(hidden.saturating_mul(2));
        of(self.layers).saturating_mul(block).saturating_add(width)
    }
}

impl QwenVlTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For other tokens than patches in squares, and for widths that do not fit.
    pub fn new(config: &QwenVlTrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        let (width, heads) = (config.width, config.heads);
        if !matches!(space, Space::Squares { .. }) {
            let message = "expected the stem `qwen2_5_vl` in front of it, found another one";
            return Err(ModelError::config("trunk.kind", message));
        }
        if input != width {
            let message = format!("expected the width {input} of its stem, found {width}");
            return Err(ModelError::config("trunk.width", message));
        }
        if !width.is_multiple_of(4 * heads) {
            let message = format!("expected a multiple of four times {heads} heads, found {width}");
            return Err(ModelError::config("trunk.width", message));
        }
        if let Some(block) = config.whole.iter().find(|&&block| block >= config.layers) {
            let message = format!("expected blocks below {}, found {block}", config.layers);
            return Err(ModelError::config("trunk.whole", message));
        }
        let options = RmsBlockOptions {
            width,
            heads,
            head_width: width / heads,
            scale: None,
            biased: true,
            hidden: config.hidden,
            activation: Activation::Silu,
            gated: true,
            epsilon: config.epsilon,
            dropout: config.dropout,
            memory: None,
        };
        let block = |index: usize| RmsBlock::new(options, &init.at("blocks").at(index));
        Ok(Self {
            blocks: (0..config.layers).map(block).collect(),
            norm: RmsNorm::new(width, config.epsilon, &init.at("norm")),
            config: config.clone(),
        })
    }

    pub fn width(&self) -> usize {
        self.config.width
    }

    /// Prepared for inference.
    pub fn pack(self, precision: Precision) -> Self {
        let blocks = self.blocks.into_iter();
        Self {
            blocks: blocks.map(|block| block.pack(precision)).collect(),
            ..self
        }
    }

    /// The states of the patches of some media, in the order in which they are given.
    ///
    /// # Panics
    /// For tokens that do not tell where they stand.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let Layout::Squares { side } = tokens.layout else {
            panic!("patches in squares");
        };
        let places = tokens.places.as_ref().expect("patches tell where they stand");
        let mut first = 0;
        let group = |count: usize| {
            let own = tokens.embeddings.clone().narrow(0, first, count);
            let states = self.states(own, &places[first..first + count], side, pass);
            first += count;
            states
        };
        let counts = places.iter().map(|places| places.len());
        let states = together(counts, AT_ONCE).into_iter().map(group).collect();
        Tokens::new(Tensor::cat(states, 0), tokens.mask, tokens.layout)
    }

    /// Of some media, `x` [batch, length, width], whose real patches have these `places`.
    fn states(&self, x: Tensor<3>, places: &[Arc<Vec<[usize; 3]>>], side: usize, pass: &Pass) -> Tensor<3> {
        let [batch, length, width] = x.dims();
        let device = plain(&x.device());
        let windows = Windows::new(places, length, self.config.window * side);
        let index = |places: &[usize]| {
            let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
            Tensor::<1, Int>::from_ints(places.as_slice(), &device)
        };
        let count = windows.order.len();
        let all = x.reshape([batch * length, width]);
        let mut x = all.select(0, index(&windows.order)).reshape([1, count, width]);
        let turns = self.turns(&windows);
        let order = |parts: &Parts| Order {
            turns: Some(turns.clone()),
            parts: Some(parts.clone()),
            ..Order::default()
        };
        let [within, whole] = [order(&windows.windows), order(&windows.frames)];
        let mask = Tensor::<2>::ones([1, count], &device).bool();
        for (number, block) in self.blocks.iter().enumerate() {
            let order = if self.config.whole.contains(&number) {
                &whole
            } else {
                &within
            };
            x = block.forward(x, None, &mask, order, pass);
        }
        let states = self.norm.forward(x).reshape([count, width]);
        states.select(0, index(&windows.back)).reshape([batch, length, width])
    }

    /// A quarter of the columns of a head turn by the row, and as many by the column; each has one that turns with it (Su et al.
    /// 2021).
    fn turns(&self, windows: &Windows) -> Turns {
        let pairs = self.config.width / self.config.heads / 4;
        let axis = |axis: usize| TurnAxis {
            coordinates: windows.places.iter().map(|place| place[axis]).collect(),
            pairs,
        };
        Turns::new(&[axis(1), axis(2)], BASE)
    }
}

/// How many neighbours are read together, so that each group counts at most so many, and has one of them at least.
fn together(counts: impl Iterator<Item = usize>, most: usize) -> Vec<usize> {
    let mut groups: Vec<[usize; 2]> = Vec::new();
    for count in counts {
        match groups.last_mut().filter(|[_, sum]| sum + count <= most) {
            Some([members, sum]) => {
                *members += 1;
                *sum += count;
            }
            None => groups.push([1, count]),
        }
    }
    groups.into_iter().map(|[members, _]| members).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_read_together_as_far_as_there_is_room() {
        assert_eq!(together([3, 4, 5, 20, 1, 2].into_iter(), 8), [2, 1, 1, 2]);
        assert_eq!(together([9, 9].into_iter(), 8), [1, 1]);
    }
}
