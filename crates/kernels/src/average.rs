//! An exponential moving average of all parameters at once.

use burn::backend::Flex;
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::buffer::{contiguous, floats, fused};
use crate::optimizer::{owned, primitive};
use crate::parallel::{ELEMENTS, for_each_of};
use crate::simd::vectorized;

/// Moves every average of the (average, values) pairs towards its values: what is between them shrinks to `decay` times
/// itself. Both tensors of a pair are [elements]; where they are equal, the average stays as it is to the bit.
///
/// On the CPU it is one pass over all elements, which changes the averages in place where nothing else shares their
/// storage, and in copies of them otherwise. The tensors that come back carry no autodiff.
///
/// # Panics
/// If the two tensors of a pair differ in length.
pub fn moving_average(pairs: Vec<(Tensor<1>, Tensor<1>)>, decay: f64) -> Vec<Tensor<1>> {
    for (average, values) in &pairs {
        let lengths = (average.dims(), values.dims());
        assert_eq!(
            lengths.0, lengths.1,
            "moving_average: the values are as long as the average"
        );
    }
    let share = 1.0 - decay;
    match pairs.iter().all(|(average, values)| fused(average) && fused(values)) {
        true => in_one_pass(pairs, share as f32),
        false => pairs.into_iter().map(|pair| plain(pair, share)).collect(),
    }
}

fn plain((average, values): (Tensor<1>, Tensor<1>), share: f64) -> Tensor<1> {
    let average = average.without_autodiff();
    average.clone() + (values.without_autodiff() - average) * share
}

fn in_one_pass(pairs: Vec<(Tensor<1>, Tensor<1>)>, share: f32) -> Vec<Tensor<1>> {
    let flat = |(average, values)| (owned(average), contiguous(&primitive(values)));
    let mut pairs: Vec<(FlexTensor, FlexTensor)> = pairs.into_iter().map(flat).collect();
    let parts = pairs.iter_mut().flat_map(|(average, values)| {
        let average = average.storage_mut::<f32>().chunks_mut(ELEMENTS);
        average.zip(floats(values).chunks(ELEMENTS))
    });
    for_each_of(parts.collect(), |(average, values): (&mut [f32], &[f32])| {
        approach(average, values, share);
    });
    let averages = pairs.into_iter().map(|(average, _)| average);
    averages.map(Tensor::from_primitive::<Flex>).collect()
}

vectorized! {
    fn approach(average: &mut [f32], values: &[f32], share: f32) {
        for (average, value) in average.iter_mut().zip(values) {
            *average += (value - *average) * share;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{close, elements, same_bits, values};
    use burn::tensor::Device;

    const LENGTHS: [usize; 5] = [1, 0, 33, ELEMENTS, 2 * ELEMENTS + 5];
    const DECAYS: [f64; 4] = [0.25, 0.9, 0.999, 0.0];

    /// The numbers that one parameter has at a step.
    fn numbers(step: usize, place: usize) -> Vec<f32> {
        values((100 * step + place) as u64, LENGTHS[place])
    }

    /// A tensor of these numbers; a column of a matrix if `strided`.
    fn vector(numbers: &[f32], strided: bool) -> Tensor<1> {
        let (device, count) = (Device::flex(), numbers.len());
        if !strided || count == 0 {
            return Tensor::from_floats(numbers, &device);
        }
        let pairs: Vec<f32> = numbers.iter().flat_map(|&number| [9.0, number]).collect();
        let matrix = Tensor::<1>::from_floats(pairs.as_slice(), &device).reshape([count, 2]);
        matrix.transpose().narrow(0, 1, 1).reshape([count])
    }

    type Step = fn(Vec<(Tensor<1>, Tensor<1>)>, f64) -> Vec<Tensor<1>>;

    /// The averages after `steps` of the decays.
    fn run(step: Step, steps: usize, strided: bool) -> Vec<f32> {
        let at = |step: usize| (0..LENGTHS.len()).map(move |place| vector(&numbers(step, place), strided));
        let mut averages: Vec<_> = at(0).collect();
        for (number, decay) in DECAYS.into_iter().enumerate().take(steps) {
            averages = step(averages.into_iter().zip(at(number + 1)).collect(), decay);
        }
        averages.into_iter().flat_map(elements).collect()
    }

    #[test]
    fn averages_agree_with_the_rule_and_with_burn() {
        let by_the_rule = |place: usize| {
            let mut average: Vec<f64> = numbers(0, place).into_iter().map(f64::from).collect();
            for (number, decay) in DECAYS.into_iter().enumerate().take(3) {
                for (average, value) in average.iter_mut().zip(numbers(number + 1, place)) {
                    *average = decay * *average + (1.0 - decay) * f64::from(value);
                }
            }
            average
        };
        let expected: Vec<f64> = (0..LENGTHS.len()).flat_map(by_the_rule).collect();
        let found = same_bits(|| run(moving_average, 3, false));
        close("against the rule", &found, &expected, 1e-6);
        assert_eq!(found, run(moving_average, 3, true), "strided tensors");
        let by_burn: Step = |pairs, decay| pairs.into_iter().map(|pair| plain(pair, 1.0 - decay)).collect();
        close("burn's", &run(by_burn, 3, false), &expected, 1e-6);
        // Without a memory the average is what the values are.
        let last: Vec<f64> = (0..LENGTHS.len())
            .flat_map(|place| numbers(4, place))
            .map(f64::from)
            .collect();
        close("no memory", &run(moving_average, 4, false), &last, 1e-6);
    }

    #[test]
    fn what_does_not_change_stays_to_the_bit() {
        let numbers = values(7, 1000);
        let pair = || (vector(&numbers, false), vector(&numbers, false));
        assert_eq!(elements(moving_average(vec![pair()], 0.9).remove(0)), numbers);
        assert!(moving_average(Vec::new(), 0.9).is_empty());
    }

    #[test]
    fn storage_is_reused_unless_it_is_shared() {
        let fresh = |number: f32| Tensor::<1>::from_floats([number; 40], &Device::flex());
        let address = |tensor: &Tensor<1>| primitive(tensor.clone()).bytes().as_ptr();
        let before = fresh(1.0);
        let place = address(&before);
        let after = moving_average(vec![(before, fresh(3.0))], 0.5).remove(0);
        assert_eq!((address(&after), elements(after)), (place, vec![2.0; 40]));

        let before = fresh(1.0);
        let shared = before.clone();
        let after = moving_average(vec![(before, shared.clone() + 2.0)], 0.5).remove(0);
        assert_eq!((elements(shared), elements(after)), (vec![1.0; 40], vec![2.0; 40]));
    }

    #[test]
    #[should_panic(expected = "the values are as long as the average")]
    fn lengths_must_agree() {
        let zeros = |length: usize| Tensor::zeros([length], &Device::flex());
        moving_average(vec![(zeros(3), zeros(4))], 0.9);
    }
}
