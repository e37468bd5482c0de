//! Affine map with PyTorch's layout and initialisation.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;

#[derive(Module, Debug)]
pub struct Linear {
    /// [output, input]
    weight: Param<Tensor<2>>,
    /// [output]
    bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    pub fn new(input: usize, output: usize, init: &Init) -> Self {
        let bound = 1.0 / (input as f64).sqrt();
        let bias = Some(init.uniform("bias", [output], bound));
        Self {
            weight: init.uniform("weight", [output, input], bound),
            bias,
        }
    }

    /// [.., input] → [.., output]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        sensorium_kernels::linear(x, self.weight.val(), bias)
    }

    /// Weight [output, input] and bias [output], for layers that join several maps into one product.
    pub fn parameters(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        (self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    pub fn output_width(&self) -> usize {
        self.weight.dims()[0]
    }
}
