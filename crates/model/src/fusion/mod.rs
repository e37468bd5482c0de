//! Fusion: the tokens of all inputs joined into one sequence with a summary.

mod adapter;
mod bottleneck;
mod branch;
mod concat;
mod cross_attention;
mod gated;
mod grounded;
mod late;

use crate::encoder::EncodedInput;
use crate::error::Result;
use crate::init::Init;
use crate::pass::Pass;
use crate::tokens::Tokens;
pub use bottleneck::{BottleneckConfig, BottleneckFusion};
use burn::module::Module;
pub use concat::ConcatFusion;
pub use cross_attention::{CrossAttentionConfig, CrossAttentionFusion};
pub use gated::{GatedConfig, GatedFusion};
pub use grounded::{GroundedConfig, GroundedFusion};
pub use late::{LateConfig, LateFusion};
use schemars::JsonSchema;
use sensorium_kernels::Precision;
use serde::{Deserialize, Serialize};

use crate::trunks::TransformerConfig;

/// Which inputs are joined, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JoinConfig {
    /// The inputs that are joined; all of them by default. Those that only outputs with a source of their own read are
    /// better left out where rows of several sets have different inputs.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Vec<String>>,
    #[serde(flatten)]
    pub kind: FusionConfig,
}

/// How inputs are joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FusionConfig {
    /// One Transformer over the tokens of all inputs.
    Concat(TransformerConfig),
    /// The product of one vector from each input.
    Gated(GatedConfig),
    /// One input attends to the others.
    CrossAttention(CrossAttentionConfig),
    /// One input attends to itself and to another one in each block, as the questions of BLIP.
    Grounded(GroundedConfig),
    /// A few learned latents read all inputs.
    Bottleneck(BottleneckConfig),
    /// No exchange before an output's head: the mean of one vector from each input that a row has.
    Late(LateConfig),
}

impl Default for FusionConfig {
    fn default() -> Self {
        Self::Concat(TransformerConfig::default())
    }
}

impl FusionConfig {
    /// Whether a row comes out as one token, and not as a sequence.
    pub fn is_one_token(&self) -> bool {
        match self {
            Self::Gated(_) | Self::Late(_) => true,
            Self::Concat(_) | Self::CrossAttention(_) | Self::Grounded(_) | Self::Bottleneck(_) => false,
        }
    }
}

#[derive(Module, Debug)]
pub enum Fusion {
    Concat(ConcatFusion),
    Gated(GatedFusion),
    CrossAttention(CrossAttentionFusion),
    Grounded(GroundedFusion),
    Bottleneck(BottleneckFusion),
    Late(LateFusion),
}

impl Fusion {
    /// `inputs` are the names and widths of the encoders, in order; `texts` names those that are text.
    pub fn new(config: &FusionConfig, inputs: &[(&str, usize)], texts: &[&str], init: &Init) -> Result<Self> {
        match config {
            FusionConfig::Concat(config) => Ok(Self::Concat(ConcatFusion::new(config, inputs, init)?)),
            FusionConfig::Gated(config) => Ok(Self::Gated(GatedFusion::new(config, inputs, init))),
            FusionConfig::CrossAttention(config) => {
                let fusion = CrossAttentionFusion::new(config, inputs, texts, init)?;
                Ok(Self::CrossAttention(fusion))
            }
            FusionConfig::Grounded(config) => {
                let fusion = GroundedFusion::new(config, inputs, texts, init)?;
                Ok(Self::Grounded(fusion))
            }
            FusionConfig::Bottleneck(config) => Ok(Self::Bottleneck(BottleneckFusion::new(config, inputs, init)?)),
            FusionConfig::Late(config) => Ok(Self::Late(LateFusion::new(config, inputs, init))),
        }
    }

    pub fn width(&self) -> usize {
        match self {
            Self::Concat(fusion) => fusion.width(),
            Self::Gated(fusion) => fusion.width(),
            Self::CrossAttention(fusion) => fusion.width(),
            Self::Grounded(fusion) => fusion.width(),
            Self::Bottleneck(fusion) => fusion.width(),
            Self::Late(fusion) => fusion.width(),
        }
    }

    /// Prepared for inference, where it may be as large as an encoder.
    pub fn pack(self, precision: Precision) -> Self {
        match self {
            Self::Grounded(fusion) => Self::Grounded(fusion.pack(precision)),
            other => other,
        }
    }

    /// `inputs` in the order in which the fusion was built.
    pub fn forward(&self, inputs: Vec<EncodedInput>, pass: &Pass) -> Tokens {
        match self {
            Self::Concat(fusion) => fusion.forward(inputs, pass),
            Self::Gated(fusion) => fusion.forward(&inputs, pass),
            Self::CrossAttention(fusion) => fusion.forward(inputs, pass),
            Self::Grounded(fusion) => fusion.forward(inputs, pass),
            Self::Bottleneck(fusion) => fusion.forward(inputs, pass),
            Self::Late(fusion) => fusion.forward(&inputs, pass),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use serde_json::{Value, json};

    fn check_refused(kind: &str, key: &str, value: Value, inputs: &[(&str, usize)], expected: &str) {
        let config = json!({"kind": kind, "width": 8, "heads": 2, key: value});
        let config: FusionConfig = serde_json::from_value(config).unwrap();
        let built = Fusion::new(&config, inputs, &[], &Init::new(1, &Device::flex()));
        let found = built.map(|_| ()).unwrap_err().to_string();
        assert!(found.starts_with(expected), "{kind}: {found}");
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_a_reason() {
        let two = [("image", 3), ("text", 4)];
        for kind in ["concat", "cross_attention", "bottleneck"] {
            check_refused(kind, "heads", json!(3), &two, "fusion.heads: 3 heads do not divide");
            let learned = "fusion.positions: a fusion takes `sinusoidal` or `rotary`";
            check_refused(kind, "positions", json!("learned"), &two, learned);
            let rotary = "fusion.heads: rotary positions turn pairs";
            check_refused(kind, "positions", json!("rotary"), &two, rotary);
            check_refused(
                kind,
                "causal",
                json!(true),
                &two,
                "fusion.causal: the tokens of several inputs",
            );
            let factorised = "fusion.space_time: the tokens of several inputs";
            check_refused(kind, "space_time", json!("factorised"), &two, factorised);
        }
        let alone = "fusion.kind: cross_attention joins at least two inputs";
        check_refused("cross_attention", "layers", json!(1), &two[..1], alone);
        let three = [("image", 4), ("sound", 4), ("text", 4)];
        for inputs in [&two[..1], &three] {
            check_refused(
                "grounded",
                "layers",
                json!(1),
                inputs,
                "fusion.kind: grounded joins two inputs",
            );
        }
        let text = "fusion.heads: 3 heads do not divide the width of `image`, 4";
        check_refused("grounded", "heads", json!(3), &three[..2], text);
        check_refused(
            "cross_attention",
            "query",
            json!("sound"),
            &two,
            "fusion.query: no input is called",
        );
    }
}
