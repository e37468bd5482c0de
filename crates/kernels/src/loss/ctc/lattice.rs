//! The states that an alignment of a label sequence with frames walks through (Graves et al. 2006, section 4.1).
//!
//! Sums of probabilities are logarithms relative to the largest of their frame, so that neither long sequences nor
//! sharp distributions lose precision.

use crate::parallel::with_scratch;
use crate::simd::{exp, largest, ln, vectorized};

/// Cells of −∞ on both sides of a line of states, so that every state has two neighbours on either side.
const GUARD: usize = 2;

/// A blank, then each label followed by a blank.
pub struct Lattice {
    /// The class of each state.
    classes: Vec<usize>,
    /// 0 where a state can be entered from the one before the last, −∞ elsewhere; a whole line.
    skip: Vec<f32>,
}

impl Lattice {
    pub fn new(labels: &[usize], blank: usize) -> Self {
        let classes: Vec<usize> = std::iter::once(blank)
            .chain(labels.iter().flat_map(|&label| [label, blank]))
            .collect();
        let mut skip = vec![f32::NEG_INFINITY; classes.len() + 2 * GUARD];
        for state in 2..classes.len() {
            // Between two equal labels the blank must be seen, and a blank is always next to the label before it.
            if classes[state] != classes[state - 2] {
                skip[GUARD + state] = 0.0;
            }
        }
        Self { classes, skip }
    }

    /// The number of elements of a line: a number for each state, and the guards.
    pub fn line(&self) -> usize {
        self.classes.len() + 2 * GUARD
    }

    /// The negative log likelihood of the labels, from `logits` [frames, classes] and the logarithms of the sums of
    /// their powers. Fills `alphas` [frames, line] with the logarithms of the probabilities of all beginnings.
    pub fn forward(&self, logits: &[f32], normalisers: &[f32], alphas: &mut [f32]) -> f32 {
        let states = self.classes.len();
        let Some(last) = normalisers.len().checked_sub(1) else {
            return if states == 1 { 0.0 } else { f32::INFINITY };
        };
        let width = logits.len() / normalisers.len();
        let mut offset = 0.0;
        with_scratch(states, |emissions| {
            alphas.fill(f32::NEG_INFINITY);
            for (time, &normaliser) in normalisers.iter().enumerate() {
                self.emissions(&logits[time * width..][..width], normaliser, emissions);
                let (before, rest) = alphas.split_at_mut(time * self.line());
                let alpha = &mut rest[GUARD..][..states];
                match time.checked_sub(1) {
                    None => alpha[..states.min(2)].fill(0.0),
                    Some(time) => {
                        let before = &before[time * self.line()..];
                        let skip = &self.skip[GUARD..];
                        merge(
                            &before[GUARD..],
                            &before[GUARD - 1..],
                            &before[GUARD - 2..],
                            skip,
                            alpha,
                        );
                    }
                }
                offset += f64::from(add_and_centre(emissions, alpha));
            }
        });
        let end = &alphas[last * self.line() + GUARD..][..states];
        let end = &end[states.saturating_sub(2)..];
        if end.iter().all(|&alpha| alpha == f32::NEG_INFINITY) {
            return f32::INFINITY;
        }
        let most = largest(end);
        let sum: f64 = end.iter().map(|&alpha| f64::from(alpha - most).exp()).sum();
        -(offset + f64::from(most) + sum.ln()) as f32
    }

    /// Subtracts from `gradient` [frames, classes] the probability, times `scale`, that an alignment of the labels
    /// is at each class in each frame.
    pub fn backward(&self, logits: &[f32], normalisers: &[f32], alphas: &[f32], scale: f32, gradient: &mut [f32]) {
        let states = self.classes.len();
        let Some(last) = normalisers.len().checked_sub(1) else {
            return;
        };
        let width = logits.len() / normalisers.len();
        with_scratch(2 * self.line() + states, |scratch| {
            let (after, rest) = scratch.split_at_mut(self.line());
            let (beta, shares) = rest.split_at_mut(self.line());
            after.fill(f32::NEG_INFINITY);
            let beta = &mut beta[..states];
            for (time, &normaliser) in normalisers.iter().enumerate().rev() {
                if time == last {
                    beta.fill(f32::NEG_INFINITY);
                    beta[states.saturating_sub(2)..].fill(0.0);
                } else {
                    let skip = &self.skip[2 * GUARD..];
                    merge(&after[GUARD..], &after[GUARD + 1..], &after[GUARD + 2..], skip, beta);
                }
                let alpha = &alphas[time * self.line() + GUARD..][..states];
                let total = posterior(alpha, beta, shares);
                let line = &mut gradient[time * width..][..width];
                for (&class, share) in self.classes.iter().zip(&*shares) {
                    line[class] -= share * (scale / total);
                }
                self.emissions(&logits[time * width..][..width], normaliser, shares);
                after[GUARD..][..states].copy_from_slice(beta);
                add_and_centre(shares, &mut after[GUARD..][..states]);
            }
        });
    }

    /// The log probability of each state's class in one frame.
    fn emissions(&self, logits: &[f32], normaliser: f32, output: &mut [f32]) {
        for (output, &class) in output.iter_mut().zip(&self.classes) {
            *output = logits[class] - normaliser;
        }
    }
}

vectorized! {
    /// ln(e^stay + e^step + e^(jump + skip)) for every state of `output`.
    fn merge(stay: &[f32], step: &[f32], jump: &[f32], skip: &[f32], output: &mut [f32]) {
        let states = output.len();
        let (stay, step) = (&stay[..states], &step[..states]);
        let (jump, skip) = (&jump[..states], &skip[..states]);
        for state in 0..states {
            let (stay, step, jump) = (stay[state], step[state], jump[state] + skip[state]);
            let most = if step > stay { step } else { stay };
            let most = if jump > most { jump } else { most };
            // A finite centre keeps three times −∞ from becoming NaN.
            let most = if most < f32::MIN { f32::MIN } else { most };
            output[state] = most + ln(exp(stay - most) + exp(step - most) + exp(jump - most));
        }
    }
}

vectorized! {
    /// Adds `terms` to `line`, subtracts the largest number of the result and returns it.
    fn add_and_centre(terms: &[f32], line: &mut [f32]) -> f32 {
        for (value, term) in line.iter_mut().zip(terms) {
            *value += term;
        }
        let most = largest(line);
        if most > f32::NEG_INFINITY {
            for value in line.iter_mut() {
                *value -= most;
            }
        }
        most
    }
}

vectorized! {
    /// Writes numbers proportional to e^(alpha + beta) and returns their sum.
    fn posterior(alpha: &[f32], beta: &[f32], output: &mut [f32]) -> f32 {
        for ((output, alpha), beta) in output.iter_mut().zip(alpha).zip(beta) {
            *output = alpha + beta;
        }
        let most = largest(output);
        let mut sum = 0.0;
        for output in output.iter_mut() {
            *output = exp(*output - most);
            sum += *output;
        }
        sum
    }
}
