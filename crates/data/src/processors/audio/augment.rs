//! Random changes of training waveforms. Every draw comes from the key and the operation's name
//! alone.

use super::resample::resample;
use crate::Result;
use crate::processors::{in_bounds, invalid};
use crate::random::Key;
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One random change of a training waveform.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaveAugment {
    /// Makes louder or softer by decibels drawn evenly from [least, most].
    Gain(#[schemars(inner(range(min = -60.0, max = 60.0)))] [f32; 2]),
    /// Adds white noise this many decibels below the sound's power, drawn evenly from [least, most].
    Noise(#[schemars(inner(range(min = -20.0, max = 120.0)))] [f32; 2]),
    /// Plays faster, and higher, by a factor drawn from [least, most] in steps of 0.01.
    Speed(#[schemars(inner(range(min = 0.25, max = 4.0)))] [f32; 2]),
    /// Moves earlier or later by up to this many seconds; silence fills what becomes free.
    Shift(#[schemars(range(min = 0.0, max = 60.0))] f32),
    /// Moves earlier or later by up to this many seconds; what leaves at one end enters at the other.
    Roll(#[schemars(range(min = 0.0, max = 60.0))] f32),
}

impl WaveAugment {
    /// The word in recipes, which is also the key of its random draws.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gain(_) => "gain",
            Self::Noise(_) => "noise",
            Self::Speed(_) => "speed",
            Self::Shift(_) => "shift",
            Self::Roll(_) => "roll",
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the field and what it accepts.
    pub fn validate(self) -> Result<()> {
        match self {
            Self::Gain(range) => in_order("augment.gain", range, -60.0..=60.0),
            Self::Noise(range) => in_order("augment.noise", range, -20.0..=120.0),
            Self::Speed(range) => in_order("augment.speed", range, 0.25..=4.0),
            Self::Shift(seconds) => in_bounds("augment.shift", seconds, 0.0..=60.0),
            Self::Roll(seconds) => in_bounds("augment.roll", seconds, 0.0..=60.0),
        }
    }

    fn apply(self, samples: &mut Vec<f32>, sample_rate: u32, key: &Key) {
        let mut generator = key.with(self.name()).generator();
        match self {
            Self::Gain([least, most]) => {
                let factor = from_decibels(generator.random_range(least..=most));
                samples.iter_mut().for_each(|sample| *sample *= factor);
            }
            Self::Noise([least, most]) => {
                let below = generator.random_range(least..=most);
                let deviation = root_mean_square(samples) * from_decibels(-below);
                samples
                    .iter_mut()
                    .for_each(|sample| *sample += deviation * normal(&mut generator));
            }
            Self::Speed([least, most]) => {
                let percent = (100.0 * generator.random_range(least..=most)).round() as u32;
                *samples = resample(samples, percent, 100);
            }
            Self::Shift(seconds) => shift(samples, draw(&mut generator, seconds, sample_rate)),
            Self::Roll(seconds) => {
                let by = draw(&mut generator, seconds, sample_rate);
                let length = samples.len().max(1) as i64;
                samples.rotate_right(by.rem_euclid(length) as usize);
            }
        }
    }
}

/// Applies the changes to the samples of one channel, in their order.
pub fn augment(augments: &[WaveAugment], samples: &mut Vec<f32>, sample_rate: u32, key: &Key) {
    for operation in augments {
        operation.apply(samples, sample_rate, key);
    }
}

fn in_order(field: &str, [least, most]: [f32; 2], bounds: std::ops::RangeInclusive<f32>) -> Result<()> {
    in_bounds(field, least, bounds.clone())?;
    in_bounds(field, most, bounds)?;
    match least <= most {
        true => Ok(()),
        false => Err(invalid(format!("expected [least, most], found [{least}, {most}]")).in_field(field)),
    }
}

fn from_decibels(decibels: f32) -> f32 {
    10_f32.powf(decibels / 20.0)
}

fn root_mean_square(samples: &[f32]) -> f32 {
    let energy: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample) * f64::from(sample))
        .sum();
    (energy / samples.len().max(1) as f64).sqrt() as f32
}

/// A standard normal number (Box and Muller 1958).
fn normal(generator: &mut impl rand::Rng) -> f32 {
    let (radius, angle): (f32, f32) = (generator.random(), generator.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
}

/// A number of samples, evenly from minus to plus `seconds`.
fn draw(generator: &mut impl rand::Rng, seconds: f32, sample_rate: u32) -> i64 {
    let most = (f64::from(seconds) * f64::from(sample_rate)) as i64;
    generator.random_range(-most..=most)
}

/// Moves samples to later places, or to earlier ones when `by` is negative.
fn shift(samples: &mut [f32], by: i64) {
    let length = samples.len();
    let distance = usize::try_from(by.unsigned_abs()).unwrap_or(length).min(length);
    if by >= 0 {
        samples.copy_within(..length - distance, distance);
        samples[..distance].fill(0.0);
    } else {
        samples.copy_within(distance.., 0);
        samples[length - distance..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OPERATIONS: [WaveAugment; 5] = [
        WaveAugment::Gain([-6.0, 6.0]),
        WaveAugment::Noise([10.0, 30.0]),
        WaveAugment::Speed([0.9, 1.1]),
        WaveAugment::Shift(0.05),
        WaveAugment::Roll(0.05),
    ];

    fn tone() -> Vec<f32> {
        (0..4000).map(|index| 0.5 * (0.3 * index as f32).sin()).collect()
    }

    fn run(operation: WaveAugment, key: &Key) -> Vec<f32> {
        let mut samples = tone();
        augment(&[operation], &mut samples, 16_000, key);
        samples
    }

    #[test]
    fn a_key_gives_one_waveform_and_other_keys_others() {
        for operation in OPERATIONS {
            let results: Vec<_> = (0..20).map(|index| run(operation, &Key::new(1).at(index))).collect();
            for (index, result) in results.iter().enumerate() {
                assert!(
                    *result == run(operation, &Key::new(1).at(index as u64)),
                    "{operation:?}"
                );
            }
            assert!(results.iter().any(|result| *result != results[0]), "{operation:?}");
        }
    }

    #[test]
    fn gain_and_noise_have_the_levels_that_were_asked_for() {
        for index in 0..20 {
            let key = Key::new(2).at(index);
            let gain = run(WaveAugment::Gain([6.0, 6.0]), &key);
            assert!((root_mean_square(&gain) / root_mean_square(&tone()) - 1.9953).abs() < 1e-3);
            let noisy = run(WaveAugment::Noise([20.0, 20.0]), &key);
            let noise: Vec<f32> = noisy.iter().zip(tone()).map(|(noisy, clean)| noisy - clean).collect();
            let ratio = 20.0 * (root_mean_square(&tone()) / root_mean_square(&noise)).log10();
            assert!((ratio - 20.0).abs() < 0.5, "{ratio} dB");
        }
    }

    #[test]
    fn speed_changes_length_and_pitch() {
        for (factor, length) in [(0.5, 8000), (1.0, 4000), (1.25, 3200), (1.1, 3637)] {
            let result = run(WaveAugment::Speed([factor, factor]), &Key::new(3));
            assert_eq!(result.len(), length);
            let expected = |index: usize| 0.5 * (0.3 * factor * index as f32).sin();
            let middle = length / 3..length / 2;
            assert!(
                middle
                    .into_iter()
                    .all(|index| (result[index] - expected(index)).abs() < 0.01),
                "{factor}"
            );
        }
    }

    #[test]
    fn shifts_move_every_sample_by_one_distance() {
        let check = |by, expected: [f32; 4]| {
            let mut samples = [1.0, 2.0, 3.0, 4.0];
            shift(&mut samples, by);
            assert_eq!(samples, expected, "{by}");
        };
        check(0, [1.0, 2.0, 3.0, 4.0]);
        check(1, [0.0, 1.0, 2.0, 3.0]);
        check(-3, [4.0, 0.0, 0.0, 0.0]);
        check(9, [0.0; 4]);
        check(i64::MIN, [0.0; 4]);
        let (mut rolled, mut original) = (run(WaveAugment::Roll(0.1), &Key::new(5)), tone());
        rolled.sort_by(f32::total_cmp);
        original.sort_by(f32::total_cmp);
        assert!(rolled == original);
    }

    #[test]
    fn nothing_breaks_an_empty_waveform() {
        for operation in OPERATIONS {
            let mut samples = Vec::new();
            augment(&[operation], &mut samples, 16_000, &Key::new(1));
            assert!(samples.is_empty());
        }
    }

    #[test]
    fn recipes_name_changes_in_lower_case_and_within_bounds() {
        let written =
            json!([{"gain": [-6, 6]}, {"noise": [10, 30]}, {"speed": [0.9, 1.1]}, {"shift": 0.05}, {"roll": 0.05}]);
        let operations: Vec<WaveAugment> = serde_json::from_value(written).unwrap();
        assert_eq!(operations, OPERATIONS);
        operations.into_iter().try_for_each(WaveAugment::validate).unwrap();
        for wrong in [
            WaveAugment::Gain([3.0, -3.0]),
            WaveAugment::Speed([0.0, 1.0]),
            WaveAugment::Shift(-1.0),
        ] {
            assert!(wrong.validate().is_err(), "{wrong:?}");
        }
    }
}
