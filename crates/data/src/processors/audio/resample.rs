//! Band-limited change of the sample rate.

use rayon::prelude::*;
use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

/// The shortest block, in samples of the lower rate: longer ones make a steeper filter.
const BLOCK: usize = 2048;
/// The fewest samples that one thread works on at a time: a quarter of a minute of most recordings.
const PART: usize = 1 << 18;

/// Brings samples from one rate to another by spectra of blocks behind a windowed sinc of one block's
/// length (Blackman-Harris). The result has ceil(length × to / from) samples, is not shifted, and
/// sees silence before the beginning and behind the end, as in torchaudio and librosa. Long sounds
/// are worked on by all compute threads, to the same bits.
///
/// # Panics
/// When a rate is zero.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Vec<f32> {
    if from == to || samples.is_empty() {
        return samples.to_vec();
    }
    let (resampling, mut resampled) = (Resampling::new(from, to), Vec::new());
    resampling.extend(samples, &mut resampled, usize::MAX);
    resampled
}

/// A change of the rate in even blocks, so that the delay of half a block is a whole number of samples.
#[derive(Debug, Clone, PartialEq)]
pub struct Resampling {
    rates: [usize; 2],
    /// The samples of a block before and after.
    input: usize,
    output: usize,
}

impl Resampling {
    /// # Panics
    /// When a rate is zero.
    pub fn new(from: u32, to: u32) -> Self {
        let rates = [from, to].map(|rate| rate as usize);
        let units = rates.map(|rate| rate / greatest_common_divisor(rates[0], rates[1]));
        let count = BLOCK.div_ceil(units[0].min(units[1])).next_multiple_of(2);
        let [input, output] = units.map(|unit| unit * count);
        Self { rates, input, output }
    }

    /// The samples that so many become.
    pub fn length(&self, samples: usize) -> usize {
        let [from, to] = self.rates.map(|rate| rate as u64);
        (samples as u64 * to).div_ceil(from) as usize
    }

    /// Goes on with `resampled`, the beginning of what becomes of `samples`, until it has at least `count`, or all that there are.
    pub fn extend(&self, samples: &[f32], resampled: &mut Vec<f32>, count: usize) {
        let many = PART.div_ceil(self.input);
        let (start, part) = (resampled.len(), many * self.output);
        let length = self.length(samples.len());
        let count = count.min(length).next_multiple_of(part).min(length);
        if count <= start {
            return;
        }
        resampled.resize(count, 0.0);
        let parts = resampled[start..].par_chunks_mut(part).enumerate();
        parts.for_each(|(index, part)| self.fill(samples, start / self.output + index * many, part));
    }

    /// Fills a part of what becomes of `samples` from the block number `first` on.
    fn fill(&self, samples: &[f32], first: usize, part: &mut [f32]) {
        // What goes into a block of the result reaches into one before and one behind it.
        let before = first.min(1);
        let end = (first + part.len().div_ceil(self.output) + 1) * self.input;
        let found = self.whole(&samples[(first - before) * self.input..end.min(samples.len())]);
        let found = &found[before * self.output..];
        // The library multiplies in floating point, and may be one sample off where it divides evenly.
        let count = part.len().min(found.len());
        part[..count].copy_from_slice(&found[..count]);
    }

    fn whole(&self, samples: &[f32]) -> Vec<f32> {
        let ([from, to], window) = (self.rates, WindowFunction::BlackmanHarris);
        let resampler = Fft::new_custom(from, to, self.input, 1, 1, window, FixedSync::Both);
        let mut resampler = resampler.expect("rates above zero and a block of at least two samples");
        let input = SequentialSlice::new(samples, 1, samples.len()).expect("one channel has all samples");
        let output = resampler.process_all(&input, samples.len(), None);
        output.expect("the blocks are as long as it asked for").take_data()
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    fn sine(frequency: f64, rate: u32, length: usize) -> Vec<f32> {
        let sample = |index: usize| (TAU * frequency * index as f64 / f64::from(rate)).sin() as f32;
        (0..length).map(sample).collect()
    }

    fn decibels(power: f64) -> f64 {
        10.0 * power.max(1e-30).log10()
    }

    fn power(samples: impl ExactSizeIterator<Item = f64>) -> f64 {
        let count = samples.len() as f64;
        samples.map(|sample| sample * sample).sum::<f64>() / count
    }

    const RATES: [(u32, u32); 8] = [
        (44_100, 16_000),
        (16_000, 44_100),
        (48_000, 16_000),
        (8000, 16_000),
        (22_050, 16_000),
        (100, 103),
        (44_100, 44_101),
        (96_000, 8000),
    ];

    #[test]
    fn parts_join_to_the_bits_of_the_whole() {
        for (from, to) in [(44_100, 16_000), (16_000, 44_100), (22_050, 16_000), (44_100, 44_101)] {
            let samples = sine(0.1 * f64::from(from), from, 2 * PART + 4321);
            let (found, whole) = (resample(&samples, from, to), Resampling::new(from, to).whole(&samples));
            let bits = |samples: &[f32]| samples.iter().map(|sample| sample.to_bits()).collect::<Vec<_>>();
            let count = found.len().min(whole.len());
            assert!(found.len() - count <= 1, "{from} to {to}");
            assert!(bits(&found[..count]) == bits(&whole[..count]), "{from} to {to}");
        }
    }

    #[test]
    fn a_tone_within_the_band_stays_itself() {
        for (from, to) in RATES {
            let frequency = 0.37 * f64::from(from.min(to));
            let found = resample(&sine(frequency, from, 150_007), from, to);
            let expected = sine(frequency, to, found.len());
            // Away from the ends, where the tone begins and ends suddenly.
            let margin = (4 * BLOCK * to as usize / from.min(to) as usize).min(found.len() / 3);
            let middle = margin..found.len() - margin;
            let error = found[middle.clone()]
                .iter()
                .zip(&expected[middle])
                .map(|(a, b)| f64::from(*a) - f64::from(*b));
            let ratio = decibels(0.5 / power(error.collect::<Vec<_>>().into_iter()));
            assert!(ratio > 100.0, "{from} to {to}: {ratio} dB");
        }
    }

    #[test]
    fn a_tone_beyond_the_new_band_vanishes() {
        for (from, to) in [(44_100, 16_000), (48_000, 16_000), (96_000, 8000), (22_050, 16_000)] {
            let found = resample(&sine(0.51 * f64::from(to), from, 2 * from as usize), from, to);
            let middle = &found[found.len() / 4..found.len() * 3 / 4];
            let level = decibels(power(middle.iter().map(|&sample| f64::from(sample))) / 0.5);
            assert!(level < -90.0, "{from} to {to}: {level} dB");
        }
    }

    #[test]
    fn a_pulse_stays_in_its_place() {
        for (from, to) in [(44_100, 16_000), (16_000, 48_000), (48_000, 44_100)] {
            let mut pulse = vec![0.0; from as usize];
            pulse[from as usize / 2] = 1.0;
            let found = resample(&pulse, from, to);
            let peak = (0..found.len()).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
            assert_eq!(peak, to as usize / 2, "{from} to {to}");
            let sum: f32 = found.iter().sum();
            assert!((sum - to as f32 / from as f32).abs() < 1e-4, "{from} to {to}: {sum}");
        }
    }

    #[test]
    fn a_constant_keeps_its_value_and_a_length_is_rounded_up() {
        for (from, to) in RATES {
            for length in [1, 2, 441, 5000] {
                let found = resample(&vec![0.25; length], from, to);
                assert_eq!(
                    found.len() as u64,
                    (length as u64 * u64::from(to)).div_ceil(u64::from(from))
                );
            }
        }
        let found = resample(&vec![0.25; 60_000], 44_100, 16_000);
        let middle = &found[5000..found.len() - 5000];
        assert!(middle.iter().all(|sample| (sample - 0.25).abs() < 1e-5));
        assert!(resample(&[], 1, 2).is_empty());
        assert_eq!(resample(&[0.5, 0.1], 8000, 8000), [0.5, 0.1]);
    }
}
