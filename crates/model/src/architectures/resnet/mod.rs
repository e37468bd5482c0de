//! ResNet (He et al. 2016).

mod public;

pub(super) use public::read;

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, Dropout, Rates};
use crate::pass::Pass;
use crate::tokens::Tokens;
use crate::trunks::{Planes, Space};
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use sensorium_kernels::{PoolOptions, max_pool2d, relu};
use serde::{Deserialize, Serialize};

const COLORS: usize = ResNetConfig::COLORS;
/// By this the channels are narrowed within a block.
const NARROWED: usize = 4;
/// The side of the first kernel.
const FIRST: usize = 7;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResNetConfig {
    /// The channels before the first stage.
    #[schemars(range(min = 1, max = 8192))]
    pub first: usize,
    /// The channels of each stage, multiples of four where blocks are narrow.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 8192)))]
    pub stages: Vec<usize>,
    /// The blocks of each stage.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 256)))]
    pub depths: Vec<usize>,
    /// Whether a block is a convolution on a quarter of the channels between two maps, instead of two convolutions.
    pub narrow: bool,
    /// Whether the first stage halves the sides too, which each later one does.
    pub first_halves: bool,
    /// Whether a narrow block halves the sides in its first map, as in the paper, instead of its convolution.
    pub map_halves: bool,
    /// Stochastic depth, which grows to this in the last block.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
}

impl Default for ResNetConfig {
    /// The one with 50 layers.
    fn default() -> Self {
        Self {
            first: 64,
            stages: vec![256, 512, 1024, 2048],
            depths: vec![3, 4, 6, 3],
            narrow: true,
            first_halves: false,
            map_halves: false,
            drop_path: 0.0,
        }
    }
}

/// A convolution: channels before and behind it, side of the kernel, stride.
type Shape = [usize; 4];

/// The convolutions of a block, and the one beside them where it changes its shape.
struct Shapes {
    parts: Vec<Shape>,
    beside: Option<Shape>,
}

impl ResNetConfig {
    /// The channels of a picture.
    pub const COLORS: usize = 3;

    /// What is wrong, with the name of the setting.
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.depths.len() != self.stages.len() {
            let (stages, found) = (self.stages.len(), self.depths.len());
            return Err((
                "depths",
                format!("expected one for each of {stages} stages, found {found}"),
            ));
        }
        match self
            .stages
            .iter()
            .find(|channels| self.narrow && !channels.is_multiple_of(NARROWED))
        {
            Some(odd) => Err((
                "stages",
                format!("expected multiples of {NARROWED} channels, found {odd}"),
            )),
            None => Ok(()),
        }
    }

    /// Each block, stage by stage.
    fn blocks(&self) -> Vec<Vec<Shapes>> {
        let mut input = self.first;
        let mut stages = Vec::new();
        for (stage, (&output, &depth)) in self.stages.iter().zip(&self.depths).enumerate() {
            let blocks = (0..depth).map(|block| {
                let stride = if block == 0 && (stage > 0 || self.first_halves) {
                    2
                } else {
                    1
                };
                let beside = (stride != 1 || input != output).then_some([input, output, 1, stride]);
                let parts = self.parts(input, output, stride);
                input = output;
                Shapes { parts, beside }
            });
            stages.push(blocks.collect());
        }
        stages
    }

    fn parts(&self, input: usize, output: usize, stride: usize) -> Vec<Shape> {
        if !self.narrow {
            return vec![[input, output, 3, stride], [output, output, 3, 1]];
        }
        let inner = output / NARROWED;
        let [first, second] = if self.map_halves { [stride, 1] } else { [1, stride] };
        vec![
            [input, inner, 1, first],
            [inner, inner, 3, second],
            [inner, output, 1, 1],
        ]
    }

    /// The numbers that the tensors hold, running statistics included.
    fn parameters(&self) -> u128 {
        let of = |[input, output, kernel, _]: Shape| (output * (input * kernel * kernel + 4)) as u128;
        let blocks = self.blocks().into_iter().flatten();
        let all = blocks.flat_map(|shapes| shapes.parts.into_iter().chain(shapes.beside));
        all.map(of).sum::<u128>() + of([COLORS, self.first, FIRST, 2])
    }
}

/// Planes of pictures become a grid of a quarter of the sides, which each stage but the first halves.
#[derive(Module, Debug)]
pub struct ResNetTrunk {
    first: Unit,
    /// The stages.
    blocks: Vec<Stage>,
    #[module(skip)]
    width: usize,
}

#[derive(Module, Debug)]
struct Stage {
    layers: Vec<Block>,
}

/// A residual block.
#[derive(Module, Debug)]
struct Block {
    parts: Vec<Unit>,
    /// Around a block that changes its shape.
    shortcut: Option<Unit>,
    dropout: Dropout,
}

/// A convolution and its normalisation.
#[derive(Module, Debug)]
struct Unit {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ResNetTrunk {
    /// `input` is the stem's width.
    ///
    /// # Errors
    /// For other tokens than the pixels of pictures, and for sizes that do not fit one another.
    pub fn new(config: &ResNetConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        if !matches!(space, Space::Plane { .. }) || input != COLORS {
            let message = "a res_net reads pictures behind the stem `pixels`";
            return Err(ModelError::config("trunk.kind", message));
        }
        let wrong = |(name, message)| ModelError::config(format!("trunk.{name}"), message);
        config.check().map_err(wrong)?;
        let stages = config.blocks();
        let count = stages.iter().map(Vec::len).sum();
        let mut index = 0;
        let mut block = |shapes: &Shapes, init: &Init| {
            let rates = Rates {
                dropout: 0.0,
                drop_path: config.drop_path,
            };
            index += 1;
            Block::new(shapes, rates.of_layer(index - 1, count), init)
        };
        let stage = |(stage, blocks): (usize, &Vec<Shapes>)| {
            let init = init.at("blocks").at(stage).at("layers");
            let blocks = blocks.iter().enumerate();
            Stage {
                layers: blocks.map(|(place, shapes)| block(shapes, &init.at(place))).collect(),
            }
        };
        Ok(Self {
            blocks: stages.iter().enumerate().map(stage).collect(),
            first: Unit::new([COLORS, config.first, FIRST, 2], &init.at("first")),
            width: config.stages.last().copied().unwrap_or(config.first),
        })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let pool = PoolOptions {
            kernel: [3; 2],
            stride: [2; 2],
            padding: [1; 2],
        };
        let planes = Planes::fold(tokens).map(|pixels| max_pool2d(relu(self.first.forward(pixels, pass)), pool));
        let blocks = self.blocks.iter().flat_map(|stage| &stage.layers);
        blocks
            .fold(planes, |planes, block| block.forward(planes, pass))
            .into_tokens()
    }
}

impl Block {
    fn new(shapes: &Shapes, rates: Rates, init: &Init) -> Self {
        let parts = shapes.parts.iter().enumerate();
        Self {
            parts: parts
                .map(|(place, shape)| Unit::new(*shape, &init.at("parts").at(place)))
                .collect(),
            shortcut: shapes.beside.map(|shape| Unit::new(shape, &init.at("shortcut"))),
            dropout: Dropout::new(rates, &init.at("dropout")),
        }
    }

    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let before = planes.values.clone();
        let before = match &self.shortcut {
            Some(shortcut) => shortcut.forward(before, pass),
            None => before,
        };
        let after = planes.map(|values| {
            let mut parts = self.parts.iter();
            let first = parts.next().map(|part| part.forward(values.clone(), pass));
            parts.fold(first.unwrap_or(values), |values, part| part.forward(relu(values), pass))
        });
        Planes::change(before, after, &self.dropout, pass).map(relu)
    }
}

impl Unit {
    fn new([input, output, kernel, stride]: Shape, init: &Init) -> Self {
        Self {
            conv: Conv2d::new(input, output, [kernel; 2], [stride; 2], &init.at("conv")),
            norm: BatchNorm::new(output, &init.at("norm")),
        }
    }

    fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_counted() {
        // Without the 2,049,000 of the head, and with two running statistics for each of 26,560 channels.
        assert_eq!(
            ResNetConfig::default().parameters(),
            25_557_032 - 2_049_000 + 2 * 26_560
        );
    }
}
