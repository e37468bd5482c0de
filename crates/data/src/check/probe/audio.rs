//! Sounds: decoded as training decodes them, and kept as the energies of 12 bands at 64 times.

use super::{Facts, Probe, Source};
use crate::check::fingerprint::{BLOCKS, Fingerprint, VALUES};
use crate::check::gate::Gate;
use crate::processors::audio::{Waveform, decode};
use crate::{DataError, Result};
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// What decoding takes for each encoded byte, in bytes: the frames of good codecs hold a tenth of the samples.
const BYTE: u64 = 40;
/// The moments whose energies are compared.
const TIMES: usize = VALUES / BLOCKS;
/// Samples of a spectrum, and spectra of a moment.
const WINDOW: usize = 1024;
const SPECTRA: usize = 8;
/// The range of the bands, in hertz; their widths grow with frequency.
const LOW: f64 = 60.0;
const HIGH: f64 = 8_000.0;

pub(super) fn probe(source: &Source, gate: &Gate) -> Result<Probe> {
    let (bytes, format) = (bytes(source)?, super::extension(source));
    let _pass = gate.enter(bytes.len() as u64 * BYTE);
    let waveform = decode(&bytes)?;
    Ok(Probe {
        content: content(&waveform),
        bytes: bytes.len() as u64,
        facts: Facts {
            format,
            seconds: Some(waveform.seconds()),
            sample_rate: Some(waveform.sample_rate),
            channels: Some(waveform.channels.len() as u32),
            ..Facts::default()
        },
        fingerprint: Some(fingerprint(waveform)),
    })
}

/// The whole file; the decoder takes no larger one.
fn bytes(source: &Source) -> Result<Arc<[u8]>> {
    let path = match source {
        Source::Bytes(bytes) => return Ok(bytes.clone()),
        Source::Stored(stored) => return stored.read(),
        Source::File(path) => path,
    };
    super::require_file(path)?;
    let mut bytes = Vec::new();
    let refused = |error: std::io::Error| DataError::io(&error, path);
    let file = File::open(path).map_err(refused)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes.into())
}

/// The hash of the samples, which two lossless files of one recording share.
fn content(waveform: &Waveform) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&waveform.sample_rate.to_le_bytes());
    for channel in &waveform.channels {
        hasher.update(&(channel.len() as u64).to_le_bytes());
        for part in channel.chunks(1 << 14) {
            let bytes: Vec<u8> = part.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    }
    hasher.finalize()
}

/// Band by band the energies over time, beside the largest, as amplitudes: loudness does not
/// matter, and what is faint counts little.
fn fingerprint(waveform: Waveform) -> Fingerprint {
    let (seconds, rate) = (waveform.seconds(), f64::from(waveform.sample_rate));
    let energies = energies(&waveform.mono(), rate);
    let largest = energies.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let value = |energy: &f32| (255.0 * (energy / largest).sqrt()).round() as u8;
    Fingerprint::new(seconds, energies.iter().map(value).collect())
}

fn energies(samples: &[f32], rate: f64) -> Vec<f32> {
    let transform = FftPlanner::new().plan_fft_forward(WINDOW);
    let mut frame = vec![Complex::ZERO; WINDOW];
    let mut energies = vec![0.0; VALUES];
    for moment in 0..TIMES * SPECTRA {
        let middle = (2 * moment + 1) * samples.len() / (2 * TIMES * SPECTRA);
        for (place, value) in frame.iter_mut().enumerate() {
            let sample = (middle + place).checked_sub(WINDOW / 2).and_then(|at| samples.get(at));
            let window = (std::f32::consts::PI * place as f32 / WINDOW as f32).sin().powi(2);
            *value = Complex::from(sample.map_or(0.0, |sample| sample * window));
        }
        transform.process(&mut frame);
        for (bin, value) in frame[..=WINDOW / 2].iter().enumerate() {
            if let Some(band) = band(bin as f64 * rate / WINDOW as f64) {
                energies[band * TIMES + moment / SPECTRA] += value.norm_sqr();
            }
        }
    }
    energies
}

/// The band of a frequency: bands of equal ratio from [`LOW`] to [`HIGH`].
fn band(frequency: f64) -> Option<usize> {
    let place = (frequency / LOW).ln() / (HIGH / LOW).ln() * BLOCKS as f64;
    (0.0..BLOCKS as f64).contains(&place).then_some(place as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds of a tone that swells and fades, `gain` loud, with a little noise.
    fn tone(rate: u32, hertz: f64, gain: f32, noise: f32) -> Waveform {
        let sample = |at: u32| {
            let time = f64::from(at) / f64::from(rate);
            let level = (time * 3.0).sin().abs() * (time * hertz * std::f64::consts::TAU).sin();
            let hash = at.wrapping_mul(2_654_435_761) >> 8;
            gain * (level as f32 + noise * (hash as f32 / (1 << 23) as f32 - 1.0))
        };
        Waveform {
            sample_rate: rate,
            channels: vec![(0..2 * rate).map(sample).collect()],
        }
    }

    #[test]
    fn loudness_and_a_little_noise_make_no_other_sound_and_pitch_does() {
        let original = fingerprint(tone(16_000, 440.0, 0.8, 0.0));
        assert!(original.is_near(&fingerprint(tone(16_000, 440.0, 0.4, 0.0))));
        assert!(original.is_near(&fingerprint(tone(16_000, 440.0, 0.8, 0.0005))));
        for hertz in [220.0, 880.0, 700.0] {
            assert!(
                !original.is_near(&fingerprint(tone(16_000, hertz, 0.8, 0.0))),
                "{hertz}"
            );
        }
    }

    #[test]
    fn the_same_samples_are_the_same_content() {
        let (one, other) = (tone(8_000, 440.0, 0.5, 0.0), tone(8_000, 440.0, 0.5, 0.001));
        assert_eq!(content(&one), content(&one.clone()));
        assert_ne!(content(&one), content(&other));
    }

    #[test]
    fn a_sound_of_no_energy_has_a_fingerprint() {
        let silent = |length| Waveform {
            sample_rate: 8_000,
            channels: vec![vec![0.0; length]],
        };
        assert!(fingerprint(silent(8_000)).is_near(&fingerprint(silent(8_000))));
        assert!(!fingerprint(silent(1)).is_near(&fingerprint(silent(8_000))));
    }
}
