//! The settings of an audio input, as a recipe writes them.

use super::super::{in_bounds, invalid};
use super::augment::WaveAugment;
use super::filters::Filter;
use super::mask::SpectrumAugment;
use super::spectrum::{AudioFeatures, MAX_SECONDS, samples_in};
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How sounds are read: decoded by content, brought to one rate and number of channels, filtered,
/// cut, and turned into frames of features.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AudioConfig {
    /// The samples a second that every sound is brought to.
    #[schemars(range(min = 1000, max = 192_000))]
    pub sample_rate: u32,
    /// What becomes of several channels.
    pub channels: Channels,
    /// Filters that every sound goes through, in this order.
    pub filters: Vec<Filter>,
    /// What the samples become.
    pub features: AudioFeatures,
    /// The length in seconds under which a sound is refused.
    #[schemars(range(min = 0.0, max = 3600.0))]
    pub min_seconds: f64,
    /// The length in seconds after which a sound is cut.
    #[schemars(range(min = 0.01, max = 3600.0))]
    pub max_seconds: f64,
    /// Random changes made to training sounds only, each at most once: those of the samples in this
    /// order, then those of the spectrum in this order.
    pub augment: Vec<AudioAugment>,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            channels: Channels::default(),
            filters: Vec::new(),
            features: AudioFeatures::default(),
            min_seconds: 0.0,
            max_seconds: 30.0,
            augment: Vec::new(),
        }
    }
}

impl AudioConfig {
    /// Checks the bounds of every setting.
    pub fn validate(&self) -> Result<()> {
        in_bounds("sample_rate", self.sample_rate, 1000..=192_000)?;
        in_bounds("max_seconds", self.max_seconds, 0.01..=MAX_SECONDS)?;
        in_bounds("min_seconds", self.min_seconds, 0.0..=self.max_seconds)?;
        if let Channels::Keep(count) = self.channels {
            in_bounds("channels.keep", count, 1..=16)?;
        }
        self.features.validate(self.sample_rate, self.max_seconds)?;
        for filter in &self.filters {
            filter.validate(self.sample_rate)?;
        }
        self.validate_augment()
    }

    fn validate_augment(&self) -> Result<()> {
        for (index, augment) in self.augment.iter().enumerate() {
            augment.validate()?;
            let same = |other: &AudioAugment| other.name() == augment.name();
            if self.augment[..index].iter().any(same) {
                let message = format!("`{}` is listed twice; keep one of them", augment.name());
                return Err(invalid(message).in_field("augment"));
            }
            if augment.name() == "frequency_mask" && matches!(self.features, AudioFeatures::Waveform(_)) {
                let message = "expected a spectrum under `frequency_mask`, found samples; use `time_mask`";
                return Err(invalid(message).in_field("augment"));
            }
        }
        Ok(())
    }

    /// The number of channels after mixing.
    pub fn channel_count(&self) -> usize {
        match self.channels {
            Channels::Mono => 1,
            Channels::Keep(count) => count as usize,
        }
    }

    /// The length after which a sound is cut, in samples.
    pub fn max_samples(&self) -> usize {
        samples_in(self.max_seconds, self.sample_rate)
    }
}

/// What becomes of several channels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channels {
    /// Their mean.
    #[default]
    Mono,
    /// This many are kept side by side; a sound of one channel is repeated, another number is
    /// refused.
    Keep(#[schemars(range(min = 1, max = 16))] u32),
}

/// One random change of a training sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a change of the samples or of the spectrum such as { gain = [-6, 6] } or { time_mask = 40 }"
)]
pub enum AudioAugment {
    /// A change of the samples.
    Wave(WaveAugment),
    /// A change of the spectrum.
    Spectrum(SpectrumAugment),
}

impl AudioAugment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Wave(augment) => augment.name(),
            Self::Spectrum(augment) => augment.name(),
        }
    }

    /// The change, if it is one of the samples.
    pub fn wave(&self) -> Option<WaveAugment> {
        match self {
            Self::Wave(augment) => Some(*augment),
            Self::Spectrum(_) => None,
        }
    }

    /// The change, if it is one of the spectrum.
    pub fn spectrum(&self) -> Option<&SpectrumAugment> {
        match self {
            Self::Wave(_) => None,
            Self::Spectrum(augment) => Some(augment),
        }
    }

    fn validate(&self) -> Result<()> {
        match self {
            Self::Wave(augment) => augment.validate(),
            Self::Spectrum(augment) => augment.validate(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mask::{FrequencyMask, TimeMask};
    use super::super::{FilterBankConfig, KaldiFrames, LogMelConfig, MfccConfig, Normalize};
    use super::*;
    use serde_json::{Value, json};

    /// Reads a configuration, and reads it again as it is stored.
    fn check(written: Value, expected: AudioConfig) {
        let config: AudioConfig = serde_json::from_value(written).unwrap();
        assert_eq!(config, expected);
        config.validate().unwrap();
        let stored = serde_json::to_value(&config).unwrap();
        assert_eq!(serde_json::from_value::<AudioConfig>(stored).unwrap(), expected);
    }

    fn with(features: AudioFeatures) -> AudioConfig {
        AudioConfig {
            features,
            ..AudioConfig::default()
        }
    }

    #[test]
    fn features_read_as_recipes_write_them() {
        check(json!({}), AudioConfig::default());
        check(json!({"features": {"kind": "log_mel"}}), AudioConfig::default());
        let whisper = LogMelConfig {
            mels: 128,
            pad_to_seconds: Some(30.0),
            ..LogMelConfig::default()
        };
        let written = json!({"kind": "log_mel", "mels": 128, "pad_to_seconds": 30});
        check(json!({ "features": written }), with(AudioFeatures::LogMel(whisper)));
        let bank = FilterBankConfig {
            mels: 40,
            normalize: Normalize::MeanVariance,
            frames: KaldiFrames {
                window_milliseconds: 20.0,
                snip_edges: false,
                ..KaldiFrames::default()
            },
        };
        let written = json!({"kind": "filter_bank", "mels": 40, "normalize": "mean_variance",
            "window_milliseconds": 20, "snip_edges": false});
        check(json!({ "features": written }), with(AudioFeatures::FilterBank(bank)));
        let mfcc = MfccConfig {
            coefficients: 20,
            ..MfccConfig::default()
        };
        let written = json!({"kind": "mfcc", "coefficients": 20});
        check(json!({ "features": written }), with(AudioFeatures::Mfcc(mfcc)));
        check(
            json!({"features": {"kind": "waveform"}}),
            with(AudioFeatures::Waveform(Default::default())),
        );
    }

    #[test]
    fn channels_and_changes_read_as_recipes_write_them() {
        let keep = AudioConfig {
            channels: Channels::Keep(2),
            ..AudioConfig::default()
        };
        check(json!({"channels": {"keep": 2}}), keep);
        check(json!({"channels": "mono"}), AudioConfig::default());
        let time = TimeMask {
            width: 40,
            count: 2,
            share: 0.2,
        };
        let frequency = FrequencyMask { width: 27, count: 1 };
        let augment = vec![
            AudioAugment::Wave(WaveAugment::Gain([-6.0, 6.0])),
            AudioAugment::Spectrum(SpectrumAugment::TimeMask(time)),
            AudioAugment::Spectrum(SpectrumAugment::FrequencyMask(frequency)),
        ];
        let masks = json!([{"gain": [-6.0, 6.0]}, {"time_mask": 40}, {"frequency_mask": {"width": 27, "count": 1}}]);
        let expected = AudioConfig {
            augment,
            ..AudioConfig::default()
        };
        check(json!({ "augment": masks }), expected);
    }

    #[test]
    fn settings_out_of_bounds_name_their_field() {
        let bank = |field: &str, value: f64| json!({"features": {"kind": "filter_bank", field: value}});
        for (written, field) in [
            (json!({"sample_rate": 10}), "sample_rate"),
            (json!({"max_seconds": 0}), "max_seconds"),
            (json!({"max_seconds": 1, "min_seconds": 2}), "min_seconds"),
            (json!({"channels": {"keep": 0}}), "channels.keep"),
            (json!({"features": {"kind": "log_mel", "mels": 0}}), "features.mels"),
            (
                json!({"features": {"kind": "log_mel", "pad_to_seconds": 20}}),
                "features.pad_to_seconds",
            ),
            (json!({"features": {"kind": "filter_bank", "mels": 3}}), "features.mels"),
            (
                json!({"features": {"kind": "mfcc", "coefficients": 24}}),
                "features.coefficients",
            ),
            (json!({"features": {"kind": "mfcc", "lifter": -1}}), "features.lifter"),
            (bank("hop_milliseconds", 0.0), "features.hop_milliseconds"),
            (bank("window_milliseconds", 2000.0), "features.window_milliseconds"),
            (bank("high_frequency", 9000.0), "features.high_frequency"),
            (bank("high_frequency", 10.0), "features.high_frequency"),
            (bank("low_frequency", f64::NAN), "features.low_frequency"),
            (bank("pre_emphasis", 1.5), "features.pre_emphasis"),
            (json!({"augment": [{"time_mask": 0}]}), "augment.time_mask.width"),
            (
                json!({"augment": [{"frequency_mask": {"width": 5, "count": 0}}]}),
                "augment.frequency_mask.count",
            ),
            (json!({"augment": [{"time_mask": 4}, {"time_mask": 5}]}), "augment"),
            (
                json!({"features": {"kind": "waveform"}, "augment": [{"frequency_mask": 4}]}),
                "augment",
            ),
        ] {
            // A NaN cannot be written in JSON: it arrives as null and is refused while reading.
            let Ok(config) = serde_json::from_value::<AudioConfig>(written.clone()) else {
                assert_eq!(field, "features.low_frequency");
                continue;
            };
            let error = config.validate().expect_err(&written.to_string());
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
        }
    }

    #[test]
    fn every_field_of_the_schema_is_described() {
        let schema = schemars::schema_for!(AudioConfig).to_value();
        let mut objects = vec![&schema];
        let mut seen = 0;
        while let Some(value) = objects.pop() {
            let inner = value.as_object().into_iter().flat_map(|it| it.values());
            objects.extend(inner.chain(value.as_array().into_iter().flatten()));
            let properties = value.get("properties").and_then(Value::as_object).into_iter().flatten();
            for (name, property) in properties.filter(|(_, it)| it.get("const").is_none()) {
                // The one field of a variant is described as the variant, a choice as its own type.
                let described = property["description"].is_string() || value["description"].is_string();
                assert!(described || property.get("$ref").is_some(), "{name}: {property}");
                seen += 1;
            }
        }
        assert!(seen > 25, "{seen}");
    }
}
