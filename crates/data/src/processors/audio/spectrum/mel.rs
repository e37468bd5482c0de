//! Triangular filters on the two mel scales, and the log energies that they read from windows of
//! samples.

use super::logarithm::natural_logarithm;
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftNum, FftPlanner};
use std::sync::Arc;

/// How many windows go through the filters together, one in each SIMD lane: an even number, and so few
/// that their powers stay in the first-level cache.
const LANES: usize = 16;

/// One triangle: the weights of the bins from `start` on.
#[derive(Debug, Clone, PartialEq)]
struct Filter {
    start: usize,
    weights: Vec<f32>,
}

/// Filters over the bins of a real Fourier transform.
#[derive(Debug, Clone, PartialEq)]
pub struct MelFilters(Vec<Filter>);

impl MelFilters {
    /// Slaney's filters (Auditory Toolbox, 1998), as librosa's `filters.mel` makes them and Whisper
    /// uses them: linear below 1000 Hz, logarithmic above, each of area 1; from 0 Hz to half of the
    /// rate.
    pub fn slaney(count: usize, sample_rate: u32, transform: usize) -> Self {
        let nyquist = f64::from(sample_rate) / 2.0;
        let step = hertz_to_slaney(nyquist) / (count + 1) as f64;
        let corner = |index: usize| slaney_to_hertz(index as f64 * step);
        let hertz = |bin: usize| bin as f64 * f64::from(sample_rate) / transform as f64;
        let weight = |mel: usize, bin: usize| {
            let [left, centre, right] = [corner(mel), corner(mel + 1), corner(mel + 2)];
            let rise = (hertz(bin) - left) / (centre - left);
            let fall = (right - hertz(bin)) / (right - centre);
            (rise.min(fall).max(0.0) * 2.0 / (right - left)) as f32
        };
        Self::sparse(count, transform / 2 + 1, weight)
    }

    /// Kaldi's filters (`MelBanks`): triangles on the scale 1127·ln(1 + f / 700) from `low` to `high`
    /// hertz; the bin at half of the rate belongs to none.
    ///
    /// In single precision, step by step as torchaudio computes them, because a weight near a
    /// triangle's foot keeps few of its digits.
    pub fn kaldi(count: usize, sample_rate: u32, transform: usize, low: f64, high: f64) -> Self {
        let [low, high] = [low, high].map(|hertz| 1127.0 * (1.0 + hertz / 700.0).ln());
        let step = ((high - low) / (count + 1) as f64) as f32;
        let corner = |index: usize| low as f32 + index as f32 * step;
        let width = (f64::from(sample_rate) / transform as f64) as f32;
        let weight = |mel: usize, bin: usize| {
            let [left, centre, right] = [corner(mel), corner(mel + 1), corner(mel + 2)];
            let place = 1127.0 * (1.0 + width * bin as f32 / 700.0).ln();
            let rise = (place - left) / (centre - left);
            let fall = (right - place) / (right - centre);
            rise.min(fall).max(0.0)
        };
        Self::sparse(count, transform / 2, weight)
    }

    fn sparse(count: usize, bins: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let filter = |mel: usize| {
            let weights: Vec<f32> = (0..bins).map(|bin| weight(mel, bin)).collect();
            let start = weights.iter().position(|&it| it > 0.0).unwrap_or(0);
            let end = weights.iter().rposition(|&it| it > 0.0).map_or(start, |last| last + 1);
            Filter {
                start,
                weights: weights[start..end].to_vec(),
            }
        };
        Self((0..count).map(filter).collect())
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The energies of `LANES` windows from their powers.
    fn apply(&self, powers: &[[f32; LANES]], energies: &mut [[f32; LANES]]) {
        for (filter, energy) in self.0.iter().zip(energies) {
            let mut sum = [0.0; LANES];
            for (weight, powers) in filter.weights.iter().zip(&powers[filter.start..]) {
                for (sum, power) in sum.iter_mut().zip(powers) {
                    *sum += weight * power;
                }
            }
            *energy = sum;
        }
    }
}

const SLANEY_HERTZ: f64 = 200.0 / 3.0;
const SLANEY_BREAK: f64 = 1000.0;

/// 27 steps of the logarithmic part are a factor of 6.4.
fn slaney_log_step() -> f64 {
    6.4f64.ln() / 27.0
}

fn hertz_to_slaney(hertz: f64) -> f64 {
    match hertz < SLANEY_BREAK {
        true => hertz / SLANEY_HERTZ,
        false => SLANEY_BREAK / SLANEY_HERTZ + (hertz / SLANEY_BREAK).ln() / slaney_log_step(),
    }
}

fn slaney_to_hertz(mel: f64) -> f64 {
    let straight = SLANEY_BREAK / SLANEY_HERTZ;
    match mel < straight {
        true => mel * SLANEY_HERTZ,
        false => SLANEY_BREAK * ((mel - straight) * slaney_log_step()).exp(),
    }
}

/// Windows of samples of precision `T` in, natural logarithms of mel energies out.
pub struct LogMelBank<T> {
    transform: Arc<dyn Fft<T>>,
    filters: MelFilters,
    /// What energies are raised to before the logarithm.
    floor: f32,
}

impl<T: FftNum + Into<f64>> LogMelBank<T> {
    /// # Panics
    /// When the filters read more bins than a transform of `length` samples gives.
    pub fn new(length: usize, filters: MelFilters, floor: f32) -> Self {
        let reaches = |filter: &Filter| filter.start + filter.weights.len() <= length / 2 + 1;
        assert!(filters.0.iter().all(reaches), "filters for a longer transform");
        let transform = FftPlanner::new().plan_fft_forward(length);
        Self {
            transform,
            filters,
            floor,
        }
    }

    pub fn bins(&self) -> usize {
        self.filters.count()
    }

    /// Writes the log energies of each window to a row of `rows`, which are `width` long, from column
    /// `offset` on. `fill` writes the samples of the window of a number over whatever it is given.
    pub fn write(&self, rows: &mut [f32], width: usize, offset: usize, mut fill: impl FnMut(usize, &mut [T])) {
        let length = self.transform.len();
        let mut pair = Pair::new(&*self.transform);
        let mut powers = vec![[0.0; LANES]; length / 2 + 1];
        let mut energies = vec![[0.0; LANES]; self.bins()];
        for (block, rows) in rows.chunks_mut(LANES * width).enumerate() {
            let count = rows.len() / width;
            for lane in (0..count).step_by(2) {
                fill(block * LANES + lane, &mut pair.first);
                match lane + 1 < count {
                    true => fill(block * LANES + lane + 1, &mut pair.second),
                    false => pair.second.fill(T::zero()),
                }
                pair.write_powers(&mut powers, lane);
            }
            self.filters.apply(&powers, &mut energies);
            for energy in energies.as_flattened_mut() {
                *energy = natural_logarithm(energy.max(self.floor));
            }
            for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
                for (value, energy) in row[offset..].iter_mut().zip(&energies) {
                    *value = energy[lane];
                }
            }
        }
    }
}

/// Two windows of real samples that go through one complex transform, as its real and its imaginary
/// part.
struct Pair<'a, T> {
    transform: &'a dyn Fft<T>,
    first: Vec<T>,
    second: Vec<T>,
    joined: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<'a, T: FftNum + Into<f64>> Pair<'a, T> {
    fn new(transform: &'a dyn Fft<T>) -> Self {
        let (length, zero) = (transform.len(), Complex::new(T::zero(), T::zero()));
        Self {
            transform,
            first: vec![T::zero(); length],
            second: vec![T::zero(); length],
            joined: vec![zero; length],
            scratch: vec![zero; transform.get_inplace_scratch_len()],
        }
    }

    /// Writes the powers of both windows to `lane` and the next one.
    ///
    /// The spectrum of real samples is symmetric but for the sign of its imaginary part, so the sum
    /// and the difference of opposite bins take the two apart.
    fn write_powers(&mut self, powers: &mut [[f32; LANES]], lane: usize) {
        let samples = self.first.iter().zip(&self.second);
        for (joined, (&first, &second)) in self.joined.iter_mut().zip(samples) {
            *joined = Complex::new(first, second);
        }
        self.transform.process_with_scratch(&mut self.joined, &mut self.scratch);
        let (constant, others) = self.joined.split_at(1);
        let (zeroth, powers) = powers.split_at_mut(1);
        store(&mut zeroth[0], lane, constant[0], constant[0]);
        for ((powers, &value), &opposite) in powers.iter_mut().zip(others).zip(others.iter().rev()) {
            store(powers, lane, value, opposite);
        }
    }
}

/// Writes the powers of one bin of both windows.
fn store<T: FftNum + Into<f64>>(powers: &mut [f32; LANES], lane: usize, value: Complex<T>, opposite: Complex<T>) {
    let power = |sum: T, difference: T| (sum * sum + difference * difference).into() as f32 * 0.25;
    powers[lane] = power(value.re + opposite.re, value.im - opposite.im);
    powers[lane + 1] = power(value.im + opposite.im, value.re - opposite.re);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slaneys_filters_have_an_area_of_one() {
        let filters = MelFilters::slaney(40, 16_000, 4096);
        for filter in &filters.0 {
            let area = filter.weights.iter().sum::<f32>() * 16_000.0 / 4096.0;
            assert!((area - 1.0).abs() < 0.02, "{area}");
        }
    }

    #[test]
    fn neighbours_of_kaldis_filters_sum_to_one() {
        let filters = MelFilters::kaldi(23, 16_000, 512, 20.0, 8000.0);
        let weight = |filter: &Filter, bin: usize| match bin.checked_sub(filter.start) {
            Some(place) => filter.weights.get(place).copied().unwrap_or(0.0),
            None => 0.0,
        };
        // Between the first and the last peak.
        for bin in 4..229 {
            let sum: f32 = filters.0.iter().map(|filter| weight(filter, bin)).sum();
            assert!((sum - 1.0).abs() < 1e-5, "bin {bin}: {sum}");
        }
    }

    /// The energies of windows by the definition, one after the other.
    fn plainly(filters: &MelFilters, window: &[f32]) -> Vec<f32> {
        let power = |bin: usize| {
            let turn = |at: usize| std::f64::consts::TAU * (bin * at % window.len()) as f64 / window.len() as f64;
            let part = |wave: fn(f64) -> f64| -> f64 {
                let terms = window.iter().enumerate();
                terms.map(|(at, &sample)| f64::from(sample) * wave(turn(at))).sum()
            };
            part(f64::cos).powi(2) + part(f64::sin).powi(2)
        };
        let energy = |filter: &Filter| {
            let weighted = filter.weights.iter().enumerate();
            weighted
                .map(|(at, &weight)| f64::from(weight) * power(filter.start + at))
                .sum::<f64>()
        };
        filters
            .0
            .iter()
            .map(|filter| energy(filter).max(1e-10).ln() as f32)
            .collect()
    }

    #[test]
    fn any_number_of_windows_gives_the_energies_of_each() {
        let filters = MelFilters::slaney(7, 16_000, 50);
        let bank = LogMelBank::<f32>::new(50, filters.clone(), 1e-10);
        let window = |number: usize| -> Vec<f32> {
            (0..50)
                .map(|at| ((at * at * (number + 3)) as f32 * 0.1).sin())
                .collect()
        };
        for count in [0, 1, 15, 16, 17, 40] {
            let mut rows = vec![9.0; count * 9];
            bank.write(&mut rows, 9, 1, |number, samples| {
                samples.copy_from_slice(&window(number))
            });
            for (number, row) in rows.chunks_exact(9).enumerate() {
                assert_eq!((row[0], row[8]), (9.0, 9.0));
                for (found, expected) in row[1..8].iter().zip(plainly(&filters, &window(number))) {
                    assert!((found - expected).abs() < 1e-4, "{found} for {expected}");
                }
            }
        }
    }
}
