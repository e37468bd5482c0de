//! Stems: the first step of an encoder, from a modality's features to tokens.

mod convolution;
mod embedding;
mod frames;
mod patch;
mod pixels;
mod tubelet;

use crate::architectures::{
    BertStem, BertStemConfig, ClipStem, ClipStemConfig, QwenVlStem, QwenVlStemConfig, T5Stem, T5StemConfig, VitStem,
    VitStemConfig, Wav2Vec2Stem, Wav2Vec2StemConfig, WhisperStem, WhisperStemConfig,
};
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::media::Media;
use crate::tokens::Tokens;
use crate::trunks::Space;
use burn::module::Module;
pub use convolution::{ConvolutionConfig, ConvolutionStem};
pub use embedding::{EmbeddingConfig, EmbeddingStem};
pub use frames::FramesStem;
pub use patch::{PatchConfig, PatchStem};
pub use pixels::PixelsStem;
use schemars::JsonSchema;
use sensorium_data::processors::FeatureShape;
use serde::{Deserialize, Serialize};
pub use tubelet::{TubeletConfig, TubeletStem};

/// How features become tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StemConfig {
    /// Image: every pixel is a token of its channels, for convolutional trunks.
    Pixels,
    /// Image: square patches, each projected to one token.
    Patch(PatchConfig),
    /// Image: the patches of ViT, projected by a convolution.
    Vit(VitStemConfig),
    /// Image or video: the patches of Qwen2.5-VL, of pictures of any size.
    #[serde(rename = "qwen2_5_vl")]
    QwenVl(QwenVlStemConfig),
    /// Text: a learned vector for each token of the vocabulary.
    Embedding(EmbeddingConfig),
    /// Text: BERT's vectors for tokens and their places.
    Bert(BertStemConfig),
    /// Text: CLIP's vectors for tokens and their places.
    Clip(ClipStemConfig),
    /// Text: T5's vectors for tokens.
    T5(T5StemConfig),
    /// Audio: strided convolutions over spectra or raw samples.
    Convolution(ConvolutionConfig),
    /// Audio: Whisper's convolutions over a spectrogram.
    Whisper(WhisperStemConfig),
    /// Audio: wav2vec 2.0's convolutions over raw samples.
    #[serde(rename = "wav2vec2")]
    Wav2Vec2(Wav2Vec2StemConfig),
    /// Video: every pixel of every frame is a token of its channels, for convolutional trunks.
    Frames,
    /// Video: blocks of pixels through a few frames, each projected to one token.
    Tubelet(TubeletConfig),
}

#[derive(Module, Debug)]
pub enum Stem {
    Pixels(PixelsStem),
    Patch(PatchStem),
    Vit(VitStem),
    QwenVl(QwenVlStem),
    Embedding(EmbeddingStem),
    Bert(BertStem),
    Clip(ClipStem),
    T5(T5Stem),
    Convolution(ConvolutionStem),
    Whisper(WhisperStem),
    Wav2Vec2(Wav2Vec2Stem),
    Frames(FramesStem),
    Tubelet(TubeletStem),
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
            (
                StemConfig::Vit(vit),
                FeatureShape::Image {
                    height,
                    width,
                    channels,
                },
            ) => Ok(Self::Vit(VitStem::new(vit, [height, width, channels], init)?)),
            (StemConfig::QwenVl(qwen), FeatureShape::Patches { .. }) => {
                Ok(Self::QwenVl(QwenVlStem::new(qwen, shape, init)?))
            }
            (StemConfig::Embedding(embedding), FeatureShape::Text { vocabulary, .. }) => {
                Ok(Self::Embedding(EmbeddingStem::new(embedding, vocabulary, width, init)))
            }
            (StemConfig::Bert(bert), FeatureShape::Text { vocabulary, max_length }) => {
                Ok(Self::Bert(BertStem::new(bert, [vocabulary, max_length], init)?))
            }
            (StemConfig::Clip(clip), FeatureShape::Text { vocabulary, max_length }) => {
                Ok(Self::Clip(ClipStem::new(clip, [vocabulary, max_length], init)?))
            }
            (StemConfig::T5(t5), FeatureShape::Text { vocabulary, .. }) => {
                Ok(Self::T5(T5Stem::new(t5, vocabulary, init)?))
            }
            (StemConfig::Convolution(convolution), FeatureShape::Audio { bins, .. }) => {
                Ok(Self::Convolution(ConvolutionStem::new(convolution, bins, width, init)))
            }
            (StemConfig::Whisper(whisper), FeatureShape::Audio { bins, max_frames }) => {
                Ok(Self::Whisper(WhisperStem::new(whisper, [bins, max_frames], init)?))
            }
            (StemConfig::Wav2Vec2(wav2vec2), FeatureShape::Audio { bins, .. }) => {
                Ok(Self::Wav2Vec2(Wav2Vec2Stem::new(wav2vec2, bins, init)?))
            }
            (StemConfig::Frames, FeatureShape::Video { channels, .. }) => Ok(Self::Frames(FramesStem::new(channels))),
            (
                StemConfig::Tubelet(tubelet),
                FeatureShape::Video {
                    frames,
                    height,
                    width: columns,
                    channels,
                },
            ) => {
                let stem = TubeletStem::new(tubelet, [frames, height, columns, channels], width, init)?;
                Ok(Self::Tubelet(stem))
            }
            _ => Err(ModelError::config("stem", accepted(shape))),
        }
    }

    /// The width of this stem's tokens.
    pub fn width(&self) -> usize {
        match self {
            Self::Pixels(stem) => stem.width(),
            Self::Patch(stem) => stem.width(),
            Self::Vit(stem) => stem.width(),
            Self::QwenVl(stem) => stem.width(),
            Self::Embedding(stem) => stem.width(),
            Self::Bert(stem) => stem.width(),
            Self::Clip(stem) => stem.width(),
            Self::T5(stem) => stem.width(),
            Self::Convolution(stem) => stem.width(),
            Self::Whisper(stem) => stem.width(),
            Self::Wav2Vec2(stem) => stem.width(),
            Self::Frames(stem) => stem.width(),
            Self::Tubelet(stem) => stem.width(),
        }
    }

    /// What the tokens of the largest medium lie on.
    pub fn space(&self, shape: FeatureShape) -> Space {
        match (self, shape) {
            (Self::Pixels(_), FeatureShape::Image { height, width, .. }) => Space::Plane { height, width },
            (Self::Patch(stem), FeatureShape::Image { height, width, .. }) => {
                let [height, width] = stem.patches([height, width]);
                Space::Plane { height, width }
            }
            (Self::Vit(stem), FeatureShape::Image { height, width, .. }) => {
                let [height, width] = stem.patches([height, width]);
                Space::Plane { height, width }
            }
            (Self::QwenVl(_), FeatureShape::Patches { most, .. }) => Space::Squares { length: most },
            (Self::Clip(stem), FeatureShape::Text { .. }) => Space::Line { length: stem.places() },
            (Self::Embedding(_) | Self::Bert(_) | Self::T5(_), FeatureShape::Text { max_length, .. }) => {
                Space::Line { length: max_length }
            }
            (Self::Convolution(stem), FeatureShape::Audio { max_frames, .. }) => Space::Line {
                length: stem.tokens(max_frames),
            },
            (Self::Whisper(stem), FeatureShape::Audio { .. }) => Space::Line { length: stem.places() },
            (Self::Wav2Vec2(stem), FeatureShape::Audio { max_frames, .. }) => Space::Line {
                length: stem.tokens(max_frames),
            },
            (
                Self::Frames(_),
                FeatureShape::Video {
                    frames, height, width, ..
                },
            ) => Space::Volume {
                time: frames,
                height,
                width,
            },
            (
                Self::Tubelet(stem),
                FeatureShape::Video {
                    frames, height, width, ..
                },
            ) => {
                let [time, height, width] = stem.blocks([frames, height, width]);
                Space::Volume { time, height, width }
            }
            _ => unreachable!("a stem is built for the modality of its input"),
        }
    }

    pub fn forward(&self, media: Media) -> Tokens {
        match (self, media) {
            (Self::Pixels(stem), Media::Pixels(pixels)) => stem.forward(pixels),
            (Self::Patch(stem), Media::Pixels(pixels)) => stem.forward(pixels),
            (Self::Vit(stem), Media::Pixels(pixels)) => stem.forward(pixels),
            (Self::Vit(stem), Media::Frames { pixels, mask }) => stem.each(pixels, &mask),
            (
                Self::QwenVl(stem),
                Media::Patches {
                    values,
                    mask,
                    square,
                    places,
                },
            ) => stem.forward(values, mask, square, places),
            (Self::Embedding(stem), Media::Text { tokens, mask }) => stem.forward(tokens, mask),
            (Self::Bert(stem), Media::Text { tokens, mask }) => stem.forward(tokens, mask),
            (Self::Clip(stem), Media::Text { tokens, mask }) => stem.forward(tokens, mask),
            (Self::T5(stem), Media::Text { tokens, mask }) => stem.forward(tokens, mask),
            (Self::Convolution(stem), Media::Sound { values, mask }) => stem.forward(values, mask),
            (Self::Whisper(stem), Media::Sound { values, mask }) => stem.forward(values, mask),
            (Self::Wav2Vec2(stem), Media::Sound { values, mask }) => stem.forward(values, mask),
            (Self::Frames(stem), Media::Frames { pixels, mask }) => stem.forward(pixels, &mask),
            (Self::Tubelet(stem), Media::Frames { pixels, mask }) => stem.forward(pixels, mask),
            _ => unreachable!("a stem is built for the modality of its input"),
        }
    }
}

/// What a recipe may say for these features.
fn accepted(shape: FeatureShape) -> &'static str {
    match shape {
        FeatureShape::Image { .. } => "an image takes the stem `pixels`, `patch` or `vit`",
        FeatureShape::Patches { .. } => "patches of pictures of any size take the stem `qwen2_5_vl`",
        FeatureShape::Text { .. } => "a text takes the stem `embedding`, `bert`, `clip` or `t5`",
        FeatureShape::Audio { .. } => "a sound takes the stem `convolution`, `whisper` or `wav2vec2`",
        FeatureShape::Video { .. } => "a video takes the stem `frames` or `tubelet`",
    }
}
