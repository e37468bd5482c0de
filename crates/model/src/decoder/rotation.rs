//! By what frequencies queries and keys turn, and how these are stretched for longer texts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// How the waves of rotary positions are made longer than those that a model was trained with at first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StretchConfig {
    /// All of them alike: places lie closer together (Chen et al. 2023).
    Linear {
        #[schemars(range(min = 1.0, max = 1_000_000.0))]
        factor: f64,
    },
    /// Long waves by the whole factor and short ones not at all, as in Llama 3.1.
    Llama3(Llama3Config),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Llama3Config {
    #[schemars(range(min = 1.0, max = 1_000_000.0))]
    pub factor: f64,
    /// Waves that fit into `places` less often than this are stretched by the whole factor.
    #[schemars(range(min = 0.000001, max = 1_000_000.0))]
    pub low_frequency: f64,
    /// Those that fit more often than this stay as they are; more than `low_frequency`.
    #[schemars(range(min = 0.000001, max = 1_000_000.0))]
    pub high_frequency: f64,
    /// The places of the texts that the model was trained with at first.
    #[schemars(range(min = 1, max = 100_000_000))]
    pub places: usize,
}

impl StretchConfig {
    fn stretched(&self, frequency: f64) -> f64 {
        match self {
            Self::Linear { factor } => frequency / factor,
            Self::Llama3(config) => config.stretched(frequency),
        }
    }
}

impl Llama3Config {
    fn stretched(&self, frequency: f64) -> f64 {
        let waves = self.places as f64 * frequency / TAU;
        let kept = (waves - self.low_frequency) / (self.high_frequency - self.low_frequency);
        let kept = kept.clamp(0.0, 1.0);
        kept * frequency + (1.0 - kept) * frequency / self.factor
    }
}

/// By what each of so many pairs of columns turns from one place to the next (Su et al. 2021).
pub fn frequencies(pairs: usize, base: f64, stretch: Option<&StretchConfig>) -> Vec<f64> {
    let plain = (0..pairs).map(|pair| base.powf(-(pair as f64) / pairs as f64));
    match stretch {
        Some(stretch) => plain.map(|frequency| stretch.stretched(frequency)).collect(),
        None => plain.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stretch: Option<StretchConfig>, expected: [f64; 4]) {
        let found = frequencies(4, 10_000.0, stretch.as_ref());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{stretch:?}: {found}, not {expected}");
        }
    }

    #[test]
    fn short_waves_stay_and_long_ones_are_stretched() {
        check(None, [1.0, 0.1, 0.01, 0.001]);
        check(
            Some(StretchConfig::Linear { factor: 4.0 }),
            [0.25, 0.025, 0.0025, 0.000_25],
        );
        let llama = Llama3Config {
            factor: 4.0,
            low_frequency: 1.0,
            high_frequency: 4.0,
            places: 128,
        };
        // The waves fit 20.4, 2.04, 0.204 and 0.0204 times.
        let kept = (128.0 * 0.1 / TAU - 1.0) / 3.0;
        let second = kept * 0.1 + (1.0 - kept) * 0.025;
        check(Some(StretchConfig::Llama3(llama)), [1.0, second, 0.0025, 0.000_25]);
    }
}
