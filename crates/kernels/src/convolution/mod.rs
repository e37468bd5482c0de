//! Convolutions over channels-last lines, planes and volumes.

mod depthwise;
mod filters;
mod frame;
mod gather;
mod geometry;
mod phase;
mod weight_gradient;
mod winograd;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, module, ops};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, floats, fused, tensor};
use geometry::Geometry;

/// How the windows of a convolution over `D` axes lie, axis by axis from the outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvOptions<const D: usize> {
    /// Places from one window to the next.
    pub stride: [usize; D],
    /// Zeros before the first and after the last place.
    pub padding: [usize; D],
    /// Places from one tap of the kernel to the next.
    pub dilation: [usize; D],
    /// Parts of the channels, each of which has its own filters; as many as channels make a depthwise convolution.
    pub groups: usize,
}

impl<const D: usize> Default for ConvOptions<D> {
    fn default() -> Self {
        Self {
            stride: [1; D],
            padding: [0; D],
            dilation: [1; D],
            groups: 1,
        }
    }
}

impl<const D: usize> ConvOptions<D> {
    /// The same for three axes, of which the outermost have one place.
    fn spread(self) -> ConvOptions<3> {
        let spread = |values: [usize; D], one| {
            std::array::from_fn(|axis| (axis + D).checked_sub(3).map_or(one, |axis| values[axis]))
        };
        ConvOptions {
            stride: spread(self.stride, 1),
            padding: spread(self.padding, 0),
            dilation: spread(self.dilation, 1),
            groups: self.groups,
        }
    }

    fn for_burn(self) -> ops::ConvOptions<D> {
        ops::ConvOptions::new(self.stride, self.padding, self.dilation, self.groups)
    }
}

/// `x` [batch, length, input] → [batch, length', output] with `weight` [output, input / groups, kernel] (PyTorch's
/// layout) and `bias` [output]; length' = (length + 2·padding − (kernel − 1)·dilation − 1) / stride + 1.
pub fn conv1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: ConvOptions<1>) -> Tensor<3> {
    if fused(&x) && fused(&weight) {
        return convolution(x, weight, bias, options.spread());
    }
    plain_1d(x, weight, bias, options)
}

/// `x` [batch, height, width, input] → [batch, height', width', output] with `weight` [output, input / groups, kernel
/// height, kernel width] (PyTorch's layout) and `bias` [output]; sides shrink as in [`conv1d`].
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions<2>) -> Tensor<4> {
    if fused(&x) && fused(&weight) {
        return convolution(x, weight, bias, options.spread());
    }
    plain_2d(x, weight, bias, options)
}

/// `x` [batch, depth, height, width, input] → [batch, depth', height', width', output] with `weight` [output,
/// input / groups, kernel depth, kernel height, kernel width] (PyTorch's layout) and `bias` [output]; sides shrink as
/// in [`conv1d`].
pub fn conv3d(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>, options: ConvOptions<3>) -> Tensor<5> {
    if fused(&x) && fused(&weight) {
        return convolution(x, weight, bias, options);
    }
    plain_3d(x, weight, bias, options)
}

fn convolution<const R: usize>(
    x: Tensor<R>,
    weight: Tensor<R>,
    bias: Option<Tensor<1>>,
    options: ConvOptions<3>,
) -> Tensor<R> {
    let bias = bias.unwrap_or_else(|| Tensor::zeros([weight.dims()[0]], &weight.device()));
    Tensor::from_dispatch(<Dispatch as Fused>::convolution(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        options,
    ))
}

fn plain_1d(x: Tensor<3>, weight: Tensor<3>, bias: Option<Tensor<1>>, options: ConvOptions<1>) -> Tensor<3> {
    module::conv1d(x.permute([0, 2, 1]), weight, bias, options.for_burn()).permute([0, 2, 1])
}

fn plain_2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, options: ConvOptions<2>) -> Tensor<4> {
    module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, options.for_burn()).permute([0, 2, 3, 1])
}

fn plain_3d(x: Tensor<5>, weight: Tensor<5>, bias: Option<Tensor<1>>, options: ConvOptions<3>) -> Tensor<5> {
    module::conv3d(x.permute([0, 4, 1, 2, 3]), weight, bias, options.for_burn()).permute([0, 2, 3, 4, 1])
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<3>,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn convolution(x: FlexTensor, weight: FlexTensor, bias: FlexTensor, options: ConvOptions<3>) -> FlexTensor {
        forward([x, weight, bias], options).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn convolution(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<3>,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 3>([x, weight, bias], |inputs, _| forward(inputs, options))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    x: FlexTensor,
    weight: FlexTensor,
    geometry: Geometry,
}

fn shape(tensor: &FlexTensor) -> &[usize] {
    tensor.layout().shape().as_slice()
}

fn forward([x, weight, bias]: [FlexTensor; 3], options: ConvOptions<3>) -> (FlexTensor, Saved) {
    let (x, weight, bias) = (contiguous(&x), contiguous(&weight), contiguous(&bias));
    let geometry = Geometry::new(shape(&x), shape(&weight), options);
    let operation = if winograd::applies(&geometry) {
        winograd::forward
    } else {
        gather::forward
    };
    let y = operation(&geometry, floats(&x), floats(&weight), floats(&bias));
    let y = tensor(y, geometry.output_shape(shape(&x).len()));
    (y, Saved { x, weight, geometry })
}

impl Gradient<3> for Saved {
    fn gradients(self, dy: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let Self { x, weight, geometry } = self;
        let dy = contiguous(&dy);
        let dy = floats(&dy);
        let few = winograd::applies(&geometry);
        let dx = wanted[0].then(|| {
            let operation = if few {
                winograd::input_gradient
            } else {
                gather::input_gradient
            };
            tensor(operation(&geometry, dy, floats(&weight)), shape(&x))
        });
        let dw = wanted[1].then(|| {
            let operation = if few {
                winograd::weight_gradient
            } else {
                weight_gradient::weight_gradient
            };
            tensor(operation(&geometry, floats(&x), dy), shape(&weight))
        });
        let db = wanted[2].then(|| tensor(crate::columns::column_sums(dy, geometry.output), [geometry.output]));
        [dx, dw, db]
    }
}

#[cfg(test)]
mod tests;
