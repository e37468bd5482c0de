//! How Qwen2.5-VL begins: each patch of a picture, or of a few frames of a video, becomes a token.

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::tokens::{Layout, Places, Tokens};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_data::processors::FeatureShape;
use sensorium_kernels::{Epilogue, linear_with};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QwenVlStemConfig {
    #[schemars(range(min = 1, max = 65_536))]
    pub width: usize,
}

#[derive(Module, Debug)]
pub struct QwenVlStem {
    /// [width, channels, frames, side, side]
    weight: Param<Tensor<5>>,
}

impl QwenVlStem {
    /// `shape` is that of patches.
    ///
    /// # Errors
    /// For other media.
    pub fn new(config: &QwenVlStemConfig, shape: FeatureShape, init: &Init) -> Result<Self> {
        let FeatureShape::Patches {
            channels, frames, side, ..
        } = shape
        else {
            let message =
                "expected pictures that are cut into patches; set `patches` and `resize = { pixels = [least, most] }`";
            return Err(ModelError::config("stem.kind", message));
        };
        let bound = 1.0 / ((channels * frames * side * side) as f64).sqrt();
        Ok(Self {
            weight: init.uniform("weight", [config.width, channels, frames, side, side], bound),
        })
    }

    pub fn width(&self) -> usize {
        self.weight.dims()[0]
    }

    /// [media, patches, numbers] → [media, patches, width]; see [`Media::Patches`](crate::media::Media::Patches).
    pub fn forward(&self, values: Tensor<3>, mask: Tensor<2, Bool>, square: usize, places: Places) -> Tokens {
        let [_, _, numbers] = values.dims();
        let weight = self.weight.val().reshape([self.width(), numbers]);
        let x = linear_with(values, weight, None, Epilogue::Nothing);
        Tokens::new(x, mask, Layout::Squares { side: square }).with_places(places)
    }
}
