//! Stems: the first step of an encoder, from a modality's features to tokens.

mod embedding;
mod patch;
mod pixels;

use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::media::Media;
use crate::tokens::Tokens;
use burn::module::Module;
pub use embedding::{EmbeddingConfig, EmbeddingStem};
pub use patch::{PatchConfig, PatchStem};
pub use pixels::PixelsStem;
use schemars::JsonSchema;
use sensorium_data::processors::FeatureShape;
use serde::{Deserialize, Serialize};

/// How features become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StemConfig {
    /// Image: every pixel is a token of its channels, for convolutional trunks.
    Pixels,
    /// Image: square patches, each projected to one token.
    Patch(PatchConfig),
    /// Text: a learned vector for each token of the vocabulary.
    Embedding(EmbeddingConfig),
}

#[derive(Module, Debug)]
pub enum Stem {
    Pixels(PixelsStem),
    Patch(PatchStem),
    Embedding(EmbeddingStem),
}

impl Stem {
    /// `width` is that of the trunk, taken where the stem has none of its own.
    pub fn new(config: &StemConfig, shape: FeatureShape, width: usize, init: &Init) -> Result<Self> {
        match (config, shape) {
            (StemConfig::Pixels, FeatureShape::Image { channels, .. }) => Ok(Self::Pixels(PixelsStem::new(channels))),
            (
                StemConfig::Patch(patch),
                FeatureShape::Image {
                    height,
                    width: columns,
                    channels,
                },
            ) => {
                let stem = PatchStem::new(patch, [height, columns, channels], width, init)?;
                Ok(Self::Patch(stem))
            }
            (StemConfig::Embedding(embedding), FeatureShape::Text { vocabulary, .. }) => {
                Ok(Self::Embedding(EmbeddingStem::new(embedding, vocabulary, width, init)))
            }
            (StemConfig::Embedding(_), FeatureShape::Image { .. }) => Err(ModelError::config(
                "stem",
                "an image takes the stem `pixels` or `patch`",
            )),
            (_, FeatureShape::Text { .. }) => Err(ModelError::config("stem", "a text takes the stem `embedding`")),
        }
    }

    /// The width of this stem's tokens.
    pub fn width(&self) -> usize {
        match self {
            Self::Pixels(stem) => stem.width(),
            Self::Patch(stem) => stem.width(),
            Self::Embedding(stem) => stem.width(),
        }
    }

    pub fn forward(&self, media: Media) -> Tokens {
        match (self, media) {
            (Self::Pixels(stem), Media::Pixels(pixels)) => stem.forward(pixels),
            (Self::Patch(stem), Media::Pixels(pixels)) => stem.forward(pixels),
            (Self::Embedding(stem), Media::Text { tokens, mask }) => stem.forward(tokens, mask),
            _ => unreachable!("a stem is built for the modality of its input"),
        }
    }
}
