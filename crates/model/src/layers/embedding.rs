//! A table of vectors looked up by token identifier.

use super::linear;
use crate::init::Init;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use sensorium_kernels::{Epilogue, PackedWeight, Precision, linear_packed};

#[derive(Module, Debug)]
pub struct Embedding {
    /// [vocabulary, width]
    weight: Param<Tensor<2>>,
    /// The packed table, in whose place [`Self::weight`] is left without columns.
    #[module(skip)]
    packed: Option<PackedWeight>,
}

impl Embedding {
    pub fn new(vocabulary: usize, width: usize, init: &Init) -> Self {
        Self::drawn([vocabulary, width], 1.0, init)
    }

    /// A table whose vectors have a length of about one, for a map that reads it both ways.
    pub fn tied(vocabulary: usize, width: usize, init: &Init) -> Self {
        Self::drawn([vocabulary, width], 1.0 / (width as f64).sqrt(), init)
    }

    fn drawn(shape: [usize; 2], deviation: f64, init: &Init) -> Self {
        Self {
            weight: init.normal("weight", shape, deviation),
            packed: None,
        }
    }

    /// [vocabulary, width], of a table that is not packed.
    pub fn table(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// [batch, length] → [batch, length, width]
    pub fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let Some(packed) = &self.packed else {
            return sensorium_kernels::embedding(self.weight.val(), tokens);
        };
        let [batch, length] = tokens.dims();
        let rows = tokens.into_data();
        let rows: Vec<usize> = rows.iter::<i64>().map(|row| row as usize).collect();
        let vectors = packed.rows(&rows).reshape([batch, length, packed.input()]);
        match self.weight.is_autodiff() {
            true => vectors.autodiff(),
            false => vectors,
        }
    }

    /// The table read the other way: [batch, length, width] → [batch, length, vocabulary], with `bias` [vocabulary] where
    /// there is one.
    pub fn score(&self, states: Tensor<3>, bias: Option<Tensor<1>>) -> Tensor<3> {
        match &self.packed {
            Some(packed) => linear_packed(states, packed, bias, Epilogue::Nothing),
            None => sensorium_kernels::linear(states, self.weight.val(), bias),
        }
    }

    pub fn device(&self) -> Device {
        self.weight.device()
    }

    /// The packed table takes the place of the original, which is no longer trained and no parameter any more. One with an
    /// adapter stays as it is.
    pub fn pack(self, precision: Precision) -> Self {
        if self.weight.adapter().is_some() {
            return self;
        }
        let (weight, packed) = linear::pack(self.weight, precision);
        Self {
            weight,
            packed: Some(packed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::to_vec;

    #[test]
    fn a_packed_table_is_read_alike_in_both_directions() {
        let device = Device::flex();
        let plain = Embedding::tied(40, 6, &Init::new(2, &device));
        let packed = plain.clone().pack(Precision::Float32);
        let tokens = || Tensor::<2, Int>::from_ints([[3, 39, 0], [17, 3, 8]], &device);
        let states = plain.forward(tokens());
        assert_eq!(to_vec(states.clone()), to_vec(packed.forward(tokens())));
        let bias = || Some(Tensor::<1>::ones([40], &device));
        let (expected, found) = (
            to_vec(plain.score(states.clone(), bias())),
            to_vec(packed.score(states, bias())),
        );
        let near = expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(near && found.len() == 240, "{expected:?} {found:?}");
    }
}
