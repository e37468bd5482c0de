//! Affine map with PyTorch's layout and initialisation.

use crate::adapters;
use crate::init::Init;
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use sensorium_kernels::{Epilogue, PackedWeight, Precision, after, linear_packed, linear_with};

#[derive(Module, Debug)]
pub struct Linear {
    /// [output, input]
    weight: Param<Tensor<2>>,
    /// [output]
    bias: Option<Param<Tensor<1>>>,
    /// The packed weight, in whose place [`Self::weight`] is left without columns, and with its adapter where it has one.
    #[module(skip)]
    packed: Option<PackedWeight>,
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

    /// The packed weight takes the place of the original, which is no longer trained and no parameter any more; its adapter
    /// stays one.
    pub fn pack(self, precision: Precision) -> Self {
        let (weight, packed) = pack(self.weight, precision);
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
        match (&self.packed, self.weight.adapter()) {
            (None, _) => linear_with(x, self.weight.val(), bias, epilogue),
            (Some(packed), None) => linear_packed(x, packed, bias, epilogue),
            (Some(packed), Some(adapter)) => {
                let change = Epilogue::Add(adapters::product(x.clone(), adapter));
                after(linear_packed(x, packed, bias, change), epilogue)
            }
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

/// What is left of a weight in its place, without columns and with its adapter, and the packed weight.
pub(super) fn pack(weight: Param<Tensor<2>>, precision: Precision) -> (Param<Tensor<2>>, PackedWeight) {
    let packed = PackedWeight::new(weight.base(), precision);
    (Module::map(weight, &mut Emptied::default()), packed)
}

/// Takes the columns off a weight, and leaves its adapter as it is.
#[derive(Default)]
struct Emptied {
    /// Whether it is in the adapter.
    within: bool,
}

impl ModuleMapper for Emptied {
    fn enter_module(&mut self, _: &str, _: &str) {
        self.within = true;
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.within {
            return param;
        }
        param.map(|weight| {
            let mut shape = weight.dims();
            shape[D - 1] = 0;
            Tensor::empty(shape, &weight.device()).set_require_grad(false)
        })
    }
}
