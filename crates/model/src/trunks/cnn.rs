//! A convolutional trunk: stages of strided convolutions with residual blocks (He et al. 2016) on a plane or a line.

use super::plane;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, LayerNorm};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::{Bool, Int, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::relu;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CnnConfig {
    /// The channels of each stage.
    #[schemars(length(min = 1, max = 16), inner(range(min = 1, max = 8192)))]
    pub stages: Vec<usize>,
    /// Convolutions in each stage: the first changes the size, each further one is a residual block.
    #[schemars(range(min = 1, max = 64))]
    pub blocks: usize,
    /// The side of the kernel, odd.
    #[schemars(range(min = 1, max = 31))]
    pub kernel: usize,
    /// How much each stage shrinks a side; by default 2 on a grid and 1 on a sequence.
    #[schemars(range(min = 1, max = 8))]
    pub stride: Option<usize>,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self {
            stages: vec![32, 64, 128],
            blocks: 1,
            kernel: 3,
            stride: None,
        }
    }
}

#[derive(Module, Debug)]
pub struct CnnTrunk {
    stages: Vec<Stage>,
    width: usize,
}

#[derive(Module, Debug)]
struct Stage {
    shrink: Unit,
    blocks: Vec<Unit>,
}

/// Convolution, normalisation and rectifier.
#[derive(Module, Debug)]
struct Unit {
    conv: Conv2d,
    norm: Norm,
    #[module(skip)]
    stride: [usize; 2],
}

/// Grids have no padding and take batch statistics; a padded sequence would disturb them, so it is normalised by token.
#[derive(Module, Debug)]
enum Norm {
    Batch(BatchNorm),
    Layer(LayerNorm),
}

impl CnnTrunk {
    pub fn new(config: &CnnConfig, input: usize, planar: bool, init: &Init) -> Result<Self> {
        let Some(&width) = config.stages.last() else {
            return Err(ModelError::config("trunk.stages", "a cnn needs at least one stage"));
        };
        if config.kernel.is_multiple_of(2) {
            return Err(ModelError::config("trunk.kernel", "the side of a kernel must be odd"));
        }
        let mut channels = input;
        let mut stages = Vec::new();
        for (index, &output) in config.stages.iter().enumerate() {
            let init = init.at("stages").at(index);
            stages.push(Stage::new(config, channels, output, planar, &init));
            channels = output;
        }
        Ok(Self { stages, width })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Folds the tokens into planes once, and returns the smaller grid.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let [batch, length, width] = tokens.embeddings.dims();
        let [rows, columns] = plane(tokens.layout, length);
        let mut planes = Planes {
            values: tokens.embeddings.reshape([batch, rows, columns, width]),
            mask: (tokens.layout == Layout::Sequence).then_some(tokens.mask),
        };
        for stage in &self.stages {
            planes = stage.forward(planes, pass);
        }
        planes.into_tokens()
    }
}

/// Values [batch, height, width, channels]; the mask of a sequence [batch, width], none on a grid.
struct Planes {
    values: Tensor<4>,
    mask: Option<Tensor<2, Bool>>,
}

impl Planes {
    fn zero_padding(self) -> Self {
        let Some(mask) = &self.mask else { return self };
        let [batch, length] = mask.dims();
        let weights = mask.clone().float().reshape([batch, 1, length, 1]);
        Self {
            values: self.values * weights,
            mask: self.mask,
        }
    }

    fn into_tokens(self) -> Tokens {
        let [batch, height, width, channels] = self.values.dims();
        let embeddings = self.values.reshape([batch, height * width, channels]);
        match self.mask {
            Some(mask) => Tokens::new(embeddings, mask, Layout::Sequence),
            None => Tokens::full(embeddings, Layout::Grid { height, width }),
        }
    }
}

impl Stage {
    fn new(config: &CnnConfig, input: usize, output: usize, planar: bool, init: &Init) -> Self {
        let stride = config.stride.unwrap_or(if planar { 2 } else { 1 });
        let unit = |input, stride, init: &Init| Unit::new(input, output, config.kernel, stride, planar, init);
        let blocks = (1..config.blocks).map(|index| unit(output, 1, &init.at("blocks").at(index - 1)));
        Self {
            blocks: blocks.collect(),
            shrink: unit(input, stride, &init.at("shrink")),
        }
    }

    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let mut planes = self.shrink.forward(planes, pass);
        for block in &self.blocks {
            let before = planes.values.clone();
            planes = block.forward(planes, pass);
            planes.values = planes.values + before;
        }
        planes
    }
}

impl Unit {
    fn new(input: usize, output: usize, kernel: usize, stride: usize, planar: bool, init: &Init) -> Self {
        let vertical = |size| if planar { size } else { 1 };
        let stride = [vertical(stride), stride];
        let kernel = [vertical(kernel), kernel];
        let norm = match planar {
            true => Norm::Batch(BatchNorm::new(output, &init.at("norm"))),
            false => Norm::Layer(LayerNorm::new(output, &init.at("norm"))),
        };
        Self {
            conv: Conv2d::new(input, output, kernel, stride, &init.at("conv")),
            norm,
            stride,
        }
    }

    /// Masked positions are zero before the convolution, so that padding never reaches a real token.
    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let planes = planes.zero_padding();
        let values = self.conv.forward(planes.values);
        let values = match &self.norm {
            Norm::Batch(norm) => norm.forward(values, pass),
            Norm::Layer(norm) => norm.forward(values),
        };
        let mask = planes.mask.map(|mask| shrink_mask(mask, self.stride[1]));
        Planes {
            values: relu(values),
            mask,
        }
    }
}

/// An output is real where the centre of its kernel is.
fn shrink_mask(mask: Tensor<2, Bool>, stride: usize) -> Tensor<2, Bool> {
    if stride == 1 {
        return mask;
    }
    let length = mask.dims()[1] as i64;
    let centres = Tensor::<1, Int>::arange_step(0..length, stride, &mask.device());
    mask.int().select(1, centres).bool()
}
