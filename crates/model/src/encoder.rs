//! An encoder: a stem and a trunk, with a learned token for an absent input.

use crate::adapters::LoraConfig;
use crate::architectures::{QwenVlStemConfig, QwenVlTrunkConfig};
use crate::depth::{self, Depth, Freeze};
use crate::error::{ModelError, Result};
use crate::held::HeldIn;
use crate::init::Init;
use crate::media::{Media, row_index};
use crate::parameters::{freeze_parameters, shapes};
use crate::pass::Pass;
use crate::stems::{ConvolutionConfig, EmbeddingConfig, PatchConfig, Stem, StemConfig, TubeletConfig};
use crate::tokens::{Layout, Tokens, plain};
use crate::trunks::{CnnConfig, RnnConfig, Trunk, TrunkConfig};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::InputBatch;
use sensorium_data::processors::FeatureShape;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

/// How an input is encoded; both parts have a default that fits the modality.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EncoderConfig {
    /// How features become tokens: by default `embedding` for text, `convolution` for sound; for an image `pixels` and
    /// for a video `frames` before a `cnn`, `patch` and `tubelet` before any other trunk.
    pub stem: Option<StemConfig>,
    /// What the tokens pass through: by default a `cnn` for images and videos and an `rnn` for text and sound.
    pub trunk: Option<TrunkConfig>,
    /// A checkpoint that others trained, in the place of a stem and a trunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PretrainedConfig>,
    /// The input by whose encoder this one is read, in the place of one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub shares: Option<String>,
}

/// Where the weights of an encoder come from, and whether they are trained further.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PretrainedConfig {
    /// A folder in Hugging Face's layout, relative to the recipe.
    pub pretrained: String,
    /// Whether the weights stay as they are; a number keeps so many of the first blocks, and what lies before them.
    #[serde(default)]
    pub freeze: Freeze,
    /// What the learning rate of the last block is multiplied by, that of the block before it twice, and so on (Clark et al.
    /// 2020; Bao et al. 2022).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub layer_decay: Option<f64>,
    /// Adapters that are trained beside weights that stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// The bits in which the weights of its maps are held in training, where they stay as they are (Dettmers et al. 2023).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<HeldIn>,
}

#[derive(Module, Debug)]
pub struct Encoder {
    stem: Stem,
    trunk: Trunk,
    /// What stands in for an input that a row does not have, [width].
    absent: Param<Tensor<1>>,
    /// Whether stem and trunk stay as they are: then nothing in them is random, and no statistics are taken.
    #[module(skip)]
    frozen: bool,
}

/// The encoded media of an input and the one that each row reads.
#[derive(Debug, Clone)]
pub struct EncodedInput {
    /// Each distinct medium once; none where no row has this input.
    media: Option<Tokens>,
    /// What rows read that do not have this input, [width].
    absent: Tensor<1>,
    medium_of_row: Vec<Option<usize>>,
}

impl EncodedInput {
    /// The same media, read by those rows that are at `rows`.
    pub fn at(&self, rows: &[usize]) -> Self {
        Self {
            media: self.media.clone(),
            absent: self.absent.clone(),
            medium_of_row: rows.iter().map(|&row| self.medium_of_row[row]).collect(),
        }
    }

    /// The tokens of every row; what is absent from all of them is one token long.
    pub fn tokens(self) -> Tokens {
        let Some(media) = self.read() else {
            let [width] = self.absent.dims();
            let token = self.absent.reshape([1, 1, width]);
            let index = row_index(&self.medium_of_row, 0, &plain(&token.device()));
            return Tokens::full(token, Layout::Sequence).select(index);
        };
        let media = media.clone();
        let count = media.embeddings.dims()[0];
        if self.reads_each_once(count) {
            return media;
        }
        let index = row_index(&self.medium_of_row, count, &plain(&self.absent.device()));
        match self.medium_of_row.contains(&None) {
            true => media.append(self.absent).select(index),
            false => media.select(index),
        }
    }

    /// One vector for every row, [rows, width], pooled before the media are spread over the rows.
    pub fn pooled(&self) -> Tensor<2> {
        // Only where it is read: an operation on a parameter that no loss reaches stays in the graph for good.
        let absent = || self.absent.clone().unsqueeze::<2>();
        let vectors = match self.read() {
            None => absent(),
            Some(media) if self.medium_of_row.contains(&None) => Tensor::cat(vec![media.pooled(), absent()], 0),
            Some(media) => media.pooled(),
        };
        let last = vectors.dims()[0];
        if self.reads_each_once(last) {
            return vectors;
        }
        let index = row_index(&self.medium_of_row, last - 1, &plain(&self.absent.device()));
        vectors.select(0, index)
    }

    /// Which rows have this input, [rows, 1]; the others read the absent token.
    pub fn present(&self) -> Tensor<2, Bool> {
        let present: Vec<bool> = self.medium_of_row.iter().map(Option::is_some).collect();
        let rows = present.len();
        Tensor::from_data(TensorData::new(present, [rows, 1]), &plain(&self.absent.device()))
    }

    /// The media, where any of the rows has one.
    fn read(&self) -> Option<&Tokens> {
        let any = self.medium_of_row.iter().any(Option::is_some);
        self.media.as_ref().filter(|_| any)
    }

    /// Whether row after row reads medium after medium, so that nothing needs to be moved.
    fn reads_each_once(&self, count: usize) -> bool {
        let places = self.medium_of_row.iter().enumerate();
        self.medium_of_row.len() == count && places.into_iter().all(|(row, medium)| *medium == Some(row))
    }
}

impl Encoder {
    pub fn new(config: &EncoderConfig, shape: FeatureShape, init: &Init) -> Result<Self> {
        let trunk = config.trunk.clone().unwrap_or_else(|| default_trunk(shape));
        let stem = config.stem.clone().unwrap_or_else(|| default_stem(shape, &trunk));
        let stem = Stem::new(&stem, shape, trunk.input_width(), &init.at("stem"))?;
        let trunk = Trunk::new(&trunk, stem.width(), stem.space(shape), &init.at("trunk"))?;
        let absent = init.normal("absent", [trunk.width()], 1.0);
        let freeze = config
            .encoder
            .as_ref()
            .map_or(Freeze::default(), |encoder| encoder.freeze);
        let frozen = freeze == Freeze::Whole(true);
        let lora = config.encoder.as_ref().and_then(|encoder| encoder.lora.as_ref());
        let (stem, trunk) = match (frozen, lora) {
            (true, _) => (stem.no_grad(), trunk.no_grad()),
            (false, Some(lora)) => (stem.no_grad(), lora.adapt(trunk, &init.at("trunk"))?),
            (false, None) => (stem, trunk),
        };
        let encoder = Self {
            stem,
            trunk,
            absent,
            frozen,
        };
        match freeze {
            Freeze::First(count) => encoder.freeze_first(count),
            Freeze::Whole(_) => Ok(encoder),
        }
    }

    /// With `count` blocks, and what lies before them, that are not trained.
    fn freeze_first(self, count: usize) -> Result<Self> {
        let blocks = depth::blocks(shapes(&self).keys().map(String::as_str));
        if count > blocks {
            let message = format!("expected at most the {blocks} blocks that there are, found {count}");
            return Err(ModelError::config("encoder.freeze", message));
        }
        let within = |path: &str| Depth::of(path).is_some_and(|depth| depth < Depth::Block(count));
        Ok(freeze_parameters(self, within))
    }

    /// The width of the encoded tokens.
    pub fn width(&self) -> usize {
        self.trunk.width()
    }

    /// Its maps are packed: those of a trunk whose weights are not trained, or of any in inference.
    pub fn pack(self, precision: Precision) -> Self {
        Self {
            trunk: self.trunk.pack(precision),
            ..self
        }
    }

    /// Encodes each distinct medium once.
    pub fn forward(&self, input: &InputBatch, pass: &Pass) -> EncodedInput {
        let device = plain(&self.absent.device());
        let evaluation = Pass::evaluation();
        let pass = if self.frozen { &evaluation } else { pass };
        let encode = |collated| {
            self.trunk
                .forward(self.stem.forward(Media::new(collated, &device)), pass)
        };
        EncodedInput {
            media: input.media.as_ref().map(encode),
            absent: self.absent.val(),
            medium_of_row: input.medium_of_row.clone(),
        }
    }
}

fn default_trunk(shape: FeatureShape) -> TrunkConfig {
    match shape {
        FeatureShape::Image { .. } | FeatureShape::Video { .. } => TrunkConfig::Cnn(CnnConfig::default()),
        FeatureShape::Patches { .. } => TrunkConfig::QwenVl(QwenVlTrunkConfig::default()),
        FeatureShape::Text { .. } | FeatureShape::Audio { .. } => TrunkConfig::Rnn(RnnConfig::default()),
    }
}

fn default_stem(shape: FeatureShape, trunk: &TrunkConfig) -> StemConfig {
    match (shape, trunk) {
        (FeatureShape::Text { .. }, _) => StemConfig::Embedding(EmbeddingConfig::default()),
        (FeatureShape::Patches { .. }, trunk) => StemConfig::QwenVl(QwenVlStemConfig {
            width: trunk.input_width(),
        }),
        (FeatureShape::Image { .. }, TrunkConfig::Cnn(_)) => StemConfig::Pixels,
        (FeatureShape::Image { .. }, _) => StemConfig::Patch(PatchConfig { size: 8, width: None }),
        (FeatureShape::Audio { .. }, _) => StemConfig::Convolution(ConvolutionConfig::default()),
        (FeatureShape::Video { .. }, TrunkConfig::Cnn(_)) => StemConfig::Frames,
        (FeatureShape::Video { .. }, _) => StemConfig::Tubelet(TubeletConfig::default()),
    }
}
