//! Random changes of samples.

use super::super::in_bounds;
use super::Waveform;
use crate::Result;
use crate::random::Key;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One random change of a training sound's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaveAugment {
    /// Multiplies by a factor drawn evenly from minus to plus this many decibels.
    Gain(#[schemars(range(min = 0.0, max = 60.0))] f32),
}

impl WaveAugment {
    pub fn name(&self) -> &'static str {
        "gain"
    }

    pub fn validate(&self) -> Result<()> {
        let Self::Gain(decibels) = self;
        in_bounds("augment.gain", *decibels, 0.0..=60.0)
    }

    pub fn apply(&self, waveform: &mut Waveform, key: &Key) {
        let Self::Gain(decibels) = *self;
        let drawn = key.with(self.name()).generator().random_range(-decibels..=decibels);
        let factor = 10f32.powf(drawn / 20.0);
        waveform
            .channels
            .iter_mut()
            .flatten()
            .for_each(|sample| *sample *= factor);
    }
}
