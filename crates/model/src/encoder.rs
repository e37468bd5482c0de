//! An encoder: a stem and a trunk, with a learned token for an absent input.

use crate::error::Result;
use crate::init::Init;
use crate::media::{Media, row_index};
use crate::pass::Pass;
use crate::stems::{ConvolutionConfig, EmbeddingConfig, PatchConfig, Stem, StemConfig, TubeletConfig};
use crate::tokens::{Layout, Tokens, plain};
use crate::trunks::{CnnConfig, RnnConfig, Trunk, TrunkConfig};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::InputBatch;
use sensorium_data::processors::FeatureShape;
use serde::{Deserialize, Serialize};

/// How an input is encoded; both parts have a default that fits the modality.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EncoderConfig {
    /// How features become tokens: by default `embedding` for text, `convolution` for sound; for an image `pixels` and
    /// for a video `frames` before a `cnn`, `patch` and `tubelet` before any other trunk.
    pub stem: Option<StemConfig>,
    /// What the tokens pass through: by default a `cnn` for images and videos and an `rnn` for text and sound.
    pub trunk: Option<TrunkConfig>,
}

#[derive(Module, Debug)]
pub struct Encoder {
    stem: Stem,
    trunk: Trunk,
    /// What stands in for an input that a row does not have, [width].
    absent: Param<Tensor<1>>,
}

/// The encoded media of an input and the sequence that each row reads.
#[derive(Debug, Clone)]
pub struct EncodedInput {
    media: Tokens,
    index: Tensor<1, Int>,
    /// [rows, 1], true where a row has this input.
    present: Tensor<2, Bool>,
}

impl EncodedInput {
    /// The tokens of every row.
    pub fn tokens(self) -> Tokens {
        self.media.select(self.index)
    }

    /// One vector for every row, [rows, width], pooled before the media are spread over the rows.
    pub fn pooled(&self) -> Tensor<2> {
        self.media.pooled().select(0, self.index.clone())
    }

    /// Which rows have this input, [rows, 1]; the others read the absent token.
    pub fn present(&self) -> Tensor<2, Bool> {
        self.present.clone()
    }
}

impl Encoder {
    pub fn new(config: &EncoderConfig, shape: FeatureShape, init: &Init) -> Result<Self> {
        let trunk = config.trunk.clone().unwrap_or_else(|| default_trunk(shape));
        let stem = config.stem.clone().unwrap_or_else(|| default_stem(shape, &trunk));
        let stem = Stem::new(&stem, shape, trunk.input_width(), &init.at("stem"))?;
        let trunk = Trunk::new(&trunk, stem.width(), stem.space(shape), &init.at("trunk"))?;
        let absent = init.normal("absent", [trunk.width()], 1.0);
        Ok(Self { stem, trunk, absent })
    }

    /// The width of the encoded tokens.
    pub fn width(&self) -> usize {
        self.trunk.width()
    }

    /// Encodes each distinct medium once and appends the absent token where a row needs it.
    pub fn forward(&self, input: &InputBatch, pass: &Pass) -> EncodedInput {
        let device = plain(&self.absent.device());
        let absent = self.absent.val();
        let present = present(input, &device);
        let Some(collated) = &input.media else {
            let token = absent.reshape([1, 1, self.width()]);
            let media = Tokens::full(token, Layout::Sequence);
            return EncodedInput {
                media,
                index: row_index(input, 0, &device),
                present,
            };
        };
        let media = self
            .trunk
            .forward(self.stem.forward(Media::new(collated, &device)), pass);
        let count = media.embeddings.dims()[0];
        let index = row_index(input, count, &device);
        let needed = input.medium_of_row.iter().any(Option::is_none);
        EncodedInput {
            media: if needed { media.append(absent) } else { media },
            index,
            present,
        }
    }
}

fn present(input: &InputBatch, device: &Device) -> Tensor<2, Bool> {
    let present: Vec<bool> = input.medium_of_row.iter().map(Option::is_some).collect();
    let rows = present.len();
    Tensor::from_data(TensorData::new(present, [rows, 1]), device)
}

fn default_trunk(shape: FeatureShape) -> TrunkConfig {
    match shape {
        FeatureShape::Image { .. } | FeatureShape::Video { .. } => TrunkConfig::Cnn(CnnConfig::default()),
        FeatureShape::Text { .. } | FeatureShape::Audio { .. } => TrunkConfig::Rnn(RnnConfig::default()),
    }
}

fn default_stem(shape: FeatureShape, trunk: &TrunkConfig) -> StemConfig {
    match (shape, trunk) {
        (FeatureShape::Text { .. }, _) => StemConfig::Embedding(EmbeddingConfig::default()),
        (FeatureShape::Image { .. }, TrunkConfig::Cnn(_)) => StemConfig::Pixels,
        (FeatureShape::Image { .. }, _) => StemConfig::Patch(PatchConfig { size: 8, width: None }),
        (FeatureShape::Audio { .. }, _) => StemConfig::Convolution(ConvolutionConfig::default()),
        (FeatureShape::Video { .. }, TrunkConfig::Cnn(_)) => StemConfig::Frames,
        (FeatureShape::Video { .. }, _) => StemConfig::Tubelet(TubeletConfig::default()),
    }
}
