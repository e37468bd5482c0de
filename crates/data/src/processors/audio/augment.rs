//! Random changes of samples.

use crate::Result;
use crate::random::Key;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One random change of a training waveform.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaveAugment {
    /// Makes louder or softer by decibels drawn evenly from [least, most].
    Gain([f32; 2]),
}

impl WaveAugment {
    pub fn name(self) -> &'static str {
        "gain"
    }

    pub fn validate(self) -> Result<()> {
        Ok(())
    }
}

pub fn augment(augments: &[WaveAugment], samples: &mut Vec<f32>, _sample_rate: u32, key: &Key) {
    for &WaveAugment::Gain([least, most]) in augments {
        let drawn = key.with("gain").generator().random_range(least..=most);
        samples
            .iter_mut()
            .for_each(|sample| *sample *= 10_f32.powf(drawn / 20.0));
    }
}
