//! Checks of every kind of convolution against its definition.

use super::*;
use crate::testing::{check, values};

/// A convolution over one to three axes; the extents that a case does not have are 1.
#[derive(Clone, Copy)]
struct Case<const D: usize> {
    batch: usize,
    size: [usize; D],
    /// Channels.
    input: usize,
    output: usize,
    kernel: [usize; D],
    options: ConvOptions<D>,
}

impl<const D: usize> Case<D> {
    fn new(batch: usize, size: [usize; D], input: usize, output: usize, kernel: [usize; D]) -> Self {
        let options = ConvOptions::default();
        Self {
            batch,
            size,
            input,
            output,
            kernel,
            options,
        }
    }

    fn stride(mut self, stride: [usize; D]) -> Self {
        self.options.stride = stride;
        self
    }

    fn padding(mut self, padding: [usize; D]) -> Self {
        self.options.padding = padding;
        self
    }

    fn dilation(mut self, dilation: [usize; D]) -> Self {
        self.options.dilation = dilation;
        self
    }

    fn groups(mut self, groups: usize) -> Self {
        self.options.groups = groups;
        self
    }

    /// [batch, .., input] or, with channels first, [batch, input, ..]
    fn x_shape<const R: usize>(&self, channels_first: bool) -> [usize; R] {
        let mut shape = [self.batch; R];
        let from = if channels_first { 2 } else { 1 };
        shape[from..from + D].copy_from_slice(&self.size);
        shape[if channels_first { 1 } else { R - 1 }] = self.input;
        shape
    }

    fn weight_shape<const R: usize>(&self) -> [usize; R] {
        let mut shape = [self.output; R];
        shape[1] = self.input / self.options.groups;
        shape[2..].copy_from_slice(&self.kernel);
        shape
    }

    /// The definition, on x with channels last.
    fn reference(&self, x: &[f64], weight: &[f64], bias: Option<&Vec<f64>>) -> Vec<f64> {
        let three = |values: [usize; D]| -> [usize; 3] {
            std::array::from_fn(|axis| (axis + D).checked_sub(3).map_or(1, |axis| values[axis]))
        };
        let (size, kernel) = (three(self.size), three(self.kernel));
        let ConvOptions {
            stride,
            padding,
            dilation,
            groups,
        } = self.options.spread();
        let out: [usize; 3] = std::array::from_fn(|axis| {
            (size[axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) / stride[axis] + 1
        });
        let split = |index: usize, extent: [usize; 3]| {
            [
                index / (extent[1] * extent[2]),
                index / extent[2] % extent[1],
                index % extent[2],
            ]
        };
        let (places, taps) = (out.iter().product::<usize>(), kernel.iter().product::<usize>());
        let (inputs, outputs) = (self.input / groups, self.output / groups);
        let value = |index: usize| {
            let (o, place) = (index % self.output, index / self.output % places);
            let (b, at) = (index / self.output / places, split(place, out));
            let mut sum = bias.map_or(0.0, |bias| bias[o]);
            for tap in 0..taps {
                let k = split(tap, kernel);
                let source: [Option<usize>; 3] = std::array::from_fn(|axis| {
                    let place = (at[axis] * stride[axis] + k[axis] * dilation[axis]).checked_sub(padding[axis]);
                    place.filter(|&place| place < size[axis])
                });
                let [Some(z), Some(y), Some(x_at)] = source else {
                    continue;
                };
                let place = ((b * size[0] + z) * size[1] + y) * size[2] + x_at;
                for c in 0..inputs {
                    sum += x[place * self.input + o / outputs * inputs + c] * weight[(o * inputs + c) * taps + tap];
                }
            }
            sum
        };
        (0..self.batch * places * self.output).map(value).collect()
    }
}

type Operation<const D: usize, const R: usize> =
    fn(Tensor<R>, Tensor<R>, Option<Tensor<1>>, ConvOptions<D>) -> Tensor<R>;

fn check_case<const D: usize, const R: usize>(
    case: Case<D>,
    [with_bias, channels_first]: [bool; 2],
    operation: Operation<D, R>,
    plain: Operation<D, R>,
) {
    let x_shape: [usize; R] = case.x_shape(channels_first);
    let weight_shape: [usize; R] = case.weight_shape();
    let mut leaves = vec![
        values(1, x_shape.iter().product()),
        values(2, weight_shape.iter().product()),
    ];
    leaves.extend(with_bias.then(|| values(3, case.output)));
    let run = |leaves: &[Tensor<1>], operation: Operation<D, R>| {
        let mut x = leaves[0].clone().reshape(x_shape);
        if channels_first {
            let order: [isize; R] = std::array::from_fn(|axis| {
                [0, axis as isize + 1, 1][usize::from(axis > 0) + usize::from(axis == R - 1)]
            });
            x = x.permute(order);
        }
        let weight = leaves[1].clone().reshape(weight_shape);
        operation(x, weight, leaves.get(2).cloned(), case.options).reshape([-1])
    };
    let places: usize = case.size.iter().product();
    let reference = |leaves: &[Vec<f64>]| {
        let last = |index: usize| {
            let (c, place, b) = (
                index % case.input,
                index / case.input % places,
                index / case.input / places,
            );
            leaves[0][(b * case.input + c) * places + place]
        };
        let turned: Vec<f64> = (0..leaves[0].len()).filter(|_| channels_first).map(last).collect();
        let x = if channels_first { &turned } else { &leaves[0] };
        case.reference(x, &leaves[1], leaves.get(2))
    };
    check(
        &leaves,
        |leaves| run(leaves, operation),
        |leaves| run(leaves, plain),
        reference,
    );
}

/// Every case with and without bias, as it is and as a view of channels-first planes.
fn check_all<const D: usize, const R: usize>(cases: &[Case<D>], operation: Operation<D, R>, plain: Operation<D, R>) {
    for (index, case) in cases.iter().enumerate() {
        check_case(*case, [index % 2 == 0, false], operation, plain);
        check_case(*case, [index % 2 == 1, true], operation, plain);
    }
}

#[test]
fn conv1d_matches_its_reference() {
    let cases = [
        Case::new(1, [1], 1, 1, [1]),
        Case::new(2, [9], 3, 5, [3]).padding([1]),
        Case::new(1, [40], 2, 3, [3]).stride([2]).padding([1]),
        Case::new(3, [11], 4, 2, [4]).stride([3]).padding([2]),
        Case::new(2, [12], 3, 17, [3]).dilation([4]).padding([4]),
        Case::new(1, [14], 2, 2, [3]).stride([2]).padding([5]).dilation([4]),
        Case::new(2, [10], 4, 6, [3]).padding([1]).groups(2),
        Case::new(2, [15], 4, 4, [1]).groups(2),
        Case::new(2, [9], 5, 5, [5]).padding([2]).groups(5),
        Case::new(1, [13], 19, 19, [3])
            .stride([2])
            .padding([2])
            .dilation([2])
            .groups(19),
        Case::new(2, [7], 3, 6, [3]).padding([1]).groups(3),
    ];
    check_all(&cases, conv1d, plain_1d);
}

#[test]
fn conv2d_matches_its_reference() {
    let cases = [
        Case::new(1, [1, 1], 1, 1, [1, 1]),
        Case::new(2, [5, 4], 3, 2, [3, 3]).padding([1, 1]),
        Case::new(2, [6, 7], 3, 5, [3, 3]).stride([2, 2]).padding([1, 1]),
        Case::new(3, [7, 5], 2, 17, [3, 2]).stride([1, 2]).padding([0, 1]),
        Case::new(1, [8, 8], 1, 3, [2, 2]).stride([3, 3]),
        Case::new(1, [9, 3], 2, 2, [4, 1]).stride([4, 1]).padding([2, 0]),
        Case::new(17, [3, 3], 2, 3, [3, 3]).stride([2, 2]).padding([1, 1]),
        Case::new(2, [4, 4], 2, 3, [1, 1]).stride([2, 2]),
        Case::new(1, [3, 20], 1, 2, [1, 9]).stride([1, 3]).padding([0, 4]),
        Case::new(2, [7, 6], 2, 3, [3, 2]).padding([2, 1]).dilation([2, 3]),
        Case::new(1, [9, 8], 2, 2, [3, 3])
            .stride([2, 3])
            .padding([2, 4])
            .dilation([3, 2]),
        Case::new(2, [5, 6], 6, 4, [3, 3]).padding([1, 1]).groups(2),
        Case::new(2, [5, 5], 4, 4, [2, 2])
            .stride([2, 1])
            .dilation([1, 2])
            .groups(2),
        Case::new(1, [6, 5], 4, 4, [1, 1]).groups(4),
        Case::new(2, [5, 4], 18, 18, [3, 3]).padding([1, 1]).groups(18),
        Case::new(2, [7, 6], 3, 6, [3, 3])
            .stride([2, 2])
            .padding([1, 1])
            .groups(3),
        Case::new(1, [8, 9], 2, 2, [3, 3])
            .stride([2, 1])
            .padding([3, 2])
            .dilation([3, 2])
            .groups(2),
        Case::new(2, [2, 2], 18, 20, [3, 3]).padding([1, 1]),
        Case::new(2, [3, 4], 16, 16, [3, 3]).padding([1, 2]),
        Case::new(3, [3, 3], 10, 36, [3, 3])
            .stride([2, 2])
            .padding([1, 1])
            .groups(2),
    ];
    check_all(&cases, conv2d, plain_2d);
}

#[test]
fn conv3d_matches_its_reference() {
    let cases = [
        Case::new(1, [1, 1, 1], 1, 1, [1, 1, 1]),
        Case::new(2, [3, 4, 3], 2, 3, [2, 3, 3]).padding([1, 1, 1]),
        Case::new(1, [4, 5, 6], 2, 2, [3, 3, 2])
            .stride([2, 2, 2])
            .padding([1, 1, 0]),
        Case::new(1, [4, 4, 4], 2, 2, [2, 2, 2]).stride([2, 2, 2]),
        Case::new(1, [5, 4, 5], 2, 2, [2, 2, 3])
            .dilation([2, 1, 2])
            .padding([1, 1, 1]),
        Case::new(2, [3, 3, 4], 4, 4, [2, 2, 2]).groups(2),
        Case::new(1, [3, 4, 3], 3, 3, [3, 3, 3])
            .stride([1, 2, 1])
            .padding([1, 1, 1])
            .groups(3),
    ];
    check_all(&cases, conv3d, plain_3d);
}

#[test]
fn an_empty_batch_has_an_empty_output_and_no_gradient() {
    let device = burn::tensor::Device::flex().autodiff();
    let weight = Tensor::<4>::ones([3, 2, 3, 3], &device).require_grad();
    let y = conv2d(
        Tensor::zeros([0, 5, 4, 2], &device),
        weight.clone(),
        None,
        ConvOptions::default(),
    );
    assert_eq!(y.dims(), [0, 3, 2, 3]);
    let gradients = y.sum().backward();
    let gradient = weight.grad(&gradients).map(crate::testing::elements);
    assert_eq!(gradient, Some(vec![0.0; 54]));
}

#[test]
fn an_empty_line_gives_what_its_padding_gives() {
    let device = burn::tensor::Device::flex();
    let options = ConvOptions {
        padding: [1],
        ..ConvOptions::default()
    };
    let bias = Tensor::<1>::from_floats([0.5, -1.0], &device);
    let y = conv1d(
        Tensor::zeros([1, 0, 3], &device),
        Tensor::ones([2, 3, 2], &device),
        Some(bias),
        options,
    );
    assert_eq!(crate::testing::elements(y), [0.5, -1.0]);
}

/// Checks output and gradients against burn's, where differences of the definition would take too long.
fn check_large<const D: usize, const R: usize>(case: Case<D>, operation: Operation<D, R>, plain: Operation<D, R>) {
    let (x_shape, weight_shape): ([usize; R], [usize; R]) = (case.x_shape(false), case.weight_shape());
    let device = burn::tensor::Device::flex().autodiff();
    let leaf = |seed, shape: [usize; R]| {
        let values = values(seed, shape.iter().product());
        Tensor::<1>::from_floats(values.as_slice(), &device).reshape(shape)
    };
    let run = |operation: Operation<D, R>| {
        let x = leaf(1, x_shape).detach().require_grad();
        let weight = leaf(2, weight_shape).detach().require_grad();
        let y = operation(x.clone(), weight.clone(), None, case.options);
        let pattern = leaf(3, y.dims());
        let gradients = (y.clone() * pattern).sum().backward();
        let gradient = |tensor: Tensor<R>| {
            tensor
                .grad(&gradients)
                .map(crate::testing::elements)
                .expect("a gradient")
        };
        [crate::testing::elements(y), gradient(x), gradient(weight)]
    };
    for (name, (got, expected)) in ["y", "dx", "dw"].into_iter().zip(run(operation).iter().zip(run(plain))) {
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        crate::testing::close(name, got, &expected, 3e-5);
    }
}

#[test]
fn bands_and_deep_windows_match_burn() {
    let line = Case::new(1, [1000], 5, 7, [3]);
    check_large(line.padding([2]).dilation([2]), conv1d, plain_1d);
    check_large(line.stride([2]).padding([1]), conv1d, plain_1d);
    check_large(
        Case::new(1, [8], 1500, 3, [3]).dilation([2]).padding([1]),
        conv1d,
        plain_1d,
    );
    check_large(
        Case::new(1, [1000], 24, 24, [5]).padding([2]).groups(24),
        conv1d,
        plain_1d,
    );
    let plane = Case::new(1, [61, 40], 3, 20, [3, 3]);
    check_large(plane.padding([1, 0]).stride([2, 1]), conv2d, plain_2d);
    check_large(plane.padding([1, 1]).dilation([2, 1]), conv2d, plain_2d);
    check_large(Case::new(18, [90, 90], 18, 2, [3, 3]).padding([1, 1]), conv2d, plain_2d);
    check_large(Case::new(33, [6, 5], 16, 48, [3, 3]).padding([1, 1]), conv2d, plain_2d);
    check_large(
        Case::new(2, [5, 30, 9], 4, 6, [3, 3, 3]).padding([1, 1, 1]).groups(2),
        conv3d,
        plain_3d,
    );
}
