//! Token-by-token decoding for autoregressive models: greedy, beam and sampled, with limits and constraints.

mod beam;
mod config;
mod constraint;
mod hypothesis;
mod processors;
mod sample;
mod select;
#[cfg(test)]
mod tests;

use crate::error::Result;
use beam::Beam;
pub use config::{BeamConfig, ConstraintConfig, DecodingConfig, MethodConfig, SampleConfig};
pub use constraint::Constraint;
use hypothesis::Lane;
pub use hypothesis::{Ending, Hypothesis};
use processors::Scores;
use sample::Sample;
use sensorium_data::random::Key;
use sensorium_data::{DataError, ErrorKind};
use std::fmt::Debug;

/// A model that is asked for the next tokens of many sequences at once.
pub trait Stepper {
    /// Takes in one prompt for each row: its begin token, and whatever else stands before the answer.
    /// Returns the logits of the first token of each answer, [rows, vocabulary], flat.
    fn start(&mut self, prompts: &[&[u32]]) -> Vec<f32>;

    /// Goes on by one token. There are as many sequences as `parents`, which may be more or fewer than before: the i-th
    /// continues what was the `parents[i]`-th sequence of the last call (after [`start`](Self::start), row) by the
    /// token `tokens[i]`, so caches are gathered by `parents` first. Sequences of a row stay together, rows stay in
    /// order, and those that have ended are left out. Returns the logits of the token after, [sequences, vocabulary],
    /// flat. A sequence's logits must not depend on the others.
    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Vec<f32>;
}

/// The tokens with a meaning of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    /// One more than the largest token.
    pub vocabulary: usize,
    /// Ends an answer.
    pub end: u32,
    /// Never part of an answer: padding, begin, the unknown token.
    pub forbidden: Vec<u32>,
}

/// What depends on all tokens so far and on the other logits, so that no [`Constraint`] can say it.
pub trait Rules: Debug + Sync {
    /// Lowers to −∞ the `logits` [vocabulary] of what must not follow the `tokens` of an answer. What is left is the
    /// distribution that tokens are chosen from and answers compared by. The end, or another token, must be left.
    fn apply(&self, tokens: &[u32], logits: &mut [f32]);
}

/// One row of a batch: what is to be answered, and how.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// What stands before the answer, at least the begin token. It does not count as repeated.
    pub prompt: &'a [u32],
    /// Of the row's draws, the same in any batch; each sample and each step narrows it. Only sampling draws.
    pub key: Key,
    /// What the answer must be.
    pub constraint: Option<&'a Constraint>,
    /// What its tokens keep to beside that.
    pub rules: Option<&'a dyn Rules>,
}

/// What the model is asked next, see [`Stepper::step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<'s> {
    pub parents: &'s [usize],
    pub tokens: &'s [u32],
}

/// The search for the answers of a batch of rows. It holds no model: [`run`](Self::run) asks one to the end, or
/// [`advance`](Self::advance) takes its logits step by step, so that answers can be streamed and rows given up.
pub struct Search<'a> {
    config: DecodingConfig,
    symbols: Symbols,
    rows: Vec<Progress<'a>>,
    /// The sequences that the next logits are of.
    parents: Vec<usize>,
    tokens: Vec<u32>,
    beam: beam::Buffers,
    sample: sample::Buffers,
}

struct Progress<'a> {
    row: Row<'a>,
    method: Method,
    /// The model's logits were no distribution.
    failed: bool,
    stopped: bool,
}

enum Method {
    Beam(Beam),
    Sample(Sample),
}

/// The logits of a row are NaN or infinite.
struct NoDistribution;

/// What the choice of a row's tokens depends on.
struct Context<'s> {
    config: &'s DecodingConfig,
    symbols: &'s Symbols,
    constraint: Option<&'s Constraint>,
    rules: Option<&'s dyn Rules>,
}

impl Context<'_> {
    /// The part of `logits` [sequences, vocabulary] of one sequence.
    fn logits_of<'l>(&self, sequence: usize, logits: &'l [f32]) -> &'l [f32] {
        let size = self.symbols.vocabulary;
        &logits[sequence * size..][..size]
    }

    fn fill(&self, scores: &mut Scores, logits: &[f32], lane: &Lane) -> bool {
        scores.fill(logits, lane, self)
    }
}

impl Method {
    fn new(config: &DecodingConfig, sequence: usize, key: &Key) -> Self {
        match &config.method {
            MethodConfig::Greedy => Self::Beam(Beam::new(&BeamConfig::GREEDY, sequence)),
            MethodConfig::Beam(config) => Self::Beam(Beam::new(config, sequence)),
            MethodConfig::Sample(config) => Self::Sample(Sample::new(config, sequence, key)),
        }
    }

    fn grows(&mut self) -> bool {
        match self {
            Self::Beam(beam) => beam.lanes().next().is_some(),
            Self::Sample(sample) => sample.lanes().next().is_some(),
        }
    }

    fn stop(&mut self) {
        match self {
            Self::Beam(beam) => beam.stop(),
            Self::Sample(sample) => sample.stop(),
        }
    }

    /// Adds its sequences to those of the next step.
    fn collect(&mut self, parents: &mut Vec<usize>, tokens: &mut Vec<u32>) {
        let mut add = |lane: &mut Lane| {
            if let Some(&token) = lane.tokens.last() {
                parents.push(lane.sequence);
                tokens.push(token);
                lane.sequence = parents.len() - 1;
            }
        };
        match self {
            Self::Beam(beam) => beam.lanes().for_each(&mut add),
            Self::Sample(sample) => sample.lanes().for_each(&mut add),
        }
    }
}

impl<'a> Search<'a> {
    /// # Errors
    /// [`Config`](crate::ModelError::Config) for settings that [`DecodingConfig::check`] refuses, as of `decoding`;
    /// [`Invalid`](ErrorKind::Invalid) with the row for a constraint that has tokens beyond the vocabulary or that are
    /// special, or no answer of at most `max_length` tokens.
    ///
    /// # Panics
    /// If a special token is not in the vocabulary, or the end is forbidden.
    pub fn new(config: &DecodingConfig, symbols: &Symbols, rows: Vec<Row<'a>>) -> Result<Self> {
        config.check("decoding")?;
        let Symbols {
            vocabulary,
            end,
            forbidden,
        } = symbols;
        assert!(
            forbidden
                .iter()
                .chain([end])
                .all(|token| (*token as usize) < *vocabulary)
                && !forbidden.contains(end),
            "expected special tokens within a vocabulary of {vocabulary} and an end that is allowed, found {symbols:?}"
        );
        for (index, row) in rows.iter().enumerate() {
            if let Some(constraint) = row.constraint {
                fits(constraint, config, symbols).map_err(|error| error.at_row(index))?;
            }
        }
        let progress = |(index, row): (usize, Row<'a>)| Progress {
            method: Method::new(config, index, &row.key),
            row,
            failed: false,
            stopped: false,
        };
        Ok(Self {
            config: config.clone(),
            symbols: symbols.clone(),
            parents: (0..rows.len()).collect(),
            tokens: Vec::new(),
            rows: rows.into_iter().enumerate().map(progress).collect(),
            beam: beam::Buffers::default(),
            sample: sample::Buffers::default(),
        })
    }

    /// Asks `model` until every row has ended; the result is that of [`finish`](Self::finish).
    pub fn run(mut self, model: &mut impl Stepper) -> Vec<Result<Vec<Hypothesis>>> {
        let prompts: Vec<&[u32]> = self.rows.iter().map(|progress| progress.row.prompt).collect();
        if prompts.is_empty() {
            return Vec::new();
        }
        let mut logits = model.start(&prompts);
        while let Some(Step { parents, tokens }) = self.advance(&logits) {
            logits = model.step(parents, tokens);
        }
        self.finish()
    }

    /// Takes the logits of the prompts or of the last step, [sequences, vocabulary], and says what to ask next; nothing
    /// once every row has ended.
    ///
    /// # Panics
    /// If there are not as many logits.
    pub fn advance(&mut self, logits: &[f32]) -> Option<Step<'_>> {
        let shape = [self.parents.len(), self.symbols.vocabulary];
        assert_eq!(
            logits.len(),
            shape.iter().product::<usize>(),
            "expected logits [sequences, vocabulary] of {shape:?}"
        );
        self.parents.clear();
        self.tokens.clear();
        for progress in &mut self.rows {
            let context = Context {
                config: &self.config,
                symbols: &self.symbols,
                constraint: progress.row.constraint,
                rules: progress.row.rules,
            };
            let advanced = match &mut progress.method {
                Method::Beam(beam) => beam.advance(logits, &context, &mut self.beam),
                Method::Sample(sample) => sample.advance(logits, &context, &mut self.sample),
            };
            if advanced.is_err() {
                progress.failed = true;
                progress.method.stop();
            }
            progress.method.collect(&mut self.parents, &mut self.tokens);
        }
        let step = Step {
            parents: &self.parents,
            tokens: &self.tokens,
        };
        (!step.tokens.is_empty()).then_some(step)
    }

    /// The tokens so far of a row's first sequence: of what grows, and once nothing does, of the best answer. Only
    /// greedy search and a single sample never take back a token.
    pub fn leading(&self, row: usize) -> &[u32] {
        match &self.rows[row].method {
            Method::Beam(beam) => beam.leading(),
            Method::Sample(sample) => sample.leading(),
        }
    }

    /// Gives a row up: the model is not asked for it after the next step. What it has found already is kept.
    pub fn stop(&mut self, row: usize) {
        let progress = &mut self.rows[row];
        progress.stopped |= progress.method.grows();
        progress.method.stop();
    }

    /// The answers of each row, the best first.
    ///
    /// # Errors
    /// Of a row, with its index: [`Invalid`](ErrorKind::Invalid) where the model's logits were NaN or infinite, or left
    /// no answer any probability. A row that was stopped, or has not ended yet, may have no answers and no error.
    pub fn finish(mut self) -> Vec<Result<Vec<Hypothesis>>> {
        (0..self.rows.len()).for_each(|row| self.stop(row));
        let rows = self.rows.into_iter().enumerate();
        rows.map(|(index, progress)| progress.finish().map_err(|error| error.at_row(index).into()))
            .collect()
    }
}

impl Progress<'_> {
    fn finish(self) -> Result<Vec<Hypothesis>, DataError> {
        if self.failed {
            return Err(invalid(
                "expected logits below infinity from the model, found NaN, infinity or no other than -infinity",
            ));
        }
        let hypotheses = match self.method {
            Method::Beam(beam) => beam.hypotheses(),
            Method::Sample(sample) => sample.hypotheses(),
        };
        if hypotheses.is_empty() && !self.stopped {
            return Err(invalid(
                "expected an answer, found none: the model gives no probability to what is allowed",
            ));
        }
        Ok(hypotheses)
    }
}

/// Refuses a constraint that cannot be kept.
fn fits(constraint: &Constraint, config: &DecodingConfig, symbols: &Symbols) -> Result<(), DataError> {
    let (size, longest) = (symbols.vocabulary, config.max_length);
    let wrong = |token: &&u32| **token as usize >= size || **token == symbols.end || symbols.forbidden.contains(token);
    if let Some(token) = constraint.alphabet().iter().find(wrong) {
        let message = format!("expected plain tokens of a vocabulary of {size}, found {token}; leave special ones out");
        return Err(invalid(message).in_field("constraint"));
    }
    if constraint.shortest() > longest {
        let shortest = constraint.shortest();
        let message = format!(
            "expected an answer of at most {longest} tokens, found {shortest} in the shortest; raise max_length"
        );
        return Err(invalid(message).in_field("constraint"));
    }
    Ok(())
}

fn invalid(message: impl Into<String>) -> DataError {
    DataError::new(ErrorKind::Invalid, message)
}
