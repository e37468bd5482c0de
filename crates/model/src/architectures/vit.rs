//! ViT (Dosovitskiy et al. 2021), as `transformers` names and configures it.

use super::labels::{LabelHead, OF_PICTURES};
use super::preprocessor::{self, Usual};
use super::towers::{
    BlocksConfig, Pictures, Resampling, Sides, Summary, VIT_LAYERS, VitStemConfig, VitTrunkConfig, in_block,
};
use super::{Architecture, Head, Place};
use crate::layers::Activation;
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::Interpolation;
use serde::Deserialize;

/// What is read of a `config.json`; what it leaves out is as `transformers` has it.
#[derive(Deserialize)]
#[serde(default)]
struct Public {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: String,
    hidden_dropout_prob: f64,
    layer_norm_eps: f64,
    image_size: Sides,
    patch_size: Sides,
    num_channels: usize,
    qkv_bias: bool,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            intermediate_size: 3072,
            hidden_act: "gelu".into(),
            hidden_dropout_prob: 0.0,
            layer_norm_eps: 1e-12,
            image_size: Sides::One(224),
            patch_size: Sides::One(16),
            num_channels: 3,
            qkv_bias: true,
        }
    }
}

impl Public {
    fn blocks(&self) -> Result<BlocksConfig, String> {
        let blocks = BlocksConfig {
            width: self.hidden_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            hidden: self.intermediate_size,
            epsilon: self.layer_norm_eps,
            activation: Activation::named(&self.hidden_act, "hidden_act")?,
            layer_scale: false,
            dropout: self.hidden_dropout_prob,
            drop_path: 0.0,
        };
        blocks.check("")?;
        Ok(blocks)
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Stretch(Interpolation::Bilinear))?;
    let labels = LabelHead::read(&config, OF_PICTURES)?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let pictures = Pictures::new("", public.image_size, public.patch_size, public.num_channels)?;
    pictures.check(&processor)?;
    let trunk = VitTrunkConfig {
        blocks: public.blocks()?,
        grid: pictures.grid(),
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: false,
        summary: Summary::Class,
    };
    let width = public.hidden_size;
    let parameters = pictures.parameters(width).saturating_add(width as u128);
    let lacks: fn(&str) -> bool = match public.qkv_bias {
        true => |_| false,
        false => lacks_bias,
    };
    Ok(Architecture {
        stem: Some(StemConfig::Vit(VitStemConfig {
            size: pictures.patch,
            width,
        })),
        head: labels.map_or(Head::Nothing, Head::Labels),
        parameters: trunk.parameters().saturating_add(parameters),
        trunk: Some(TrunkConfig::Vit(trunk)),
        processor: ProcessorConfig::Image(processor),
        place,
        lacks,
    })
}

/// Whether this is a bias of queries, keys or values.
pub(super) fn lacks_bias(path: &str) -> bool {
    ["query.bias", "key.bias", "value.bias"].iter().any(|bias| {
        path.strip_suffix(bias)
            .is_some_and(|layer| layer.ends_with("attention."))
    })
}

fn place(name: &str) -> Place {
    let name = name.strip_prefix("vit.").unwrap_or(name);
    if let Some(parameter) = name.strip_prefix("classifier.") {
        return Place::Head(format!("output.{parameter}"));
    }
    // What follows the class's state, and what masked pictures were completed with.
    if name.starts_with("pooler.") || name.starts_with("decoder.") {
        return Place::Unused;
    }
    in_tower(name)
}

/// Where a tensor of the tower goes, with the names that DINOv2 has too.
pub(super) fn in_tower(name: &str) -> Place {
    let path = match name {
        "embeddings.mask_token" => return Place::Unused,
        "embeddings.cls_token" => Some("trunk.class".into()),
        "embeddings.register_tokens" => Some("trunk.registers".into()),
        "embeddings.position_embeddings" => Some("trunk.places".into()),
        "embeddings.patch_embeddings.projection.weight" => Some("stem.weight".into()),
        "embeddings.patch_embeddings.projection.bias" => Some("stem.bias".into()),
        "layernorm.weight" => Some("trunk.norm.weight".into()),
        "layernorm.bias" => Some("trunk.norm.bias".into()),
        _ => name
            .strip_prefix("encoder.layer.")
            .and_then(|rest| in_block(rest, &VIT_LAYERS)),
    };
    path.map_or(Place::Unknown, Place::Parameter)
}
