//! What a checkpoint says of a ResNet: its configuration, and its tensors as `transformers` and `torchvision` name them.

use super::super::labels::{LabelHead, OF_PICTURES};
use super::super::{Architecture, Head, Place, preprocessor};
use super::{COLORS, ResNetConfig};
use crate::stems::StemConfig;
use crate::trunks::TrunkConfig;
use sensorium_data::ProcessorConfig;
use serde::Deserialize;

/// The largest size that a configuration may ask for.
const LARGEST: usize = 8192;

/// What is read of a `config.json`; what is missing is as in the one with 50 layers.
#[derive(Deserialize)]
#[serde(default)]
struct Public {
    num_channels: usize,
    embedding_size: usize,
    hidden_sizes: Vec<usize>,
    depths: Vec<usize>,
    layer_type: String,
    hidden_act: String,
    downsample_in_first_stage: bool,
    downsample_in_bottleneck: bool,
}

impl Default for Public {
    fn default() -> Self {
        let own = ResNetConfig::default();
        Self {
            num_channels: COLORS,
            embedding_size: own.first,
            hidden_sizes: own.stages,
            depths: own.depths,
            layer_type: "bottleneck".into(),
            hidden_act: "relu".into(),
            downsample_in_first_stage: false,
            downsample_in_bottleneck: false,
        }
    }
}

impl Public {
    fn trunk(self) -> Result<ResNetConfig, String> {
        let known = |name: &str, found: &str, expected: &[&str]| match expected.contains(&found) {
            true => Ok(()),
            false => Err(format!(
                "{name}: expected `{}`, found `{found}`, which is not known here",
                expected.join("` or `")
            )),
        };
        known("layer_type", &self.layer_type, &["basic", "bottleneck"])?;
        known("hidden_act", &self.hidden_act, &["relu"])?;
        if self.num_channels != COLORS {
            return Err(format!("num_channels: expected {COLORS}, found {}", self.num_channels));
        }
        let lists = [
            ("embedding_size", &[self.embedding_size][..], LARGEST),
            ("hidden_sizes", &self.hidden_sizes, LARGEST),
            ("depths", &self.depths, 256),
        ];
        for (name, found, most) in lists {
            let within = found.iter().all(|size| (1..=most).contains(size));
            if !within || !(1..=16).contains(&found.len()) {
                return Err(format!(
                    "{name}: expected 1 to 16 numbers from 1 to {most}, found {found:?}"
                ));
            }
        }
        let trunk = ResNetConfig {
            narrow: self.layer_type == "bottleneck",
            first: self.embedding_size,
            stages: self.hidden_sizes,
            depths: self.depths,
            first_halves: self.downsample_in_first_stage,
            map_halves: self.downsample_in_bottleneck,
            drop_path: 0.0,
        };
        match trunk.check() {
            Ok(()) => Ok(trunk),
            Err(("stages", wrong)) => Err(format!("hidden_sizes: {wrong}")),
            Err((name, wrong)) => Err(format!("{name}: {wrong}")),
        }
    }
}

/// The architecture that a configuration describes, or what is wrong with it.
pub fn read(config: serde_json::Value) -> Result<Architecture, String> {
    let trunk = Public::deserialize(&config)
        .map_err(|error| error.to_string())?
        .trunk()?;
    let labels = LabelHead::read(&config, OF_PICTURES)?;
    Ok(Architecture {
        stem: Some(StemConfig::Pixels),
        head: labels.map_or(Head::Nothing, Head::Labels),
        parameters: trunk.parameters(),
        processor: ProcessorConfig::Image(preprocessor::read(&config, preprocessor::Usual::Crop)?),
        trunk: Some(TrunkConfig::ResNet(trunk)),
        place,
        lacks: |_| false,
    })
}

fn place(name: &str) -> Place {
    let name = name.strip_prefix("resnet.").unwrap_or(name);
    if name.ends_with(".num_batches_tracked") {
        return Place::Known;
    }
    let head = name.strip_prefix("classifier.1.").or(name.strip_prefix("fc."));
    if let Some(parameter) = head {
        return Place::Head(format!("output.{parameter}"));
    }
    let parts: Vec<&str> = name.split('.').collect();
    let path = in_transformers(&parts).or_else(|| in_torchvision(&parts));
    path.map_or(Place::Unknown, |path| Place::Parameter(format!("trunk.{path}")))
}

fn in_transformers(parts: &[&str]) -> Option<String> {
    let unit = |name: &str| match name {
        "convolution" => Some("conv"),
        "normalization" => Some("norm"),
        _ => None,
    };
    Some(match *parts {
        ["embedder", "embedder", name, parameter] => format!("first.{}.{parameter}", unit(name)?),
        ["encoder", "stages", stage, "layers", layer, "shortcut", name, parameter] => {
            let block = block(number(stage)?, layer)?;
            format!("{block}.shortcut.{}.{parameter}", unit(name)?)
        }
        [
            "encoder",
            "stages",
            stage,
            "layers",
            layer,
            "layer",
            part,
            name,
            parameter,
        ] => {
            let block = block(number(stage)?, layer)?;
            format!("{block}.parts.{}.{}.{parameter}", number(part)?, unit(name)?)
        }
        _ => return None,
    })
}

/// Stages and convolutions are counted from one there.
fn in_torchvision(parts: &[&str]) -> Option<String> {
    let counted = |name: &str, word: &str| number(name.strip_prefix(word)?)?.checked_sub(1);
    Some(match *parts {
        ["conv1", parameter] => format!("first.conv.{parameter}"),
        ["bn1", parameter] => format!("first.norm.{parameter}"),
        [stage, layer, "downsample", place, parameter] => {
            let unit = ["conv", "norm"].get(number(place)?)?;
            format!(
                "{}.shortcut.{unit}.{parameter}",
                block(counted(stage, "layer")?, layer)?
            )
        }
        [stage, layer, name, parameter] => {
            let block = block(counted(stage, "layer")?, layer)?;
            let (unit, part) = match counted(name, "conv") {
                Some(part) => ("conv", part),
                None => ("norm", counted(name, "bn")?),
            };
            format!("{block}.parts.{part}.{unit}.{parameter}")
        }
        _ => return None,
    })
}

fn block(stage: usize, layer: &str) -> Option<String> {
    Some(format!("blocks.{stage}.layers.{}", number(layer)?))
}

fn number(digits: &str) -> Option<usize> {
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn both_programs_name_the_same_tensors() {
        let parameter = |path: &str| Place::Parameter(format!("trunk.{path}"));
        for (transformers, torchvision, path) in [
            (
                "embedder.embedder.convolution.weight",
                "conv1.weight",
                "first.conv.weight",
            ),
            (
                "embedder.embedder.normalization.running_var",
                "bn1.running_var",
                "first.norm.running_var",
            ),
            (
                "encoder.stages.0.layers.2.layer.1.convolution.weight",
                "layer1.2.conv2.weight",
                "blocks.0.layers.2.parts.1.conv.weight",
            ),
            (
                "encoder.stages.3.layers.0.layer.0.normalization.bias",
                "layer4.0.bn1.bias",
                "blocks.3.layers.0.parts.0.norm.bias",
            ),
            (
                "encoder.stages.1.layers.0.shortcut.convolution.weight",
                "layer2.0.downsample.0.weight",
                "blocks.1.layers.0.shortcut.conv.weight",
            ),
            (
                "encoder.stages.1.layers.0.shortcut.normalization.weight",
                "layer2.0.downsample.1.weight",
                "blocks.1.layers.0.shortcut.norm.weight",
            ),
        ] {
            assert_eq!(place(transformers), parameter(path));
            assert_eq!(place(&format!("resnet.{transformers}")), parameter(path));
            assert_eq!(place(torchvision), parameter(path));
        }
        let head = || Place::Head("output.bias".into());
        assert_eq!([place("classifier.1.bias"), place("fc.bias")], [head(), head()]);
        for unknown in [
            "layer0.0.conv1.weight",
            "layer1.+1.conv1.weight",
            "encoder.stages.x.layers.0.shortcut.a.b",
            "bn2.bias",
        ] {
            assert_eq!(place(unknown), Place::Unknown, "{unknown}");
        }
    }

    #[test]
    fn what_would_be_computed_otherwise_is_refused_by_name() {
        let refused = |config: Value, words: &str| {
            let public: Public = serde_json::from_value(config).unwrap();
            let found = public.trunk().unwrap_err();
            assert!(found.contains(words), "{found}");
        };
        refused(
            json!({"layer_type": "wide"}),
            "layer_type: expected `basic` or `bottleneck`",
        );
        refused(json!({"hidden_act": "gelu"}), "hidden_act: expected `relu`");
        refused(json!({"num_channels": 1}), "num_channels: expected 3");
        refused(json!({"depths": [1]}), "depths: expected one for each of 4 stages");
        refused(
            json!({"hidden_sizes": [256, 512, 1024, 2046]}),
            "hidden_sizes: expected multiples of 4",
        );
        refused(json!({"hidden_sizes": []}), "hidden_sizes: expected 1 to 16 numbers");
        refused(json!({"embedding_size": 0}), "embedding_size: expected");
    }
}
