//! What is added to scores by how far a key stands from a query.

use burn::tensor::{Int, Tensor, TensorData};
use burn_flex::FlexTensor;

use crate::buffer::{contiguous, extents, floats};
use crate::simd::vectorized;

/// A number for each distance that a key may have from a query, in order from the first key and the last query on.
#[derive(Clone, Debug)]
pub struct Bias {
    /// [heads, distances]
    values: FlexTensor,
    queries: usize,
}

/// How many distances the keys have from the queries.
pub fn distances(queries: usize, keys: usize) -> usize {
    (queries + keys).saturating_sub(1)
}

impl Bias {
    /// # Panics
    /// For another shape than `heads` and the distances of so many `queries` and `keys`.
    pub fn new(values: &FlexTensor, heads: usize, [queries, keys]: [usize; 2]) -> Self {
        let expected = [heads, distances(queries, keys)];
        assert_eq!(
            extents::<2>(values),
            expected,
            "attention: the bias of {heads} heads for {queries} queries and {keys} keys"
        );
        let values = contiguous(values);
        Self { values, queries }
    }

    /// Where in a head's row the distance of a key from a query stands.
    pub fn place(&self, query: usize, key: usize) -> usize {
        key + self.queries - 1 - query
    }

    /// Turns products of a query with the keys from `first` into scores.
    pub fn add(&self, products: &mut [f32], scale: f32, head: usize, query: usize, first: usize) {
        let [_, distances] = extents(&self.values);
        let start = head * distances + self.place(query, first);
        scale_and_add(products, scale, &floats(&self.values)[start..start + products.len()]);
    }
}

vectorized! {
    fn scale_and_add(products: &mut [f32], scale: f32, bias: &[f32]) {
        for (product, bias) in products.iter_mut().zip(bias) {
            *product = scale * *product + bias;
        }
    }
}

vectorized! {
    /// Adds slopes of scores, which were multiplied by `scale`, to those of their bias.
    pub fn add_slopes(slopes: &[f32], scale: f32, gradient: &mut [f32]) {
        let inverse = 1.0 / scale;
        for (sum, slope) in gradient.iter_mut().zip(slopes) {
            *sum += slope * inverse;
        }
    }
}

/// A bias [heads, distances] for each pair of a query and a key, [heads, queries, keys].
pub fn spread(bias: Tensor<2>, [queries, keys]: [usize; 2]) -> Tensor<3> {
    let [heads, _] = bias.dims();
    let places = (0..queries).flat_map(|query| (0..keys).map(move |key| (key + queries - 1 - query) as i64));
    let device = bias.device().without_autodiff();
    let places = TensorData::new(places.collect::<Vec<i64>>(), [queries * keys]);
    let places = Tensor::<1, Int>::from_data(places, &device);
    bias.select(1, places).reshape([heads, queries, keys])
}
