//! The best places of given tokens in the frames.

use super::frames::Frames;
use crate::{ModelError, Result};

/// A token and the frames that hold it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlignedToken {
    /// The class.
    pub token: u32,
    /// Its first frame.
    pub start: usize,
    /// The frame behind its last one.
    pub end: usize,
    /// The highest probability of the class in these frames.
    pub probability: f32,
}

impl AlignedToken {
    pub(super) fn new(token: u32, start: usize, log_probability: f32) -> Self {
        Self {
            token,
            start,
            end: start + 1,
            probability: log_probability.exp(),
        }
    }

    /// Takes in one more frame.
    pub(super) fn extend(&mut self, frame: usize, log_probability: f32) {
        self.end = frame + 1;
        self.probability = self.probability.max(log_probability.exp());
    }
}

/// Tokens in the order of their frames.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Alignment {
    pub tokens: Vec<AlignedToken>,
    /// Of this one path through the frames, natural.
    pub log_probability: f64,
}

/// How a place on the path was reached: from the place that is this many before it.
type Step = u8;

/// Finds the most probable path through the frames that reads as `tokens` (Viterbi).
///
/// Time and one byte of memory for each frame and each of 2 × tokens + 1 places.
///
/// # Errors
/// [`Config`](ModelError::Config) for a token that is no class or the blank, and where no path with a probability above
/// zero reads as the tokens, such as in too few frames.
pub fn align(frames: &Frames, tokens: &[u32]) -> Result<Alignment> {
    frames.check(tokens)?;
    let places = 2 * tokens.len() + 1;
    let mut best = vec![f64::NEG_INFINITY; places];
    let mut steps: Vec<Step> = vec![0; frames.len() * places];
    for (at, frame) in frames.iter().enumerate() {
        advance(
            frames,
            tokens,
            frame,
            at == 0,
            &mut best,
            &mut steps[at * places..][..places],
        );
    }
    let last = (places.saturating_sub(2)..places).fold(places - 1, |a, b| if best[b] > best[a] { b } else { a });
    let log_probability = if frames.is_empty() && tokens.is_empty() {
        0.0
    } else {
        best[last]
    };
    if log_probability == f64::NEG_INFINITY {
        let message = format!(
            "expected frames that can be read as {} tokens, found {}",
            tokens.len(),
            frames.len()
        );
        return Err(ModelError::config("tokens", message));
    }
    Ok(Alignment {
        tokens: trace(frames, tokens, last, &steps),
        log_probability,
    })
}

/// The class of a place: even places are blanks between the tokens.
fn class(frames: &Frames, tokens: &[u32], place: usize) -> usize {
    match place % 2 {
        0 => frames.blank(),
        _ => tokens[place / 2] as usize,
    }
}

/// Whether a path may go from the token before to this one without a blank.
pub(super) fn skips(tokens: &[u32], place: usize) -> bool {
    place % 2 == 1 && place > 1 && tokens[place / 2] != tokens[place / 2 - 1]
}

/// The best path to each place through one more frame. From the last place down, so that one row is enough.
fn advance(frames: &Frames, tokens: &[u32], frame: &[f32], first: bool, best: &mut [f64], steps: &mut [Step]) {
    for place in (0..best.len()).rev() {
        let longest = match first {
            // A path begins with the blank or the first token.
            true => 0,
            false => place.min(1 + usize::from(skips(tokens, place))),
        };
        let (mut value, mut step) = (best[place], 0);
        if first && place < 2 {
            value = 0.0;
        }
        for back in 1..=longest {
            if best[place - back] > value {
                (value, step) = (best[place - back], back as Step);
            }
        }
        best[place] = value + f64::from(frame[class(frames, tokens, place)]);
        steps[place] = step;
    }
}

/// Goes back from the last place and notes the frames of each token.
fn trace(frames: &Frames, tokens: &[u32], mut place: usize, steps: &[Step]) -> Vec<AlignedToken> {
    let places = 2 * tokens.len() + 1;
    let mut aligned: Vec<Option<AlignedToken>> = vec![None; tokens.len()];
    for at in (0..frames.len()).rev() {
        if place % 2 == 1 {
            let token = tokens[place / 2];
            let log_probability = frames.frame(at)[token as usize];
            let found = aligned[place / 2].get_or_insert_with(|| AlignedToken {
                end: at + 1,
                ..AlignedToken::new(token, at, log_probability)
            });
            found.start = at;
            found.probability = found.probability.max(log_probability.exp());
        }
        place -= steps[at * places + place] as usize;
    }
    aligned.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Random, collapse, paths};
    use super::*;

    fn check(frames: &Frames, tokens: &[u32]) {
        let reads = paths(frames).filter(|(path, _)| collapse(frames, path) == tokens);
        let best = reads.max_by(|a, b| a.1.total_cmp(&b.1));
        match (align(frames, tokens), best) {
            (Ok(found), Some((_, expected))) => {
                assert!((found.log_probability - expected).abs() < 1e-9);
                assert_eq!(found.tokens.iter().map(|token| token.token).collect::<Vec<_>>(), tokens);
                assert!((along(frames, &found) - expected).abs() < 1e-6, "{found:?}");
            }
            (found, expected) => assert!(found.is_err() && expected.is_none(), "{found:?}, {expected:?}"),
        }
    }

    /// The log probability of the path that the aligned tokens describe.
    fn along(frames: &Frames, alignment: &Alignment) -> f64 {
        let class = |at| {
            let holds = |token: &&AlignedToken| (token.start..token.end).contains(&at);
            let token = alignment.tokens.iter().find(holds);
            token.map_or(frames.blank(), |token| token.token as usize)
        };
        (0..frames.len()).map(|at| f64::from(frames.frame(at)[class(at)])).sum()
    }

    #[test]
    fn the_best_path_is_that_of_trying_all() {
        for seed in 0..40 {
            let random = Random::new(seed, (seed % 6) as usize, 3, (seed % 3) as usize);
            let frames = random.frames();
            let [a, b] = [(random.blank + 1) % 3, (random.blank + 2) % 3].map(|class| class as u32);
            for tokens in [
                &[][..],
                &[a],
                &[a, a],
                &[a, b],
                &[b, a, b],
                &[b, b, a],
                &[a, b, a, b, a, b],
            ] {
                check(&frames, tokens);
            }
        }
    }

    #[test]
    fn blanks_and_other_numbers_are_no_tokens() {
        let random = Random::new(1, 4, 3, 2);
        assert!(align(&random.frames(), &[2]).is_err());
        assert!(align(&random.frames(), &[3]).is_err());
    }
}
