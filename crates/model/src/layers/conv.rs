//! Convolutions over channels-last planes, of which a sequence is one of height one, and channel by channel.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use sensorium_kernels::{ConvOptions, conv1d};

#[derive(Module, Debug)]
pub struct Conv2d {
    /// [output, input, kernel height, kernel width]
    weight: Param<Tensor<4>>,
    #[module(skip)]
    options: ConvOptions<2>,
}

impl Conv2d {
    /// Without bias, as a normalisation follows; `same` padding before the stride; He-uniform initialisation
    /// (He et al. 2015).
    pub fn new(input: usize, output: usize, kernel: [usize; 2], stride: [usize; 2], init: &Init) -> Self {
        let bound = (6.0 / (input * kernel[0] * kernel[1]) as f64).sqrt();
        let weight = init.uniform("weight", [output, input, kernel[0], kernel[1]], bound);
        let padding = kernel.map(|size| size / 2);
        Self {
            weight,
            options: ConvOptions {
                stride,
                padding,
                ..ConvOptions::default()
            },
        }
    }

    /// [batch, height, width, input] → [batch, ⌈height/stride⌉, ⌈width/stride⌉, output]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        sensorium_kernels::conv2d(x, self.weight.val(), None, self.options)
    }
}

/// A convolution along a sequence that keeps its channels apart.
#[derive(Module, Debug)]
pub struct DepthwiseConv1d {
    /// [width, 1, kernel]
    weight: Param<Tensor<3>>,
    /// [width]
    bias: Param<Tensor<1>>,
}

impl DepthwiseConv1d {
    /// `kernel` is odd, with `same` padding; PyTorch's initialisation.
    pub fn new(width: usize, kernel: usize, init: &Init) -> Self {
        let bound = 1.0 / (kernel as f64).sqrt();
        Self {
            weight: init.uniform("weight", [width, 1, kernel], bound),
            bias: init.uniform("bias", [width], bound),
        }
    }

    /// [batch, length, width] → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let weight = self.weight.val();
        let [width, _, kernel] = weight.dims();
        let options = ConvOptions {
            padding: [kernel / 2],
            groups: width,
            ..ConvOptions::default()
        };
        conv1d(x, weight, Some(self.bias.val()), options)
    }
}
