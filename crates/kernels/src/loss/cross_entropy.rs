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

/// Choices of `cross_entropy`; the default smooths nothing and ignores nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct CrossEntropyOptions {
    /// The part of a target's weight that is spread evenly over all classes, 0 to 1 (Szegedy et al. 2016).
    pub label_smoothing: f64,
    /// A target that stands for no class: its rows have a loss of 0 and no gradient.
    pub ignored: Option<i64>,
}

/// Softmax cross entropy of each row: `logits` [rows, classes], `targets` [rows] → losses [rows], in nats.
///
/// # Panics
/// If a target is neither a class nor the ignored one, or the smoothing is not between 0 and 1.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>, options: CrossEntropyOptions) -> Tensor<1> {
    let smoothing = options.label_smoothing;
    assert!(
        (0.0..=1.0).contains(&smoothing),
        "cross_entropy: a label smoothing of {smoothing} is not between 0 and 1"
    );
    if !fused(&logits) {
        return plain(logits, targets, options);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::softmax_cross_entropy(
        logits.into_dispatch(),
        targets.into_dispatch(),
        options,
    ))
}

fn plain(logits: Tensor<2>, targets: Tensor<1, Int>, options: CrossEntropyOptions) -> Tensor<1> {
    let (rows, smoothing) = (targets.dims()[0], options.label_smoothing);
    let ignored = options.ignored.map(|ignored| targets.clone().equal_elem(ignored));
    let targets = match &ignored {
        Some(mask) => targets.mask_fill(mask.clone(), 0),
        None => targets,
    };
    let logarithms = log_softmax(logits, 1);
    let picked = logarithms.clone().gather(1, targets.reshape([rows, 1]));
    let losses = match smoothing {
        0.0 => picked.neg(),
        _ => picked * (smoothing - 1.0) - logarithms.mean_dim(1) * smoothing,
    };
    let losses = losses.reshape([rows]);
    match ignored {
        Some(mask) => losses.mask_fill(mask, 0.0),
        None => losses,
    }
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn softmax_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: CrossEntropyOptions,
    ) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn softmax_cross_entropy(logits: FlexTensor, targets: FlexTensor, options: CrossEntropyOptions) -> FlexTensor {
        forward(&logits, &targets, options).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn softmax_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
        options: CrossEntropyOptions,
    ) -> FloatTensor<Self> {
        record::<C, Saved, 1>([logits], |[logits], _| forward(&logits, &targets, options))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    logits: FlexTensor,
    /// The class of each row that counts.
    targets: Vec<Option<usize>>,
    smoothing: f32,
}

fn forward(logits: &FlexTensor, targets: &FlexTensor, options: CrossEntropyOptions) -> (FlexTensor, Saved) {
    let logits = contiguous(logits);
    let [rows, classes] = extents(&logits);
    let targets = classes_of(&integers(targets), classes, options.ignored);
    assert_eq!(targets.len(), rows, "cross_entropy: one target for each row of logits");
    let smoothing = options.label_smoothing as f32;
    let (values, chunk) = (floats(&logits), row_chunk(classes));
    let losses = parallel::fill(rows, chunk / classes, |index, losses| {
        let first = index * chunk / classes;
        let part = &values[first * classes..(first + losses.len()) * classes];
        row_losses(part, &targets[first..first + losses.len()], smoothing, losses);
    });
    let saved = Saved {
        logits,
        targets,
        smoothing,
    };
    (tensor(losses, [rows]), saved)
}

/// Each target as a class, or nothing where it is the ignored one.
fn classes_of(targets: &[i64], classes: usize, ignored: Option<i64>) -> Vec<Option<usize>> {
    let class = |(row, &target): (usize, &i64)| {
        if ignored == Some(target) {
            return None;
        }
        let class = usize::try_from(target).ok().filter(|&class| class < classes);
        assert!(
            class.is_some(),
            "cross_entropy: the target of row {row} is {target}, which is not one of {classes} classes: check the \
             labels or the width of the head"
        );
        class
    };
    targets.iter().enumerate().map(class).collect()
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
            row_gradients(logits, &self.targets[range.clone()], &dy[range], self.smoothing, part);
        });
        [Some(tensor(gradient, [rows, classes]))]
    }
}

vectorized! {
    fn row_losses(logits: &[f32], targets: &[Option<usize>], smoothing: f32, losses: &mut [f32]) {
        let classes = logits.len() / targets.len();
        let mut terms = vec![0.0; classes];
        for ((row, &target), loss) in logits.chunks_exact(classes).zip(targets).zip(losses) {
            let Some(target) = target else {
                *loss = 0.0;
                continue;
            };
            let largest = largest(row);
            for (power, &value) in terms.iter_mut().zip(row) {
                *power = exp(value - largest);
            }
            let logarithm = total(&terms).ln();
            let mut distance = largest - row[target];
            // A logit of −∞ must not turn into 0 · ∞.
            if smoothing > 0.0 {
                for (term, &value) in terms.iter_mut().zip(row) {
                    *term = largest - value;
                }
                let mean = total(&terms) / classes as f32;
                distance = if smoothing < 1.0 { distance + (mean - distance) * smoothing } else { mean };
            }
            *loss = logarithm + distance;
        }
    }
}

vectorized! {
    /// (softmax − smoothed one-hot target) · dy on every row.
    fn row_gradients(
        logits: &[f32],
        targets: &[Option<usize>],
        dy: &[f32],
        smoothing: f32,
        output: &mut [f32],
    ) {
        let classes = logits.len() / targets.len();
        let rows = logits.chunks_exact(classes).zip(output.chunks_exact_mut(classes));
        for ((row, output), (&target, &dy)) in rows.zip(targets.iter().zip(dy)) {
            let Some(target) = target else {
                output.fill(0.0);
                continue;
            };
            let largest = largest(row);
            for (power, &value) in output.iter_mut().zip(row) {
                *power = exp(value - largest);
            }
            let scale = dy / total(output);
            let shift = dy * smoothing / classes as f32;
            for value in output.iter_mut() {
                *value = *value * scale - shift;
            }
            output[target] -= dy * (1.0 - smoothing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, elements, values};
    use burn::tensor::Device;

    fn check_cross_entropy(rows: usize, classes: usize, strided: bool, options: CrossEntropyOptions) {
        let logits: Vec<f32> = values(1, rows * classes).iter().map(|value| value * 6.0).collect();
        let target = |row: usize| match options.ignored {
            Some(ignored) if row % 3 == 1 => ignored,
            _ => (row * 7 % classes) as i64,
        };
        let targets: Vec<i64> = (0..rows).map(target).collect();
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
                cross_entropy(x, targets, options)
            },
            |leaves| {
                let (x, targets) = arguments(leaves);
                plain(x, targets, options)
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
                    if options.ignored == Some(targets[row]) {
                        return 0.0;
                    }
                    let sum: f64 = (0..classes).map(|class| at(row, class).exp()).sum();
                    let smooth = options.label_smoothing;
                    let mean = (0..classes).map(|class| at(row, class)).sum::<f64>() / classes as f64;
                    sum.ln() - (1.0 - smooth) * at(row, targets[row] as usize) - smooth * mean
                };
                (0..rows).map(loss).collect()
            },
        );
    }

    #[test]
    fn cross_entropy_matches_its_reference() {
        for (rows, classes) in [(1, 1), (3, 2), (5, 13), (17, 40)] {
            for (label_smoothing, ignored) in [(0.0, None), (0.1, Some(-100)), (1.0, Some(2))] {
                let options = CrossEntropyOptions {
                    label_smoothing,
                    ignored,
                };
                check_cross_entropy(rows, classes, false, options);
                check_cross_entropy(rows, classes, true, options);
            }
        }
    }

    fn losses(logits: [[f32; 3]; 1], target: i64) -> Vec<f32> {
        let device = Device::flex();
        let targets = Tensor::<1, Int>::from_ints([target], &device);
        let options = CrossEntropyOptions {
            ignored: Some(-1),
            ..Default::default()
        };
        elements(cross_entropy(Tensor::from_floats(logits, &device), targets, options))
    }

    #[test]
    fn extreme_logits_are_stable_and_nan_stays() {
        assert_eq!(losses([[1e30, 0.0, f32::NEG_INFINITY]], 0), [0.0]);
        assert_eq!(losses([[1000.0, 0.0, 0.0]], 1), [1000.0]);
        assert!(losses([[f32::NAN, 0.0, 0.0]], 1)[0].is_nan());
        assert_eq!(losses([[f32::NAN, 0.0, 0.0]], -1), [0.0]);
    }

    #[test]
    #[should_panic(expected = "the target of row 0 is 3, which is not one of 3 classes")]
    fn a_target_outside_the_classes_is_refused() {
        losses([[0.0; 3]], 3);
    }
}
