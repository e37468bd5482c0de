//! Square patches, each projected to one token (Dosovitskiy et al. 2021).

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::Linear;
use crate::tokens::{Layout, Tokens};
use burn::module::Module;
use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PatchConfig {
    /// The side of a patch in pixels; it must divide the picture's height and width.
    #[serde(default = "default_size")]
    #[schemars(range(min = 1, max = 256))]
    pub size: usize,
    /// The width of a token; the trunk's by default.
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<usize>,
}

fn default_size() -> usize {
    8
}

#[derive(Module, Debug)]
pub struct PatchStem {
    projection: Linear,
    size: usize,
}

impl PatchStem {
    /// `shape` is [height, width, channels].
    pub fn new(config: &PatchConfig, shape: [usize; 3], width: usize, init: &Init) -> Result<Self> {
        let [height, columns, channels] = shape;
        let size = config.size;
        if height % size != 0 || columns % size != 0 {
            let message = format!("a patch of {size} does not divide pictures of {height}×{columns}");
            return Err(ModelError::config("stem.size", message));
        }
        let width = config.width.unwrap_or(width);
        let projection = Linear::new(size * size * channels, width, &init.at("projection"));
        Ok(Self { projection, size })
    }

    pub fn width(&self) -> usize {
        self.projection.output_width()
    }

    /// The rows and columns of patches in pictures of [height, width].
    pub fn patches(&self, picture: [usize; 2]) -> [usize; 2] {
        picture.map(|side| side / self.size)
    }

    /// [batch, height, width, channels] → a grid of patches, row by row.
    pub fn forward(&self, pixels: Tensor<4>) -> Tokens {
        let [batch, height, width, channels] = pixels.dims();
        let (size, [rows, columns]) = (self.size, self.patches([height, width]));
        let patches = pixels
            .reshape([batch, rows, size, columns, size * channels])
            .swap_dims(2, 3)
            .reshape([batch, rows * columns, size * size * channels]);
        let layout = Layout::Grid {
            height: rows,
            width: columns,
        };
        Tokens::full(self.projection.forward(patches), layout)
    }
}
