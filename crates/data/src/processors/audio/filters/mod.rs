//! Fixed changes of a waveform before its features, in the order in which a recipe lists them.

mod biquad;
mod loudness;
mod silence;

pub use loudness::integrated_loudness;

use super::Waveform;
use crate::Result;
use crate::processors::{in_bounds, invalid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One change of every waveform, in training and in use alike.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Subtracts the mean of each channel.
    RemoveDc,
    /// Raises high tones: each sample less this share of the one before it.
    PreEmphasis(#[schemars(range(min = 0.0, max = 1.0))] f32),
    /// Removes tones below this frequency in hertz: Butterworth of order 4, 24 dB for each octave.
    HighPass(#[schemars(range(min = 1.0, max = 384_000.0))] f32),
    /// Removes tones above this frequency in hertz: Butterworth of order 4, 24 dB for each octave.
    LowPass(#[schemars(range(min = 1.0, max = 384_000.0))] f32),
    /// Keeps the tones between [lowest, highest] in hertz: a high pass and a low pass.
    BandPass(#[schemars(inner(range(min = 1.0, max = 384_000.0)))] [f32; 2]),
    /// Scales to this integrated loudness in LUFS (ITU-R BS.1770-4), or to full scale where that
    /// would clip; silence stays as it is.
    Loudness(#[schemars(range(min = -70.0, max = 0.0))] f32),
    /// Scales so that the largest sample has this size; silence stays as it is.
    Peak(#[schemars(range(min = 0.001, max = 1.0))] f32),
    /// Cuts off both ends where they lie this many decibels below the loudest part.
    TrimSilence(#[schemars(range(min = 1.0, max = 120.0))] f32),
}

impl Filter {
    /// Checks the bounds, with `sample_rate` as the rate at which the filter will run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) with the field and what it accepts.
    pub fn validate(self, sample_rate: u32) -> Result<()> {
        let frequency = |field, value| in_bounds(field, value, 1.0..=sample_rate as f32 / 2.0);
        match self {
            Self::RemoveDc => Ok(()),
            Self::PreEmphasis(share) => in_bounds("filters.pre_emphasis", share, 0.0..=1.0),
            Self::HighPass(corner) => frequency("filters.high_pass", corner),
            Self::LowPass(corner) => frequency("filters.low_pass", corner),
            Self::BandPass([low, high]) if low >= high => {
                let message = format!("expected [lowest, highest] in hertz, found [{low}, {high}]");
                Err(invalid(message).in_field("filters.band_pass"))
            }
            Self::BandPass(corners) => corners
                .into_iter()
                .try_for_each(|corner| frequency("filters.band_pass", corner)),
            Self::Loudness(level) => in_bounds("filters.loudness", level, -70.0..=0.0),
            Self::Peak(size) => in_bounds("filters.peak", size, 0.001..=1.0),
            Self::TrimSilence(depth) => in_bounds("filters.trim_silence", depth, 1.0..=120.0),
        }
    }

    fn apply(self, waveform: &mut Waveform) {
        let rate = f64::from(waveform.sample_rate);
        match self {
            Self::RemoveDc => waveform.channels.iter_mut().for_each(|channel| remove_dc(channel)),
            Self::PreEmphasis(share) => waveform
                .channels
                .iter_mut()
                .for_each(|channel| pre_emphasis(channel, share)),
            Self::HighPass(corner) => biquad::run(&biquad::high_pass(corner, rate), waveform),
            Self::LowPass(corner) => biquad::run(&biquad::low_pass(corner, rate), waveform),
            Self::BandPass([low, high]) => {
                biquad::run(&biquad::high_pass(low, rate), waveform);
                biquad::run(&biquad::low_pass(high, rate), waveform);
            }
            Self::Loudness(level) => {
                if let Some(found) = integrated_loudness(waveform) {
                    let gain = 10_f32.powf((level - found as f32) / 20.0);
                    scale(waveform, gain.min(1.0 / peak(waveform)));
                }
            }
            Self::Peak(size) => {
                let found = peak(waveform);
                if found > 0.0 {
                    scale(waveform, size / found);
                }
            }
            Self::TrimSilence(depth) => silence::trim(waveform, depth),
        }
    }
}

/// Applies the filters in their order.
pub fn apply(filters: &[Filter], waveform: &mut Waveform) {
    filters.iter().for_each(|filter| filter.apply(waveform));
}

fn remove_dc(channel: &mut [f32]) {
    let sum: f64 = channel.iter().map(|&sample| f64::from(sample)).sum();
    let mean = (sum / channel.len().max(1) as f64) as f32;
    channel.iter_mut().for_each(|sample| *sample -= mean);
}

/// y[t] = x[t] − share · x[t − 1], with silence before the beginning.
fn pre_emphasis(channel: &mut [f32], share: f32) {
    let mut before = 0.0;
    for sample in channel {
        (before, *sample) = (*sample, *sample - share * before);
    }
}

fn peak(waveform: &Waveform) -> f32 {
    waveform
        .channels
        .iter()
        .flatten()
        .fold(0.0, |peak, sample| peak.max(sample.abs()))
}

fn scale(waveform: &mut Waveform, factor: f32) {
    waveform
        .channels
        .iter_mut()
        .flatten()
        .for_each(|sample| *sample *= factor);
}

#[cfg(test)]
mod tests {
    use super::super::samples::golden;
    use super::*;
    use serde_json::{Value, json};

    /// The signal of reference/audio/filters.py.
    pub fn tones(sample_rate: u32, seconds: f64, level: impl Fn(f64) -> f64) -> Waveform {
        let sample = |index: usize| {
            let time = index as f64 / f64::from(sample_rate);
            let tone = |frequency: f64| (std::f64::consts::TAU * frequency * time).sin();
            (level(time) * (0.6 * tone(220.0) + 0.3 * tone(1870.0) + 0.1 * tone(6100.0))) as f32
        };
        let length = (f64::from(sample_rate) * seconds) as usize;
        Waveform {
            sample_rate,
            channels: vec![(0..length).map(sample).collect()],
        }
    }

    fn numbers(value: &Value) -> Vec<f32> {
        value
            .as_array()
            .unwrap()
            .iter()
            .map(|number| number.as_f64().unwrap() as f32)
            .collect()
    }

    fn reference() -> Value {
        serde_json::from_slice(&golden("filters.json")).unwrap()
    }

    fn mono(samples: &[f32]) -> Waveform {
        Waveform {
            sample_rate: 16_000,
            channels: vec![samples.to_vec()],
        }
    }

    fn check(filter: Filter, samples: &[f32], expected: &[f32]) {
        let mut waveform = mono(samples);
        apply(&[filter], &mut waveform);
        assert_eq!(waveform.length(), expected.len(), "{filter:?}");
        for (found, expected) in waveform.channels[0].iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-6,
                "{filter:?}: {:?}",
                waveform.channels[0]
            );
        }
    }

    #[test]
    fn simple_filters_follow_their_definitions() {
        check(Filter::RemoveDc, &[1.0, 2.0, 3.0], &[-1.0, 0.0, 1.0]);
        check(Filter::PreEmphasis(0.5), &[1.0, 2.0, 3.0], &[1.0, 1.5, 2.0]);
        check(Filter::Peak(0.5), &[0.1, -0.2], &[0.25, -0.5]);
        for filter in [
            Filter::RemoveDc,
            Filter::Peak(0.5),
            Filter::Loudness(-23.0),
            Filter::TrimSilence(40.0),
        ] {
            check(filter, &[0.0; 3], &[0.0; 3]);
            check(filter, &[], &[]);
        }
    }

    #[test]
    fn corner_filters_equal_those_of_scipy() {
        let reference = reference();
        for (name, filter) in [
            ("high_pass", Filter::HighPass(300.0)),
            ("low_pass", Filter::LowPass(3400.0)),
            ("band_pass", Filter::BandPass([300.0, 3400.0])),
        ] {
            let mut waveform = tones(16_000, 0.05, |_| 1.0);
            apply(&[filter], &mut waveform);
            let expected = numbers(&reference[name]);
            for (found, expected) in waveform.channels[0].iter().zip(&expected) {
                assert!((found - expected).abs() < 1e-6, "{name}: {found} for {expected}");
            }
            assert_eq!(expected.len(), 100);
        }
    }

    #[test]
    fn loudness_is_what_ffmpeg_measures_and_is_reached() {
        let level = |time: f64| {
            if time < 2.0 {
                0.05
            } else if time < 3.0 {
                0.5
            } else {
                0.0
            }
        };
        for rate in [48_000, 16_000] {
            let mut waveform = tones(rate, 4.0, level);
            let expected = reference()["loudness"][rate.to_string()].as_f64().unwrap();
            let found = integrated_loudness(&waveform).unwrap();
            assert!((found - expected).abs() <= 0.1, "{rate}: {found} for {expected}");
            apply(&[Filter::Loudness(-23.0)], &mut waveform);
            assert!((integrated_loudness(&waveform).unwrap() + 23.0).abs() < 0.01);
            apply(&[Filter::Loudness(0.0)], &mut waveform);
            assert!((peak(&waveform) - 1.0).abs() < 1e-6, "{}", peak(&waveform));
        }
    }

    #[test]
    fn silence_is_cut_where_librosa_cuts_it() {
        let reference = reference();
        for (depth, expected) in reference["trim"].as_object().unwrap() {
            let level = |time: f64| {
                if (0.5..0.9).contains(&time) {
                    0.5
                } else {
                    0.5 * 10_f64.powf(-4.0 * (time - 0.7).abs())
                }
            };
            let whole = tones(16_000, 1.5, level);
            let mut waveform = whole.clone();
            apply(&[Filter::TrimSilence(depth.parse().unwrap())], &mut waveform);
            let [start, end] = [0, 1].map(|at| expected[at].as_u64().unwrap() as usize);
            assert!(
                waveform.channels[0] == whole.channels[0][start..end],
                "{depth}: {}",
                waveform.length()
            );
        }
    }

    #[test]
    fn recipes_name_filters_in_lower_case() {
        let written = json!(["remove_dc", {"pre_emphasis": 0.97}, {"high_pass": 80}, {"low_pass": 7000},
            {"band_pass": [300, 3400]}, {"loudness": -23}, {"peak": 0.95}, {"trim_silence": 40}]);
        let filters: Vec<Filter> = serde_json::from_value(written).unwrap();
        for filter in &filters {
            filter.validate(16_000).unwrap();
        }
        assert_eq!(filters[4], Filter::BandPass([300.0, 3400.0]));
    }

    #[test]
    fn settings_out_of_bounds_are_refused() {
        for filter in [
            Filter::PreEmphasis(1.1),
            Filter::HighPass(0.0),
            Filter::LowPass(8001.0),
            Filter::BandPass([300.0, 300.0]),
            Filter::BandPass([300.0, 9000.0]),
            Filter::Loudness(3.0),
            Filter::Peak(f32::NAN),
            Filter::TrimSilence(0.0),
        ] {
            assert!(filter.validate(16_000).is_err(), "{filter:?}");
        }
    }
}
