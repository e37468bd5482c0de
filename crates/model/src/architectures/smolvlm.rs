//! SmolVLM (Marafioti et al. 2025) and Idefics3 (Laurençon et al. 2024), as `transformers` names and configures them: a tower
//! of pictures like SigLIP's, of which squares of patches are joined and mapped, and a language model that reads them.

use super::llava;
use super::preprocessor::{self, Usual};
use super::prompted::{self, IMAGE, Medium, PICTURE};
use super::towers::{Pair, Pictures, Resampling, Summary, VitStemConfig, VitTrunkConfig};
use super::{Architecture, Place, clip, language, siglip};
use crate::decoder::{PrefixConfig, ProjectorKind};
use crate::stems::StemConfig;
use crate::tasks::Marks;
use crate::trunks::TrunkConfig;
use sensorium_data::processors::{TemplateConfig, VideoWords};
use sensorium_data::{Processor, ProcessorConfig};
use serde::Deserialize;
use serde_json::{Value, json};

/// The words of `model_type` that the tower of pictures may have.
const TOWERS: [&str; 4] = ["idefics3_vision", "smolvlm_vision", "idefics3", "smolvlm"];
/// The one of both whose original reads videos.
const SMOLVLM: &str = "smolvlm";
/// The largest side of a square of patches that are joined.
const LARGEST_SQUARE: usize = 16;

/// What is read of a `config.json` beside its two parts.
#[derive(Deserialize)]
struct Public {
    #[serde(default = "default_place")]
    image_token_id: u32,
    #[serde(default = "default_factor")]
    scale_factor: usize,
}

fn default_place() -> u32 {
    128_257
}

fn default_factor() -> usize {
    2
}

/// What a configuration leaves out is as `transformers` has it.
fn usual() -> Value {
    let mut usual = siglip::usual();
    usual["vision_config"] = json!({
        "hidden_size": 1152, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 16,
        "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6, "num_channels": 3, "image_size": 224, "patch_size": 32
    });
    usual
}

/// Questions and answers as the chat template of the original sets them.
fn template() -> TemplateConfig {
    TemplateConfig {
        begin: "<|im_start|>".into(),
        asks: "User:".into(),
        end: "<end_of_utterance>".into(),
        answers: "\nAssistant:".into(),
        ..TemplateConfig::default()
    }
}

/// What the original says around the frames of a video.
fn words() -> VideoWords {
    VideoWords {
        name: "<video>".into(),
        intro: "You are provided the following series of {count} frames from a {duration} [H:MM:SS] video.\n".into(),
        frame: "\nFrame from {time}:".into(),
        end: "\n\n".into(),
        is_whole: false,
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(mut config: Value) -> Result<Architecture, String> {
    let processor = preprocessor::read(&config, Usual::Tiles)?;
    let video = preprocessor::video(&config, &processor)?.filter(|_| config["model_type"] == SMOLVLM);
    let public: Public = serde_json::from_value(config.clone()).map_err(|error| error.to_string())?;
    // Whether a table is tied is said beside the language model alone.
    let tied = config["tie_word_embeddings"] == json!(true);
    if let Some(texts) = config["text_config"].as_object_mut() {
        texts.insert("tie_word_embeddings".into(), tied.into());
    }
    let (text, _) = prompted::language_model(&config, llava::usual_texts())?;
    let (trunk, stem, pictures) = pictures(&mut config)?;
    pictures.check(&processor)?;
    let merge = public.merge(trunk.grid)?;
    let towers = [trunk.parameters(), pictures.parameters(stem.width), stem.width as u128];
    let medium = Medium {
        input: IMAGE,
        parameters: towers.into_iter().fold(0, u128::saturating_add),
        width: stem.width,
        processor: ProcessorConfig::Image(processor),
        stem: StemConfig::Vit(stem),
        trunk: TrunkConfig::Vit(trunk),
        projector: PrefixConfig {
            projector: ProjectorKind::Linear,
            merge,
        },
        is_biased: false,
        template: template(),
        video: video.map(|video| (video, words())),
        placeholder: PICTURE,
        place: ("image_token_id", public.image_token_id),
        is_marked: true,
        pace: None,
    };
    Ok(Architecture {
        place: if tied { place::<true> } else { place::<false> },
        // The original maps squares of patches without a bias.
        lacks: |path| path.ends_with("projector.output.bias"),
        ..medium.before(text)?
    })
}

impl Public {
    /// The side of a square of patches that are joined, which must cover the rows and columns of a picture's patches.
    fn merge(&self, grid: [usize; 2]) -> Result<usize, String> {
        let (side, [rows, columns]) = (self.scale_factor, grid);
        let covers = (1..=LARGEST_SQUARE).contains(&side) && rows.is_multiple_of(side) && columns.is_multiple_of(side);
        match covers {
            true => Ok(side),
            false => Err(format!(
                "scale_factor: expected a divisor of the {rows}×{columns} patches of a picture, at most {LARGEST_SQUARE}, found \
                 {side}"
            )),
        }
    }
}

/// The tower of pictures.
fn pictures(config: &mut Value) -> Result<(VitTrunkConfig, VitStemConfig, Pictures), String> {
    let kind = &config["vision_config"]["model_type"];
    if !kind.is_null() && !TOWERS.iter().any(|tower| kind == tower) {
        return Err(format!(
            "vision_config.model_type: expected one of {}, found {kind}",
            TOWERS.join(", ")
        ));
    }
    let mut tower = json!({"vision_config": config["vision_config"].take()});
    let pair = Pair::read(&mut tower, &usual())?;
    let (blocks, pictures) = (pair.vision()?, pair.pictures()?);
    let [rows, columns] = pictures.grid();
    if rows != columns {
        return Err(format!(
            "vision_config.image_size: expected a square, found {rows}×{columns} patches"
        ));
    }
    if let Some(place) = (0..rows).find(|&place| bucket(place, rows) != place) {
        return Err(format!(
            "vision_config.image_size: expected a number of patches along a side whose places 32 bits tell apart, found {rows}, of \
             which the original takes number {place} for another one"
        ));
    }
    let stem = VitStemConfig {
        size: pictures.patch,
        width: blocks.width,
    };
    let trunk = VitTrunkConfig {
        blocks,
        grid: [rows, columns],
        resampling: Resampling::Bicubic,
        registers: 0,
        norm_before: false,
        summary: Summary::Mean,
    };
    Ok((trunk, stem, pictures))
}

/// The learned place that the original finds for patch `number` of `count` along a side, by numbers of 32 bits: how many of the
/// bounds 1/count, 2/count, … its share of the side reaches.
fn bucket(number: usize, count: usize) -> usize {
    let share = number as f32 * (1.0 / count as f32);
    let bound = |place: usize| (place as f64 / count as f64) as f32;
    (1..count).filter(|&place| bound(place) <= share).count()
}

/// The tokens around pictures, read whole or in tiles as `pictures` says, in the tokenizer of `texts`.
///
/// # Errors
/// For a tokenizer without one of them.
pub(super) fn marks(pictures: &ProcessorConfig, texts: &Processor) -> Result<Marks, String> {
    let token = |name: &str| {
        let message = || format!("tokenizer.json: expected the token `{name}`, found none");
        texts.token(name).ok_or_else(message)
    };
    let most = match pictures {
        ProcessorConfig::Image(image) => image.tiles(),
        _ => 0,
    };
    let tile = |row: usize, column: usize| token(&format!("<row_{}_col_{}>", row + 1, column + 1));
    let row = |row: usize| (0..most).map(|column| tile(row, column)).collect();
    let text = |text: &str| texts.text_tokens(text, true).map_err(|error| error.to_string());
    Ok(Marks {
        edge: token("<fake_token_around_image>")?,
        whole: token("<global-img>")?,
        tiles: (0..most).map(row).collect::<Result<_, String>>()?,
        between: text("\n")?,
        last: text("\n\n")?,
    })
}

/// Where a tensor goes; `TIED` where the table of tokens also scores the next one.
fn place<const TIED: bool>(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("vision_model.") {
        let path = clip::in_tower_of_pictures(rest);
        return path.map_or(Place::Unknown, Place::Parameter);
    }
    match name {
        "connector.modality_projection.proj.weight" => Place::Head("decoder.projector.output.weight".into()),
        _ => language::place_of_llama(TIED, name.strip_prefix("text_model.").unwrap_or(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_usual_pictures_are_told_apart() {
        for count in [1, 4, 14, 16, 24, 26, 27, 32] {
            assert!((0..count).all(|place| bucket(place, count) == place), "{count}");
        }
        // Where the product rounds below the quotient, as in the original.
        let wrong = |count: usize| {
            (0..count)
                .filter(|&place| bucket(place, count) != place)
                .collect::<Vec<_>>()
        };
        assert_eq!(wrong(25), [5, 9, 10, 15, 18, 20, 23]);
        assert_eq!(wrong(29), [3, 6, 12, 24]);
    }

    #[test]
    fn squares_must_cover_the_patches() {
        let merge = |scale_factor: usize, side: usize| {
            let public = Public {
                image_token_id: 0,
                scale_factor,
            };
            public.merge([side; 2]).ok()
        };
        assert_eq!([merge(4, 32), merge(3, 27), merge(1, 5)], [Some(4), Some(3), Some(1)]);
        assert_eq!([merge(0, 32), merge(3, 32), merge(32, 32)], [None; 3]);
    }

    #[test]
    fn tensors_have_their_places() {
        for (name, expected) in [
            (
                "model.vision_model.post_layernorm.bias",
                Place::Parameter("trunk.norm.bias".into()),
            ),
            (
                "model.connector.modality_projection.proj.weight",
                Place::Head("decoder.projector.output.weight".into()),
            ),
            (
                "model.text_model.norm.weight",
                Place::Head("decoder.body.norm.weight".into()),
            ),
            ("lm_head.weight", Place::Head("decoder.output.weight".into())),
            ("model.vision_model.head.probe", Place::Unknown),
        ] {
            assert_eq!(place::<false>(name), expected, "{name}");
        }
        assert_eq!(place::<true>("lm_head.weight"), Place::Known);
    }
}
