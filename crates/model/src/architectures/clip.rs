//! CLIP (Radford et al. 2021), as `transformers` names and configures it: a tower of pictures and one of texts, and the space
//! that both are projected to.

use super::preprocessor::{self, Usual};
use super::towers::{
    CLIP_LAYERS, ClipStemConfig, ClipTrunkConfig, Pair, Resampling, Summary, VitStemConfig, VitTrunkConfig, in_block,
};
use super::{AlignedHead, Architecture, Head, Place};
use crate::stems::StemConfig;
use crate::tasks::AlignLoss;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TextConfig;
use serde_json::{Value, json};

/// The width of the space where a configuration does not tell.
const SPACE: u64 = 512;

/// What a configuration leaves out is as `transformers` has it.
pub(super) fn usual() -> Value {
    let tower = |width: usize, heads: usize| {
        json!({
            "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": 12, "num_attention_heads": heads,
            "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "vocab_size": 49_408, "max_position_embeddings": 77,
            "num_channels": 3, "image_size": 224, "patch_size": 32
        })
    };
    json!({"text_config": tower(512, 8), "vision_config": tower(768, 12)})
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(mut config: Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Crop)?;
    let pair = Pair::read(&mut config, &usual())?;
    let space = match &config["projection_dim"] {
        Value::Null => Some(SPACE),
        given => given.as_u64().filter(|width| (1..=8192).contains(width)),
    };
    let space =
        space.ok_or_else(|| format!("projection_dim: expected 1 to 8192, found {}", config["projection_dim"]))?;
    let texts = texts(
        &pair,
        ClipTexts {
            causal: true,
            filling: None,
        },
    )?;
    let (pictures, blocks) = (pair.pictures()?, pair.vision()?);
    pictures.check(&processor)?;
    let (width, widths) = (blocks.width, blocks.width.saturating_add(pair.texts()?.width));
    let trunk = VitTrunkConfig {
        blocks,
        grid: pictures.grid(),
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: true,
        summary: Summary::NormalizedClass,
    };
    let parameters = [
        texts.parameters,
        trunk.parameters(),
        pictures.parameters(width),
        u128::from(space).saturating_mul(widths as u128),
        1,
    ];
    Ok(Architecture {
        stem: Some(StemConfig::Vit(VitStemConfig {
            size: pictures.patch,
            width,
        })),
        trunk: Some(TrunkConfig::Vit(trunk)),
        processor: ProcessorConfig::Image(processor),
        head: Head::Aligned(Box::new(AlignedHead {
            other: texts,
            width: space as usize,
            loss: AlignLoss::InfoNce,
        })),
        parameters: parameters.into_iter().fold(0, u128::saturating_add),
        place: in_pictures,
        // The original projects patches and the space without a bias.
        lacks: |path| path.ends_with(".bias") && (path.ends_with("stem.bias") || path.contains(".projections.")),
    })
}

/// In what the towers of texts differ.
pub(super) struct ClipTexts {
    pub causal: bool,
    pub filling: Option<u32>,
}

/// The tower of texts by itself, of CLIP and of SigLIP.
pub(super) fn texts(pair: &Pair, ClipTexts { causal, filling }: ClipTexts) -> Result<Architecture, String> {
    let ([vocabulary, places], blocks) = (pair.vocabulary()?, pair.texts()?);
    let stem = ClipStemConfig {
        vocabulary,
        places,
        width: blocks.width,
        filling,
    };
    let trunk = ClipTrunkConfig { blocks, causal };
    Ok(Architecture {
        parameters: trunk.parameters().saturating_add(stem.parameters()),
        processor: ProcessorConfig::Text(TextConfig {
            max_length: places,
            ..TextConfig::default()
        }),
        stem: Some(StemConfig::Clip(stem)),
        trunk: Some(TrunkConfig::Clip(trunk)),
        head: Head::Nothing,
        place: in_texts,
        lacks: |_| false,
    })
}

fn in_pictures(name: &str) -> Place {
    match name.strip_prefix("vision_model.") {
        Some(name) => in_pictures_alone(name),
        None => in_space(name),
    }
}

/// Where a tensor of the tower of pictures goes, by its name in there.
pub(super) fn in_pictures_alone(name: &str) -> Place {
    let path = match name {
        "embeddings.position_ids" => return Place::Known,
        "embeddings.class_embedding" => Some("trunk.class".into()),
        "pre_layrnorm.weight" => Some("trunk.norm_before.weight".into()),
        "pre_layrnorm.bias" => Some("trunk.norm_before.bias".into()),
        _ => in_tower_of_pictures(name),
    };
    path.map_or(Place::Unknown, Place::Parameter)
}

fn in_space(name: &str) -> Place {
    let path = match name {
        "visual_projection.weight" => "projections.image.weight",
        "text_projection.weight" => "projections.text.weight",
        "logit_scale" => "log_scale",
        _ if name.starts_with("text_model.") => return Place::Known,
        _ => return Place::Unknown,
    };
    Place::Head(path.into())
}

/// What SigLIP has too.
pub(super) fn in_tower_of_pictures(name: &str) -> Option<String> {
    let path = match name {
        "embeddings.patch_embedding.weight" => "stem.weight",
        "embeddings.patch_embedding.bias" => "stem.bias",
        "embeddings.position_embedding.weight" => "trunk.places",
        "post_layernorm.weight" => "trunk.norm.weight",
        "post_layernorm.bias" => "trunk.norm.bias",
        _ => return in_block(name.strip_prefix("encoder.layers.")?, &CLIP_LAYERS),
    };
    Some(path.into())
}

/// Where a tensor goes when texts alone are read, of CLIP and of SigLIP.
pub(super) fn in_texts(name: &str) -> Place {
    let Some(name) = name
        .strip_prefix("text_model.")
        .filter(|name| !name.starts_with("head."))
    else {
        return Place::Known;
    };
    let path = match name {
        "embeddings.position_ids" => return Place::Known,
        "embeddings.token_embedding.weight" => Some("stem.words.weight".into()),
        "embeddings.position_embedding.weight" => Some("stem.places.weight".into()),
        "final_layer_norm.weight" => Some("trunk.norm.weight".into()),
        "final_layer_norm.bias" => Some("trunk.norm.bias".into()),
        _ => name
            .strip_prefix("encoder.layers.")
            .and_then(|rest| in_block(rest, &CLIP_LAYERS)),
    };
    path.map_or(Place::Unknown, Place::Parameter)
}
