//! Blocks of pixels through a few frames, each projected to one token (Arnab et al. 2021).

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::Linear;
use crate::tokens::{Tokens, shrink_mask};
use burn::module::Module;
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TubeletConfig {
    /// The side of a block in pixels; it must divide the frames' height and width.
    #[schemars(range(min = 1, max = 256))]
    pub size: usize,
    /// The frames of a block; it must divide the clip's.
    #[schemars(range(min = 1, max = 64))]
    pub frames: usize,
    /// The width of a token; the trunk's by default.
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<usize>,
}

impl Default for TubeletConfig {
    fn default() -> Self {
        Self {
            size: 8,
            frames: 2,
            width: None,
        }
    }
}

#[derive(Module, Debug)]
pub struct TubeletStem {
    projection: Linear,
    size: usize,
    frames: usize,
}

impl TubeletStem {
    /// `shape` is [frames, height, width, channels].
    pub fn new(config: &TubeletConfig, shape: [usize; 4], width: usize, init: &Init) -> Result<Self> {
        let [time, height, columns, channels] = shape;
        let TubeletConfig { size, frames, .. } = *config;
        if height % size != 0 || columns % size != 0 {
            let message = format!("a block of {size} pixels does not divide frames of {height}×{columns}");
            return Err(ModelError::config("stem.size", message));
        }
        if time % frames != 0 {
            let message = format!("a block of {frames} frames does not divide clips of {time}");
            return Err(ModelError::config("stem.frames", message));
        }
        let width = config.width.unwrap_or(width);
        let projection = Linear::new(frames * size * size * channels, width, &init.at("projection"));
        Ok(Self {
            projection,
            size,
            frames,
        })
    }

    pub fn width(&self) -> usize {
        self.projection.output_width()
    }

    /// The times, rows and columns of blocks in clips of [frames, height, width].
    pub fn blocks(&self, [time, height, width]: [usize; 3]) -> [usize; 3] {
        [time.div_ceil(self.frames), height / self.size, width / self.size]
    }

    /// [batch, frames, height, width, channels] → blocks in the order of time, row and column. A block is real where
    /// its first frame is; the frames behind a clip's end are zero.
    pub fn forward(&self, pixels: Tensor<5>, mask: Tensor<2, Bool>) -> Tokens {
        let pixels = self.whole_blocks(pixels);
        let [batch, time, height, width, channels] = pixels.dims();
        let (size, frames) = (self.size, self.frames);
        let [steps, rows, columns] = self.blocks([time, height, width]);
        let blocks = pixels
            .reshape([batch, steps, frames, rows, size, columns, size * channels])
            .permute([0, 1, 3, 5, 2, 4, 6])
            .reshape([batch, steps * rows * columns, frames * size * size * channels]);
        Tokens::frames(
            self.projection.forward(blocks),
            &shrink_mask(mask, frames),
            [rows, columns],
        )
    }

    /// A batch of clips shorter than the recipe's may end inside a block: zeros fill it.
    fn whole_blocks(&self, pixels: Tensor<5>) -> Tensor<5> {
        let [batch, time, height, width, channels] = pixels.dims();
        let missing = time.next_multiple_of(self.frames) - time;
        if missing == 0 {
            return pixels;
        }
        let zeros = Tensor::zeros([batch, missing, height, width, channels], &pixels.device());
        Tensor::cat(vec![pixels, zeros], 1)
    }
}
