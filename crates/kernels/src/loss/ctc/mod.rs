//! Connectionist temporal classification.

mod lattice;
mod rows;

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, backend_extension};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData, module};
use burn_flex::FlexTensor;

use crate::autograd::{Gradient, record};
use crate::buffer::{contiguous, extents, floats, fused, tensor};
use crate::columns::row_chunk;
use crate::parallel::{self, Target, with_scratch};
use crate::simd::{exp, largest, vectorized};
use rows::Rows;

/// The negative log likelihood, in nats, of each row's labels under all of their alignments with its frames (Graves
/// et al. 2006): `logits` [batch, time, classes], `targets` [batch, labels] → [batch]. The softmax is part of it.
///
/// Row i has `input_lengths[i]` frames and `target_lengths[i]` labels; what lies beyond them does not count and gets a
/// zero gradient. Labels that no alignment can emit, such as more labels than frames, have an infinite loss with a zero
/// gradient: callers that want to pass such rows over replace infinite losses (PyTorch's `zero_infinity`).
///
/// # Panics
/// If a length exceeds its axis, or a label is the `blank` or not a class.
pub fn ctc_loss(
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    input_lengths: &[usize],
    target_lengths: &[usize],
    blank: usize,
) -> Tensor<1> {
    let rows = Rows::new(logits.dims(), targets, input_lengths, target_lengths, blank);
    if !fused(&logits) {
        return plain(logits, rows);
    }
    Tensor::from_dispatch(<Dispatch as Fused>::temporal_classification(
        logits.into_dispatch(),
        rows,
    ))
}

fn plain(logits: Tensor<3>, rows: Rows) -> Tensor<1> {
    let ([batch, time, _], device) = (logits.dims(), logits.device());
    let constant = |row: usize| rows.frames[row] == 0 || !rows.possible(row);
    let value = |row: usize| if rows.possible(row) { 0.0 } else { f32::INFINITY };
    let constants = Tensor::from_floats((0..batch).map(value).collect::<Vec<_>>().as_slice(), &device);
    if batch == 0 || time == 0 {
        return constants;
    }
    // Rows of a constant loss are computed as rows of one blank, which keeps NaN out of their gradients.
    let width = rows.labels.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut labels = vec![rows.blank as i64; batch * width];
    let (mut frames, mut counts) = (vec![1i64; batch], vec![0i64; batch]);
    for row in (0..batch).filter(|&row| !constant(row)) {
        frames[row] = rows.frames[row] as i64;
        counts[row] = rows.labels[row].len() as i64;
        for (label, &class) in labels[row * width..].iter_mut().zip(&rows.labels[row]) {
            *label = class as i64;
        }
    }
    let losses = module::ctc_loss(
        log_softmax(logits, 2).swap_dims(0, 1),
        Tensor::from_data(TensorData::new(labels, [batch, width]), &device),
        Tensor::from_data(TensorData::new(frames, [batch]), &device),
        Tensor::from_data(TensorData::new(counts, [batch]), &device),
        rows.blank,
    );
    let mask: Vec<bool> = (0..batch).map(constant).collect();
    losses.mask_where(Tensor::<1, Bool>::from_bool(mask.as_slice(), &device), constants)
}

#[backend_extension(Flex, Autodiff)]
trait Fused: Backend {
    fn temporal_classification(logits: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self>;
}

impl Fused for Flex {
    fn temporal_classification(logits: FlexTensor, rows: Rows) -> FlexTensor {
        forward(&logits, rows, false).0
    }
}

impl<C: CheckpointStrategy> Fused for Autodiff<Flex, C> {
    fn temporal_classification(logits: FloatTensor<Self>, rows: Rows) -> FloatTensor<Self> {
        record::<C, Saved, 1>([logits], |[logits], tracked| forward(&logits, rows, tracked))
    }
}

#[derive(Clone, Debug)]
struct Saved {
    logits: FlexTensor,
    rows: Rows,
    /// The logarithms of the sums of powers, [batch, time]; zeros beyond a row's frames.
    normalisers: Vec<f32>,
    /// What each row's walk along its frames left, one row after the other.
    alphas: Vec<f32>,
    finite: Vec<bool>,
}

fn forward(logits: &FlexTensor, rows: Rows, tracked: bool) -> (FlexTensor, Saved) {
    let logits = contiguous(logits);
    let [batch, time, classes] = extents(&logits);
    let values = floats(&logits);
    let chunk = row_chunk(classes) / classes;
    let normalisers = parallel::fill(batch * time, chunk, |index, part| {
        for (offset, normaliser) in part.iter_mut().enumerate() {
            let frame = index * chunk + offset;
            let held = rows.holds(frame, time);
            *normaliser = if held {
                log_sum(&values[frame * classes..][..classes])
            } else {
                0.0
            };
        }
    });
    let lattices = rows.lattices();
    let parts = rows.parts(&lattices);
    let kept = if tracked {
        parts.last().map_or(0, |part| part.end)
    } else {
        0
    };
    let mut alphas = Vec::with_capacity(kept);
    let target = Target::spare(&mut alphas, kept);
    let losses = parallel::fill(batch, 1, |row, loss| {
        let frames = rows.frames[row];
        let logits = &values[row * time * classes..][..frames * classes];
        let normalisers = &normalisers[row * time..][..frames];
        loss[0] = if tracked {
            // SAFETY: the parts of distinct rows are disjoint, and a walk fills its part before it reads it.
            let alphas = unsafe { target.slice(parts[row].start, parts[row].len()) };
            lattices[row].forward(logits, normalisers, alphas)
        } else {
            with_scratch(parts[row].len(), |alphas| {
                lattices[row].forward(logits, normalisers, alphas)
            })
        };
    });
    // SAFETY: every row filled its part above, and the parts follow each other without gaps.
    unsafe { alphas.set_len(kept) };
    let finite = losses.iter().map(|loss| !loss.is_infinite()).collect();
    (
        tensor(losses, [batch]),
        Saved {
            logits,
            rows,
            normalisers,
            alphas,
            finite,
        },
    )
}

impl Gradient<1> for Saved {
    fn gradients(self, dy: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [batch, time, classes] = extents(&self.logits);
        let (values, rows, dy) = (floats(&self.logits), &self.rows, contiguous(&dy));
        let dy = floats(&dy);
        let chunk = row_chunk(classes);
        let mut gradient = parallel::fill(values.len(), chunk, |index, part| {
            for (offset, line) in part.chunks_exact_mut(classes).enumerate() {
                let frame = index * (chunk / classes) + offset;
                if rows.holds(frame, time) && self.finite[frame / time] {
                    let logits = &values[frame * classes..][..classes];
                    scaled_softmax(logits, self.normalisers[frame], dy[frame / time], line);
                } else {
                    line.fill(0.0);
                }
            }
        });
        let lattices = rows.lattices();
        let parts = rows.parts(&lattices);
        let target = Target::new(&mut gradient);
        parallel::for_each(batch, |row| {
            if self.finite[row] {
                let (start, frames) = (row * time, rows.frames[row]);
                // SAFETY: the frames of distinct rows are disjoint.
                let gradient = unsafe { target.slice(start * classes, frames * classes) };
                let logits = &values[start * classes..][..frames * classes];
                let normalisers = &self.normalisers[start..][..frames];
                lattices[row].backward(logits, normalisers, &self.alphas[parts[row].clone()], dy[row], gradient);
            }
        });
        [Some(tensor(gradient, [batch, time, classes]))]
    }
}

vectorized! {
    /// The logarithm of the sum of the powers of `values`.
    fn log_sum(values: &[f32]) -> f32 {
        const PART: usize = 64;
        let most = largest(values);
        let mut sums = [0.0f32; PART];
        for part in values.chunks(PART) {
            for (sum, &value) in sums.iter_mut().zip(part) {
                *sum += exp(value - most);
            }
        }
        most + sums.iter().sum::<f32>().ln()
    }
}

vectorized! {
    /// e^(logit − normaliser) · scale.
    fn scaled_softmax(logits: &[f32], normaliser: f32, scale: f32, output: &mut [f32]) {
        for (output, &value) in output.iter_mut().zip(logits) {
            *output = exp(value - normaliser) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, close, elements, values};
    use burn::tensor::Device;

    /// A batch: the number of frames, classes and the blank, then the frames and labels of each row.
    struct Batch {
        time: usize,
        classes: usize,
        blank: usize,
        rows: Vec<(usize, Vec<i64>)>,
    }

    impl Batch {
        fn new(time: usize, classes: usize, blank: usize, rows: &[(usize, &[i64])]) -> Self {
            let rows = rows.iter().map(|(frames, labels)| (*frames, labels.to_vec())).collect();
            Self {
                time,
                classes,
                blank,
                rows,
            }
        }

        fn targets(&self, device: &Device) -> Tensor<2, Int> {
            let width = self.rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
            let padded =
                |row: &(usize, Vec<i64>)| row.1.iter().copied().chain(std::iter::repeat(-1)).take(width).collect();
            let labels: Vec<Vec<i64>> = self.rows.iter().map(padded).collect();
            Tensor::from_data(TensorData::new(labels.concat(), [self.rows.len(), width]), device)
        }

        fn lengths(&self) -> [Vec<usize>; 2] {
            [
                self.rows.iter().map(|row| row.0).collect(),
                self.rows.iter().map(|row| row.1.len()).collect(),
            ]
        }

        fn loss(&self, logits: Tensor<3>) -> Tensor<1> {
            let [frames, labels] = self.lengths();
            ctc_loss(
                logits.clone(),
                self.targets(&logits.device()),
                &frames,
                &labels,
                self.blank,
            )
        }

        fn plain(&self, logits: Tensor<3>) -> Tensor<1> {
            let [frames, labels] = self.lengths();
            let targets = self.targets(&logits.device());
            plain(
                logits.clone(),
                Rows::new(logits.dims(), targets, &frames, &labels, self.blank),
            )
        }

        fn reference(&self, logits: &[f64]) -> Vec<f64> {
            let loss = |(row, (frames, labels)): (usize, &(usize, Vec<i64>))| {
                let logits = &logits[row * self.time * self.classes..][..frames * self.classes];
                let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
                -recursion(&log_probabilities(logits, self.classes), &labels, self.blank)
            };
            self.rows.iter().enumerate().map(loss).collect()
        }

        fn check(&self, scale: f32, strided: bool) {
            let (batch, time, classes) = (self.rows.len(), self.time, self.classes);
            let leaf = values(1, batch * time * classes)
                .iter()
                .map(|value| value * scale)
                .collect();
            let view = |leaves: &[Tensor<1>]| match strided {
                true => leaves[0].clone().reshape([time, batch, classes]).swap_dims(0, 1),
                false => leaves[0].clone().reshape([batch, time, classes]),
            };
            check(
                &[leaf],
                |leaves| self.loss(view(leaves)),
                |leaves| self.plain(view(leaves)),
                |leaves| {
                    let at = |index: usize| {
                        let (frame, class) = (index / classes, index % classes);
                        let (row, time_step) = (frame / time, frame % time);
                        leaves[0][if strided {
                            (time_step * batch + row) * classes + class
                        } else {
                            index
                        }]
                    };
                    self.reference(&(0..batch * time * classes).map(at).collect::<Vec<_>>())
                },
            );
        }
    }

    fn log_probabilities(logits: &[f64], classes: usize) -> Vec<Vec<f64>> {
        let frame = |logits: &[f64]| {
            let sum: f64 = logits.iter().map(|value| value.exp()).sum();
            logits.iter().map(|value| value - sum.ln()).collect()
        };
        logits.chunks(classes).map(frame).collect()
    }

    /// The log likelihood by the recursion over prefixes in double precision.
    fn recursion(frames: &[Vec<f64>], labels: &[usize], blank: usize) -> f64 {
        let state = |s: usize| if s.is_multiple_of(2) { blank } else { labels[s / 2] };
        let states = 2 * labels.len() + 1;
        let mut alpha: Vec<f64> = (0..states).map(|s| if s == 0 { 1.0 } else { 0.0 }).collect();
        for (time, frame) in frames.iter().enumerate() {
            let entering = |s: usize| {
                let step = if s > 0 { alpha[s - 1] } else { 0.0 };
                let jumps = time > 0 && s > 1 && state(s) != state(s - 2);
                alpha[s] + step + if jumps { alpha[s - 2] } else { 0.0 }
            };
            alpha = (0..states).map(|s| entering(s) * frame[state(s)].exp()).collect();
        }
        alpha[states.saturating_sub(2)..].iter().sum::<f64>().ln()
    }

    /// The log likelihood by adding up every sequence of classes that reads as the labels.
    fn enumeration(frames: &[Vec<f64>], labels: &[usize], blank: usize) -> f64 {
        let classes = frames[0].len();
        let mut sum = 0.0;
        for number in 0..classes.pow(frames.len() as u32) {
            let class = |time: usize| number / classes.pow(time as u32) % classes;
            let mut path: Vec<usize> = (0..frames.len()).map(class).collect();
            let likelihood: f64 = path.iter().zip(frames).map(|(&class, frame)| frame[class]).sum();
            path.dedup();
            path.retain(|&class| class != blank);
            sum += if path == labels { likelihood.exp() } else { 0.0 };
        }
        sum.ln()
    }

    #[test]
    fn the_reference_adds_up_all_alignments() {
        for (time, classes, labels) in [
            (1, 2, vec![1]),
            (4, 3, vec![1, 1]),
            (5, 3, vec![2, 1]),
            (6, 4, vec![3, 3, 1]),
            (3, 2, vec![]),
        ] {
            let logits: Vec<f64> = values(5, time * classes)
                .iter()
                .map(|&value| f64::from(value) * 3.0)
                .collect();
            let frames = log_probabilities(&logits, classes);
            let (got, expected) = (recursion(&frames, &labels, 0), enumeration(&frames, &labels, 0));
            assert!((got - expected).abs() < 1e-12, "{labels:?}: {got} is not {expected}");
        }
    }

    #[test]
    fn ctc_matches_its_reference() {
        for strided in [false, true] {
            Batch::new(1, 2, 0, &[(1, &[1])]).check(2.0, strided);
            Batch::new(1, 1, 0, &[(1, &[])]).check(2.0, strided);
            Batch::new(5, 3, 0, &[(5, &[1, 1]), (3, &[2, 1]), (4, &[]), (5, &[1, 2, 1, 2, 1])]).check(3.0, strided);
            Batch::new(4, 5, 4, &[(4, &[0, 3]), (0, &[]), (1, &[2])]).check(3.0, strided);
            Batch::new(30, 19, 7, &[(30, &[1, 2, 2, 2, 5, 18, 0, 0, 9]), (21, &[3, 3, 4])]).check(4.0, strided);
            Batch::new(3, 70, 69, &[(3, &[68, 1])]).check(4.0, strided);
        }
    }

    #[test]
    fn long_and_sharp_rows_keep_their_precision() {
        let (time, classes) = (400, 6);
        let labels: Vec<i64> = (0..90).map(|index| index * index % 5 + 1).collect();
        let batch = Batch::new(time, classes, 0, &[(time, &labels)]);
        let logits: Vec<f32> = values(3, time * classes).iter().map(|value| value * 2.0).collect();
        let wide: Vec<f64> = logits.iter().map(|&value| value.into()).collect();
        let device = Device::flex().autodiff();
        let leaf = Tensor::<1>::from_floats(logits.as_slice(), &device).require_grad();
        let loss = batch.loss(leaf.clone().reshape([1, time, classes]));
        close("loss", &elements(loss.clone()), &batch.reference(&wide), 1e-6);
        let gradient = elements(leaf.grad(&loss.backward()).unwrap());
        let slope = |element: usize| {
            let at = |offset: f64| {
                let mut moved = wide.clone();
                moved[element] += offset;
                batch.reference(&moved)[0]
            };
            (at(1e-5) - at(-1e-5)) / 2e-5
        };
        for element in (0..time * classes).step_by(37) {
            let error = (f64::from(gradient[element]) - slope(element)).abs();
            assert!(
                error < 1e-5,
                "gradient[{element}]: {} is not {}",
                gradient[element],
                slope(element)
            );
        }
        // Every label is less likely than the blank by a factor that even double precision cannot hold in a product.
        let sharp = Tensor::<1>::from_floats([60.0, 0.0], &Device::flex())
            .reshape([1, 1, 2])
            .expand([1, 40, 2]);
        let labels = [1; 20];
        let loss = elements(Batch::new(40, 2, 0, &[(40, &labels)]).loss(sharp))[0];
        // Twenty single frames, no two of which are neighbours, can be chosen from forty in 21 ways.
        assert!((f64::from(loss) - (1200.0 - 21f64.ln())).abs() < 1e-3, "{loss}");
    }

    #[test]
    fn impossible_rows_are_infinite_without_a_gradient() {
        let rows: [(usize, &[i64]); 4] = [(2, &[1, 1]), (3, &[1, 1]), (0, &[2]), (0, &[])];
        let batch = Batch::new(3, 3, 0, &rows);
        let device = Device::flex().autodiff();
        for run in [Batch::loss, Batch::plain] {
            let leaf = Tensor::<1>::from_floats(values(1, 36).as_slice(), &device).require_grad();
            let losses = run(&batch, leaf.clone().reshape([4, 3, 3]));
            let gradient = elements(leaf.grad(&losses.clone().sum().backward()).unwrap());
            let losses = elements(losses);
            assert!(losses[1].is_finite(), "{losses:?}");
            assert_eq!([losses[0], losses[2], losses[3]], [f32::INFINITY, f32::INFINITY, 0.0]);
            assert!(gradient[..9].iter().chain(&gradient[18..]).all(|&value| value == 0.0));
            assert!(gradient[9..18].iter().all(|value| value.is_finite() && *value != 0.0));
        }
    }

    #[test]
    fn batches_without_frames_or_rows_are_answered() {
        let device = Device::flex();
        assert_eq!(
            elements(Batch::new(0, 3, 0, &[(0, &[]), (0, &[1])]).loss(Tensor::zeros([2, 0, 3], &device))),
            [0.0, f32::INFINITY]
        );
        assert!(elements(Batch::new(4, 3, 0, &[]).loss(Tensor::zeros([0, 4, 3], &device))).is_empty());
    }

    #[test]
    fn nan_stays() {
        let logits = Tensor::<3>::from_floats([[[f32::NAN, 0.0], [0.0, 0.0]]], &Device::flex());
        assert!(elements(Batch::new(2, 2, 0, &[(2, &[1])]).loss(logits))[0].is_nan());
    }

    #[test]
    #[should_panic(expected = "a label of row 0 is 0, which is not one of 3 classes other than the blank 0")]
    fn a_blank_label_is_refused() {
        Batch::new(2, 3, 0, &[(2, &[1, 0])]).loss(Tensor::zeros([1, 2, 3], &Device::flex()));
    }

    #[test]
    #[should_panic(expected = "row 0 has 3 frames of 2 and 1 labels of 1")]
    fn a_length_beyond_the_time_axis_is_refused() {
        Batch::new(2, 3, 0, &[(3, &[1])]).loss(Tensor::zeros([1, 2, 3], &Device::flex()));
    }
}
