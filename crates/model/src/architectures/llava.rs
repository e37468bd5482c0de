//! LLaVA-1.5 (Liu et al. 2024), as `transformers` names and configures it: CLIP's tower of pictures, two maps, and a language
//! model that reads the patches among the tokens of a prompt.

use super::preprocessor::{self, Usual};
use super::prompted::{self, IMAGE, Medium, PICTURE};
use super::towers::{Pair, Pictures, Resampling, Summary, VitStemConfig, VitTrunkConfig};
use super::{Architecture, Place, clip, language};
use crate::decoder::{PrefixConfig, ProjectorKind};
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::TemplateConfig;
use serde::Deserialize;
use serde_json::{Value, json};

/// What is read of a `config.json` beside its two parts.
#[derive(Deserialize)]
struct Public {
    #[serde(alias = "image_token_id", default = "default_place")]
    image_token_index: u32,
    #[serde(default = "default_layer")]
    vision_feature_layer: Value,
    #[serde(default = "default_strategy")]
    vision_feature_select_strategy: String,
    #[serde(default = "default_activation")]
    projector_hidden_act: String,
    #[serde(default = "default_bias")]
    multimodal_projector_bias: bool,
}

fn default_place() -> u32 {
    32_000
}

fn default_layer() -> Value {
    json!(-2)
}

fn default_strategy() -> String {
    "default".into()
}

fn default_activation() -> String {
    "gelu".into()
}

fn default_bias() -> bool {
    true
}

/// The turns of a dialogue as the chat template of the original sets them, which a text holds itself.
fn template() -> TemplateConfig {
    TemplateConfig {
        asks: "USER:".into(),
        answers: " ASSISTANT:".into(),
        before_picture: " ".into(),
        behind_picture: "\n".into(),
        lists_only: true,
        ..TemplateConfig::default()
    }
}

/// What the part of the language model leaves out is as `transformers` has it.
pub(super) fn usual_texts() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "max_position_embeddings": 2048
    })
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(mut config: Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Crop)?;
    let public: Public = serde_json::from_value(config.clone()).map_err(|error| error.to_string())?;
    public.check()?;
    let (text, tied) = prompted::language_model(&config, usual_texts())?;
    let (trunk, stem, pictures) = pictures(&mut config, &public)?;
    pictures.check(&processor)?;
    let medium = Medium {
        input: IMAGE,
        parameters: trunk.parameters().saturating_add(pictures.parameters(stem.width)),
        width: stem.width,
        processor: ProcessorConfig::Image(processor),
        stem: StemConfig::Vit(stem),
        trunk: TrunkConfig::Vit(trunk),
        projector: PrefixConfig {
            projector: ProjectorKind::Mlp,
            merge: 1,
        },
        is_biased: true,
        template: template(),
        video: None,
        placeholder: PICTURE,
        place: ("image_token_index", public.image_token_index),
        is_marked: false,
        pace: None,
    };
    Ok(Architecture {
        place: if tied { place::<true> } else { place::<false> },
        // The original projects patches without a bias.
        lacks: |path| path.ends_with("stem.bias"),
        ..medium.before(text)?
    })
}

impl Public {
    fn check(&self) -> Result<(), String> {
        let named = [
            (
                "vision_feature_select_strategy",
                &self.vision_feature_select_strategy,
                "default",
            ),
            ("projector_hidden_act", &self.projector_hidden_act, "gelu"),
        ];
        if let Some((name, found, expected)) = named.iter().find(|(_, found, expected)| found != expected) {
            return Err(format!(
                "{name}: expected `{expected}`, found `{found}`, which is not known here"
            ));
        }
        match self.multimodal_projector_bias {
            true => Ok(()),
            false => Err("multimodal_projector_bias: expected true, found false, which is not known here".into()),
        }
    }

    /// How many of all blocks give the states that are read, which are counted from the embeddings on or from the end.
    fn blocks(&self, all: usize) -> Result<usize, String> {
        let states = all as i64 + 1;
        let layer = self.vision_feature_layer.as_i64();
        let place = layer.map(|layer| if layer < 0 { states.saturating_add(layer) } else { layer });
        match place.filter(|place| (1..states).contains(place)) {
            Some(place) => Ok(place as usize),
            None => Err(format!(
                "vision_feature_layer: expected one behind the first block, of {all}, found {}",
                self.vision_feature_layer
            )),
        }
    }
}

/// The tower of pictures, without the blocks behind those that are read.
fn pictures(config: &mut Value, public: &Public) -> Result<(VitTrunkConfig, VitStemConfig, Pictures), String> {
    let kind = &config["vision_config"]["model_type"];
    if !kind.is_null() && *kind != json!("clip_vision_model") {
        return Err(format!(
            "vision_config.model_type: expected `clip_vision_model`, found {kind}"
        ));
    }
    let mut tower = json!({"vision_config": config["vision_config"].take()});
    let pair = Pair::read(&mut tower, &clip::usual())?;
    let (mut blocks, pictures) = (pair.vision()?, pair.pictures()?);
    blocks.layers = public.blocks(blocks.layers)?;
    let stem = VitStemConfig {
        size: pictures.patch,
        width: blocks.width,
    };
    let trunk = VitTrunkConfig {
        blocks,
        grid: pictures.grid(),
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: true,
        summary: Summary::NormalizedClass,
    };
    Ok((trunk, stem, pictures))
}

/// Where a tensor goes, by its old name or its new one; `TIED` where the table of tokens also scores the next one.
fn place<const TIED: bool>(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("vision_tower.") {
        return clip::in_pictures_alone(rest.strip_prefix("vision_model.").unwrap_or(rest));
    }
    if let Some(rest) = name.strip_prefix("multi_modal_projector.") {
        let path = match rest.split_once('.') {
            Some(("linear_1", parameter)) => format!("decoder.projector.input.{parameter}"),
            Some(("linear_2", parameter)) => format!("decoder.projector.output.{parameter}"),
            _ => return Place::Unknown,
        };
        return Place::Head(path);
    }
    language::place_of_llama(TIED, name.strip_prefix("language_model.").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_that_is_read_is_counted_from_either_end() {
        let blocks = |layer: Value| {
            let public: Public = serde_json::from_value(json!({ "vision_feature_layer": layer })).unwrap();
            public.blocks(24).ok()
        };
        assert_eq!(blocks(json!(-2)), Some(23));
        assert_eq!(blocks(json!(-1)), Some(24));
        assert_eq!(blocks(json!(3)), Some(3));
        for wrong in [json!(0), json!(25), json!(-25), json!([-2, -1])] {
            assert_eq!(blocks(wrong.clone()), None, "{wrong}");
        }
    }

    #[test]
    fn old_names_and_new_ones_have_one_place() {
        let check = |names: [&str; 2], expected: Place| {
            for name in names {
                assert_eq!(place::<false>(name), expected, "{name}");
            }
        };
        check(
            [
                "vision_tower.vision_model.post_layernorm.bias",
                "model.vision_tower.post_layernorm.bias",
            ],
            Place::Parameter("trunk.norm.bias".into()),
        );
        check(
            [
                "multi_modal_projector.linear_1.weight",
                "model.multi_modal_projector.linear_1.weight",
            ],
            Place::Head("decoder.projector.input.weight".into()),
        );
        check(
            ["language_model.model.norm.weight", "model.language_model.norm.weight"],
            Place::Head("decoder.body.norm.weight".into()),
        );
        check(
            ["language_model.lm_head.weight", "lm_head.weight"],
            Place::Head("decoder.output.weight".into()),
        );
        assert_eq!(place::<true>("lm_head.weight"), Place::Known);
    }
}
