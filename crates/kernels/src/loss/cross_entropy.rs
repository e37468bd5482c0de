//! Softmax cross entropy.

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, integers, tensor};
use crate::columns::row_chunk;
use crate::parallel;
use crate::simd::{exp, largest, total, vectorized};

/// Softmax cross entropy of each row: `logits` [rows, classes], `targets` [rows] → losses [rows], in nats.
///
/// # Panics
/// If a target is not a class.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    if !fused(&logits) {
        return plain(logits, targets);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::softmax_cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
    ))
}

fn plain(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let rows = targets.dims()[0];
    let picked = log_softmax(logits, 1).gather(1, targets.reshape([rows, 1]));
    picked.reshape([rows]).neg()
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn softmax_cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn softmax_cross_entropy(logits: FlexTensor, targets: FlexTensor) -> FlexTensor {
        forward(&logits, &targets).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn softmax_cross_entropy(logits: FloatTensor<Self>, targets: IntTensor<Self>) -> FloatTensor<Self> {
        record::<C, Saved, 1>([logits], |[logits], _| forward(&logits, &targets))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    logits: FlexTensor,
    targets: Vec<usize>,
}

fn forward(logits: &FlexTensor, targets: &FlexTensor) -> (FlexTensor, Saved) {
    let logits = contiguous(logits);
    let [rows, classes] = extents(&logits);
    let targets: Vec<usize> = integers(targets)
        .into_iter()
        .enumerate()
        .map(|(row, target)| {
            usize::try_from(target)
                .ok()
                .filter(|&target| target < classes)
                .unwrap_or_else(|| {
                    panic!(
                        "cross_entropy: the target of row {row} is {target}, which is not one of \
                     {classes} classes: check the labels or the width of the head"
                    )
                })
        })
        .collect();
    assert_eq!(targets.len(), rows, "cross_entropy: one target for each row of logits");
    let (values, chunk) = (floats(&logits), row_chunk(classes));
    let losses = parallel::fill(rows, chunk / classes, |index, losses| {
        let first = index * chunk / classes;
        let part = &values[first * classes..(first + losses.len()) * classes];
        row_losses(part, &targets[first..first + losses.len()], losses);
    });
    (tensor(losses, [rows]), Saved { logits, targets })
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [rows, classes] = extents(&self.logits);
        let dy = contiguous(&dy);
        let (values, chunk, dy) = (floats(&self.logits), row_chunk(classes), floats(&dy));
        let gradient = parallel::fill(values.len(), chunk, |index, part| {
            let first = index * chunk / classes;
            let range = first..first + part.len() / classes;
            let logits = &values[index * chunk..][..part.len()];
            row_gradients(logits, &self.targets[range.clone()], &dy[range], part);
        });
        [Some(tensor(gradient, [rows, classes]))]
    }
}

vectorized! {
    fn row_losses(logits: &[f32], targets: &[usize], losses: &mut [f32]) {
        let classes = logits.len() / targets.len();
        let mut powers = vec![0.0; classes];
        for ((row, &target), loss) in logits.chunks_exact(classes).zip(targets).zip(losses) {
            let largest = largest(row);
            for (power, &value) in powers.iter_mut().zip(row) {
                *power = exp(value - largest);
            }
            *loss = total(&powers).ln() + (largest - row[target]);
        }
    }
}

vectorized! {
    /// (softmax − one-hot target) · dy on every row.
    fn row_gradients(logits: &[f32], targets: &[usize], dy: &[f32], output: &mut [f32]) {
        let classes = logits.len() / targets.len();
        let rows = logits.chunks_exact(classes).zip(output.chunks_exact_mut(classes));
        for ((row, output), (&target, &dy)) in rows.zip(targets.iter().zip(dy)) {
            let largest = largest(row);
            for (power, &value) in output.iter_mut().zip(row) {
                *power = exp(value - largest);
            }
            let scale = dy / total(output);
            for value in output.iter_mut() {
                *value *= scale;
            }
            output[target] -= dy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, values};
    use burn::tensor::Device;

    fn check_cross_entropy(rows: usize, classes: usize, strided: bool) {
        let logits: Vec<f32> = values(1, rows * classes).iter().map(|value| value * 6.0).collect();
        let targets: Vec<i64> = (0..rows).map(|row| (row * 7 % classes) as i64).collect();
        let arguments = |leaves: &[Tensor<1>]| {
            let x = leaves[0].clone();
            let x = if strided {
                x.reshape([classes, rows]).transpose()
            } else {
                x.reshape([rows, classes])
            };
            (x, Tensor::<1, Int>::from_ints(targets.as_slice(), &leaves[0].device()))
        };
        check(
            &[logits],
            |leaves| {
                let (x, targets) = arguments(leaves);
                cross_entropy(x, targets)
            },
            |leaves| {
                let (x, targets) = arguments(leaves);
                plain(x, targets)
            },
            |leaves| {
                let at = |row: usize, class: usize| {
                    leaves[0][if strided {
                        class * rows + row
                    } else {
                        row * classes + class
                    }]
                };
                let loss = |row: usize| {
                    let sum: f64 = (0..classes).map(|class| at(row, class).exp()).sum();
                    sum.ln() - at(row, targets[row] as usize)
                };
                (0..rows).map(loss).collect()
            },
        );
    }

    #[test]
    fn cross_entropy_matches_its_reference() {
        for (rows, classes) in [(1, 1), (3, 2), (5, 13), (17, 40)] {
            check_cross_entropy(rows, classes, false);
            check_cross_entropy(rows, classes, true);
        }
    }

    fn losses(logits: [[f32; 3]; 1], target: i64) -> Vec<f32> {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([target], &device);
        elements(cross_entropy(Tensor::from_floats(logits, &device), targets))
    }

    #[test]
    fn extreme_logits_are_stable_and_nan_stays() {
        assert_eq!(losses([[1e30, 0.0, f32::NEG_INFINITY]], 0), [0.0]);
        assert_eq!(losses([[1000.0, 0.0, 0.0]], 1), [1000.0]);
        assert!(losses([[f32::NAN, 0.0, 0.0]], 1)[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "the target of row 0 is 3, which is not one of 3 classes")]
    fn a_target_outside_the_classes_is_refused() {
        losses([[0.0; 3]], 3);
    }
}
