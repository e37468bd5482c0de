//! The probability of given tokens, summed over all their places in the frames.

use super::align::skips;
use super::frames::Frames;
use crate::Result;

/// The natural log probability that the frames read as `tokens` (Graves et al. 2006, equations 5 to 8): minus infinity
/// where they cannot.
///
/// # Errors
/// [`Config`](crate::ModelError::Config) for a token that is no class or the blank.
pub fn log_probability(frames: &Frames, tokens: &[u32]) -> Result<f64> {
    frames.check(tokens)?;
    let places = 2 * tokens.len() + 1;
    // Before the first frame stands a place that leads to the first two only.
    let mut sums = vec![f64::NEG_INFINITY; places];
    for (at, frame) in frames.iter().enumerate() {
        for place in (0..places).rev() {
            let class = if place % 2 == 0 {
                frames.blank()
            } else {
                tokens[place / 2] as usize
            };
            let before = match (at, place) {
                (0, 0 | 1) => 0.0,
                (0, _) => f64::NEG_INFINITY,
                _ => reached(&sums, tokens, place),
            };
            sums[place] = before + f64::from(frame[class]);
        }
    }
    match (frames.is_empty(), tokens.is_empty()) {
        (true, true) => Ok(0.0),
        _ => Ok(sums[places.saturating_sub(2)..]
            .iter()
            .fold(f64::NEG_INFINITY, |a, &b| add(a, b))),
    }
}

fn reached(sums: &[f64], tokens: &[u32], place: usize) -> f64 {
    let longest = place.min(1 + usize::from(skips(tokens, place)));
    (1..=longest).fold(sums[place], |sum, back| add(sum, sums[place - back]))
}

/// The logarithm of the sum of two numbers given by their logarithms.
pub(super) fn add(a: f64, b: f64) -> f64 {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    match low == f64::NEG_INFINITY {
        true => high,
        false => high + (low - high).exp().ln_1p(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Random, sums};
    use super::*;

    #[test]
    fn the_sum_is_that_of_trying_all_paths() {
        for seed in 0..20 {
            let random = Random::new(seed, (seed % 6) as usize, 3, (seed % 3) as usize);
            let frames = random.frames();
            let expected = sums(&frames);
            for (tokens, &expected) in &expected {
                let found = log_probability(&frames, tokens).unwrap();
                assert!((found - expected).abs() < 1e-9, "{tokens:?}: {found} is not {expected}");
            }
            let all = expected.values().fold(f64::NEG_INFINITY, |a, &b| add(a, b));
            assert!(all.abs() < 1e-5, "{all}");
        }
    }

    #[test]
    fn too_few_frames_have_no_probability() {
        let random = Random::new(1, 2, 3, 0);
        assert_eq!(log_probability(&random.frames(), &[1, 1]).unwrap(), f64::NEG_INFINITY);
        assert!(log_probability(&random.frames(), &[0]).is_err());
    }
}
