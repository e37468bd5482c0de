//! LLaVA-1.5 (Liu et al. 2024), as `transformers` names and configures it: CLIP's tower of pictures, two maps, and a language
//! model that reads the patches among the tokens of a prompt.

use super::preprocessor::{self, Usual};
use super::towers::{Pair, Pictures, Resampling, Summary, VitStemConfig, VitTrunkConfig};
use super::{Architecture, Head, Place, TextHead, clip, language};
use crate::decoder::{PrefixConfig, ProjectorKind, ReadsConfig};
use crate::stems::StemConfig;
use crate::tasks::{Asking, GenerateConfig};
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{TemplateConfig, TextConfig, VideoConfig, VideoWords};
use serde::Deserialize;
use serde_json::{Value, json};

/// The input that is asked.
pub(super) const PROMPT: &str = "text";
/// The inputs that it may ask about.
pub(super) const IMAGE: &str = "image";
pub(super) const VIDEO: &str = "video";
/// The name of the token in whose place a prompt has a picture.
pub(super) const PICTURE: &str = "<image>";
/// The most pictures of a row.
pub(super) const MOST_PICTURES: u32 = 64;
/// The language models that are read behind the projector.
const LANGUAGES: [&str; 3] = ["llama", "qwen2", "qwen3"];

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
fn usual_texts() -> Value {
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
    let texts = texts(&mut config)?;
    let tied = texts["tie_word_embeddings"] == json!(true);
    let kind = texts["model_type"].as_str().unwrap_or_default().to_string();
    let text = language::read(&kind, texts)?;
    let (trunk, stem, pictures) = pictures(&mut config, &public)?;
    pictures.check(&processor)?;
    let sight = Sight {
        parameters: [trunk.parameters(), pictures.parameters(stem.width)],
        processor: ProcessorConfig::Image(processor),
        stem,
        trunk,
        projector: PrefixConfig {
            projector: ProjectorKind::Mlp,
            merge: 1,
        },
        template: template(),
        video: None,
        place: public.image_token_index,
    };
    Ok(Architecture {
        place: if tied { place::<true> } else { place::<false> },
        // The original projects patches without a bias.
        lacks: |path| path.ends_with("stem.bias"),
        ..sight.before(text)?
    })
}

/// What a language model sees.
pub(super) struct Sight {
    pub processor: ProcessorConfig,
    pub stem: VitStemConfig,
    pub trunk: VitTrunkConfig,
    pub projector: PrefixConfig,
    /// How the original sets questions.
    pub template: TemplateConfig,
    /// How it reads videos, and the words around them.
    pub video: Option<(VideoConfig, VideoWords)>,
    /// The token in whose place a prompt has the picture.
    pub place: u32,
    /// The parameters of the tower of pictures.
    pub parameters: [u128; 2],
}

impl Sight {
    /// The architecture that reads it among the tokens of a language model's prompt; where its tensors go is still the
    /// language model's.
    pub fn before(self, text: Architecture) -> Result<Architecture, String> {
        let Head::Continuation(head) = text.head else {
            return Err("text_config.model_type: expected a language model".into());
        };
        let head = *head;
        let [tower, pictures] = self.parameters;
        let projector = self.projector_parameters(head.task.decoder.width());
        let parameters = [text.parameters, tower, pictures, projector];
        let (video, words) = self.video.unzip();
        let shows = video.iter().map(|_| VIDEO);
        let generate = GenerateConfig {
            text: TextConfig {
                max_length: head.task.context,
                placeholder: Some(PICTURE.into()),
                template: Some(self.template),
                video: words,
                ..TextConfig::default()
            },
            decoder: head.task.decoder,
            reads: ReadsConfig::Prefix(self.projector),
            prompt: Some(PROMPT.into()),
            label_smoothing: 0.0,
            decoding: head.task.decoding,
            asking: Some(Asking {
                place: self.place,
                frame: None,
                shows: std::iter::once(IMAGE).chain(shows).map(String::from).collect(),
                ends: head.task.tokens.unwrap_or_default().ends,
                marks: None,
            }),
            ..GenerateConfig::default()
        };
        Ok(Architecture {
            stem: Some(StemConfig::Vit(self.stem)),
            trunk: Some(TrunkConfig::Vit(self.trunk)),
            processor: self.processor,
            head: Head::Answer(Box::new(TextHead {
                question: None,
                generate,
                vocabulary: head.vocabulary,
                video,
            })),
            parameters: parameters.into_iter().fold(0, u128::saturating_add),
            ..text
        })
    }

    /// Those of the maps to vectors of `inner` numbers, as published: of one map no bias.
    fn projector_parameters(&self, inner: usize) -> u128 {
        let (inner, merge) = (inner as u128, self.projector.merge as u128);
        let joined = (self.stem.width as u128).saturating_mul(merge * merge);
        match self.projector.projector {
            ProjectorKind::Linear => inner.saturating_mul(joined),
            ProjectorKind::Mlp => inner.saturating_mul(joined + inner + 2),
        }
    }
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

/// What is said of the language model, ends and begins that stand beside it included.
pub(super) fn texts(config: &mut Value) -> Result<Value, String> {
    let mut texts = usual_texts();
    if let (Some(texts), Some(Value::Object(given))) = (texts.as_object_mut(), config.get("text_config")) {
        texts.extend(given.clone());
    }
    for name in ["bos_token_id", "eos_token_id"] {
        if let Some(given) = config.get(name).filter(|given| !given.is_null()) {
            texts[name] = given.clone();
        }
    }
    if config.get("tie_word_embeddings") == Some(&json!(true)) {
        texts["tie_word_embeddings"] = json!(true);
    }
    let kind = texts["model_type"].as_str().unwrap_or_default();
    match LANGUAGES.contains(&kind) {
        true => Ok(texts),
        false => Err(format!(
            "text_config.model_type: expected one of {}, found `{kind}`",
            LANGUAGES.join(", ")
        )),
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
