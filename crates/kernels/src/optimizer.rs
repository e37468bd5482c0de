//! Steps of an optimiser over all parameters at once.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use crate::buffer::{contiguous, floats, fused, tensor};
use crate::parallel::ELEMENTS;
use crate::simd::vectorized;

/// What all parameters share in a step of [`adamw`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    pub learning_rate: f64,
    /// The memories of the mean and of the square of the gradient.
    pub betas: [f64; 2],
    pub epsilon: f64,
    /// What every gradient is multiplied with first, to clip or to average it.
    pub gradient_scale: f64,
}

/// One flattened parameter with its gradient and what AdamW remembers of it: four tensors [elements].
#[derive(Debug, Clone)]
pub struct AdamWSlot {
    pub values: Tensor<1>,
    pub gradient: Tensor<1>,
    /// The moving mean of the gradient; zeros before the first step.
    pub mean: Tensor<1>,
    /// The moving mean of the gradient's square; zeros before the first step.
    pub square: Tensor<1>,
    /// Times the learning rate, the share of the values that is taken away.
    pub weight_decay: f64,
}

/// A step of Adam with decoupled weight decay (Loshchilov and Hutter 2019) on every slot; `step` counts from one. The
/// gradients come back as they were.
///
/// On the CPU it is one pass over all elements, which changes values, mean and square in place where nothing else
/// shares their storage, and in copies of them otherwise. The tensors that come back carry no autodiff.
///
/// # Panics
/// If the four tensors of a slot differ in length.
pub fn adamw(slots: Vec<AdamWSlot>, step: u64, options: &AdamWOptions) -> Vec<AdamWSlot> {
    for slot in &slots {
        let length = slot.values.dims();
        let others = [&slot.gradient, &slot.mean, &slot.square].map(|tensor| tensor.dims());
        assert_eq!(
            others, [length; 3],
            "adamw: gradient, mean and square are as long as the values"
        );
    }
    let fits = |slot: &AdamWSlot| {
        [&slot.values, &slot.gradient, &slot.mean, &slot.square]
            .into_iter()
            .all(fused)
    };
    if slots.iter().all(fits) {
        return in_one_pass(slots, step, options);
    }
    let rule = |slot: &AdamWSlot| Rule::new(step, options, slot.weight_decay);
    slots.into_iter().map(|slot| plain(rule(&slot), slot)).collect()
}

/// The Euclidean norm of all `gradients` together, summed in 64 bits in the order in which they are given. On other
/// devices than the CPU each gradient is squared and summed in its own type.
pub fn gradient_norm<'a>(gradients: impl IntoIterator<Item = &'a Tensor<1>>) -> f64 {
    let (here, elsewhere): (Vec<_>, Vec<_>) = gradients.into_iter().partition(|gradient| fused(gradient));
    let here: Vec<FlexTensor> = here
        .into_iter()
        .map(|gradient| contiguous(&primitive(gradient.clone())))
        .collect();
    let chunks: Vec<&[f32]> = here
        .iter()
        .flat_map(|gradient| floats(gradient).chunks(ELEMENTS))
        .collect();
    let partials: Vec<f64> = chunks.into_par_iter().with_max_len(1).map(sum_of_squares).collect();
    let squares = elsewhere.into_iter().map(|gradient| gradient.clone().square().sum());
    let sums: Vec<f64> = squares.map(|sum| sum.into_scalar::<f64>()).collect();
    (partials.iter().sum::<f64>() + sums.iter().sum::<f64>()).sqrt()
}

/// The factors of a step for the parameters of one weight decay.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// The old and the new part of the mean.
    mean: [f64; 2],
    /// The old and the new part of the square.
    square: [f64; 2],
    gradient_scale: f64,
    /// One over the root of the square's bias correction.
    correction: f64,
    epsilon: f64,
    /// What stays of the values.
    kept: f64,
    /// The learning rate over the mean's bias correction.
    rate: f64,
}

impl Rule {
    fn new(step: u64, options: &AdamWOptions, weight_decay: f64) -> Self {
        let [mean, square] = options.betas;
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        Self {
            mean: [mean, 1.0 - mean],
            square: [square, 1.0 - square],
            gradient_scale: options.gradient_scale,
            correction: (1.0 - square.powi(step)).sqrt().recip(),
            epsilon: options.epsilon,
            kept: 1.0 - options.learning_rate * weight_decay,
            rate: options.learning_rate / (1.0 - mean.powi(step)),
        }
    }
}

fn plain(rule: Rule, slot: AdamWSlot) -> AdamWSlot {
    let [values, gradient, mean, square] =
        [slot.values, slot.gradient, slot.mean, slot.square].map(Tensor::without_autodiff);
    let scaled = gradient.clone() * rule.gradient_scale;
    let mean = mean * rule.mean[0] + scaled.clone() * rule.mean[1];
    let square = square * rule.square[0] + scaled.square() * rule.square[1];
    let direction = mean.clone() / (square.clone().sqrt() * rule.correction + rule.epsilon);
    AdamWSlot {
        values: values * rule.kept - direction * rule.rate,
        gradient,
        mean,
        square,
        weight_decay: slot.weight_decay,
    }
}

/// A slot whose values, mean and square are contiguous and nobody else's.
struct Owned {
    values: FlexTensor,
    gradient: FlexTensor,
    mean: FlexTensor,
    square: FlexTensor,
    weight_decay: f64,
}

impl Owned {
    fn new(slot: AdamWSlot) -> Self {
        Self {
            values: owned(slot.values),
            gradient: contiguous(&primitive(slot.gradient)),
            mean: owned(slot.mean),
            square: owned(slot.square),
            weight_decay: slot.weight_decay,
        }
    }

    /// The slot in parts of a fixed number of elements.
    fn parts(&mut self, rule: Rule) -> impl Iterator<Item = Part<'_>> {
        let values = self.values.storage_mut::<f32>().chunks_mut(ELEMENTS);
        let gradient = floats(&self.gradient).chunks(ELEMENTS);
        let mean = self.mean.storage_mut::<f32>().chunks_mut(ELEMENTS);
        let square = self.square.storage_mut::<f32>().chunks_mut(ELEMENTS);
        let moments = mean.zip(square);
        values
            .zip(gradient)
            .zip(moments)
            .map(move |((values, gradient), (mean, square))| Part {
                values,
                gradient,
                mean,
                square,
                rule,
            })
    }

    fn finish(self) -> AdamWSlot {
        AdamWSlot {
            values: Tensor::from_primitive::<Flex>(self.values),
            gradient: Tensor::from_primitive::<Flex>(self.gradient),
            mean: Tensor::from_primitive::<Flex>(self.mean),
            square: Tensor::from_primitive::<Flex>(self.square),
            weight_decay: self.weight_decay,
        }
    }
}

/// What one task of a step changes.
struct Part<'a> {
    values: &'a mut [f32],
    gradient: &'a [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
    rule: Rule,
}

fn in_one_pass(slots: Vec<AdamWSlot>, step: u64, options: &AdamWOptions) -> Vec<AdamWSlot> {
    let mut slots: Vec<Owned> = slots.into_iter().map(Owned::new).collect();
    let parts: Vec<Part<'_>> = slots
        .iter_mut()
        .flat_map(|slot| slot.parts(Rule::new(step, options, slot.weight_decay)))
        .collect();
    parts
        .into_par_iter()
        .with_max_len(1)
        .for_each(|part| update(part.values, part.gradient, part.mean, part.square, part.rule));
    slots.into_iter().map(Owned::finish).collect()
}

pub(crate) fn primitive(tensor: Tensor<1>) -> FlexTensor {
    let primitive = tensor.without_autodiff().try_into_primitive::<Flex>();
    primitive.expect("the backend was checked before")
}

/// The tensor as the only user of a storage that holds its elements and no more, copied if it is not.
pub(crate) fn owned(values: Tensor<1>) -> FlexTensor {
    let [length] = values.dims();
    let values = primitive(values);
    if values.is_unique() && values.is_contiguous() && values.storage::<f32>().len() == length {
        return values;
    }
    tensor(floats(&contiguous(&values)).to_vec(), [length])
}

vectorized! {
    fn update(values: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32], rule: Rule) {
        let [old_mean, new_mean] = rule.mean.map(|factor| factor as f32);
        let [old_square, new_square] = rule.square.map(|factor| factor as f32);
        let [scale, correction, epsilon] = [rule.gradient_scale, rule.correction, rule.epsilon].map(|factor| factor as f32);
        let [kept, rate] = [rule.kept, rule.rate].map(|factor| factor as f32);
        let moments = mean.iter_mut().zip(square);
        for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * scale;
            *mean = *mean * old_mean + gradient * new_mean;
            *square = *square * old_square + gradient * gradient * new_square;
            *value = *value * kept - *mean / (square.sqrt() * correction + epsilon) * rate;
        }
    }
}

vectorized! {
    /// In 64 bits, in eight interleaved parts.
    fn sum_of_squares(values: &[f32]) -> f64 {
        let mut lanes = [0.0f64; 8];
        let chunks = values.chunks_exact(8);
        let rest: f64 = chunks.remainder().iter().map(|&value| f64::from(value).powi(2)).sum();
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += f64::from(value) * f64::from(value);
            }
        }
        lanes.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, elements, same_bits, values};
    use burn::tensor::Device;

    const LENGTHS: [usize; 6] = [1, 0, 7, 33, ELEMENTS, 2 * ELEMENTS + 5];
    const OPTIONS: AdamWOptions = AdamWOptions {
        learning_rate: 0.01,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        gradient_scale: 0.5,
    };
    const STEPS: u64 = 3;

    fn gradient_of(step: u64, slot: usize) -> Vec<f32> {
        values(100 * step + slot as u64, LENGTHS[slot])
    }

    fn decay_of(slot: usize) -> f64 {
        [0.0, 0.1][slot % 2]
    }

    /// A tensor of these elements; a column of a matrix if `strided`.
    fn vector(elements: &[f32], strided: bool) -> Tensor<1> {
        let (device, count) = (Device::flex(), elements.len());
        if !strided || count == 0 {
            return Tensor::from_floats(elements, &device);
        }
        let pairs: Vec<f32> = elements.iter().flat_map(|&element| [9.0, element]).collect();
        let matrix = Tensor::<1>::from_floats(pairs.as_slice(), &device).reshape([count, 2]);
        matrix.transpose().narrow(0, 1, 1).reshape([count])
    }

    type Step = fn(Vec<AdamWSlot>, u64, &AdamWOptions) -> Vec<AdamWSlot>;

    /// Values, means and squares after some steps.
    fn train(step: Step, strided: bool) -> Vec<f32> {
        let start = |slot: usize| AdamWSlot {
            values: vector(&values(slot as u64, LENGTHS[slot]), strided),
            gradient: vector(&gradient_of(1, slot), strided),
            mean: Tensor::zeros([LENGTHS[slot]], &Device::flex()),
            square: Tensor::zeros([LENGTHS[slot]], &Device::flex()),
            weight_decay: decay_of(slot),
        };
        let mut slots: Vec<_> = (0..LENGTHS.len()).map(start).collect();
        for number in 1..=STEPS {
            for (index, slot) in slots.iter_mut().enumerate() {
                slot.gradient = vector(&gradient_of(number, index), strided);
            }
            slots = step(slots, number, &OPTIONS);
        }
        let tensors = slots.into_iter().flat_map(|slot| [slot.values, slot.mean, slot.square]);
        tensors.flat_map(elements).collect()
    }

    /// The rule as the paper writes it, for one number.
    fn reference(slot: usize, element: usize) -> [f64; 3] {
        let mut value = f64::from(values(slot as u64, LENGTHS[slot])[element]);
        let (mut mean, mut square) = (0.0, 0.0);
        for step in 1..=STEPS {
            let gradient = f64::from(gradient_of(step, slot)[element]) * 0.5;
            mean = 0.9 * mean + 0.1 * gradient;
            square = 0.999 * square + 0.001 * gradient * gradient;
            let mean_hat = mean / (1.0 - 0.9f64.powi(step as i32));
            let square_hat = square / (1.0 - 0.999f64.powi(step as i32));
            value -= 0.01 * (mean_hat / (square_hat.sqrt() + 1e-8) + decay_of(slot) * value);
        }
        [value, mean, square]
    }

    #[test]
    fn steps_agree_with_the_rule_and_with_burn() {
        let found = same_bits(|| train(adamw, false));
        assert_eq!(found, train(adamw, true), "strided tensors");
        let of_burn = train(
            |slots, step, options| {
                let rule = |slot: &AdamWSlot| Rule::new(step, options, slot.weight_decay);
                slots.into_iter().map(|slot| plain(rule(&slot), slot)).collect()
            },
            false,
        );
        let of_burn: Vec<f64> = of_burn.into_iter().map(f64::from).collect();
        close("against burn's", &found, &of_burn, 1e-6);
        let mut rest = found.as_slice();
        for (slot, &length) in LENGTHS.iter().enumerate() {
            let (here, after) = rest.split_at(3 * length);
            // A few elements of a long slot, its ends and the borders of its parts among them.
            let places = [0, 5, ELEMENTS - 1, ELEMENTS, 2 * ELEMENTS + 4];
            for place in places.into_iter().filter(|&place| place < length) {
                let got = [0, 1, 2].map(|part| here[part * length + place]);
                let expected = reference(slot, place);
                for part in 0..3 {
                    let error = (f64::from(got[part]) - expected[part]).abs();
                    let scale = expected[part].abs().max([1e-2, 1e-2, 1e-6][part]);
                    assert!(
                        error < 1e-5 * scale,
                        "slot {slot}, part {part}: {got:?} is not {expected:?}"
                    );
                }
            }
            rest = after;
        }
    }

    #[test]
    fn storage_is_reused_unless_it_is_shared() {
        let fresh = |number: f32| Tensor::<1>::from_floats([number; 40], &Device::flex());
        let address = |tensor: &Tensor<1>| primitive(tensor.clone()).bytes().as_ptr();
        let slot = || AdamWSlot {
            values: fresh(1.0),
            gradient: fresh(2.0),
            mean: fresh(0.0),
            square: fresh(0.0),
            weight_decay: 0.0,
        };
        let addresses = |slot: &AdamWSlot| [&slot.values, &slot.mean, &slot.square].map(address);
        let before = slot();
        let places = addresses(&before);
        let after = adamw(vec![before], 1, &OPTIONS).remove(0);
        assert_eq!(addresses(&after), places);

        let before = slot();
        let shared = before.values.clone();
        let after = adamw(vec![before], 1, &OPTIONS).remove(0);
        assert_eq!(elements(shared), [1.0; 40]);
        assert!(elements(after.values).into_iter().all(|value| value < 1.0));
    }

    #[test]
    fn nothing_to_change_is_no_error() {
        assert!(adamw(Vec::new(), 1, &OPTIONS).is_empty());
        assert_eq!(gradient_norm([]), 0.0);
    }

    #[test]
    #[should_panic(expected = "gradient, mean and square are as long as the values")]
    fn lengths_must_agree() {
        let zeros = |length: usize| Tensor::zeros([length], &Device::flex());
        let slot = AdamWSlot {
            values: zeros(3),
            gradient: zeros(4),
            mean: zeros(3),
            square: zeros(3),
            weight_decay: 0.0,
        };
        adamw(vec![slot], 1, &OPTIONS);
    }

    #[test]
    fn the_norm_takes_every_element_in_a_fixed_order() {
        let gradients = |strided: bool| (0..LENGTHS.len()).map(move |slot| vector(&gradient_of(1, slot), strided));
        for strided in [false, true] {
            let found = same_bits(|| {
                let bits = gradient_norm(&gradients(strided).collect::<Vec<_>>()).to_bits();
                [bits >> 32, bits].map(|half| f32::from_bits(half as u32)).to_vec()
            });
            let halves = [found[0], found[1]].map(|half| u64::from(half.to_bits()));
            let numbers = (0..LENGTHS.len()).flat_map(|slot| gradient_of(1, slot));
            let expected = numbers.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt();
            let found = f64::from_bits(halves[0] << 32 | halves[1]);
            assert!((found / expected - 1.0).abs() < 1e-12, "{found} is not {expected}");
        }
        let broken = [vector(&[1.0, f32::NAN], false), vector(&[f32::INFINITY], false)];
        assert!(!gradient_norm(&broken).is_finite());
    }
}
