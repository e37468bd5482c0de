//! Strided convolutions over the frames of a sound, as Whisper's encoder begins (Radford et al. 2022).

use crate::init::Init;
use crate::layers::{LayerNorm, Linear};
use crate::tokens::{Layout, Tokens, shrink_mask};
use burn::module::{Module, Param};
use burn::tensor::{Bool, Tensor};
use schemars::JsonSchema;
use sensorium_kernels::{ConvOptions, conv1d, gelu};
use serde::{Deserialize, Serialize};

/// A frame with fewer numbers holds raw samples and not a spectrum.
const SPECTRUM: usize = 8;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ConvolutionConfig {
    /// How much each convolution shortens the sequence: by default [2, 2] for spectra, [5, 4, 4, 4] for raw samples.
    #[schemars(length(min = 1, max = 12), inner(range(min = 1, max = 64)))]
    pub strides: Option<Vec<usize>>,
    /// The width of a token; the trunk's by default.
    #[schemars(range(min = 1, max = 8192))]
    pub width: Option<usize>,
}

#[derive(Module, Debug)]
pub struct ConvolutionStem {
    layers: Vec<Layer>,
    projection: Linear,
}

#[derive(Module, Debug)]
struct Layer {
    /// [output, input, kernel]
    weight: Param<Tensor<3>>,
    norm: LayerNorm,
    #[module(skip)]
    stride: usize,
}

impl ConvolutionStem {
    /// `bins` are the numbers of a frame.
    pub fn new(config: &ConvolutionConfig, bins: usize, width: usize, init: &Init) -> Self {
        let width = config.width.unwrap_or(width);
        let strides = config.strides.clone().unwrap_or_else(|| default_strides(bins));
        let layer = |(index, &stride): (usize, &usize)| {
            let input = if index == 0 { bins } else { width };
            Layer::new(input, width, stride, &init.at("layers").at(index))
        };
        Self {
            layers: strides.iter().enumerate().map(layer).collect(),
            projection: Linear::new(width, width, &init.at("projection")),
        }
    }

    pub fn width(&self) -> usize {
        self.projection.output_width()
    }

    /// The tokens of a sound of so many frames.
    pub fn tokens(&self, frames: usize) -> usize {
        self.layers
            .iter()
            .fold(frames, |length, layer| length.div_ceil(layer.stride))
    }

    /// [batch, frames, bins] → a sequence of ⌈frames ÷ the product of the strides⌉ tokens.
    pub fn forward(&self, values: Tensor<3>, mask: Tensor<2, Bool>) -> Tokens {
        let mut tokens = Tokens::new(values, mask, Layout::Sequence);
        for layer in &self.layers {
            tokens = layer.forward(tokens);
        }
        Tokens {
            embeddings: self.projection.forward(tokens.embeddings),
            ..tokens
        }
    }
}

fn default_strides(bins: usize) -> Vec<usize> {
    match bins < SPECTRUM {
        true => vec![5, 4, 4, 4],
        false => vec![2, 2],
    }
}

impl Layer {
    /// Kernels overlap by at least their half, so that no frame is skipped; He-uniform initialisation (He et al. 2015).
    fn new(input: usize, output: usize, stride: usize, init: &Init) -> Self {
        let kernel = if stride < 3 { 3 } else { 2 * stride + 1 };
        let bound = (6.0 / (input * kernel) as f64).sqrt();
        Self {
            weight: init.uniform("weight", [output, input, kernel], bound),
            norm: LayerNorm::new(output, &init.at("norm")),
            stride,
        }
    }

    /// Padding is zero before each convolution, so that it never reaches a real token.
    fn forward(&self, tokens: Tokens) -> Tokens {
        let tokens = tokens.zero_padding();
        let weight = self.weight.val();
        let options = ConvOptions {
            stride: [self.stride],
            padding: [weight.dims()[2] / 2],
            ..ConvOptions::default()
        };
        let embeddings = gelu(self.norm.forward(conv1d(tokens.embeddings, weight, None, options)));
        Tokens::new(embeddings, shrink_mask(tokens.mask, self.stride), Layout::Sequence)
    }
}
