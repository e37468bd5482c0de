//! What the tokens of a transcript keep to (Radford et al. 2022, section 4.5; `decoding.py` of openai-whisper).

use super::tokens::SpeechTokens;
use crate::decoding::search::Rules;
use sensorium_kernels::log_sum_exp;

/// The latest time that a transcript may begin with, in seconds.
const LATEST_START: f64 = 1.0;

/// Which tokens may follow one another.
#[derive(Debug)]
pub struct SpeechRules<'a> {
    pub tokens: &'a SpeechTokens,
    /// Ends a text.
    pub end: u32,
    /// Whether the text has times: in pairs around what is said, and never falling.
    pub times: bool,
}

impl Rules for SpeechRules<'_> {
    fn apply(&self, tokens: &[u32], logits: &mut [f32]) {
        let first_time = self.tokens.first_time as usize;
        hide(&mut logits[self.end as usize + 1..first_time]);
        let first: &[u32] = match tokens.is_empty() {
            true => &self.tokens.suppressed_first,
            false => &[],
        };
        for &token in self.tokens.suppressed.iter().chain(first) {
            logits[token as usize] = f32::NEG_INFINITY;
        }
        match self.times {
            true => self.apply_to_times(tokens, logits),
            false => hide(&mut logits[first_time..]),
        }
    }
}

impl SpeechRules<'_> {
    fn apply_to_times(&self, tokens: &[u32], logits: &mut [f32]) {
        let first_time = self.tokens.first_time as usize;
        let is_time = |place: usize| {
            tokens
                .len()
                .checked_sub(place)
                .map(|at| self.tokens.is_time(tokens[at]))
        };
        match (is_time(1), is_time(2)) {
            // What is said stands between two times.
            (Some(true), None | Some(true)) => hide(&mut logits[first_time..]),
            // Behind the second one comes the first of the next pair, or the end.
            (Some(true), Some(false)) => hide(&mut logits[..self.end as usize]),
            _ => {}
        }
        if let Some(last) = tokens.iter().rfind(|&&token| self.tokens.is_time(token)) {
            // What is said takes time, and what follows begins no earlier than it ended.
            let begins = is_time(1) == Some(true) && is_time(2) == Some(false);
            let least = *last as usize + usize::from(!begins);
            hide(&mut logits[first_time..least]);
        }
        if tokens.is_empty() {
            hide(&mut logits[..first_time]);
            let latest = self.tokens.time(LATEST_START) as usize + 1;
            let latest = latest.min(logits.len());
            hide(&mut logits[latest..]);
        }
        self.prefer_times(logits);
    }

    /// Any time at all may be more probable than each word, although no single one is.
    fn prefer_times(&self, logits: &mut [f32]) {
        let (words, times) = logits.split_at_mut(self.tokens.first_time as usize);
        let likeliest = words.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if log_sum_exp(times) > likeliest {
            hide(words);
        }
    }
}

fn hide(logits: &mut [f32]) {
    logits.fill(f32::NEG_INFINITY);
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tests::tokens;
    use super::*;

    /// The tokens that may follow, where words have the logit `words` and times that of `times`.
    fn allowed(before: &[u32], times: Option<f32>, words: f32) -> Vec<u32> {
        let speech = tokens();
        let rules = SpeechRules {
            tokens: &speech,
            end: 10,
            times: times.is_some(),
        };
        let mut logits = vec![words; 80];
        logits[20..].fill(times.unwrap_or(0.0));
        rules.apply(before, &mut logits);
        let left = (0u32..).zip(logits).filter(|(_, logit)| *logit > f32::NEG_INFINITY);
        left.map(|(token, _)| token).collect()
    }

    fn words() -> Vec<u32> {
        [0, 1, 2].into_iter().chain(4..=10).collect()
    }

    #[test]
    fn without_times_there_are_words_and_an_end() {
        let first: Vec<u32> = words().into_iter().filter(|token| ![4, 10].contains(token)).collect();
        assert_eq!(allowed(&[], None, 0.0), first);
        assert_eq!(allowed(&[1], None, 0.0), words());
    }

    #[test]
    fn words_stand_between_times_that_do_not_fall() {
        let check =
            |before: &[u32], expected: Vec<u32>| assert_eq!(allowed(before, Some(-9.0), 0.0), expected, "{before:?}");
        check(&[], (20..=70).collect());
        check(&[25], words());
        check(&[25, 1], words().into_iter().chain(26..80).collect());
        check(&[25, 1, 30], [10].into_iter().chain(30..80).collect());
        check(&[25, 1, 30, 30], words());
        check(&[25, 1, 79], vec![10, 79]);
    }

    #[test]
    fn all_times_together_outweigh_a_word() {
        let unlikely = allowed(&[25, 1], Some(-2.0), 0.0);
        assert_eq!(unlikely, (26..80).collect::<Vec<u32>>());
    }
}
