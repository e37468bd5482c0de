//! Matrix products by shape, through the operations that models call.

use crate::initial::made_up;
use crate::measure::{Timing, repeat};
use burn::tensor::Tensor;
use sensorium_kernels::{Epilogue, PackedWeight, Precision, linear, linear_packed, on_compute_threads};
use serde::Serialize;

/// Seconds that the runs of a product take together at least.
const SECONDS: f64 = 0.3;

/// What `sensorium bench gemm --json` prints.
#[derive(Debug, Serialize)]
pub struct GemmReport {
    pub threads: usize,
    pub products: Vec<ProductReport>,
}

#[derive(Debug, Serialize)]
pub struct ProductReport {
    pub operation: &'static str,
    /// [m, k, n]: an m×k matrix by a k×n matrix.
    pub shape: [usize; 3],
    #[serde(flatten)]
    pub timing: Timing,
    /// Of the median run, where a multiplication and an addition are two operations.
    pub gflops: f64,
    /// Gigabytes of weights a second, for one row: there reading them is what takes the time. Without the scales of
    /// rounded weights; weights that fit the processor's cache are read from it.
    pub weight_gb_per_second: Option<f64>,
}

/// The ways to a product of an affine map y = x·Wᵀ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// y
    Linear,
    /// dW = dyᵀ·x
    WeightGradient,
    /// dx = dy·W
    InputGradient,
    /// y by weights prepared for inference.
    Packed(Precision),
}

use Operation::{InputGradient, Linear, Packed, WeightGradient};

const PRODUCTS: [(Operation, [usize; 3]); 18] = [
    (Linear, [1024, 1024, 1024]),
    (Linear, [2048, 2048, 2048]),
    (Linear, [1576, 768, 192]),
    (WeightGradient, [192, 1576, 768]),
    (InputGradient, [1576, 192, 768]),
    (Linear, [1024, 256, 4000]),
    (Packed(Precision::Float32), [1024, 384, 1536]),
    (Packed(Precision::Int16), [1024, 384, 1536]),
    (Packed(Precision::Int8), [1024, 384, 1536]),
    (Packed(Precision::Int4), [1024, 384, 1536]),
    (Linear, [1, 768, 768]),
    (Packed(Precision::Float32), [1, 768, 768]),
    (Packed(Precision::Int8), [1, 768, 768]),
    (Linear, [1, 768, 50_257]),
    (Packed(Precision::Float32), [1, 768, 50_257]),
    (Packed(Precision::Int16), [1, 768, 50_257]),
    (Packed(Precision::Int8), [1, 768, 50_257]),
    (Packed(Precision::Int4), [1, 768, 50_257]),
];

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Linear => "linear",
            WeightGradient => "linear, dW",
            InputGradient => "linear, dx",
            Packed(Precision::Float32) => "linear_packed, f32",
            Packed(Precision::Int16) => "linear_packed, int16",
            Packed(Precision::Int8) => "linear_packed, int8",
            Packed(Precision::Int4) => "linear_packed, int4",
        }
    }

    fn bytes_per_weight(self) -> f64 {
        match self {
            Packed(Precision::Int16) => 2.0,
            Packed(Precision::Int8) => 1.0,
            Packed(Precision::Int4) => 0.5,
            _ => 4.0,
        }
    }

    /// [rows, input, output] of the affine map that holds the product [m, k, n].
    fn extents(self, [m, k, n]: [usize; 3]) -> [usize; 3] {
        match self {
            Linear | Packed(_) => [m, k, n],
            WeightGradient => [k, n, m],
            InputGradient => [m, n, k],
        }
    }
}

/// Times every product.
pub fn gemm() -> GemmReport {
    let time = |(operation, shape)| on_compute_threads(|| Product::new(operation, shape).report());
    GemmReport {
        threads: rayon::current_num_threads(),
        products: PRODUCTS.into_iter().map(time).collect(),
    }
}

/// An operation and its operands.
struct Product {
    operation: Operation,
    shape: [usize; 3],
    /// [rows, input]
    x: Tensor<2>,
    weight: Weight,
}

enum Weight {
    /// [output, input]
    Plain(Tensor<2>),
    Packed(PackedWeight),
}

impl Product {
    fn new(operation: Operation, shape: [usize; 3]) -> Self {
        let [rows, input, output] = operation.extents(shape);
        let (x, weight) = (made_up([rows, input]), made_up([output, input]));
        let (x, weight) = match operation {
            Linear => (x, Weight::Plain(weight)),
            WeightGradient => (x.autodiff(), Weight::Plain(weight.autodiff().require_grad())),
            InputGradient => (x.autodiff().require_grad(), Weight::Plain(weight.autodiff())),
            Packed(precision) => (x, Weight::Packed(PackedWeight::new(weight, precision))),
        };
        Self {
            operation,
            shape,
            x,
            weight,
        }
    }

    fn forward(&self) -> Tensor<2> {
        match &self.weight {
            Weight::Plain(weight) => linear(self.x.clone(), weight.clone(), None),
            Weight::Packed(weight) => linear_packed(self.x.clone(), weight, None, Epilogue::Nothing),
        }
    }

    /// What must be there before the product is timed: the forward pass of a gradient.
    fn prepare(&self) -> Option<Tensor<2>> {
        matches!(self.operation, WeightGradient | InputGradient).then(|| self.forward())
    }

    /// The product. That of a gradient is the backward pass of `forward` alone, for an output gradient of ones.
    fn run(&self, forward: Option<Tensor<2>>) -> Tensor<2> {
        let Some(forward) = forward else { return self.forward() };
        let gradients = forward.backward();
        let leaf = match &self.weight {
            Weight::Plain(weight) if self.operation == WeightGradient => weight,
            _ => &self.x,
        };
        leaf.grad(&gradients).expect("the leaf asked for its gradient")
    }

    fn report(&self) -> ProductReport {
        let timing = repeat(SECONDS, || self.prepare(), |forward| self.run(forward));
        let [m, k, n] = self.shape;
        let per_second = |amount: usize| amount as f64 / timing.seconds.median / 1e9;
        ProductReport {
            operation: self.operation.name(),
            shape: self.shape,
            timing,
            gflops: per_second(2 * m * k * n),
            weight_gb_per_second: (m == 1).then(|| self.operation.bytes_per_weight() * per_second(k * n)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    /// The same product from burn's operations.
    fn of_burn(operation: Operation, shape: [usize; 3]) -> Tensor<2> {
        let [rows, input, output] = operation.extents(shape);
        let ones = Tensor::ones([rows, output], &Device::flex());
        match operation {
            Linear | Packed(_) => made_up::<2>([rows, input]).matmul(made_up([output, input]).transpose()),
            WeightGradient => ones.transpose().matmul(made_up([rows, input])),
            InputGradient => ones.matmul(made_up([output, input])),
        }
    }

    fn elements(tensor: Tensor<2>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("32-bit floats")
    }

    #[test]
    fn every_product_is_what_its_shape_says_and_agrees_with_burn() {
        for (operation, shape) in PRODUCTS {
            let product = Product::new(operation, shape);
            let found = product.run(product.prepare());
            assert_eq!(found.dims(), [shape[0], shape[2]], "{operation:?}");
            let (found, expected) = (elements(found), elements(of_burn(operation, shape)));
            let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let error = differences.fold(0.0, f32::max) / largest;
            let tolerance = match operation {
                Packed(Precision::Int4) => 1e-1,
                Packed(Precision::Int8) => 2e-2,
                Packed(Precision::Int16) => 1e-3,
                _ => 1e-4,
            };
            assert!(error < tolerance, "{operation:?} {shape:?}: an error of {error:.1e}");
        }
    }

    #[test]
    fn rates_follow_from_the_shape_and_the_median() {
        for (precision, bytes) in [
            (Precision::Float32, 4.0),
            (Precision::Int16, 2.0),
            (Precision::Int4, 0.5),
        ] {
            let report = Product::new(Packed(precision), [1, 30, 20]).report();
            let seconds = report.timing.seconds.median;
            let close = |found: f64, expected: f64| (found / expected - 1.0).abs() < 1e-9;
            assert!(close(report.gflops, 1200e-9 / seconds));
            assert!(close(report.weight_gb_per_second.unwrap(), bytes * 600e-9 / seconds));
        }
        let report = Product::new(WeightGradient, [3, 4, 5]).report();
        assert!((report.gflops * report.timing.seconds.median / 120e-9 - 1.0).abs() < 1e-9);
        assert_eq!(report.weight_gb_per_second, None);
    }
}
