//! SigLIP (Zhai et al. 2023), as `transformers` names and configures it: a tower of pictures whose summary is
//! read by attention, and one of texts, which are filled up to one length.

use super::clip::{self, ClipTexts};
use super::preprocessor::{self, Usual};
use super::towers::{Pair, Resampling, Summary, VitStemConfig, VitTrunkConfig};
use super::{AlignedHead, Architecture, Head, Place};
use crate::error::{ModelError, Result};
use crate::stems::StemConfig;
use crate::tasks::AlignLoss;
use crate::trunks::TrunkConfig;
use sensorium_data::processors::{Interpolation, TextConfig};
use sensorium_data::{ProcessorConfig, files};
use serde_json::{Value, json};
use std::path::Path;

/// What texts are filled up with where the folder does not tell.
const FILLING: u32 = 1;
/// The tokenizer of the first version, which takes punctuation out of texts.
const FIRST: &str = "SiglipTokenizer";

/// What a configuration leaves out is as `transformers` has it.
pub(super) fn usual() -> Value {
    let tower = json!({
        "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "vocab_size": 32_000, "max_position_embeddings": 64,
        "num_channels": 3, "image_size": 224, "patch_size": 16
    });
    json!({"text_config": tower, "vision_config": tower})
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(mut config: Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Stretch(Interpolation::Bicubic))?;
    let pair = Pair::read(&mut config, &usual())?;
    if config["vision_config"]["vision_use_head"] == false {
        return Err("vision_config.vision_use_head: expected true, found false, which is not known here".into());
    }
    let filling = config["text_config"]["pad_token_id"].as_u64();
    let filling = filling.and_then(|token| u32::try_from(token).ok()).unwrap_or(FILLING);
    let texts = clip::texts(
        &pair,
        ClipTexts {
            causal: false,
            filling: Some(filling),
        },
    )?;
    let (pictures, blocks) = (pair.pictures()?, pair.vision()?);
    pictures.check(&processor)?;
    let width = blocks.width;
    let own = pair.texts()?.width as u64;
    let space = config["text_config"]["projection_size"].as_u64().unwrap_or(own);
    if space != width as u64 {
        return Err(format!(
            "text_config.projection_size: expected {width}, which is the hidden_size of vision_config, found {space}"
        ));
    }
    let trunk = VitTrunkConfig {
        blocks,
        grid: pictures.grid(),
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: false,
        summary: Summary::Attention,
    };
    let parameters = [
        texts.parameters,
        trunk.parameters(),
        pictures.parameters(width).saturating_add(width as u128),
        u128::from(space).saturating_mul(u128::from(own) + 1),
        2,
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
            width,
            loss: AlignLoss::Sigmoid,
        })),
        parameters: parameters.into_iter().fold(0, u128::saturating_add),
        place: in_pictures,
        // The space is that of the pictures.
        lacks: |path| path.contains(".projections.image."),
    })
}

fn in_pictures(name: &str) -> Place {
    let Some(name) = name.strip_prefix("vision_model.") else {
        return in_space(name);
    };
    let path = match name {
        "embeddings.position_ids" => return Place::Known,
        "head.probe" => Some("trunk.pool.query".into()),
        "head.attention.in_proj_weight" => Some("trunk.pool.input_weight".into()),
        "head.attention.in_proj_bias" => Some("trunk.pool.input_bias".into()),
        _ => match name.strip_prefix("head.") {
            Some(name) => in_pool(name),
            None => clip::in_tower_of_pictures(name),
        },
    };
    path.map_or(Place::Unknown, Place::Parameter)
}

fn in_pool(name: &str) -> Option<String> {
    let (layer, parameter) = name.rsplit_once('.')?;
    let ours = match layer {
        "attention.out_proj" => "output",
        "layernorm" => "norm",
        "mlp.fc1" => "expand",
        "mlp.fc2" => "contract",
        _ => return None,
    };
    Some(format!("trunk.pool.{ours}.{parameter}"))
}

fn in_space(name: &str) -> Place {
    let path = match name {
        "text_model.head.weight" => "projections.text.weight",
        "text_model.head.bias" => "projections.text.bias",
        "logit_scale" => "log_scale",
        "logit_bias" => "bias",
        _ if name.starts_with("text_model.") => return Place::Known,
        _ => return Place::Unknown,
    };
    Place::Head(path.into())
}

/// What the tokenizer in `folder` does before it tokenises, and what it fills texts up with.
///
/// # Errors
/// For files that cannot be read.
pub(super) fn read_texts(folder: &Path, tower: &mut Architecture) -> Result<()> {
    let (Some(StemConfig::Clip(stem)), ProcessorConfig::Text(text)) = (&mut tower.stem, &mut tower.processor) else {
        return Ok(());
    };
    if stem.filling.is_none() {
        return Ok(());
    }
    let settings = content(&folder.join("tokenizer_config.json"))?;
    *text = TextConfig {
        lowercase: Some(true),
        strip_punctuation: settings["tokenizer_class"] == FIRST,
        collapse_whitespace: (settings["tokenizer_class"] == FIRST).then_some(true),
        ..text.clone()
    };
    let padding = &settings["pad_token"];
    let Some(padding) = padding.as_str().or(padding["content"].as_str()) else {
        return Ok(());
    };
    let tokenizer = content(&folder.join("tokenizer.json"))?;
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let found = added.filter(|token| token["content"] == padding);
    let found = found
        .filter_map(|token| u32::try_from(token["id"].as_u64()?).ok())
        .next();
    stem.filling = found.or(stem.filling);
    Ok(())
}

/// The content of a file, null where there is none.
fn content(path: &Path) -> Result<Value> {
    if !path.exists() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&files::read(path)?).map_err(|error| ModelError::file(path, error.to_string()))
}
