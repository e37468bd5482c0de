//! The network: a short Fourier transform and convolutions over each part of a recording, and an LSTM over the parts.

use crate::checkpoint::to_vec;
use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_kernels::{ConvOptions, conv1d, linear, lstm, relu, sigmoid};

/// Samples of a part; each has one probability.
pub const PART: usize = 512;
/// Samples before a part that are heard with it, and as many behind it that mirror its last ones.
const CONTEXT: usize = 64;
/// The samples and the step of the Fourier transform, and how many frequencies it has.
const WINDOW: usize = 256;
const STEP: usize = 128;
const FREQUENCIES: usize = WINDOW / 2 + 1;
const WIDTH: usize = 128;
const NARROW: usize = 64;
/// Parts whose convolutions are computed together.
const TOGETHER: usize = 1024;

/// The names of the layers are those of the original.
#[derive(Module, Debug)]
pub struct Network {
    stft_conv: Conv,
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    conv4: Conv,
    lstm_cell: LstmCell,
    final_conv: Conv,
}

/// A convolution with zeros around.
#[derive(Module, Debug)]
struct Conv {
    /// [output, input, kernel]
    weight: Param<Tensor<3>>,
    /// [output]
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
}

#[derive(Module, Debug)]
struct LstmCell {
    /// [4 · width, input]
    weight_ih: Param<Tensor<2>>,
    /// [4 · width, width]
    weight_hh: Param<Tensor<2>>,
    /// [4 · width]
    bias_ih: Param<Tensor<1>>,
    /// [4 · width]
    bias_hh: Param<Tensor<1>>,
}

impl Network {
    pub fn new(init: &Init) -> Self {
        let conv = |name, sizes, stride| Conv::new(sizes, stride, &init.at(name));
        let stft = Conv {
            bias: None,
            padding: 0,
            ..conv("stft_conv", [2 * FREQUENCIES, 1, WINDOW], STEP)
        };
        Self {
            stft_conv: stft,
            conv1: conv("conv1", [WIDTH, FREQUENCIES, 3], 1),
            conv2: conv("conv2", [NARROW, WIDTH, 3], 2),
            conv3: conv("conv3", [NARROW, NARROW, 3], 2),
            conv4: conv("conv4", [WIDTH, NARROW, 3], 1),
            lstm_cell: LstmCell::new(&init.at("lstm_cell")),
            final_conv: conv("final_conv", [1, WIDTH, 1], 1),
        }
    }

    /// The probability of each part of a recording that somebody speaks in it.
    pub fn probabilities(&self, samples: &[f32]) -> Vec<f32> {
        let parts = samples.len().div_ceil(PART);
        if parts == 0 {
            return Vec::new();
        }
        let features = (0..parts).step_by(TOGETHER).map(|first| {
            let last = parts.min(first + TOGETHER);
            self.features((first..last).map(|part| heard(samples, part)).collect())
        });
        let features: Tensor<2> = Tensor::cat(features.collect(), 0);
        let states = relu(self.lstm_cell.forward(features.unsqueeze()));
        to_vec(sigmoid(self.final_conv.forward(states)))
    }

    /// What the convolutions make of some parts, [parts, width].
    fn features(&self, heard: Vec<Vec<f32>>) -> Tensor<2> {
        let (parts, length) = (heard.len(), heard[0].len());
        let x = TensorData::new(heard.concat(), [parts, length, 1]);
        let waves = self.stft_conv.forward(Tensor::from_data(x, &Device::flex()));
        let squares = waves.clone() * waves;
        let half = |first| squares.clone().narrow(2, first, FREQUENCIES);
        let mut x = (half(0) + half(FREQUENCIES)).sqrt();
        for conv in [&self.conv1, &self.conv2, &self.conv3, &self.conv4] {
            x = relu(conv.forward(x));
        }
        x.reshape([parts, WIDTH])
    }
}

/// A part with what stands before it and what mirrors its end; silence is before the first and behind the last sample.
fn heard(samples: &[f32], part: usize) -> Vec<f32> {
    let length = CONTEXT + PART;
    let mirrored = (0..CONTEXT).map(|at| length - 2 - at);
    let sample = |place: usize| {
        let at = (part * PART + place).checked_sub(CONTEXT)?;
        samples.get(at).copied()
    };
    let places = (0..length).chain(mirrored);
    places.map(|place| sample(place).unwrap_or_default()).collect()
}

impl Conv {
    fn new([output, input, kernel]: [usize; 3], stride: usize, init: &Init) -> Self {
        let bound = 1.0 / ((input * kernel) as f64).sqrt();
        Self {
            weight: init.uniform("weight", [output, input, kernel], bound),
            bias: Some(init.uniform("bias", [output], bound)),
            stride,
            padding: kernel / 2,
        }
    }

    /// [batch, length, input] → [batch, length / stride, output]
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let options = ConvOptions {
            stride: [self.stride],
            padding: [self.padding],
            ..ConvOptions::default()
        };
        conv1d(x, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }
}

impl LstmCell {
    fn new(init: &Init) -> Self {
        let bound = 1.0 / (WIDTH as f64).sqrt();
        let weight = |name| init.uniform(name, [4 * WIDTH, WIDTH], bound);
        let bias = |name| init.uniform(name, [4 * WIDTH], bound);
        Self {
            weight_ih: weight("weight_ih"),
            weight_hh: weight("weight_hh"),
            bias_ih: bias("bias_ih"),
            bias_hh: bias("bias_hh"),
        }
    }

    /// The state after each step, [batch, length, input] → [batch, length, width].
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, length, _] = x.dims();
        let mask = Tensor::<2>::ones([batch, length], &x.device()).bool();
        let gates = linear(x, self.weight_ih.val(), Some(self.bias_ih.val()));
        let (weight, bias) = (self.weight_hh.val().unsqueeze(), self.bias_hh.val().unsqueeze());
        lstm(gates, weight, bias, mask)
    }
}
