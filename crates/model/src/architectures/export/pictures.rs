//! What the files of a checkpoint say of pictures, where a run reads them otherwise than the checkpoint did.

use super::super::preprocessor;
use super::kept::CONFIGURATION;
use sensorium_data::ProcessorConfig;
use sensorium_data::processors::ImageConfig;
use serde_json::Value;
use std::collections::BTreeMap;

/// Which architectures read pictures of any size, by their `model_type`.
const ANY_SIZE: [&str; 3] = ["dinov2", "dinov2_with_registers", "resnet"];
/// And the one whose size stands in the configuration.
const SIZED: &str = "efficientnet-lite";

/// Lets `files` say that pictures are read as `found`; they say `own`.
///
/// # Errors
/// For a size that the architecture cannot read there, and for what no file can say.
pub fn settle(
    files: &mut BTreeMap<String, Vec<u8>>,
    own: &ProcessorConfig,
    found: &ProcessorConfig,
) -> Result<(), String> {
    let (ProcessorConfig::Image(own), ProcessorConfig::Image(found)) = (own, found) else {
        return Ok(());
    };
    let resized = |image: &ImageConfig| (image.size, image.resize, image.interpolation);
    if resized(own) == resized(found) {
        return Ok(());
    }
    let mut config = parse(&files[CONFIGURATION])?;
    let kind = config["model_type"].as_str().unwrap_or_default().to_string();
    let (height, width) = (found.size.height(), found.size.width());
    if kind == SIZED && height == width && resized(own).1 == found.resize {
        config["image_size"] = height.into();
        files.insert(CONFIGURATION.into(), pretty(&config));
        return Ok(());
    }
    let file = preprocessor::FILES.iter().find(|(name, _)| files.contains_key(*name));
    let Some((name, part)) = file.filter(|_| own.size == found.size || ANY_SIZE.contains(&kind.as_str())) else {
        return Err(format!(
            "expected pictures as the checkpoint reads them, {}×{}, found {height}×{width} ({:?}); train with its size",
            own.size.height(),
            own.size.width(),
            found.resize
        ));
    };
    let mut content = parse(&files[*name])?;
    let place = match part {
        Some(part) => &mut content[*part],
        None => &mut content,
    };
    preprocessor::write(found, place)?;
    files.insert(name.to_string(), pretty(&content));
    Ok(())
}

fn parse(content: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(content).map_err(|error| error.to_string())
}

fn pretty(value: &Value) -> Vec<u8> {
    let text = serde_json::to_string_pretty(value).expect("settings are plain data");
    (text + "\n").into_bytes()
}
