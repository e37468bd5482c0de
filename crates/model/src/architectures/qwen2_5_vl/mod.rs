//! Qwen2.5-VL (Bai et al. 2025), as `transformers` names and configures it: a tower over the patches of pictures and videos of any
//! size, of which squares are joined and mapped, and a language model whose queries and keys turn by where these stand.

mod preprocessor;
mod stem;
mod trunk;
mod windows;

pub use stem::{QwenVlStem, QwenVlStemConfig};
pub use trunk::{QwenVlTrunk, QwenVlTrunkConfig};

use super::prompted::{self, IMAGE, Medium};
use super::{Architecture, Head, Place, language};
use crate::decoder::{DecoderConfig, PrefixConfig, ProjectorKind};
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{PatchesConfig, TemplateConfig, VideoWords};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The names of the tokens in whose places a prompt has pictures and videos.
const PICTURE: &str = "<|image_pad|>";
const VIDEO: &str = "<|video_pad|>";
/// What configurations call the parts; older ones of the tower, and those of a language model that is no part of its own.
const TOWERS: [&str; 2] = ["qwen2_5_vl_vision", "qwen2_5_vl"];
const TEXTS: [&str; 2] = ["qwen2_5_vl_text", "qwen2_5_vl"];
/// What the tower adds to the mean square in each normalisation.
const EPSILON: f64 = 1e-6;
/// The largest sides of patches, in pixels, and of their squares, in patches, and the most frames of one.
const LARGEST_PATCH: usize = 256;
const LARGEST_SQUARE: usize = 16;
/// What the layers of a block are called there and here.
const BLOCK: [(&str, &str); 6] = [
    ("norm1", "attention_norm"),
    ("norm2", "feed_forward_norm"),
    ("attn.proj", "attention.output"),
    ("mlp.gate_proj", "gate"),
    ("mlp.up_proj", "expand"),
    ("mlp.down_proj", "contract"),
];

/// What is read of a `config.json` beside its two parts.
#[derive(Deserialize)]
struct Public {
    #[serde(default = "default_place")]
    image_token_id: u32,
}

fn default_place() -> u32 {
    151_655
}

/// What is read of the tower.
#[derive(Debug, Deserialize)]
struct PublicTower {
    depth: usize,
    hidden_size: usize,
    hidden_act: String,
    intermediate_size: usize,
    num_heads: usize,
    #[serde(alias = "in_chans")]
    in_channels: usize,
    patch_size: usize,
    spatial_merge_size: usize,
    temporal_patch_size: usize,
    tokens_per_second: f64,
    window_size: usize,
    out_hidden_size: usize,
    fullatt_block_indexes: Vec<usize>,
}

/// What a configuration leaves out of the tower is as `transformers` has it.
fn usual_tower() -> Map<String, Value> {
    let usual = json!({
        "model_type": TOWERS[0], "depth": 32, "hidden_size": 3584, "hidden_act": "silu", "intermediate_size": 3420, "num_heads": 16,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "tokens_per_second": 4,
        "window_size": 112, "out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31]
    });
    usual.as_object().cloned().unwrap_or_default()
}

/// And of the language model.
fn usual_texts() -> Value {
    json!({
        "model_type": "qwen2", "vocab_size": 152_064, "hidden_size": 8192, "intermediate_size": 29_568,
        "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "max_position_embeddings": 32_768,
        "rms_norm_eps": 1e-5, "bos_token_id": 151_643, "eos_token_id": 151_645
    })
}

/// Questions and answers as the chat template of the original sets them.
fn template() -> TemplateConfig {
    let [begin, end] = ["<|im_start|>", "<|im_end|>"];
    let [opens, closes] = ["<|vision_start|>", "<|vision_end|>"];
    TemplateConfig {
        system: format!("{begin}system\nYou are a helpful assistant.{end}\n"),
        asks: format!("{begin}user\n"),
        end: end.into(),
        answers: format!("\n{begin}assistant\n"),
        around_each: [opens.into(), closes.into()],
        special: [begin, end, opens, closes].map(String::from).to_vec(),
        is_tight: true,
        ..TemplateConfig::default()
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: Value) -> Result<Architecture, String> {
    let tower = tower(&config)?;
    let (picture, video) = preprocessor::read(&config, tower.patches())?;
    let (text, tied) = texts(&config, &tower)?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let trunk = tower.trunk();
    let (width, numbers) = (trunk.width as u128, tower.patches().numbers() as u128);
    let words = VideoWords {
        name: VIDEO.into(),
        is_whole: true,
        ..VideoWords::default()
    };
    let medium = Medium {
        input: IMAGE,
        parameters: trunk.parameters().saturating_add(width.saturating_mul(numbers)),
        width: trunk.width,
        processor: ProcessorConfig::Image(picture),
        stem: StemConfig::QwenVl(QwenVlStemConfig { width: trunk.width }),
        trunk: TrunkConfig::QwenVl(trunk),
        projector: PrefixConfig {
            projector: ProjectorKind::WideMlp,
            merge: tower.spatial_merge_size,
        },
        is_biased: true,
        template: template(),
        video: Some((video, words)),
        placeholder: PICTURE,
        place: ("image_token_id", public.image_token_id),
        is_marked: false,
        pace: Some(tower.tokens_per_second),
    };
    Ok(Architecture {
        place: if tied { place::<true> } else { place::<false> },
        lacks: |_| false,
        ..medium.before(text)?
    })
}

/// What is said of the tower.
fn tower(config: &Value) -> Result<PublicTower, String> {
    let wrong = |message: String| format!("vision_config.{message}");
    let mut tower = usual_tower();
    if let Some(Value::Object(given)) = config.get("vision_config") {
        tower.extend(given.clone());
    }
    if !TOWERS.iter().any(|kind| tower["model_type"] == *kind) {
        let found = &tower["model_type"];
        return Err(wrong(format!("model_type: expected `{}`, found {found}", TOWERS[0])));
    }
    // The older name of what has a usual value would not be looked for.
    if !tower.contains_key("in_chans") {
        tower.entry("in_channels").or_insert(3.into());
    }
    let tower: PublicTower = serde_json::from_value(tower.into()).map_err(|error| wrong(error.to_string()))?;
    tower.check().map_err(wrong)?;
    Ok(tower)
}

impl PublicTower {
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("depth", self.depth, 256),
            ("num_heads", self.num_heads, 256),
            ("intermediate_size", self.intermediate_size, 1_000_000),
            ("hidden_size", self.hidden_size, 65_536),
            ("patch_size", self.patch_size, LARGEST_PATCH),
            ("spatial_merge_size", self.spatial_merge_size, LARGEST_SQUARE),
            ("temporal_patch_size", self.temporal_patch_size, LARGEST_SQUARE),
        ];
        if let Some((name, found, most)) = sizes.into_iter().find(|(_, size, most)| !(1..=*most).contains(size)) {
            return Err(format!("{name}: expected 1 to {most}, found {found}"));
        }
        if !self.hidden_size.is_multiple_of(4 * self.num_heads) {
            let (width, found) = (self.hidden_size, self.num_heads);
            return Err(format!(
                "num_heads: expected heads of hidden_size {width} whose width is a multiple of 4, found {found}"
            ));
        }
        if self.hidden_act != "silu" {
            let found = &self.hidden_act;
            return Err(format!(
                "hidden_act: expected `silu`, found `{found}`, which is not known here"
            ));
        }
        if self.in_channels != 3 {
            return Err(format!("in_channels: expected 3, found {}", self.in_channels));
        }
        if self.window() == 0 {
            let found = self.window_size;
            return Err(format!(
                "window_size: expected at least a square of patches, found {found} pixels"
            ));
        }
        if !(self.tokens_per_second > 0.0 && self.tokens_per_second <= 1e6) {
            let found = self.tokens_per_second;
            return Err(format!("tokens_per_second: expected a number above 0, found {found}"));
        }
        match self.fullatt_block_indexes.iter().find(|&&block| block >= self.depth) {
            Some(block) => {
                let depth = self.depth;
                Err(format!(
                    "fullatt_block_indexes: expected blocks below {depth}, found {block}"
                ))
            }
            None => Ok(()),
        }
    }

    /// The side of a window in squares of patches.
    fn window(&self) -> usize {
        self.window_size / self.spatial_merge_size / self.patch_size
    }

    fn patches(&self) -> PatchesConfig {
        PatchesConfig {
            side: self.patch_size as u32,
            square: self.spatial_merge_size as u32,
            frames: self.temporal_patch_size as u32,
        }
    }

    fn trunk(&self) -> QwenVlTrunkConfig {
        QwenVlTrunkConfig {
            width: self.hidden_size,
            layers: self.depth,
            heads: self.num_heads,
            hidden: self.intermediate_size,
            window: self.window(),
            whole: self.fullatt_block_indexes.clone(),
            epsilon: EPSILON,
            dropout: 0.0,
        }
    }
}

/// The language model, and whether its table of tokens also scores the next one.
fn texts(config: &Value, tower: &PublicTower) -> Result<(Architecture, bool), String> {
    let mut config = config.clone();
    if !config["text_config"].is_object() {
        let mut texts = config.clone();
        texts.as_object_mut().map(|texts| texts.remove("vision_config"));
        config["text_config"] = texts;
    }
    let texts = &mut config["text_config"];
    let kind = texts["model_type"].as_str().unwrap_or(TEXTS[0]).to_string();
    if !TEXTS.contains(&kind.as_str()) {
        return Err(format!(
            "text_config.model_type: expected `{}`, found `{kind}`",
            TEXTS[0]
        ));
    }
    texts["model_type"] = "qwen2".into();
    let sections = sections(texts)?;
    let (mut text, tied) = prompted::language_model(&config, usual_texts())?;
    let Head::Continuation(head) = &mut text.head else {
        return Err("text_config.model_type: expected a language model".into());
    };
    let DecoderConfig::Llama(decoder) = &mut head.task.decoder else {
        return Err("text_config.model_type: expected a decoder like Llama's".into());
    };
    if sections.iter().sum::<usize>() != decoder.head_width() / 2 {
        let pairs = decoder.head_width() / 2;
        return Err(format!(
            "mrope_section: expected three numbers that sum up to {pairs}, found {sections:?}"
        ));
    }
    if decoder.width != tower.out_hidden_size {
        let (width, found) = (decoder.width, tower.out_hidden_size);
        return Err(format!(
            "vision_config.out_hidden_size: expected hidden_size {width}, found {found}"
        ));
    }
    decoder.sections = Some(sections);
    Ok((text, tied))
}

/// The pairs of columns that turn by time, by row and by column; what is left in `texts` are the rotary positions of a text.
fn sections(texts: &mut Value) -> Result<[usize; 3], String> {
    let mut given = ["rope_parameters", "rope_scaling"].into_iter().filter_map(|name| {
        let given = texts.as_object_mut()?.remove(name);
        given.filter(Value::is_object)
    });
    let mut rope = given.next().unwrap_or(json!({}));
    drop(given);
    for name in ["type", "rope_type"] {
        if rope[name] == "mrope" {
            rope[name] = "default".into();
        }
    }
    let theta = rope.get("rope_theta").or_else(|| texts.get("rope_theta")).cloned();
    rope["rope_theta"] = theta.unwrap_or(json!(1e6));
    let sections = rope.get("mrope_section").cloned().unwrap_or(json!([16, 24, 24]));
    texts["rope_parameters"] = rope;
    serde_json::from_value(sections).map_err(|error| format!("mrope_section: {error}"))
}

/// Where a tensor goes, by its old name or its new one; `TIED` where the table of tokens also scores the next one.
fn place<const TIED: bool>(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    match name.strip_prefix("visual.") {
        Some(rest) => in_tower(rest).unwrap_or(Place::Unknown),
        None => language::place_of_llama(TIED, name.strip_prefix("language_model.").unwrap_or(name)),
    }
}

/// Where a tensor of the tower goes, or of what joins its patches.
fn in_tower(name: &str) -> Option<Place> {
    let (layer, parameter) = name.rsplit_once('.')?;
    match layer {
        "patch_embed.proj" => return Some(Place::Parameter(format!("stem.{parameter}"))),
        "merger.ln_q" => return Some(Place::Parameter(format!("trunk.norm.{parameter}"))),
        "merger.mlp.0" => return Some(Place::Head(format!("decoder.projector.input.{parameter}"))),
        "merger.mlp.2" => return Some(Place::Head(format!("decoder.projector.output.{parameter}"))),
        // What turns follows from the configuration.
        "rotary_pos_emb" => return Some(Place::Known),
        _ => {}
    }
    let (block, layer) = layer.strip_prefix("blocks.")?.split_once('.')?;
    let block = block
        .parse::<usize>()
        .ok()
        .filter(|number| number.to_string() == block)?;
    let path = |ours: &str| format!("trunk.blocks.{block}.{ours}.{parameter}");
    if layer == "attn.qkv" {
        let maps = ["query", "key", "value"];
        return Some(Place::Rows(maps.map(|map| path(&format!("attention.{map}"))).to_vec()));
    }
    let ours = BLOCK
        .iter()
        .find_map(|(theirs, ours)| (*theirs == layer).then_some(ours))?;
    Some(Place::Parameter(path(ours)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_and_new_ones_have_one_place() {
        let path = |path: &str| Place::Parameter(path.into());
        let maps = ["query", "key", "value"].map(|map| format!("trunk.blocks.3.attention.{map}.bias"));
        for (name, expected) in [
            ("visual.patch_embed.proj.weight", path("stem.weight")),
            ("visual.merger.ln_q.weight", path("trunk.norm.weight")),
            (
                "visual.blocks.12.norm2.weight",
                path("trunk.blocks.12.feed_forward_norm.weight"),
            ),
            ("visual.blocks.3.attn.qkv.bias", Place::Rows(maps.to_vec())),
            (
                "visual.merger.mlp.2.bias",
                Place::Head("decoder.projector.output.bias".into()),
            ),
            ("visual.blocks.x.norm2.weight", Place::Unknown),
        ] {
            assert_eq!(place::<false>(name), expected, "{name}");
            assert_eq!(place::<false>(&format!("model.{name}")), expected, "{name}");
        }
        for name in ["model.norm.weight", "model.language_model.norm.weight"] {
            assert_eq!(place::<false>(name), Place::Head("decoder.body.norm.weight".into()));
        }
        assert_eq!(place::<true>("lm_head.weight"), Place::Known);
    }

    #[test]
    fn sections_are_said_in_old_words_and_in_new_ones() {
        let check = |mut texts: Value, expected: ([usize; 3], f64)| {
            let found = sections(&mut texts).unwrap();
            let rope = &texts["rope_parameters"];
            assert_eq!((found, rope["rope_theta"].as_f64().unwrap()), expected);
            assert_ne!(rope["type"], "mrope");
        };
        check(json!({}), ([16, 24, 24], 1e6));
        check(
            json!({"rope_theta": 5e5, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}),
            ([2, 3, 3], 5e5),
        );
        check(
            json!({"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}}),
            ([1, 1, 2], 1e4),
        );
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused_by_name() {
        let refused = |given: Value, expected: &str| {
            let error = tower(&json!({"vision_config": given})).unwrap_err();
            assert!(
                error.starts_with("vision_config.") && error.contains(expected),
                "{error}"
            );
        };
        assert!(tower(&json!({"vision_config": {"in_chans": 3}})).is_ok());
        refused(json!({"model_type": "vit"}), "model_type: expected `qwen2_5_vl_vision`");
        refused(json!({"hidden_act": "gelu"}), "hidden_act: expected `silu`");
        refused(json!({"num_heads": 5}), "num_heads: expected heads");
        refused(json!({"window_size": 20}), "window_size: expected at least a square");
        refused(json!({"patch_size": 0}), "patch_size: expected 1 to 256");
        refused(json!({"depth": 8}), "fullatt_block_indexes: expected blocks below 8");
    }
}
