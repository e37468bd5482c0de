//! Initialisation keyed by seed and parameter path, so that adding a layer changes no other layer's start.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sensorium_data::random::Key;

/// A place in the tree of parameters under construction.
#[derive(Clone)]
pub struct Init {
    key: Key,
    path: String,
    device: Device,
}

impl Init {
    pub fn new(seed: u64, device: &Device) -> Self {
        let key = Key::new(seed).with("initialise");
        Self {
            key,
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
        self.fill(name, shape, |generator| generator.random_range(-bound..=bound))
    }

    /// Normal with mean zero (Box–Muller).
    pub fn normal<const D: usize>(&self, name: &str, shape: [usize; D], deviation: f64) -> Param<Tensor<D>> {
        self.fill(name, shape, |generator| {
            let uniform: f64 = 1.0 - generator.random::<f64>();
            let radius = (-2.0 * uniform.ln()).sqrt();
            let angle = std::f64::consts::TAU * generator.random::<f64>();
            (deviation * radius * angle.cos()) as f32
        })
    }

    pub fn constant<const D: usize>(&self, shape: [usize; D], value: f32) -> Param<Tensor<D>> {
        Param::from_tensor(Tensor::full(shape, value, &self.device))
    }

    fn fill<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        mut draw: impl FnMut(&mut ChaCha8Rng) -> f32,
    ) -> Param<Tensor<D>> {
        let mut generator = self.key.with(&self.at(name).path).generator();
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| draw(&mut generator)).collect();
        Param::from_data(TensorData::new(values, shape), &self.device)
    }
}
