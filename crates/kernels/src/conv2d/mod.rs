//! Two-dimensional convolution over channels-last planes.

mod gather;
mod geometry;
mod weight_gradient;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use burn::tensor::module::conv2d as burn_conv2d;
use burn::tensor::ops::ConvOptions;
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use geometry::Geometry;

/// Stride and zero padding of a convolution, as [vertical, horizontal].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dOptions {
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}

/// `x` [batch, height, width, input] → [batch, height', width', output] with `weight` [output, input, kernel
/// height, kernel width] (PyTorch's layout) and `bias` [output]; height' = (height + 2·padding − kernel) / stride + 1.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: Conv2dOptions) -> Tensor<4> {
    if !(fused(&x) && fused(&weight)) {
        return plain(x, weight, bias, options);
    }
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    Tensor::from_dispatch(<Dispatch as Fused>::convolution(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    ))
}

fn plain(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: Conv2dOptions) -> Tensor<4> {
    let options = ConvOptions::new(options.stride, options.padding, [1, 1], 1);
    burn_conv2d(x.permute([0, 3, 1, 2]), weight, bias, options).permute([0, 2, 3, 1])
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn convolution(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, options: Conv2dOptions) -> FlexTensor {
        forward([x, weight, bias], options).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: Conv2dOptions,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs, options))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    options: Conv2dOptions,
}

fn forward([x, weight, bias]: [FlexTensor; 3], options: Conv2dOptions) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let geometry = Geometry::new(extents(&x), extents(&weight), options);
    let y = gather::forward(&geometry, floats(&x), floats(&weight), floats(&bias));
    (tensor(y, geometry.output_shape()), Saved { x, weight, options })
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let geometry = Geometry::new(extents(&self.x), extents(&self.weight), self.options);
        let dy = contiguous(&dy);
        let (x, weight, dy) = (floats(&self.x), floats(&self.weight), floats(&dy));
        let dx = wanted[0].then(|| {
            let dx = gather::input_gradient(&geometry, dy, weight);
            tensor(dx, extents::<4>(&self.x))
        });
        let dw = wanted[1].then(|| {
            let dw = weight_gradient::weight_gradient(&geometry, x, dy);
            tensor(dw, extents::<4>(&self.weight))
        });
        let db = wanted[2].then(|| tensor(crate::columns::column_sums(dy, geometry.output), [geometry.output]));
        [dx, dw, db]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, values};

    /// Shapes as [batch, height, width, input], [output, kernel height, kernel width], stride and padding.
    struct Case(usize, [usize; 3], [usize; 3], [usize; 2], [usize; 2]);

    fn check_conv2d(case: &Case, with_bias: bool, channels_first: bool) {
        let &Case(batch, [height, width, input], [output, kh, kw], stride, padding) = case;
        let options = Conv2dOptions { stride, padding };
        let out_height = (height + 2 * padding[0] - kh) / stride[0] + 1;
        let out_width = (width + 2 * padding[1] - kw) / stride[1] + 1;
        let size = batch * out_height * out_width * output;
        let mut leaves = vec![
            values(1, batch * height * width * input),
            values(2, output * input * kh * kw),
        ];
        leaves.extend(with_bias.then(|| values(3, output)));
        let arguments = move |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            let x = if channels_first {
                x.reshape([batch, input, height, width]).permute([0, 2, 3, 1])
            } else {
                x.reshape([batch, height, width, input])
            };
            (
                x,
                leaves[1].clone().reshape([output, input, kh, kw]),
                leaves.get(2).cloned(),
            )
        };
        let reference = |leaves: &[Vec<f64>]| {
            let x_at = |b: usize, y: usize, x: usize, c: usize| {
                leaves[0][if channels_first {
                    ((b * input + c) * height + y) * width + x
                } else {
                    ((b * height + y) * width + x) * input + c
                }]
            };
            let mut result = Vec::with_capacity(size);
            for index in 0..size {
                let (o, rest) = (index % output, index / output);
                let (ox, rest) = (rest % out_width, rest / out_width);
                let (oy, b) = (rest % out_height, rest / out_height);
                let mut sum = leaves.get(2).map_or(0.0, |bias| bias[o]);
                for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                    let (y, x) = (oy * stride[0] + ky, ox * stride[1] + kx);
                    let inside =
                        (padding[0]..height + padding[0]).contains(&y) && (padding[1]..width + padding[1]).contains(&x);
                    for c in (0..input).filter(|_| inside) {
                        let weight = leaves[1][((o * input + c) * kh + ky) * kw + kx];
                        sum += x_at(b, y - padding[0], x - padding[1], c) * weight;
                    }
                }
                result.push(sum);
            }
            result
        };
        check(
            &leaves,
            |leaves| {
                let (x, weight, bias) = arguments(leaves);
                conv2d(x, weight, bias, options).reshape([size])
            },
            |leaves| {
                let (x, weight, bias) = arguments(leaves);
                plain(x, weight, bias, options).reshape([size])
            },
            reference,
        );
    }

    #[test]
    fn conv2d_matches_its_reference() {
        let cases = [
            Case(1, [1, 1, 1], [1, 1, 1], [1, 1], [0, 0]),
            Case(2, [5, 4, 3], [2, 3, 3], [1, 1], [1, 1]),
            Case(2, [6, 7, 3], [5, 3, 3], [2, 2], [1, 1]),
            Case(3, [7, 5, 2], [17, 3, 2], [1, 2], [0, 1]),
            Case(1, [8, 8, 1], [3, 2, 2], [3, 3], [0, 0]),
            Case(1, [9, 3, 2], [2, 4, 1], [4, 1], [2, 0]),
            Case(17, [3, 3, 2], [3, 3, 3], [2, 2], [1, 1]),
            Case(2, [4, 4, 2], [3, 1, 1], [2, 2], [0, 0]),
            Case(1, [3, 20, 1], [2, 1, 9], [1, 3], [0, 4]),
        ];
        for (index, case) in cases.iter().enumerate() {
            check_conv2d(case, index % 2 == 0, false);
            check_conv2d(case, index % 2 == 1, true);
        }
    }
}
