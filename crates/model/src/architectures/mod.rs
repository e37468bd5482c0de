//! Public architectures: stems and trunks built from the project's own layers, whose weights are read from checkpoints that
//! others trained.

mod bert;
mod blip;
mod checkpoint;
mod clip;
mod ctranslate2;
mod dinov2;
mod efficientnet;
mod export;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod golden_captions;
#[cfg(test)]
mod golden_chats;
#[cfg(test)]
mod golden_labels;
#[cfg(test)]
mod golden_llava;
#[cfg(test)]
mod golden_pictures;
#[cfg(test)]
mod golden_smolvlm;
#[cfg(test)]
mod golden_t5;
#[cfg(test)]
mod golden_wav2vec2;
mod import;
mod labels;
mod language;
mod llava;
mod preprocessor;
mod prompted;
mod qwen2_5_vl;
mod qwen2_audio;
mod resnet;
pub(crate) mod safetensors;
mod sentences;
mod siglip;
mod smolvlm;
mod t5;
mod torch;
mod towers;
mod vit;
mod wav2vec2;
mod whisper;

pub use bert::{BertStem, BertStemConfig, BertTrunk, BertTrunkConfig, Pool};
pub use checkpoint::{Checkpoint, Target};
pub use efficientnet::{EfficientNetConfig, EfficientNetTrunk};
pub use export::{Export, Kept};
pub use import::Imported;
pub use labels::LabelHead;
pub use language::LanguageHead;
pub use qwen2_5_vl::{QwenVlStem, QwenVlStemConfig, QwenVlTrunk, QwenVlTrunkConfig};
pub use resnet::{ResNetConfig, ResNetTrunk};
pub(crate) use t5::trunk as t5_trunk;
pub use t5::{T5Stem, T5StemConfig};
pub use towers::{
    BlocksConfig, ClipStem, ClipStemConfig, ClipTrunk, ClipTrunkConfig, Resampling, Summary, VitStem, VitStemConfig,
    VitTrunk, VitTrunkConfig,
};
pub use wav2vec2::{TranscriptHead, Wav2Vec2Stem, Wav2Vec2StemConfig, Wav2Vec2Trunk, Wav2Vec2TrunkConfig};
pub use whisper::{WhisperStem, WhisperStemConfig};

use crate::decoder::Vocabulary;
use crate::error::{ModelError, Result};
use crate::fusion::GroundedConfig;
use crate::stems::StemConfig;
use crate::tasks::{AlignLoss, GenerateConfig};
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::VideoConfig;
use std::path::Path;

/// The words of `model_type` in a `config.json` that are known here.
const KNOWN: [&str; 24] = [
    "bert",
    "blip",
    "clip",
    "dinov2",
    "dinov2_with_registers",
    "efficientnet-lite",
    "gpt2",
    "hubert",
    "idefics3",
    "llama",
    "llava",
    "mt5",
    "qwen2",
    "qwen2_5_vl",
    "qwen2_audio",
    "qwen3",
    "resnet",
    "roberta",
    "siglip",
    "smolvlm",
    "t5",
    "vit",
    "wav2vec2",
    "whisper",
];

/// What a checkpoint's `config.json` says of its encoder, and of what reads it.
#[derive(Debug, Clone)]
pub struct Architecture {
    /// None of a language model, which encodes nothing; as the trunk.
    pub stem: Option<StemConfig>,
    pub trunk: Option<TrunkConfig>,
    /// How its inputs are read; of texts everything but the tokenizer.
    pub processor: ProcessorConfig,
    pub head: Head,
    /// The numbers that its tensors hold.
    pub parameters: u128,
    /// Where a tensor of the checkpoint goes.
    place: fn(&str) -> Place,
    /// Whether the original has no such parameter, so that it changes nothing: a map is the identity, a bias zero.
    lacks: fn(&str) -> bool,
}

/// What reads the encoder of a checkpoint.
#[derive(Debug, Clone)]
pub enum Head {
    /// None that is known: the encoding itself is the answer.
    Nothing,
    /// One that tells labels apart, beside the encoding itself.
    Labels(LabelHead),
    /// A decoder that writes a text.
    Text(Box<TextHead>),
    /// A fusion, in which it attends to another encoder.
    Joined(Box<GroundedConfig>),
    /// A decoder that answers a prompt about what it reads in the midst of it.
    Answer(Box<AnswerHead>),
    /// A decoder that goes on with a text.
    Continuation(Box<LanguageHead>),
    /// A second encoder, and a space in which both are compared.
    Aligned(Box<AlignedHead>),
    /// One that tells the letters of a text frame by frame.
    Transcript(Box<TranscriptHead>),
}

/// A decoder of texts, and the tokens that it begins and ends with.
#[derive(Debug, Clone)]
pub struct TextHead {
    pub generate: GenerateConfig,
    pub vocabulary: Vocabulary,
    /// The encoder of another input, which is joined with this one before the decoder reads it.
    pub question: Option<Architecture>,
}

/// A decoder of answers, which reads what it is asked about among the tokens of a prompt.
#[derive(Debug, Clone)]
pub struct AnswerHead {
    pub generate: GenerateConfig,
    pub vocabulary: Vocabulary,
    /// How videos are read, whose frames go through the encoder of pictures.
    pub video: Option<VideoConfig>,
    /// What a configuration calls the token in whose place a prompt has what it asks about.
    pub place_name: &'static str,
    /// Whether tokens stand around the parts of a picture.
    pub is_marked: bool,
}

/// The encoder of another modality, and the space that what both encode is projected to.
#[derive(Debug, Clone)]
pub struct AlignedHead {
    pub other: Architecture,
    /// Of the space.
    pub width: usize,
    /// What it was learnt by.
    pub loss: AlignLoss,
}

impl Head {
    /// The classes of the checkpoint in the order in which its last layer has them here; none where it is the same.
    fn order(&self) -> Option<Vec<usize>> {
        match self {
            Self::Labels(head) => Some(head.order()),
            Self::Transcript(head) => Some(head.order()),
            Self::Nothing
            | Self::Text(_)
            | Self::Joined(_)
            | Self::Answer(_)
            | Self::Continuation(_)
            | Self::Aligned(_) => None,
        }
    }
}

/// Where a tensor of a checkpoint goes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The path of a parameter, from its encoder on.
    Parameter(String),
    /// A parameter of the head, from its output on.
    Head(String),
    /// Parameters of the head in equal parts of the tensor's last axis; a matrix is stored as [input, output].
    Parts(Vec<String>),
    /// Parameters of the encoder in equal parts of the tensor's first axis.
    Rows(Vec<String>),
    /// A parameter of the encoder and one of the head, which may have learnt apart since: then the encoder's has a tensor of its
    /// own.
    Shared {
        encoder: String,
        head: String,
        apart: &'static str,
    },
    /// A part that is not read, such as another head that a model was trained with.
    Unused,
    /// What follows from the configuration, or is read with another encoder of the checkpoint.
    Known,
    Unknown,
}

impl Architecture {
    /// Reads what the `config.json` at `path` says.
    ///
    /// # Errors
    /// For an architecture that is not known here or differs from what it is known as.
    fn read(config: serde_json::Value, path: &Path) -> Result<Self> {
        let wrong = |message: String| ModelError::file(path, message);
        let kind = config
            .get("model_type")
            .and_then(|kind| kind.as_str())
            .unwrap_or_default();
        let kind = kind.to_string();
        match kind.as_str() {
            "bert" | "roberta" => bert::read(&kind, config).map_err(wrong),
            "blip" => blip::read(config).map_err(wrong),
            "clip" => clip::read(config).map_err(wrong),
            "dinov2" | dinov2::REGISTERS => dinov2::read(&kind, config).map_err(wrong),
            "efficientnet-lite" => efficientnet::read(config).map_err(wrong),
            kind if language::KINDS.contains(&kind) => language::read(kind, config).map_err(wrong),
            "llava" => llava::read(config).map_err(wrong),
            "qwen2_5_vl" => qwen2_5_vl::read(config).map_err(wrong),
            "qwen2_audio" => qwen2_audio::read(config).map_err(wrong),
            "resnet" => resnet::read(config).map_err(wrong),
            "siglip" => siglip::read(config).map_err(wrong),
            "idefics3" | "smolvlm" => smolvlm::read(config).map_err(wrong),
            kind if t5::KINDS.contains(&kind) => t5::read(kind, config).map_err(wrong),
            "vit" => vit::read(config).map_err(wrong),
            kind if wav2vec2::KINDS.contains(&kind) => wav2vec2::read(config).map_err(wrong),
            "whisper" => whisper::read(config).map_err(wrong),
            _ => Err(wrong(format!(
                "the architecture `{kind}` is not known; those that are: {}",
                KNOWN.join(", ")
            ))),
        }
    }
}

impl Architecture {
    /// Its encoders: one, or those that are compared or joined.
    pub fn encoders(&self) -> Vec<&Self> {
        match &self.head {
            Head::Aligned(head) => vec![self, &head.other],
            Head::Text(head) => std::iter::once(self).chain(&head.question).collect(),
            Head::Nothing
            | Head::Labels(_)
            | Head::Joined(_)
            | Head::Answer(_)
            | Head::Continuation(_)
            | Head::Transcript(_) => vec![self],
        }
    }

    /// Whether `transformers` has no model of its encoder alone.
    fn needs_head(&self) -> bool {
        let writes = matches!(self.head, Head::Text(_) | Head::Answer(_));
        writes && !matches!(self.trunk, Some(TrunkConfig::T5(_)))
    }

    /// Whether a parameter, from its encoder on, is of a block behind those that are read.
    fn leaves_out(&self, path: &str) -> bool {
        let (Head::Answer(_), Some(TrunkConfig::Vit(trunk))) = (&self.head, &self.trunk) else {
            return false;
        };
        let block = path
            .strip_prefix("trunk.blocks.")
            .and_then(|rest| rest.split('.').next());
        let block = block.and_then(|block| block.parse::<usize>().ok());
        block.is_some_and(|block| block >= trunk.blocks.layers)
    }
}
