//! Affine map with PyTorch's layout and initialisation.

use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use sensorium_kernels::{Epilogue, PackedWeight, Precision, linear_packed, linear_with};
use std::sync::Arc;

#[derive(Module, Debug)]
pub struct Linear {
    /// [output, input]
    weight: Param<Tensor<2>>,
    /// [output]
    bias: Option<Param<Tensor<1>>>,
    /// The weight prepared for inference, in whose place [`Self::weight`] is left without columns.
    #[module(skip)]
    packed: Option<Arc<PackedWeight>>,
}

impl Linear {
    pub fn new(input: usize, output: usize, init: &Init) -> Self {
        Self::biased_if(true, input, output, init)
    }

    /// Without a bias unless `biased`: then the map is linear.
    pub fn biased_if(biased: bool, input: usize, output: usize, init: &Init) -> Self {
        let bound = 1.0 / (input as f64).sqrt();
        Self {
            weight: init.uniform("weight", [output, input], bound),
            bias: biased.then(|| init.uniform("bias", [output], bound)),
            packed: None,
        }
    }

    /// Drawn so that what comes out is `gain` times as large as what goes in, whose numbers have a mean square of one or so.
    pub fn with_gain(gain: f64, input: usize, output: usize, init: &Init) -> Self {
        let bound = gain * (3.0 / input as f64).sqrt();
        Self {
            weight: init.uniform("weight", [output, input], bound),
            bias: Some(init.constant([output], 0.0)),
            packed: None,
        }
    }

    /// Prepared for inference: the packed weight takes the place of the original, which no longer trains or saves.
    pub fn pack(self, precision: Precision) -> Self {
        let (weight, packed) = pack(&self.weight, precision);
        Self {
            weight,
            packed: Some(packed),
            ..self
        }
    }

    /// [.., input] → [.., output]
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.forward_then(x, Epilogue::Nothing)
    }

    /// [.., input] → [.., output], followed by `epilogue` in the same pass.
    pub fn forward_then<const D: usize>(&self, x: Tensor<D>, epilogue: Epilogue<D>) -> Tensor<D> {
        let bias = self.bias.as_ref().map(Param::val);
        match &self.packed {
            Some(packed) => linear_packed(x, packed, bias, epilogue),
            None => linear_with(x, self.weight.val(), bias, epilogue),
        }
    }

    /// Weight [output, input] and bias [output], for layers that join several maps into one product.
    pub fn parameters(&self) -> (Tensor<2>, Option<Tensor<1>>) {
        (self.weight.val(), self.bias.as_ref().map(Param::val))
    }

    pub fn output_width(&self) -> usize {
        self.weight.dims()[0]
    }
}

/// What is left of a weight in its place, without columns, and the weight prepared for inference.
pub(super) fn pack(weight: &Param<Tensor<2>>, precision: Precision) -> (Param<Tensor<2>>, Arc<PackedWeight>) {
    let weight = weight.val().without_autodiff();
    let ([output, _], device) = (weight.dims(), weight.device());
    let empty = Param::from_tensor(Tensor::empty([output, 0], &device)).set_require_grad(false);
    (empty, Arc::new(PackedWeight::new(weight, precision)))
}
