//! The `config.json` of what is written.

use sensorium_data::Modality;
use serde_json::{Map, Value};

/// What a configuration says of labels.
const LABELS: [&str; 3] = ["id2label", "label2id", "problem_type"];
/// The models whose encoder has a name of its own.
const WITH_DECODERS: [&str; 2] = ["T5", "MT5"];
/// What a configuration calls the type of stored numbers.
const TYPES: [&str; 2] = ["dtype", "torch_dtype"];

/// How much is written of what a configuration describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// The encoder alone.
    Headless,
    /// One of two encoders, that of a modality.
    Tower(Modality),
}

/// The configuration of what is written, and what `transformers` calls the model; `own` is the checkpoint's. Of a tower of
/// pictures that is read in the midst, so many `blocks` are left.
///
/// # Errors
/// For what is no configuration.
pub fn written(own: &[u8], extent: Extent, blocks: Option<usize>) -> Result<(Vec<u8>, String), String> {
    let own: Map<String, Value> = serde_json::from_slice(own).map_err(|error| error.to_string())?;
    let mut config = match extent {
        Extent::Whole => own,
        Extent::Headless => headless(own),
        Extent::Tower(modality) => tower(own, modality)?,
    };
    in_single(&mut config);
    if let Some(blocks) = blocks {
        shorten(&mut config, blocks);
    }
    let name = config.get("architectures").and_then(|names| names.get(0));
    let name = name.or(config.get("model_type")).and_then(Value::as_str);
    let name = name.unwrap_or_default().to_string();
    Ok((pretty(&config), name))
}

/// What is said of decoding, `own`, with the language that is transcribed where none is asked for.
///
/// # Errors
/// For what are no settings.
pub fn spoken(own: &[u8], language: &str) -> Result<Vec<u8>, String> {
    let mut settings: Map<String, Value> = serde_json::from_slice(own).map_err(|error| error.to_string())?;
    settings.insert("language".into(), language.into());
    settings.insert("task".into(), "transcribe".into());
    Ok(pretty(&settings))
}

fn pretty(settings: &Map<String, Value>) -> Vec<u8> {
    let text = serde_json::to_string_pretty(settings).expect("settings are plain data");
    (text + "\n").into_bytes()
}

/// Whether this stands behind the name of a model with a head.
fn is_head(name: &str) -> bool {
    name.starts_with("For") || name.starts_with("With")
}

/// Without what is said of a head.
fn headless(mut config: Map<String, Value>) -> Map<String, Value> {
    LABELS.iter().for_each(|label| {
        config.shift_remove(*label);
    });
    let names = config.get_mut("architectures").and_then(Value::as_array_mut);
    for name in names.into_iter().flatten() {
        let known = name.as_str().unwrap_or_default();
        let model = WITH_DECODERS
            .iter()
            .find(|model| known.strip_prefix(**model).is_some_and(is_head));
        if let Some(model) = model {
            *name = format!("{model}EncoderModel").into();
        } else if let Some((model, _)) = known.split_once("For") {
            *name = format!("{model}Model").into();
        }
    }
    config
}

/// The part of a pair that describes one tower, with the names that it has by itself.
fn tower(own: Map<String, Value>, modality: Modality) -> Result<Map<String, Value>, String> {
    let (part, word, class) = match modality {
        Modality::Text => ("text_config", "text_model", "TextModel"),
        _ => ("vision_config", "vision_model", "VisionModel"),
    };
    let mut config = Map::new();
    // Old configurations hold parts twice, of which the one called `…_dict` goes before.
    for name in [part.to_string(), format!("{part}_dict")] {
        if let Some(Value::Object(part)) = own.get(&name) {
            config.extend(part.clone());
        }
    }
    let text = |name: &str| own.get(name).and_then(Value::as_str).unwrap_or_default();
    let pair = text("model_type");
    let whole = own.get("architectures").and_then(|names| names.get(0)?.as_str());
    let family = whole.and_then(|name| name.strip_suffix("Model"));
    let family = family.ok_or("config.json: expected `architectures` to name a model of two encoders, found none")?;
    config.insert("model_type".into(), format!("{pair}_{word}").into());
    config.insert("architectures".into(), vec![format!("{family}{class}")].into());
    Ok(config)
}

/// Says that the tower of pictures in which LLaVA reads the midst has so many blocks, the last of which is read.
fn shorten(config: &mut Map<String, Value>, blocks: usize) {
    if config.get("model_type").is_none_or(|kind| kind != "llava") {
        return;
    }
    if let Value::Object(tower) = config.entry("vision_config").or_insert_with(|| Map::new().into()) {
        tower.insert("num_hidden_layers".into(), blocks.into());
    }
    config.insert("vision_feature_layer".into(), (-1).into());
}

/// Numbers are written in 32 bits, whatever they were read from.
fn in_single(config: &mut Map<String, Value>) {
    for (name, value) in config {
        match value {
            Value::Object(part) => in_single(part),
            value if TYPES.contains(&name.as_str()) => *value = "float32".into(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(own: Value, extent: Extent, expected: Value, name: &str) {
        let (found, called) = written(own.to_string().as_bytes(), extent, None).unwrap();
        let found: Value = serde_json::from_slice(&found).unwrap();
        assert_eq!((found, called.as_str()), (expected, name), "{extent:?}");
    }

    #[test]
    fn a_configuration_describes_what_is_written() {
        let labels = json!({
            "architectures": ["BertForSequenceClassification"], "model_type": "bert", "dtype": "float16",
            "id2label": {"0": "a"}, "label2id": {"a": 0}, "problem_type": null, "hidden_size": 8
        });
        let mut single = labels.clone();
        single["dtype"] = json!("float32");
        check(labels.clone(), Extent::Whole, single, "BertForSequenceClassification");
        let alone = json!({"architectures": ["BertModel"], "model_type": "bert", "dtype": "float32", "hidden_size": 8});
        check(labels, Extent::Headless, alone.clone(), "BertModel");
        check(alone.clone(), Extent::Headless, alone, "BertModel");
        check(
            json!({"model_type": "own"}),
            Extent::Headless,
            json!({"model_type": "own"}),
            "own",
        );
    }

    #[test]
    fn blocks_that_are_not_read_are_not_spoken_of() {
        let check = |kind: &str, expected: Value| {
            let own = json!({"model_type": kind, "vision_config": {"num_hidden_layers": 24}});
            let (found, _) = written(own.to_string().as_bytes(), Extent::Whole, Some(23)).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&found).unwrap(), expected);
        };
        check(
            "llava",
            json!({"model_type": "llava", "vision_config": {"num_hidden_layers": 23}, "vision_feature_layer": -1}),
        );
        check(
            "smolvlm",
            json!({"model_type": "smolvlm", "vision_config": {"num_hidden_layers": 24}}),
        );
    }

    #[test]
    fn a_tower_has_a_configuration_of_its_own() {
        let pair = json!({
            "architectures": ["SiglipModel"], "model_type": "siglip", "text_config": {"hidden_size": 8, "torch_dtype": "float16"},
            "vision_config": {"hidden_size": 4}, "vision_config_dict": {"hidden_size": 6, "patch_size": 2}
        });
        let text = json!({
            "architectures": ["SiglipTextModel"], "model_type": "siglip_text_model", "hidden_size": 8, "torch_dtype": "float32"
        });
        check(pair.clone(), Extent::Tower(Modality::Text), text, "SiglipTextModel");
        let vision = json!({
            "architectures": ["SiglipVisionModel"], "model_type": "siglip_vision_model", "hidden_size": 6, "patch_size": 2
        });
        check(pair, Extent::Tower(Modality::Image), vision, "SiglipVisionModel");
    }
}
