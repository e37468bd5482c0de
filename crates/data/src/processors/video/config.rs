//! The settings of a video input, as a recipe writes them.

use super::super::image::config::{is_bicubic, is_white};
use super::super::image::{Augment, CHANNELS, ImageConfig, Interpolation, PatchesConfig, Resize, Size};
use super::super::{in_bounds, invalid};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How videos are read: a few frames of each clip, every one of them read as a picture is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VideoConfig {
    /// How many frames of a clip are used at most; a shorter clip gives all that it has, and the rest
    /// is padding.
    #[schemars(range(min = 1, max = 1000))]
    pub frames: u32,
    /// Which frames of a clip are used.
    pub sampling: Sampling,
    /// Only this much from the start of a clip is looked at, in seconds.
    #[schemars(range(min = 0.1, max = 36000.0))]
    pub max_seconds: f32,
    /// Frames per second of a folder or a list of pictures, which carry no times of their own.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub frame_rate: f32,
    /// The size that every frame is brought to, in pixels: one side of a square such as 64, or
    /// [height, width].
    pub size: Size,
    /// How a frame whose sides have another ratio is brought to the size.
    pub resize: Resize,
    /// What frames are cut into whose sizes differ; only with `resize = { pixels = [least, most] }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patches: Option<PatchesConfig>,
    /// How pixels are weighed where a frame is resampled.
    #[serde(skip_serializing_if = "is_bicubic")]
    pub interpolation: Interpolation,
    /// The colour that shows through transparent parts of animations: red, green and blue from 0 to 255.
    #[serde(skip_serializing_if = "is_white")]
    #[schemars(inner(range(min = 0, max = 255)))]
    pub ground: [u8; CHANNELS],
    /// Random changes made to training clips only, each at most once, in this order, and the same for
    /// all frames of a clip.
    pub augment: Vec<Augment>,
    /// Subtracted from red, green and blue after these are scaled to 0…1.
    #[schemars(inner(range(min = 0.0, max = 1.0)))]
    pub mean: [f32; CHANNELS],
    /// What red, green and blue are divided by after the mean is subtracted; above 0.
    #[schemars(inner(range(min = 0.001, max = 1000.0)))]
    pub deviation: [f32; CHANNELS],
}

impl Default for VideoConfig {
    fn default() -> Self {
        let image = ImageConfig::default();
        Self {
            frames: 8,
            sampling: Sampling::default(),
            max_seconds: 600.0,
            frame_rate: 25.0,
            size: image.size,
            resize: image.resize,
            patches: image.patches,
            interpolation: image.interpolation,
            ground: image.ground,
            augment: image.augment,
            mean: image.mean,
            deviation: image.deviation,
        }
    }
}

impl VideoConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        in_bounds("frames", self.frames, 1..=1000)?;
        in_bounds("max_seconds", self.max_seconds, 0.1..=36_000.0)?;
        in_bounds("frame_rate", self.frame_rate, 0.01..=1000.0)?;
        match self.sampling {
            Sampling::Uniform | Sampling::RandomSegment => {}
            Sampling::Every(step) => in_bounds("sampling.every", step, 1..=100_000)?,
            Sampling::Rate(rate) => in_bounds("sampling.rate", rate, 0.001..=1000.0)?,
            Sampling::Spread(rate) => in_bounds("sampling.spread", rate, 0.001..=1000.0)?,
            Sampling::Steps { rate, least, multiple } => {
                in_bounds("sampling.steps.rate", rate, 0.001..=1000.0)?;
                in_bounds("sampling.steps.least", least, 1..=1000)?;
                in_bounds("sampling.steps.multiple", multiple, 1..=16)?;
            }
        }
        match self.resize {
            Resize::Tiles(_) => Err(invalid("expected frames that are read whole, found tiles").in_field("resize")),
            _ => self.image().validate(),
        }
    }

    /// How each frame is read.
    pub(in crate::processors) fn image(&self) -> ImageConfig {
        ImageConfig {
            size: self.size,
            resize: self.resize,
            patches: self.patches,
            interpolation: self.interpolation,
            ground: self.ground,
            augment: self.augment.clone(),
            mean: self.mean,
            deviation: self.deviation,
            ..ImageConfig::default()
        }
    }
}

/// Which frames of a clip are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The clip is cut into `frames` equal segments, and the frame at the centre of each is used.
    #[default]
    Uniform,
    /// As `uniform`, but at training a random one of three frames that are spread over each segment
    /// (temporal segment networks, Wang et al. 2016).
    RandomSegment,
    /// The first frame and every frame this many frames later, `frames` of them at most.
    Every(#[schemars(range(min = 1, max = 100_000))] u32),
    /// The frames that are shown at this many evenly spaced moments per second from the start,
    /// `frames` of them at most, each once.
    Rate(#[schemars(range(min = 0.001, max = 1000.0))] f32),
    /// As many frames as this many per second are, `frames` of them at most, spread evenly from the first frame to the last
    /// one; of a clip with more than `frames` of them in all but two seconds, without its first and its last second (SmolVLM,
    /// Marafioti et al. 2025).
    Spread(#[schemars(range(min = 0.001, max = 1000.0))] f32),
    /// As many frames as `rate` per second are, at least `least` and at most `frames`, in equal steps from the first one on
    /// (Qwen2-VL, Wang et al. 2024).
    Steps {
        /// Frames a second.
        #[schemars(range(min = 0.001, max = 1000.0))]
        rate: f32,
        /// The fewest frames of a clip that has as many.
        #[schemars(range(min = 1, max = 1000))]
        least: u32,
        /// Their number is a multiple of this one, where a clip has as many.
        #[schemars(range(min = 1, max = 16))]
        multiple: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Reads a configuration and writes it again.
    fn check(written: serde_json::Value, expected: VideoConfig) {
        let config: VideoConfig = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(config, expected);
        config.validate().unwrap();
        let stored = serde_json::to_value(&config).unwrap();
        for (field, value) in written.as_object().unwrap() {
            assert_eq!(stored[field], *value);
        }
        assert_eq!(serde_json::from_value::<VideoConfig>(stored).unwrap(), expected);
    }

    #[test]
    fn a_configuration_reads_as_recipes_write_it() {
        check(json!({}), VideoConfig::default());
        let sampling = |sampling| VideoConfig {
            sampling,
            ..Default::default()
        };
        check(json!({"sampling": "uniform"}), sampling(Sampling::Uniform));
        check(json!({"sampling": "random_segment"}), sampling(Sampling::RandomSegment));
        check(json!({"sampling": {"every": 4}}), sampling(Sampling::Every(4)));
        check(json!({"sampling": {"rate": 2.0}}), sampling(Sampling::Rate(2.0)));
        check(json!({"sampling": {"spread": 2.0}}), sampling(Sampling::Spread(2.0)));
        check(
            json!({"sampling": {"steps": {"rate": 2.0, "least": 4, "multiple": 2}}}),
            sampling(Sampling::Steps {
                rate: 2.0,
                least: 4,
                multiple: 2,
            }),
        );
        let expected = VideoConfig {
            frames: 16,
            size: Size::new(48, 32),
            interpolation: Interpolation::Lanczos,
            augment: vec![Augment::Flip, Augment::Crop(0.5)],
            ..Default::default()
        };
        check(
            json!({"frames": 16, "size": [48, 32], "interpolation": "lanczos", "augment": ["flip", {"crop": 0.5}]}),
            expected,
        );
    }

    #[test]
    fn settings_out_of_bounds_name_their_field() {
        for (written, field) in [
            (json!({"frames": 0}), "frames"),
            (json!({"max_seconds": 0}), "max_seconds"),
            (json!({"max_seconds": 1e9}), "max_seconds"),
            (json!({"frame_rate": 0}), "frame_rate"),
            (json!({"sampling": {"every": 0}}), "sampling.every"),
            (json!({"sampling": {"rate": 0}}), "sampling.rate"),
            (json!({"sampling": {"spread": 0}}), "sampling.spread"),
            (
                json!({"sampling": {"steps": {"rate": 1.0, "least": 0, "multiple": 2}}}),
                "sampling.steps.least",
            ),
            (json!({"deviation": [1, 0, 1]}), "deviation"),
            (json!({"augment": [{"rotate": 400}]}), "augment.rotate"),
        ] {
            let config: VideoConfig = serde_json::from_value(written).unwrap();
            let error = config.validate().unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        }
    }

    #[test]
    fn every_field_and_every_sampling_is_described() {
        let schema = schemars::schema_for!(VideoConfig).to_value();
        for (field, value) in schema["properties"].as_object().unwrap() {
            assert!(value["description"].is_string(), "{field}");
        }
        let samplings = schema["$defs"]["Sampling"]["oneOf"].as_array().unwrap();
        assert_eq!(samplings.len(), 6);
        assert!(samplings.iter().all(|sampling| sampling["description"].is_string()));
    }
}
