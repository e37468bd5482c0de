//! Pooling over channels-last lines and planes. A global average is a mean over the same axes.

mod windows;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, module};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, floats, fused, tensor};
use windows::{Kind, Windows};

/// How the windows of a pooling over `D` axes lie, axis by axis from the outermost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolOptions<const D: usize> {
    pub kernel: [usize; D],
    /// Places from one window to the next.
    pub stride: [usize; D],
    /// Places before the first and after the last one, at most half of the kernel: −∞ to a maximum, 0 to an average.
    pub padding: [usize; D],
}

impl<const D: usize> PoolOptions<D> {
    /// Windows side by side, without padding.
    pub fn new(kernel: [usize; D]) -> Self {
        Self {
            kernel,
            stride: kernel,
            padding: [0; D],
        }
    }

    fn max_for_burn(self) -> MaxPoolOptions<D> {
        MaxPoolOptions::new(self.kernel)
            .with_stride(self.stride)
            .with_padding(self.padding)
    }

    fn average_for_burn(self, count_padding: bool) -> AvgPoolOptions<D> {
        AvgPoolOptions::new(self.kernel)
            .with_stride(self.stride)
            .with_padding(self.padding)
            .with_count_include_pad(count_padding)
    }
}

/// The largest number of each window and channel: `x` [batch, length, channels] → [batch, length', channels] with
/// length' = (length + 2·padding − kernel) / stride + 1, rounded down. NaN wins; among equals the first gets the
/// gradient.
pub fn max_pool1d(x: Tensor<3>, options: PoolOptions<1>) -> Tensor<3> {
    if fused(&x) {
        return pool(x, line(options), Kind::Max);
    }
    plain_max_1d(x, options)
}

/// As [`max_pool1d`], over planes [batch, height, width, channels].
pub fn max_pool2d(x: Tensor<4>, options: PoolOptions<2>) -> Tensor<4> {
    if fused(&x) {
        return pool(x, options, Kind::Max);
    }
    plain_max_2d(x, options)
}

/// The mean of each window and channel: `x` [batch, length, channels] → [batch, length', channels], lengths as in
/// [`max_pool1d`]. `count_padding` says whether sums are divided by the size of the kernel (PyTorch's
/// `count_include_pad`, there the default) or by the number of places within `x`.
pub fn average_pool1d(x: Tensor<3>, options: PoolOptions<1>, count_padding: bool) -> Tensor<3> {
    if fused(&x) {
        return pool(x, line(options), Kind::Average { count_padding });
    }
    plain_average_1d(x, options, count_padding)
}

/// As [`average_pool1d`], over planes [batch, height, width, channels].
pub fn average_pool2d(x: Tensor<4>, options: PoolOptions<2>, count_padding: bool) -> Tensor<4> {
    if fused(&x) {
        return pool(x, options, Kind::Average { count_padding });
    }
    plain_average_2d(x, options, count_padding)
}

/// A line is a plane of height one.
fn line(options: PoolOptions<1>) -> PoolOptions<2> {
    PoolOptions {
        kernel: [1, options.kernel[0]],
        stride: [1, options.stride[0]],
        padding: [0, options.padding[0]],
    }
}

fn pool<const R: usize>(x: Tensor<R>, options: PoolOptions<2>, kind: Kind) -> Tensor<R> {
    let windows = Windows::new(&x.dims(), options);
    Tensor::from_dispatch(<Dispatch as Fused>::pool(x.into_dispatch(), windows, kind))
}

fn plain_max_1d(x: Tensor<3>, options: PoolOptions<1>) -> Tensor<3> {
    module::max_pool1d(x.permute([0, 2, 1]), options.max_for_burn()).permute([0, 2, 1])
}

fn plain_max_2d(x: Tensor<4>, options: PoolOptions<2>) -> Tensor<4> {
    module::max_pool2d(x.permute([0, 3, 1, 2]), options.max_for_burn()).permute([0, 2, 3, 1])
}

fn plain_average_1d(x: Tensor<3>, options: PoolOptions<1>, count_padding: bool) -> Tensor<3> {
    module::avg_pool1d(x.permute([0, 2, 1]), options.average_for_burn(count_padding)).permute([0, 2, 1])
}

fn plain_average_2d(x: Tensor<4>, options: PoolOptions<2>, count_padding: bool) -> Tensor<4> {
    module::avg_pool2d(x.permute([0, 3, 1, 2]), options.average_for_burn(count_padding)).permute([0, 2, 3, 1])
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn pool(x: FloatTensor<Self>, windows: Windows, kind: Kind) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn pool(x: FlexTensor, windows: Windows, kind: Kind) -> FlexTensor {
        forward(x, windows, kind, false).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn pool(x: FloatTensor<Self>, windows: Windows, kind: Kind) -> FloatTensor<Self> {
        record::<C, Saved, 1>([x], |[x], tracked| forward(x, windows, kind, tracked))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    windows: Windows,
    kind: Kind,
    /// The tap of each maximum.
    taps: Option<FlexTensor>,
    shape: Vec<usize>,
}

fn forward(x: FlexTensor, windows: Windows, kind: Kind, tracked: bool) -> (FlexTensor, Saved) {
    let x = contiguous(&x);
    let shape = x.layout().shape().as_slice().to_vec();
    let (y, taps) = match kind {
        Kind::Max => windows.largest(floats(&x), tracked),
        Kind::Average { count_padding } => (windows.mean(floats(&x), count_padding), Vec::new()),
    };
    let output = windows.output_shape(shape.len());
    let saved = Saved {
        windows,
        kind,
        taps: (tracked && kind == Kind::Max).then(|| tensor(taps, output.clone())),
        shape,
    };
    (tensor(y, output), saved)
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let dy = contiguous(&dy);
        let dy = floats(&dy);
        let dx = match (self.kind, &self.taps) {
            (Kind::Average { count_padding }, _) => self.windows.spread(dy, count_padding),
            (Kind::Max, Some(taps)) => self.windows.return_to(floats(taps), dy),
            (Kind::Max, None) => unreachable!("a tracked maximum keeps its taps"),
        };
        [Some(tensor(dx, self.shape))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, values};
    use burn::tensor::Device;

    /// Shapes as [batch, height, width, channels].
    struct Case([usize; 4], PoolOptions<2>);

    impl Case {
        /// The definition, for a function of the numbers of a window and the size of the kernel.
        fn reference(&self, at: impl Fn(usize) -> f64, reduce: impl Fn(&[f64], f64) -> f64) -> Vec<f64> {
            let Case([batch, height, width, channels], options) = self;
            let side = |axis: usize, size: usize| {
                (size + 2 * options.padding[axis] - options.kernel[axis]) / options.stride[axis] + 1
            };
            let inside = |axis: usize, out: usize, size: usize| {
                let first = out * options.stride[axis];
                let places = (first..first + options.kernel[axis]).filter_map(|p| p.checked_sub(options.padding[axis]));
                places.filter(|&place| place < size).collect::<Vec<_>>()
            };
            let mut result = Vec::new();
            for (b, oy) in (0..*batch).flat_map(|b| (0..side(0, *height)).map(move |oy| (b, oy))) {
                for (ox, c) in (0..side(1, *width)).flat_map(|ox| (0..*channels).map(move |c| (ox, c))) {
                    let mut window = Vec::new();
                    for y in inside(0, oy, *height) {
                        let place = |x| ((b * height + y) * width + x) * channels + c;
                        window.extend(inside(1, ox, *width).into_iter().map(|x| at(place(x))));
                    }
                    result.push(reduce(&window, (options.kernel[0] * options.kernel[1]) as f64));
                }
            }
            result
        }

        fn check(
            &self,
            operation: impl Fn(Tensor<4>) -> Tensor<4> + Send + Sync,
            plain: impl Fn(Tensor<4>) -> Tensor<4>,
            reduce: impl Fn(&[f64], f64) -> f64,
        ) {
            let Case(shape, _) = *self;
            let [batch, height, width, channels] = shape;
            for turned in [false, true] {
                let view = |leaves: &[Tensor<1>]| {
                    let x = leaves[0].clone();
                    if turned {
                        x.reshape([batch, channels, height, width]).permute([0, 2, 3, 1])
                    } else {
                        x.reshape(shape)
                    }
                };
                let places = height * width;
                let place = |index: usize| {
                    let (c, at, b) = (index % channels, index / channels % places, index / channels / places);
                    if turned {
                        (b * channels + c) * places + at
                    } else {
                        index
                    }
                };
                check(
                    &[values(1, shape.iter().product())],
                    |leaves| operation(view(leaves)).reshape([-1]),
                    |leaves| plain(view(leaves)).reshape([-1]),
                    |leaves| self.reference(|index| leaves[0][place(index)], &reduce),
                );
            }
        }
    }

    fn cases() -> Vec<Case> {
        let options = |kernel, stride, padding| PoolOptions {
            kernel,
            stride,
            padding,
        };
        vec![
            Case([1, 1, 1, 1], PoolOptions::new([1, 1])),
            Case([2, 4, 6, 3], PoolOptions::new([2, 2])),
            Case([2, 5, 4, 17], options([3, 3], [2, 2], [1, 1])),
            Case([1, 6, 5, 2], options([3, 2], [1, 1], [1, 0])),
            Case([3, 1, 9, 5], options([1, 3], [1, 2], [0, 1])),
            Case([1, 7, 3, 2], options([2, 1], [3, 2], [1, 0])),
        ]
    }

    fn mean(window: &[f64], size: f64) -> f64 {
        window.iter().sum::<f64>() / size
    }

    #[test]
    fn planes_match_their_reference() {
        for case in cases() {
            let options = case.1;
            let largest = |window: &[f64], _| window.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            case.check(|x| max_pool2d(x, options), |x| plain_max_2d(x, options), largest);
            for padded in [false, true] {
                case.check(
                    |x| average_pool2d(x, options, padded),
                    |x| plain_average_2d(x, options, padded),
                    |window, size| mean(window, if padded { size } else { window.len() as f64 }),
                );
            }
        }
    }

    #[test]
    fn lines_match_burn() {
        let x = || Tensor::<1>::from_floats(values(1, 2 * 11 * 3).as_slice(), &Device::flex()).reshape([2, 11, 3]);
        let options = PoolOptions {
            kernel: [4],
            stride: [3],
            padding: [2],
        };
        assert_eq!(elements(max_pool1d(x(), options)), elements(plain_max_1d(x(), options)));
        for padded in [false, true] {
            let expected: Vec<f64> = elements(plain_average_1d(x(), options, padded))
                .iter()
                .map(|&y| y.into())
                .collect();
            crate::testing::close("mean", &elements(average_pool1d(x(), options, padded)), &expected, 1e-6);
        }
    }

    #[test]
    fn nan_wins_and_the_first_of_equals_gets_the_gradient() {
        let device = Device::flex().autodiff();
        let x = Tensor::<1>::from_floats([1.0, f32::NAN, 3.0, 2.0, 2.0, 2.0], &device).require_grad();
        let y = max_pool1d(x.clone().reshape([1, 6, 1]), PoolOptions::new([3]));
        let gradients = y.clone().sum().backward();
        let y = elements(y);
        assert!(y[0].is_nan() && y[1] == 2.0);
        let gradient = x.grad(&gradients).map(elements);
        assert_eq!(gradient, Some(vec![0.0, 1.0, 0.0, 1.0, 0.0, 0.0]));
    }

    #[test]
    #[should_panic(expected = "at most half of the kernel")]
    fn windows_of_padding_alone_are_refused() {
        let options = PoolOptions {
            padding: [2],
            ..PoolOptions::new([3])
        };
        max_pool1d(Tensor::zeros([1, 4, 1], &Device::flex()), options);
    }
}
