//! Qwen2-Audio (Chu et al. 2024), as `transformers` names and configures it: Whisper's encoder, of whose tokens every two become
//! one, a map, and a language model that reads them among the tokens of a prompt.

use super::prompted::{self, AUDIO, Medium};
use super::whisper::{self, PublicEncoder, WhisperStemConfig};
use super::{Architecture, Place, language};
use crate::decoder::{PrefixConfig, ProjectorKind};
use crate::stems::StemConfig;
use crate::trunks::{TransformerConfig, TrunkConfig};
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::{AudioConfig, AudioFeatures, TemplateConfig};
use serde::Deserialize;
use serde_json::{Value, json};

/// The name of the token in whose place a prompt has a sound.
const SOUND: &str = "<|AUDIO|>";
const TOWER: &str = "qwen2_audio_encoder";
/// The frames behind a sound that the convolutions hear in its last token.
const HEARD_BEHIND: usize = 2;

/// What is read of a `config.json` beside its two parts.
#[derive(Deserialize)]
struct Public {
    #[serde(alias = "audio_token_id", default = "default_place")]
    audio_token_index: u32,
}

fn default_place() -> u32 {
    151_646
}

/// What a configuration leaves out of the encoder is as `transformers` has it.
fn usual_sounds() -> Value {
    json!({
        "model_type": TOWER, "num_mel_bins": 128, "encoder_layers": 32, "encoder_attention_heads": 20, "encoder_ffn_dim": 5120,
        "d_model": 1280, "max_source_positions": 1500
    })
}

/// And of the language model.
fn usual_texts() -> Value {
    json!({
        "model_type": "qwen2", "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 22_016,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 32_768
    })
}

/// Questions and answers as the chat template of the original sets them.
fn template() -> TemplateConfig {
    let [begin, end] = ["<|im_start|>", "<|im_end|>"];
    let [opens, closes] = ["<|audio_bos|>", "<|audio_eos|>"];
    TemplateConfig {
        system: format!("{begin}system\nYou are a helpful assistant.{end}\n"),
        asks: format!("{begin}user\n"),
        end: end.into(),
        answers: format!("\n{begin}assistant\n"),
        around_each: [format!("Audio {{number}}: {opens}"), format!("{closes}\n")],
        special: [begin, end, opens, closes].map(String::from).to_vec(),
        is_tight: true,
        ..TemplateConfig::default()
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub(super) fn read(config: Value) -> Result<Architecture, String> {
    let sounds = sounds(&config)?;
    let (text, tied) = prompted::language_model(&config, usual_texts())?;
    let public: Public = serde_json::from_value(config).map_err(|error| error.to_string())?;
    let medium = Medium {
        input: AUDIO,
        parameters: sounds.parameters(),
        width: sounds.d_model,
        processor: ProcessorConfig::Audio(processor(&sounds)),
        stem: StemConfig::Whisper(WhisperStemConfig {
            hears_behind: true,
            ..sounds.stem()
        }),
        trunk: TrunkConfig::Transformer(TransformerConfig {
            average: 2,
            ..sounds.trunk()
        }),
        projector: PrefixConfig {
            projector: ProjectorKind::Linear,
            merge: 1,
        },
        is_biased: true,
        template: template(),
        video: None,
        placeholder: SOUND,
        place: ("audio_token_index", public.audio_token_index),
        is_marked: false,
        pace: None,
    };
    Ok(Architecture {
        place: if tied { place::<true> } else { place::<false> },
        // As Whisper, whose encoder it is.
        lacks: |path| path.contains("trunk.blocks.") && path.ends_with("attention.key.bias"),
        ..medium.before(text)?
    })
}

/// What is said of the encoder.
fn sounds(config: &Value) -> Result<PublicEncoder, String> {
    let mut sounds = usual_sounds();
    if let (Some(sounds), Some(Value::Object(given))) = (sounds.as_object_mut(), config.get("audio_config")) {
        sounds.extend(given.clone());
    }
    if sounds["model_type"] != TOWER {
        let found = &sounds["model_type"];
        return Err(format!("audio_config.model_type: expected `{TOWER}`, found {found}"));
    }
    let wrong = |message: String| format!("audio_config.{message}");
    let sounds: PublicEncoder = serde_json::from_value(sounds).map_err(|error| wrong(error.to_string()))?;
    sounds.check().map_err(wrong)?;
    Ok(sounds)
}

/// The original pads sounds with silence, which its convolutions hear and nothing else does.
fn processor(sounds: &PublicEncoder) -> AudioConfig {
    let mut audio = sounds.processor();
    if let AudioFeatures::LogMel(features) = &mut audio.features {
        features.heard_behind = HEARD_BEHIND;
    }
    audio
}

/// Where a tensor goes, by its old name or its new one; `TIED` where the table of tokens also scores the next one.
fn place<const TIED: bool>(name: &str) -> Place {
    let name = name.strip_prefix("model.").unwrap_or(name);
    if let Some(rest) = name.strip_prefix("audio_tower.") {
        return whisper::in_encoder(rest).map_or(Place::Unknown, Place::Parameter);
    }
    if let Some(parameter) = name.strip_prefix("multi_modal_projector.linear.") {
        return Place::Head(format!("decoder.projector.output.{parameter}"));
    }
    language::place_of_llama(TIED, name.strip_prefix("language_model.").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_and_new_ones_have_one_place() {
        for (names, expected) in [
            (
                ["audio_tower.conv1.bias", "model.audio_tower.conv1.bias"],
                Place::Parameter("stem.first.bias".into()),
            ),
            (
                [
                    "audio_tower.embed_positions.weight",
                    "model.audio_tower.embed_positions.weight",
                ],
                Place::Parameter("trunk.positions.axes.0".into()),
            ),
            (
                [
                    "multi_modal_projector.linear.bias",
                    "model.multi_modal_projector.linear.bias",
                ],
                Place::Head("decoder.projector.output.bias".into()),
            ),
            (
                ["language_model.model.norm.weight", "model.language_model.norm.weight"],
                Place::Head("decoder.body.norm.weight".into()),
            ),
            (
                ["language_model.lm_head.weight", "lm_head.weight"],
                Place::Head("decoder.output.weight".into()),
            ),
        ] {
            for name in names {
                assert_eq!(place::<false>(name), expected, "{name}");
            }
        }
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused_by_name() {
        let refused = |audio: Value, expected: &str| {
            let error = read(json!({"audio_config": audio, "text_config": {"eos_token_id": 1}})).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        refused(
            json!({"model_type": "whisper"}),
            "audio_config.model_type: expected `qwen2_audio_encoder`",
        );
        refused(
            json!({"activation_function": "relu"}),
            "audio_config.activation_function: expected `gelu`",
        );
        refused(
            json!({"encoder_attention_heads": 7}),
            "audio_config.encoder_attention_heads: expected a divisor",
        );
        let error = read(json!({"text_config": {"model_type": "gpt2"}})).unwrap_err();
        assert!(error.contains("text_config.model_type"), "{error}");
    }
}
