//! Convolution over channels-last planes; a sequence is a plane of height one.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use sensorium_kernels::ConvOptions;

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
