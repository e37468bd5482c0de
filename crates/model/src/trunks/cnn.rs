//! A convolutional trunk: stages of strided convolutions with residual blocks (He et al. 2016) on a line, a plane, or
//! the frames of a video, where each is followed by one through time (R(2+1)D, Tran et al. 2018).

use super::Space;
use super::planes::{Mask, Planes};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{BatchNorm, Conv2d, Dropout, LayerNorm, Rates};
use crate::pass::Pass;
use crate::tokens::{Tokens, shrink_mask};
use burn::module::Module;
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
    /// How much each stage shrinks a side: by default 2 on a grid and in frames, while a sequence keeps its length (1).
    /// The time of a video never shrinks.
    #[schemars(range(min = 1, max = 8))]
    pub stride: Option<usize>,
    /// What is normalised after each convolution: by default the batch on a grid, the channels of each place (`layer`)
    /// on a sequence and in frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormKind>,
    /// Dropout of what each stage computes.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub dropout: f64,
    /// Stochastic depth: the probability that a sample goes past the last residual block; it grows linearly up to
    /// there.
    #[schemars(range(min = 0.0, max = 0.95))]
    pub drop_path: f64,
}

/// What a normalisation measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Each channel over the batch, without what is padding (Ioffe and Szegedy 2015).
    Batch,
    /// The channels of each place (Ba et al. 2016).
    Layer,
}

impl Default for CnnConfig {
    fn default() -> Self {
        Self {
            stages: vec![32, 64, 128],
            blocks: 1,
            kernel: 3,
            stride: None,
            norm: None,
            dropout: 0.0,
            drop_path: 0.0,
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
    /// Stochastic depth around each block.
    paths: Vec<Dropout>,
    dropout: Dropout,
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
    norm: Norm,
}

#[derive(Module, Debug)]
enum Norm {
    Batch(BatchNorm),
    Layer(LayerNorm),
}

impl Norm {
    fn new(kind: NormKind, width: usize, init: &Init) -> Self {
        match kind {
            NormKind::Batch => Self::Batch(BatchNorm::new(width, init)),
            NormKind::Layer => Self::Layer(LayerNorm::new(width, init)),
        }
    }

    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        match self {
            Self::Layer(norm) => planes.map(|values| norm.forward(values)),
            Self::Batch(norm) if pass.is_training() => planes.map_real(|values| norm.forward(values, pass)),
            Self::Batch(norm) => planes.map(|values| norm.forward(values, pass)),
        }
    }
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
            stages.push(Stage::new(config, index, channels, space, init));
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

impl Stage {
    /// The stage `index`, over `input` channels.
    fn new(config: &CnnConfig, index: usize, input: usize, space: Space, init: &Init) -> Self {
        let (init, output) = (init.at("stages").at(index), config.stages[index]);
        let stride = config.stride.unwrap_or(if space.is_line() { 1 } else { 2 });
        let norm = config.norm.unwrap_or(match space {
            Space::Plane { .. } => NormKind::Batch,
            Space::Line { .. } | Space::Squares { .. } | Space::Volume { .. } => NormKind::Layer,
        });
        let unit =
            |input, stride, init: &Init| Unit::new([input, output], [config.kernel, stride], (space, norm), init);
        let blocks = config.blocks.saturating_sub(1);
        let rates = Rates {
            dropout: 0.0,
            drop_path: config.drop_path,
        };
        let path = |block: usize| {
            let rates = rates.of_layer(index * blocks + block, config.stages.len() * blocks);
            Dropout::new(rates, &init.at("paths").at(block))
        };
        Self {
            shrink: unit(input, stride, &init.at("shrink")),
            blocks: (0..blocks)
                .map(|block| unit(output, 1, &init.at("blocks").at(block)))
                .collect(),
            paths: (0..blocks).map(path).collect(),
            dropout: Dropout::new(config.dropout, &init.at("dropout")),
        }
    }

    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let mut planes = self.shrink.forward(planes, pass);
        for (block, path) in self.blocks.iter().zip(&self.paths) {
            let before = planes.values.clone();
            planes = Planes::change(before, block.forward(planes, pass), path, pass);
        }
        Planes {
            values: self.dropout.forward(planes.values, pass),
            ..planes
        }
    }
}

impl Unit {
    fn new(
        [input, output]: [usize; 2],
        [kernel, stride]: [usize; 2],
        (space, norm): (Space, NormKind),
        init: &Init,
    ) -> Self {
        let vertical = |size| if space.is_line() { 1 } else { size };
        let kernel = [vertical(kernel), kernel];
        let through = || Through::new(output, norm, &init.at("time"));
        Self {
            conv: Conv2d::new(input, output, kernel, [vertical(stride), stride], &init.at("conv")),
            norm: Norm::new(norm, output, &init.at("norm")),
            time: matches!(space, Space::Volume { .. }).then(through),
            stride,
        }
    }

    /// Masked positions are zero before the convolution, so that padding never reaches a real token.
    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let planes = planes.zero_padding().map(|values| self.conv.forward(values));
        let mask = match planes.mask {
            Mask::Line(mask) => Mask::Line(shrink_mask(mask, self.stride)),
            other => other,
        };
        let planes = self.norm.forward(Planes { mask, ..planes }, pass).map(relu);
        match &self.time {
            Some(through) => through.forward(planes, pass),
            None => planes,
        }
    }
}

impl Through {
    fn new(width: usize, norm: NormKind, init: &Init) -> Self {
        Self {
            conv: Conv2d::new(width, width, [3, 1], [1, 1], &init.at("conv")),
            norm: Norm::new(norm, width, &init.at("norm")),
        }
    }

    /// Time is the height, and all places of a frame the width, of one plane for each clip.
    fn forward(&self, planes: Planes, pass: &Pass) -> Planes {
        let planes = planes.zero_padding();
        let Mask::Frames(frames) = &planes.mask else {
            return planes;
        };
        let [batch, time] = frames.dims();
        let [count, height, width, channels] = planes.values.dims();
        let before = planes.values.clone();
        let changed = planes.map(|values| {
            let lines = values.reshape([batch, time, height * width, channels]);
            self.conv.forward(lines).reshape([count, height, width, channels])
        });
        self.norm.forward(changed, pass).map(|change| before + relu(change))
    }
}
