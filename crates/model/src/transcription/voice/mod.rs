//! Where in a recording somebody speaks: the network of silero-vad (`tinygrad_model.py` of that package), at 16 kHz.

mod network;
mod stretches;

use crate::architectures::safetensors;
use crate::checkpoint::from_host;
use crate::error::Result;
use crate::init::Init;
use burn::tensor::Device;
use network::Network;
use sensorium_kernels::on_compute_threads;
use std::path::Path;

/// The file of a folder that holds the tensors, as the package calls it.
const FILE: &str = "silero_vad_16k.safetensors";

/// A network that hears voices.
pub struct VoiceDetector(Network);

impl VoiceDetector {
    /// Reads the tensors in `folder`.
    ///
    /// # Errors
    /// For a file that is missing, cut or forged, and for tensors of another network.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let tensors = safetensors::read(&path, |name| Some(name.to_string()))?;
        let network = Network::new(&Init::blank(&Device::flex()));
        Ok(Self(from_host(network, tensors, &path)?))
    }

    /// The probability of each 32 milliseconds of `samples` at 16 kHz that somebody speaks in them.
    pub fn probabilities(&self, samples: &[f32]) -> Vec<f32> {
        on_compute_threads(|| self.0.probabilities(samples))
    }

    /// From when to when somebody speaks, in seconds.
    pub(super) fn stretches(&self, samples: &[f32]) -> Vec<[f64; 2]> {
        stretches::stretches(&self.probabilities(samples), samples.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{HostTensor, HostTensors, save};

    /// Numbers from −1 to 1 that follow from their place, as in `reference/voice/make.py`.
    fn noise(seed: u32, count: usize) -> impl Iterator<Item = f64> {
        (0..count as u32).map(move |place| {
            let x = place.wrapping_add(1_000_003 * seed + 1).wrapping_mul(2_654_435_761);
            let x = (x ^ (x >> 15)).wrapping_mul(2_246_822_519);
            f64::from(x ^ (x >> 13)) / 2f64.powi(31) - 1.0
        })
    }

    fn tensors() -> HostTensors {
        let shapes = checkpoint_shapes();
        let tensor = |(seed, (name, shape)): (u32, (String, Vec<usize>))| {
            let width: usize = shape[1..].iter().product();
            let factor = if name.contains("bias") { 0.1 } else { 1.0 };
            let scale = 3.0 / (width as f64).sqrt();
            let values = noise(seed, shape.iter().product()).map(|value| (scale * value * factor) as f32);
            let values = values.collect();
            (name, HostTensor { shape, values })
        };
        (0..).zip(shapes).map(tensor).collect()
    }

    fn checkpoint_shapes() -> Vec<(String, Vec<usize>)> {
        let network = Network::new(&Init::blank(&Device::flex()));
        crate::shapes(&network).into_iter().collect()
    }

    #[test]
    fn the_network_hears_what_the_original_does() {
        let folder = tempfile::tempdir().unwrap();
        save(&tensors(), &folder.path().join(FILE)).unwrap();
        let detector = VoiceDetector::open(folder.path()).unwrap();
        let count = 9 * network::PART + 100;
        let sample = |(at, noise): (usize, f64)| {
            let at = at as f64;
            ((2e-5 * at * at).sin() * (7e-4 * at).sin() + 0.1 * noise) as f32
        };
        let samples: Vec<f32> = noise(99, count).enumerate().map(sample).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/voice/expected.json");
        let expected: Vec<f32> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let found = detector.probabilities(&samples);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
        assert!(detector.probabilities(&[]).is_empty());
    }

    #[test]
    fn other_tensors_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let refused = |words: &[&str]| {
            let error = VoiceDetector::open(folder.path()).err().unwrap().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        };
        refused(&[FILE]);
        std::fs::write(&path, b"{}").unwrap();
        refused(&["expected a safetensors file"]);
        let mut tensors = tensors();
        tensors.remove("conv2.bias");
        save(&tensors, &path).unwrap();
        refused(&["conv2.bias"]);
    }
}
