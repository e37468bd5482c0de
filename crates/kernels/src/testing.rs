//! One check for every fused operation: against an `f64` reference, finite differences, burn's own operations, every
//! choice of inputs that need a gradient, and different numbers of threads.

use burn::tensor::{Device, Tensor};

/// A fixed, well-mixed sequence of numbers in [−1, 1).
pub fn values(seed: u64, count: usize) -> Vec<f32> {
    let mix = |index: u64| {
        let mut bits = (seed << 32).wrapping_add(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count as u64).map(mix).collect()
}

/// The error function by its Maclaurin series, whose terms cancel too far above 4, where 1 is within 2·10⁻⁸.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let mut term = x;
    let mut sum = x;
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// Asserts that `run` returns the same bits on pools of 1, 2 and 4 threads, and returns them.
pub fn same_bits(run: impl Fn() -> Vec<f32> + Send + Sync) -> Vec<f32> {
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool");
        pool.install(&run)
    };
    let first = bits(1);
    for threads in [2, 4] {
        let other = bits(threads);
        let equal = first.iter().zip(&other).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(equal && first.len() == other.len(), "{threads} threads change the bits");
    }
    first
}

/// Asserts that every number lies within `tolerance` of the expected one, relative to the largest of them.
pub fn close(name: &str, got: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(got.len(), expected.len(), "{name}: the number of elements");
    let scale = expected.iter().fold(1e-3f64, |largest, value| largest.max(value.abs()));
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let error = (f64::from(*got) - expected).abs() / scale;
        assert!(
            error < tolerance,
            "{name}[{index}]: {got} is not {expected} (error {error:.1e})"
        );
    }
}

/// The elements of a tensor in row-major order.
pub fn elements<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("32-bit floats")
}

/// Output and gradients of `operation` for leaves of which `wanted` says whether they need a gradient. The loss is
/// the output's product with a fixed pattern, so that every element of it counts differently.
fn run(
    leaves: &[Vec<f32>],
    wanted: &[bool],
    operation: &impl Fn(&[Tensor<1>]) -> Tensor<1>,
) -> (Vec<f32>, Vec<Option<Vec<f32>>>) {
    let device = Device::flex().autodiff();
    let leaf = |values: &Vec<f32>, wanted: bool| {
        let tensor = Tensor::<1>::from_floats(values.as_slice(), &device);
        if wanted { tensor.require_grad() } else { tensor }
    };
    let tensors: Vec<_> = leaves.iter().zip(wanted).map(|(values, &w)| leaf(values, w)).collect();
    let output = operation(&tensors);
    let pattern = values(99, output.dims()[0]);
    let loss = output.clone() * Tensor::from_floats(pattern.as_slice(), &device);
    if !wanted.contains(&true) {
        return (elements(output), vec![None; leaves.len()]);
    }
    let gradients = loss.sum().backward();
    let gradient = |tensor: &Tensor<1>| tensor.grad(&gradients).map(elements);
    let results = tensors.iter().map(gradient).collect();
    (elements(output), results)
}

/// Checks `operation`, a function of rank-one leaves, against the same function from burn's operations (`plain`) and
/// from `f64` numbers (`reference`).
pub fn check(
    leaves: &[Vec<f32>],
    operation: impl Fn(&[Tensor<1>]) -> Tensor<1> + Send + Sync,
    plain: impl Fn(&[Tensor<1>]) -> Tensor<1>,
    reference: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let all = vec![true; leaves.len()];
    let flat = same_bits(|| {
        let (output, gradients) = run(leaves, &all, &operation);
        [output]
            .into_iter()
            .chain(gradients.into_iter().flatten())
            .flatten()
            .collect()
    });
    let (output, gradients) = run(leaves, &all, &operation);
    let again: Vec<f32> = output
        .iter()
        .chain(gradients.iter().flatten().flatten())
        .copied()
        .collect();
    assert!(
        flat.iter().zip(&again).all(|(a, b)| a.to_bits() == b.to_bits()),
        "runs differ"
    );

    let wide: Vec<Vec<f64>> = leaves
        .iter()
        .map(|leaf| leaf.iter().map(|&value| value.into()).collect())
        .collect();
    close("output", &output, &reference(&wide), 1e-5);
    let (plain_output, plain_gradients) = run(leaves, &all, &plain);
    close("output of burn", &plain_output, &reference(&wide), 1e-4);

    for (index, gradient) in gradients.iter().enumerate() {
        let name = format!("gradient {index}");
        let gradient = gradient.as_ref().unwrap_or_else(|| panic!("{name} is missing"));
        close(&name, gradient, &differences(&wide, index, &reference), 1e-4);
        let of_burn = plain_gradients[index].as_ref().expect("burn's gradient");
        let of_burn: Vec<f64> = of_burn.iter().map(|&value| value.into()).collect();
        close(&format!("{name} against burn's"), gradient, &of_burn, 1e-4);
        check_alone(leaves, index, gradient, &operation);
    }
    let (untracked, _) = run(leaves, &vec![false; leaves.len()], &operation);
    assert_eq!(untracked, output, "an output that needs no gradient");
}

/// When leaf `index` alone needs a gradient, it gets the same one and the others get none.
fn check_alone(leaves: &[Vec<f32>], index: usize, expected: &[f32], operation: &impl Fn(&[Tensor<1>]) -> Tensor<1>) {
    let wanted: Vec<bool> = (0..leaves.len()).map(|leaf| leaf == index).collect();
    for (leaf, gradient) in run(leaves, &wanted, operation).1.into_iter().enumerate() {
        match gradient {
            Some(gradient) => assert_eq!((leaf, gradient.as_slice()), (index, expected)),
            None => assert_ne!(leaf, index, "the only wanted gradient is missing"),
        }
    }
}

/// The gradient with respect to leaf `index` by central differences of the reference.
fn differences(leaves: &[Vec<f64>], index: usize, reference: &impl Fn(&[Vec<f64>]) -> Vec<f64>) -> Vec<f64> {
    let loss = |leaves: &[Vec<f64>]| {
        let output = reference(leaves);
        let pattern = values(99, output.len());
        output
            .iter()
            .zip(pattern)
            .map(|(value, weight)| value * f64::from(weight))
            .sum::<f64>()
    };
    let mut moved = leaves.to_vec();
    let step = 1e-5;
    (0..leaves[index].len())
        .map(|element| {
            let mut at = |offset: f64| {
                moved[index][element] = leaves[index][element] + offset;
                loss(&moved)
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            moved[index][element] = leaves[index][element];
            slope
        })
        .collect()
}
