//! A convolutional trunk: stages of strided convolutions with residual blocks (He et al. 2016) on a line, a plane, or
//! the frames of a video, where each is followed by one through time (R(2+1)D, Tran et al. 2018).

use super::Space;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, LayerNorm};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, shrink_mask};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
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
    /// How much each stage shrinks a side; by default 2 on a grid and in frames, 1 on a sequence. Time never shrinks.
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

/// Convolution, normalisation and rectifier; on frames the same again through time, as a residual.
#[derive(Module, Debug)]
struct Unit {
    conv: Conv2d,
    norm: Norm,
    time: Option<Through>,
    #[module(skip)]
    stride: usize,
}

/// A convolution over three neighbours in time.
#[derive(Module, Debug)]
struct Through {
    conv: Conv2d,
    norm: LayerNorm,
}

/// Grids have no padding and take batch statistics; padded tokens would disturb them, so sequences and frames are
/// normalised by token.
#[derive(Module, Debug)]
enum Norm {
    Batch(BatchNorm),
    Layer(LayerNorm),
}

impl CnnTrunk {
    pub fn new(config: &CnnConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
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
            stages.push(Stage::new(config, [channels, output], space, &init));
            channels = output;
        }
        Ok(Self { stages, width })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Folds the tokens into planes once, and returns the smaller grid.
    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        let mut planes = Planes::fold(tokens);
        for stage in &self.stages {
            planes = stage.forward(planes, pass);
        }
        planes.into_tokens()
    }
}

/// Values [batch × frames, height, width, channels]; a line is one plane of height one.
struct Planes {
    values: Tensor<4>,
    mask: Mask,
}

/// What is real: every place of a grid, some places of a line [batch, width], some frames [batch, frames].
enum Mask {
    Plane,
    Line(Tensor<2, Bool>),
    Frames(Tensor<2, Bool>),
}

impl Planes {
    fn fold(tokens: Tokens) -> Self {
        let [batch, length, channels] = tokens.embeddings.dims();
        let ([count, height, width], mask) = match tokens.layout {
            Layout::Sequence => ([batch, 1, length], Mask::Line(tokens.mask)),
            Layout::Grid { height, width } => ([batch, height, width], Mask::Plane),
            Layout::Frames { time, height, width } => {
                let frames = tokens.frame_mask(height * width);
                ([batch * time, height, width], Mask::Frames(frames))
            }
        };
        let values = tokens.embeddings.reshape([count, height, width, channels]);
        Self { values, mask }
    }

    fn zero_padding(self) -> Self {
        let shape = match &self.mask {
            Mask::Plane => return self,
            Mask::Line(mask) => [mask.dims()[0], 1, mask.dims()[1], 1],
            Mask::Frames(mask) => [mask.dims()[0] * mask.dims()[1], 1, 1, 1],
        };
        let (Mask::Line(mask) | Mask::Frames(mask)) = &self.mask else {
            return self;
        };
        let weights = mask.clone().float().reshape(shape);
        Self {
            values: self.values * weights,
            mask: self.mask,
        }
    }

    fn into_tokens(self) -> Tokens {
        let [count, height, width, channels] = self.values.dims();
        match self.mask {
            Mask::Plane => {
                let embeddings = self.values.reshape([count, height * width, channels]);
                Tokens::full(embeddings, Layout::Grid { height, width })
            }
            Mask::Line(mask) => {
                let embeddings = self.values.reshape([count, height * width, channels]);
                Tokens::new(embeddings, mask, Layout::Sequence)
            }
            Mask::Frames(frames) => {
                let [batch, time] = frames.dims();
                let embeddings = self.values.reshape([batch, time * height * width, channels]);
                Tokens::frames(embeddings, &frames, [height, width])
            }
        }
    }
}

impl Stage {
    fn new(config: &CnnConfig, [input, output]: [usize; 2], space: Space, init: &Init) -> Self {
        let stride = config.stride.unwrap_or(if space == Space::Line { 1 } else { 2 });
        let unit = |input, stride, init: &Init| Unit::new([input, output], [config.kernel, stride], space, init);
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
    fn new([input, output]: [usize; 2], [kernel, stride]: [usize; 2], space: Space, init: &Init) -> Self {
        let vertical = |size| if space == Space::Line { 1 } else { size };
        let norm = match space {
            Space::Plane => Norm::Batch(BatchNorm::new(output, &init.at("norm"))),
            Space::Line | Space::Volume => Norm::Layer(LayerNorm::new(output, &init.at("norm"))),
        };
        let kernel = [vertical(kernel), kernel];
        Self {
            conv: Conv2d::new(input, output, kernel, [vertical(stride), stride], &init.at("conv")),
            norm,
            time: (space == Space::Volume).then(|| Through::new(output, &init.at("time"))),
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
        let mask = match planes.mask {
            Mask::Line(mask) => Mask::Line(shrink_mask(mask, self.stride)),
            other => other,
        };
        let planes = Planes {
            values: relu(values),
            mask,
        };
        match &self.time {
            Some(through) => through.forward(planes),
            None => planes,
        }
    }
}

impl Through {
    fn new(width: usize, init: &Init) -> Self {
        Self {
            conv: Conv2d::new(width, width, [3, 1], [1, 1], &init.at("conv")),
            norm: LayerNorm::new(width, &init.at("norm")),
        }
    }

    /// Time is the height, and all places of a frame the width, of one plane for each clip.
    fn forward(&self, planes: Planes) -> Planes {
        let planes = planes.zero_padding();
        let Mask::Frames(frames) = &planes.mask else {
            return planes;
        };
        let [batch, time] = frames.dims();
        let [count, height, width, channels] = planes.values.dims();
        let lines = planes.values.clone().reshape([batch, time, height * width, channels]);
        let change = relu(self.norm.forward(self.conv.forward(lines)));
        Planes {
            values: planes.values + change.reshape([count, height, width, channels]),
            mask: planes.mask,
        }
    }
}
