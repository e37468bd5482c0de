//! A small model made of random tables, and the search through all that it can say.

use super::super::hypothesis::normalized;
use super::super::{Ending, Hypothesis, Stepper, Symbols};
use rand::RngExt;
use sensorium_data::random::Key;
use sensorium_kernels::log_sum_exp;

pub const END: u32 = 0;
/// Begin, which no answer has.
pub const BEGIN: u32 = 1;

/// Logits that depend on the prompt and all tokens after it. It keeps what a cache would, and asserts that it is asked
/// as its trait says.
#[derive(Clone)]
pub struct Toy {
    pub seed: u64,
    pub vocabulary: usize,
    /// Added to the logit of the end.
    pub haste: f32,
    /// (row, prompt and tokens) of each sequence.
    pub sequences: Vec<(usize, Vec<u32>)>,
    /// How many sequences it was asked for at each call.
    pub calls: Vec<usize>,
}

impl Toy {
    pub fn new(seed: u64, vocabulary: usize) -> Self {
        Self {
            seed,
            vocabulary,
            haste: 0.0,
            sequences: Vec::new(),
            calls: Vec::new(),
        }
    }

    pub fn symbols(&self) -> Symbols {
        Symbols {
            vocabulary: self.vocabulary,
            end: END,
            forbidden: vec![BEGIN],
        }
    }

    pub fn logits(&self, history: &[u32]) -> Vec<f32> {
        let key = history
            .iter()
            .fold(Key::new(self.seed), |key, &token| key.at(token.into()));
        let mut generator = key.generator();
        let mut logits: Vec<f32> = (0..self.vocabulary)
            .map(|_| generator.random_range(-2.0f32..2.0))
            .collect();
        logits[END as usize] += self.haste;
        logits
    }

    /// ln p of each of `tokens` after `history`.
    pub fn log_probabilities(&self, prompt: &[u32], tokens: &[u32]) -> Vec<f64> {
        let mut history = prompt.to_vec();
        let next = |&token: &u32| {
            let logits = self.logits(&history);
            history.push(token);
            f64::from(logits[token as usize]) - f64::from(log_sum_exp(&logits))
        };
        tokens.iter().map(next).collect()
    }

    /// All answers of at most `longest` tokens that `keep` lets through, the best first.
    pub fn exhaust(
        &self,
        prompt: &[u32],
        longest: usize,
        alpha: f64,
        keep: impl Fn(&[u32]) -> bool,
    ) -> Vec<Hypothesis> {
        let mut prefixes = vec![Vec::new()];
        let mut found = Vec::new();
        while let Some(tokens) = prefixes.pop() {
            let ending = if tokens.len() == longest {
                Ending::Limit
            } else {
                Ending::End
            };
            if ending == Ending::End {
                let longer = |token| [&tokens[..], &[token]].concat();
                prefixes.extend((BEGIN + 1..self.vocabulary as u32).map(longer));
            }
            if keep(&tokens) {
                found.push(self.hypothesis(prompt, tokens, ending, alpha));
            }
        }
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found
    }

    fn hypothesis(&self, prompt: &[u32], tokens: Vec<u32>, ending: Ending, alpha: f64) -> Hypothesis {
        let end: &[u32] = if ending == Ending::End { &[END] } else { &[] };
        let each = self.log_probabilities(prompt, &[&tokens, end].concat());
        let log_probability = each.iter().sum();
        Hypothesis {
            tokens,
            score: normalized(log_probability, each.len(), alpha),
            log_probabilities: each.iter().map(|p| *p as f32).collect(),
            log_probability,
            ending,
        }
    }

    fn answer(&mut self) -> Vec<f32> {
        self.calls.push(self.sequences.len());
        self.sequences
            .iter()
            .flat_map(|(_, history)| self.logits(history))
            .collect()
    }
}

impl Stepper for Toy {
    fn start(&mut self, prompts: &[&[u32]]) -> Vec<f32> {
        let prompts = prompts.iter().map(|prompt| prompt.to_vec());
        self.sequences = prompts.enumerate().collect();
        self.answer()
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Vec<f32> {
        assert!(!tokens.is_empty() && !tokens.contains(&END) && parents.len() == tokens.len());
        let next = |(&parent, &token): (&usize, &u32)| {
            let (row, history) = &self.sequences[parent];
            (*row, [&history[..], &[token]].concat())
        };
        self.sequences = parents.iter().zip(tokens).map(next).collect();
        assert!(
            self.sequences.is_sorted_by_key(|(row, _)| *row),
            "rows stay together and in order"
        );
        self.answer()
    }
}
