//! What settings and constraints do to the logits of a sequence before a token is chosen.

use super::Context;
use super::constraint::Constraint;
use super::hypothesis::Lane;
use sensorium_kernels::log_sum_exp;

/// The logits of one sequence as the choice of a token sees them; the buffers are used again.
#[derive(Debug, Default)]
pub(super) struct Scores {
    /// Of each token; −∞ where it may not follow.
    pub values: Vec<f32>,
    /// ln Σ eˣ of the model's own logits, or of what rules leave of them.
    pub total: f64,
    /// What bans have taken: (token, its value).
    banned: Vec<(u32, f32)>,
}

impl Scores {
    /// Takes up the model's `logits` [vocabulary] for the next token of `lane` and processes them in the order that
    /// [`DecodingConfig`] gives, up to `min_length`. False where they are no distribution.
    pub fn fill(&mut self, logits: &[f32], lane: &Lane, context: &Context) -> bool {
        let Context {
            config,
            symbols,
            constraint,
            rules,
        } = *context;
        self.total = f64::from(log_sum_exp(logits));
        if !self.total.is_finite() {
            return false;
        }
        self.values.clear();
        match constraint {
            Some(constraint) => {
                self.values.resize(logits.len(), f32::NEG_INFINITY);
                let room = config.max_length - lane.tokens.len() - 1;
                allow(&mut self.values, logits, lane.state, room, symbols.end, constraint);
            }
            None => self.values.extend_from_slice(logits),
        }
        for &token in &symbols.forbidden {
            self.values[token as usize] = f32::NEG_INFINITY;
        }
        if let Some(rules) = rules {
            rules.apply(&lane.tokens, &mut self.values);
            self.total = f64::from(log_sum_exp(&self.values));
        }
        penalize(&mut self.values, logits, &lane.tokens, config.repetition_penalty as f32);
        self.ban_ngrams(&lane.tokens, config.no_repeat_ngram);
        self.ban_end(symbols.end, lane.tokens.len() < config.min_length);
        true
    }

    /// Bans the tokens that would complete a run of `length` tokens that `tokens` has already.
    fn ban_ngrams(&mut self, tokens: &[u32], length: usize) {
        self.banned.clear();
        if length == 0 || tokens.len() < length {
            return;
        }
        let (_, last) = tokens.split_at(tokens.len() + 1 - length);
        for run in tokens.windows(length).filter(|run| run.starts_with(last)) {
            self.ban(run[length - 1]);
        }
        if self.is_empty() {
            self.lift(0);
        }
    }

    /// Bans the end while an answer is too short, unless nothing else is left.
    fn ban_end(&mut self, end: u32, too_short: bool) {
        let before = self.banned.len();
        if too_short {
            self.ban(end);
        }
        if self.is_empty() {
            self.lift(before);
        }
    }

    fn ban(&mut self, token: u32) {
        let value = &mut self.values[token as usize];
        if *value > f32::NEG_INFINITY {
            self.banned.push((token, *value));
            *value = f32::NEG_INFINITY;
        }
    }

    /// Whether bans have left nothing.
    fn is_empty(&self) -> bool {
        !self.banned.is_empty() && self.values.iter().all(|value| *value == f32::NEG_INFINITY)
    }

    /// Lifts the bans from the `first`.
    fn lift(&mut self, first: usize) {
        for (token, value) in self.banned.drain(first..) {
            self.values[token as usize] = value;
        }
    }
}

/// Copies the logits of what may follow in the constraint's `state` if `room` more tokens may come after it.
fn allow(values: &mut [f32], logits: &[f32], state: u32, room: usize, end: u32, constraint: &Constraint) {
    for token in constraint.followers(state, room) {
        values[token as usize] = logits[token as usize];
    }
    if constraint.may_end(state) {
        values[end as usize] = logits[end as usize];
    }
}

/// Lowers each of `tokens` once, however often it stands there (Keskar et al. 2019, equation 1, with negative logits
/// multiplied so that they fall too).
fn penalize(values: &mut [f32], logits: &[f32], tokens: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    for &token in tokens {
        let (logit, value) = (logits[token as usize], &mut values[token as usize]);
        if *value > f32::NEG_INFINITY {
            *value = if logit > 0.0 { logit / penalty } else { logit * penalty };
        }
    }
}
