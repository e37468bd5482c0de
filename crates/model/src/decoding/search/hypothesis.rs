//! Answers that are found, and sequences that still grow.

use super::constraint::Constraint;
use std::mem;

/// One answer that decoding found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Without begin and end.
    pub tokens: Vec<u32>,
    /// The natural logarithm of each token's probability under the model, and after them of the end's where `ending`
    /// is [`Ending::End`].
    pub log_probabilities: Vec<f32>,
    /// Their sum.
    pub log_probability: f64,
    /// By which hypotheses are ranked: `log_probability`, less what `repetition_penalty` has taken, divided by the
    /// length penalty of a beam.
    pub score: f64,
    pub ending: Ending,
}

/// Why an answer is as long as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The end was the next token.
    End,
    /// It has as many tokens as are allowed.
    Limit,
}

/// A token that may follow a lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The index of the lane.
    pub lane: usize,
    pub token: u32,
    /// ln p of the token under the model.
    pub log_probability: f64,
    /// The lane's score with the token.
    pub score: f64,
}

/// A sequence that still grows.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// Its index among the sequences of the model's last call.
    pub sequence: usize,
    pub tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
    log_probability: f64,
    /// The sum of its tokens' scores.
    pub score: f64,
    /// Where it is in the constraint.
    pub state: u32,
}

impl Lane {
    /// No token yet, after what is the `sequence`-th of the model's first call.
    pub fn new(sequence: usize) -> Self {
        Self {
            sequence,
            ..Self::default()
        }
    }

    /// Becomes `parent` with one more token. The buffers of both are kept.
    pub fn follow(&mut self, parent: &Self, choice: &Choice, constraint: Option<&Constraint>) {
        self.sequence = parent.sequence;
        self.tokens.clone_from(&parent.tokens);
        self.log_probabilities.clone_from(&parent.log_probabilities);
        self.log_probability = parent.log_probability;
        self.state = parent.state;
        self.push(choice, constraint);
    }

    pub fn push(&mut self, choice: &Choice, constraint: Option<&Constraint>) {
        self.tokens.push(choice.token);
        self.log_probabilities.push(choice.log_probability as f32);
        self.log_probability += choice.log_probability;
        self.score = choice.score;
        if let Some(constraint) = constraint {
            let next = constraint.next(self.state, choice.token);
            self.state = next.expect("only tokens that the constraint allows are chosen");
        }
    }

    /// The answer that the end, chosen next, makes of it.
    pub fn ended(&self, end: &Choice, length_penalty: f64) -> Hypothesis {
        let mut log_probabilities = self.log_probabilities.clone();
        log_probabilities.push(end.log_probability as f32);
        Hypothesis {
            tokens: self.tokens.clone(),
            score: normalized(end.score, log_probabilities.len(), length_penalty),
            log_probabilities,
            log_probability: self.log_probability + end.log_probability,
            ending: Ending::End,
        }
    }

    /// The answer that it is, cut where it stands. Nothing is left in it.
    pub fn cut(&mut self, length_penalty: f64) -> Hypothesis {
        Hypothesis {
            score: normalized(self.score, self.tokens.len(), length_penalty),
            tokens: mem::take(&mut self.tokens),
            log_probabilities: mem::take(&mut self.log_probabilities),
            log_probability: self.log_probability,
            ending: Ending::Limit,
        }
    }
}

/// A score divided by ((5 + length) / 6)^α (Wu et al. 2016, equation 14); `length` counts the end too.
pub(super) fn normalized(score: f64, length: usize, alpha: f64) -> f64 {
    score / ((5.0 + length as f64) / 6.0).powf(alpha)
}

/// The best answers so far, the best first; of equal ones the first that was found.
#[derive(Debug)]
pub(super) struct Found {
    capacity: usize,
    hypotheses: Vec<Hypothesis>,
}

impl Found {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            hypotheses: Vec::new(),
        }
    }

    pub fn insert(&mut self, hypothesis: Hypothesis) {
        let place = self.hypotheses.partition_point(|other| other.score >= hypothesis.score);
        if place < self.capacity {
            self.hypotheses.truncate(self.capacity - 1);
            self.hypotheses.insert(place, hypothesis);
        }
    }

    /// Whether no answer with this score would be taken up.
    pub fn refuses(&self, score: f64) -> bool {
        let full = self.hypotheses.len() == self.capacity;
        full && self.hypotheses.last().is_some_and(|worst| worst.score >= score)
    }

    pub fn best(&self) -> Option<&Hypothesis> {
        self.hypotheses.first()
    }

    pub fn into_vec(self) -> Vec<Hypothesis> {
        self.hypotheses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(capacity: usize, scores: &[f64], expected: &[f64], refused: f64, taken: f64) {
        let mut found = Found::new(capacity);
        for &score in scores {
            let mut lane = Lane {
                score,
                ..Lane::default()
            };
            found.insert(lane.cut(0.0));
        }
        let kept: Vec<f64> = found.hypotheses.iter().map(|hypothesis| hypothesis.score).collect();
        assert_eq!(kept, expected);
        assert!(found.refuses(refused) && !found.refuses(taken));
    }

    #[test]
    fn the_best_are_kept_in_order() {
        check(2, &[-3.0, -1.0, -2.0], &[-1.0, -2.0], -2.0, -1.9);
        check(1, &[-1.0, -2.0], &[-1.0], -1.0, -0.5);
    }

    #[test]
    fn a_longer_answer_is_worth_more() {
        assert_eq!(normalized(-3.0, 7, 1.0), -1.5);
        assert_eq!(normalized(-3.0, 7, 0.0), -3.0);
        assert!(normalized(-3.0, 8, 0.6) > normalized(-3.0, 7, 0.6));
    }
}
