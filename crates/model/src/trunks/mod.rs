//! Trunks: tokens to tokens, for any stem.

mod cnn;
mod conformer;
#[cfg(test)]
mod golden;
mod planes;
mod rnn;
mod space_time;
mod transformer;

use crate::architectures::{
    BertTrunk, BertTrunkConfig, ClipTrunk, ClipTrunkConfig, EfficientNetConfig, EfficientNetTrunk, QwenVlTrunk,
    QwenVlTrunkConfig, ResNetConfig, ResNetTrunk, VitTrunk, VitTrunkConfig, Wav2Vec2Trunk, Wav2Vec2TrunkConfig,
    t5_trunk,
};
use crate::error::Result;
use crate::init::Init;
use crate::layers::{T5Stack, T5StackConfig};
use crate::pass::Pass;
use crate::tokens::Tokens;
use burn::module::Module;
pub use cnn::{CnnConfig, CnnTrunk};
pub use conformer::{ConformerConfig, ConformerTrunk};
pub(crate) use planes::Planes;
pub use rnn::{RnnConfig, RnnTrunk};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};
pub use space_time::SpaceTime;
pub use transformer::{TransformerConfig, TransformerTrunk};

/// What an encoder is made of after its stem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrunkConfig {
    /// Convolutions over the line, the plane or the frames of tokens.
    Cnn(CnnConfig),
    /// A recurrent network over the tokens in order, over the mean of each frame of a video.
    Rnn(RnnConfig),
    /// Self-attention over all tokens.
    Transformer(TransformerConfig),
    /// Self-attention and convolution over the tokens of a sound or a text.
    Conformer(ConformerConfig),
    /// BERT's blocks, behind its stem.
    Bert(BertTrunkConfig),
    /// CLIP's blocks over a text, behind its stem.
    Clip(ClipTrunkConfig),
    /// ViT's blocks over the patches of a picture, behind its stem.
    Vit(VitTrunkConfig),
    /// Qwen2.5-VL's blocks over the patches of pictures of any size, behind its stem.
    #[serde(rename = "qwen2_5_vl")]
    QwenVl(QwenVlTrunkConfig),
    /// EfficientNet-lite, behind the pixels of pictures.
    EfficientNet(EfficientNetConfig),
    /// ResNet, behind the pixels of pictures.
    ResNet(ResNetConfig),
    /// wav2vec 2.0's blocks over a sequence, behind its stem or another one.
    #[serde(rename = "wav2vec2")]
    Wav2Vec2(Wav2Vec2TrunkConfig),
    /// T5's encoder, behind its stem or another one.
    T5(T5StackConfig),
}

/// What the tokens of an encoder lie on, at its largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Line {
        length: usize,
    },
    Plane {
        height: usize,
        width: usize,
    },
    /// The patches of pictures of any size, square by square.
    Squares {
        length: usize,
    },
    /// Planes in the order of time.
    Volume {
        time: usize,
        height: usize,
        width: usize,
    },
}

impl Space {
    pub fn is_line(self) -> bool {
        matches!(self, Self::Line { .. })
    }

    /// Its axes, the slowest first.
    pub fn extents(self) -> Vec<usize> {
        match self {
            Self::Line { length } | Self::Squares { length } => vec![length],
            Self::Plane { height, width } => vec![height, width],
            Self::Volume { time, height, width } => vec![time, height, width],
        }
    }
}

#[derive(Module, Debug)]
pub enum Trunk {
    Cnn(CnnTrunk),
    Rnn(RnnTrunk),
    Transformer(TransformerTrunk),
    Conformer(ConformerTrunk),
    Bert(BertTrunk),
    Clip(ClipTrunk),
    Vit(VitTrunk),
    QwenVl(QwenVlTrunk),
    EfficientNet(EfficientNetTrunk),
    ResNet(ResNetTrunk),
    Wav2Vec2(Wav2Vec2Trunk),
    T5(T5Stack),
}

impl TrunkConfig {
    /// The width that this trunk would like its stem to have.
    pub fn input_width(&self) -> usize {
        match self {
            Self::Cnn(config) => config.stages[0],
            Self::Rnn(config) => config.width,
            Self::Transformer(config) => config.width,
            Self::Conformer(config) => config.width,
            Self::Bert(config) => config.width,
            Self::Clip(config) => config.blocks.width,
            Self::Vit(config) => config.blocks.width,
            Self::QwenVl(config) => config.width,
            Self::EfficientNet(_) => EfficientNetConfig::COLORS,
            Self::ResNet(_) => ResNetConfig::COLORS,
            Self::Wav2Vec2(config) => config.width,
            Self::T5(config) => config.width,
        }
    }
}

impl Trunk {
    /// `input` is the stem's width; `space` says what its tokens lie on.
    pub fn new(config: &TrunkConfig, input: usize, space: Space, init: &Init) -> Result<Self> {
        match config {
            TrunkConfig::Cnn(config) => Ok(Self::Cnn(CnnTrunk::new(config, input, space, init)?)),
            TrunkConfig::Rnn(config) => Ok(Self::Rnn(RnnTrunk::new(config, input, init))),
            TrunkConfig::Transformer(config) => {
                let trunk = TransformerTrunk::new(config, input, space, init)?;
                Ok(Self::Transformer(trunk))
            }
            TrunkConfig::Conformer(config) => Ok(Self::Conformer(ConformerTrunk::new(config, input, space, init)?)),
            TrunkConfig::Bert(config) => Ok(Self::Bert(BertTrunk::new(config, input, init)?)),
            TrunkConfig::Clip(config) => Ok(Self::Clip(ClipTrunk::new(config, input, space, init)?)),
            TrunkConfig::Vit(config) => Ok(Self::Vit(VitTrunk::new(config, input, space, init)?)),
            TrunkConfig::QwenVl(config) => Ok(Self::QwenVl(QwenVlTrunk::new(config, input, space, init)?)),
            TrunkConfig::EfficientNet(config) => {
                Ok(Self::EfficientNet(EfficientNetTrunk::new(config, input, space, init)?))
            }
            TrunkConfig::ResNet(config) => Ok(Self::ResNet(ResNetTrunk::new(config, input, space, init)?)),
            TrunkConfig::Wav2Vec2(config) => Ok(Self::Wav2Vec2(Wav2Vec2Trunk::new(config, input, space, init)?)),
            TrunkConfig::T5(config) => Ok(Self::T5(t5_trunk(config, input, space, init)?)),
        }
    }

    /// The width of this trunk's tokens.
    pub fn width(&self) -> usize {
        match self {
            Self::Cnn(trunk) => trunk.width(),
            Self::Rnn(trunk) => trunk.width(),
            Self::Transformer(trunk) => trunk.width(),
            Self::Conformer(trunk) => trunk.width(),
            Self::Bert(trunk) => trunk.width(),
            Self::Clip(trunk) => trunk.width(),
            Self::Vit(trunk) => trunk.width(),
            Self::QwenVl(trunk) => trunk.width(),
            Self::EfficientNet(trunk) => trunk.width(),
            Self::ResNet(trunk) => trunk.width(),
            Self::Wav2Vec2(trunk) => trunk.width(),
            Self::T5(trunk) => trunk.width(),
        }
    }

    /// Prepared for inference, as far as it is made of maps.
    pub fn pack(self, precision: Precision) -> Self {
        match self {
            Self::Transformer(trunk) => Self::Transformer(trunk.pack(precision)),
            Self::Bert(trunk) => Self::Bert(trunk.pack(precision)),
            Self::Clip(trunk) => Self::Clip(trunk.pack(precision)),
            Self::Vit(trunk) => Self::Vit(trunk.pack(precision)),
            Self::QwenVl(trunk) => Self::QwenVl(trunk.pack(precision)),
            Self::Wav2Vec2(trunk) => Self::Wav2Vec2(trunk.pack(precision)),
            Self::T5(trunk) => Self::T5(trunk.pack(precision)),
            other => other,
        }
    }

    pub fn forward(&self, tokens: Tokens, pass: &Pass) -> Tokens {
        match self {
            Self::Cnn(trunk) => trunk.forward(tokens, pass),
            Self::Rnn(trunk) => trunk.forward(tokens, pass),
            Self::Transformer(trunk) => trunk.forward(tokens, pass),
            Self::Conformer(trunk) => trunk.forward(tokens, pass),
            Self::Bert(trunk) => trunk.forward(tokens, pass),
            Self::Clip(trunk) => trunk.forward(tokens, pass),
            Self::Vit(trunk) => trunk.forward(tokens, pass),
            Self::QwenVl(trunk) => trunk.forward(tokens, pass),
            Self::EfficientNet(trunk) => trunk.forward(tokens, pass),
            Self::ResNet(trunk) => trunk.forward(tokens, pass),
            Self::Wav2Vec2(trunk) => trunk.forward(tokens, pass),
            Self::T5(trunk) => trunk.encode(tokens, pass),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;
    use crate::tokens::Layout;
    use burn::tensor::{Device, Tensor};
    use serde_json::{Value, json};

    const LENGTH: usize = 9;
    const WIDTH: usize = 6;
    const CHANGED: usize = 5;

    fn trunk(config: Value, space: Space) -> Result<Trunk> {
        let config = serde_json::from_value(config).unwrap();
        Trunk::new(&config, WIDTH, space, &Init::new(1, &Device::flex()))
    }

    /// How far each token of a sequence moves when one of them changes.
    fn moved(config: &Value) -> Vec<f32> {
        let trunk = trunk(config.clone(), Space::Line { length: LENGTH }).unwrap();
        let states = |change: f32| {
            let value = |place: usize| {
                let change = if place / WIDTH == CHANGED { change } else { 0.0 };
                (place as f32 * 0.7).sin() + change * (place as f32).cos()
            };
            let values: Vec<f32> = (0..LENGTH * WIDTH).map(value).collect();
            let x = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([1, LENGTH, WIDTH]);
            trunk.forward(Tokens::full(x, Layout::Sequence), &Pass::evaluation())
        };
        let change = (states(1.0).embeddings - states(0.0).embeddings).abs().max_dim(2);
        to_vec(change)
    }

    fn check_order(config: Value, causal: bool) {
        let moved = moved(&config);
        let unmoved = moved[..CHANGED].iter().all(|change| *change < 1e-6);
        assert_eq!(unmoved, causal, "{config}: {moved:?}");
        assert!(moved[CHANGED] > 1e-3, "{config}: {moved:?}");
    }

    #[test]
    fn no_token_of_a_causal_trunk_sees_a_later_one() {
        for cell in ["gru", "lstm"] {
            let rnn = |both| json!({"kind": "rnn", "cell": cell, "width": 4, "layers": 2, "bidirectional": both});
            check_order(rnn(false), true);
            check_order(rnn(true), false);
        }
        for positions in ["sinusoidal", "learned", "rotary"] {
            let transformer = |causal: bool| {
                let mut config = json!({"kind": "transformer", "width": 8, "heads": 2, "causal": causal});
                config["positions"] = json!(positions);
                config
            };
            check_order(transformer(true), true);
            check_order(transformer(false), false);
        }
    }

    fn check_refused(config: Value, space: Space, expected: &str) {
        let found = trunk(config.clone(), space).map(|_| ()).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{config}: {found}");
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_a_reason() {
        let line = Space::Line { length: LENGTH };
        let plane = Space::Plane { height: 2, width: 2 };
        let volume = Space::Volume {
            time: 2,
            height: 2,
            width: 2,
        };
        let transformer = |key: &str, value: Value| json!({"kind": "transformer", "width": 8, "heads": 2, key: value});
        check_refused(
            transformer("heads", json!(3)),
            line,
            "trunk.heads: 3 heads do not divide",
        );
        check_refused(
            transformer("causal", json!(true)),
            plane,
            "trunk.causal: only a text or a sound",
        );
        let factorised = transformer("space_time", json!("factorised"));
        check_refused(
            factorised.clone(),
            line,
            "trunk.space_time: `factorised` attention is for",
        );
        assert!(trunk(factorised, volume).is_ok());
        let rotary = transformer("positions", json!("rotary"));
        assert!(trunk(rotary.clone(), line).is_ok() && trunk(rotary.clone(), plane).is_ok());
        check_refused(rotary, volume, "trunk.heads: rotary positions turn pairs");
        let conformer = |key: &str, value: Value| json!({"kind": "conformer", "width": 8, "heads": 2, key: value});
        check_refused(
            conformer("layers", json!(1)),
            plane,
            "trunk.kind: a conformer convolves along a sequence",
        );
        check_refused(
            conformer("kernel", json!(4)),
            line,
            "trunk.kernel: the kernel must be odd",
        );
        check_refused(
            conformer("heads", json!(8)),
            line,
            "trunk.heads: rotary positions turn pairs",
        );
        check_refused(
            json!({"kind": "cnn", "kernel": 2}),
            line,
            "trunk.kernel: the side of a kernel must be odd",
        );
    }
}
