//! Square patches of pictures, each projected to one token by a convolution (Dosovitskiy et al. 2021).

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::tokens::{Layout, Tokens};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{ConvOptions, conv2d};
use serde::{Deserialize, Serialize};

/// The patches of ViT, as its checkpoints hold their projection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VitStemConfig {
    /// The side of a patch in pixels; what is left over at the right and at the bottom of a picture is not seen.
    #[schemars(range(min = 1, max = 256))]
    pub size: usize,
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
}

#[derive(Module, Debug)]
pub struct VitStem {
    /// [width, channels, size, size]
    weight: Param<Tensor<4>>,
    /// [width]
    bias: Param<Tensor<1>>,
    #[module(skip)]
    size: usize,
}

impl VitStem {
    /// `shape` is [height, width, channels].
    ///
    /// # Errors
    /// For pictures that are smaller than a patch.
    pub fn new(config: &VitStemConfig, [height, columns, channels]: [usize; 3], init: &Init) -> Result<Self> {
        let (size, width) = (config.size, config.width);
        if height < size || columns < size {
            let message = format!("expected pictures of at least {size}×{size} pixels, found {height}×{columns}");
            return Err(ModelError::config("size", message));
        }
        let bound = 1.0 / ((channels * size * size) as f64).sqrt();
        Ok(Self {
            weight: init.uniform("weight", [width, channels, size, size], bound),
            bias: init.uniform("bias", [width], bound),
            size,
        })
    }

    pub fn width(&self) -> usize {
        self.bias.dims()[0]
    }

    /// The rows and columns of whole patches in pictures of [height, width].
    pub fn patches(&self, picture: [usize; 2]) -> [usize; 2] {
        picture.map(|side| side / self.size)
    }

    /// [batch, height, width, channels] → a grid of patches, row by row.
    pub fn forward(&self, pixels: Tensor<4>) -> Tokens {
        let options = ConvOptions {
            stride: [self.size; 2],
            ..ConvOptions::default()
        };
        let planes = conv2d(pixels, self.weight.val(), Some(self.bias.val()), options);
        let [batch, height, width, channels] = planes.dims();
        let embeddings = planes.reshape([batch, height * width, channels]);
        Tokens::full(embeddings, Layout::Grid { height, width })
    }

    /// The same of pictures in tiles and of the frames of videos, [batch, tiles, height, width, channels], of which those are real
    /// that `mask` [batch, tiles] has: as many as there are in the longest row.
    pub fn each(&self, pixels: Tensor<5>, mask: &Tensor<2, Bool>) -> Tokens {
        let [batch, room, height, width, channels] = pixels.dims();
        let real: Vec<bool> = mask.clone().into_data().iter::<bool>().collect();
        let counts = real.chunks(room).map(|row| row.iter().filter(|&&real| real).count());
        let tiles = counts.max().unwrap_or(1);
        let (pixels, mask) = (pixels.narrow(1, 0, tiles), &mask.clone().narrow(1, 0, tiles));
        let tokens = self.forward(pixels.reshape([batch * tiles, height, width, channels]));
        let [_, places, channels] = tokens.embeddings.dims();
        let embeddings = tokens.embeddings.reshape([batch, tiles * places, channels]);
        Tokens::frames(embeddings, mask, self.patches([height, width]))
    }
}
