//! Initialisation keyed by seed and parameter path, so that adding a layer changes no other layer's start.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sensorium_data::random::Key;
use sensorium_kernels::for_each_part;

/// A place in the tree of parameters under construction.
#[derive(Clone)]
pub struct Init {
    /// None where nothing is drawn.
    key: Option<Key>,
    path: String,
    device: Device,
}

impl Init {
    pub fn new(seed: u64, device: &Device) -> Self {
        Self {
            key: Some(Key::new(seed).with("initialise")),
            ..Self::blank(device)
        }
    }

    /// For parameters that are read afterwards: drawing them would take longer than reading them.
    pub fn blank(device: &Device) -> Self {
        Self {
            key: None,
            path: String::new(),
            device: device.clone(),
        }
    }

    /// The place of the child `name`: the same word that the module path will hold.
    pub fn at(&self, name: impl std::fmt::Display) -> Self {
        let path = match self.path.as_str() {
            "" => name.to_string(),
            parent => format!("{parent}.{name}"),
        };
        Self { path, ..self.clone() }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Uniform in ±`bound`.
    pub fn uniform<const D: usize>(&self, name: &str, shape: [usize; D], bound: f64) -> Param<Tensor<D>> {
        let bound = bound as f32;
        self.fill(name, shape, 1, |generator| generator.random_range(-bound..=bound))
    }

    /// Normal with mean zero (Box–Muller).
    pub fn normal<const D: usize>(&self, name: &str, shape: [usize; D], deviation: f64) -> Param<Tensor<D>> {
        self.fill(name, shape, 4, |generator| {
            let uniform: f64 = 1.0 - generator.random::<f64>();
            let radius = (-2.0 * uniform.ln()).sqrt();
            let angle = std::f64::consts::TAU * generator.random::<f64>();
            (deviation * radius * angle.cos()) as f32
        })
    }

    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(shape, value, &self.device))
    }

    /// Draws every number from one stream of which each takes `words`, so that parts can be drawn at the same time.
    fn fill<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        words: usize,
        draw: impl Fn(&mut ChaCha8Rng) -> f32 + Send + Sync,
    ) -> Param<Tensor<D>> {
        const PART: usize = 1 << 16;
        let Some(key) = &self.key else {
            // One number that stands for all: memory of its own would be filled in vain.
            return Param::from_tensor(Tensor::<1>::zeros([1], &self.device).expand(shape));
        };
        let key = key.with(&self.at(name).path);
        let mut values = vec![0.0; shape.iter().product()];
        for_each_part(&mut values, PART, |index, part| {
            let mut generator = key.generator();
            generator.set_word_pos((index * PART * words) as u128);
            part.fill_with(|| draw(&mut generator));
        });
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;

    /// Against the stream drawn from its beginning to its end.
    #[test]
    fn parts_are_those_of_one_stream() {
        let (init, count) = (Init::new(3, &Device::flex()), 150_000);
        let key = init.key.as_ref().expect("numbers are drawn").with("a");
        let mut generator = key.generator();
        let uniform: Vec<f32> = (0..count).map(|_| generator.random_range(-0.5..=0.5)).collect();
        assert_eq!(to_vec(init.uniform("a", [count], 0.5).val()), uniform);
        let mut generator = key.generator();
        let normal = to_vec(init.normal("a", [count], 1.0).val());
        let last = (0..count)
            .map(|_| (generator.random::<f64>(), generator.random::<f64>()))
            .last();
        let (radius, angle) = last.expect("numbers were drawn");
        let expected = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
        assert_eq!(normal[count - 1], expected as f32);
    }
}
