//! Filters of samples.

use super::Waveform;
use crate::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One filter.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Subtracts the mean.
    RemoveDc,
}

impl Filter {
    pub fn validate(self, _sample_rate: u32) -> Result<()> {
        Ok(())
    }
}

pub fn apply(_filters: &[Filter], _waveform: &mut Waveform) {}
