//! Prefix beam search: the most probable tokens, summed over their places in the frames.

mod config;
#[cfg(test)]
mod tests;

pub use config::BeamConfig;

use super::align::{AlignedToken, Alignment, align};
use super::forward::{add, log_probability};
use super::frames::Frames;
use super::greedy::greedy;
use super::prefixes::{EMPTY, NOWHERE, Prefix, Prefixes};
use super::scorer::Scorer;
use crate::Result;

/// What the frames may be read as.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// With the frames of the most probable path.
    pub tokens: Vec<AlignedToken>,
    /// Natural, of the tokens over all paths, as [`log_probability`](log_probability()) has it.
    pub log_probability: f64,
    /// Natural, of the language model, the end of the text included; unweighted.
    pub language_model: f64,
    /// How many units the language model counted.
    pub insertions: u32,
    /// What hypotheses are sorted by.
    pub score: f64,
}

/// One path without a language model.
impl From<Alignment> for Hypothesis {
    fn from(path: Alignment) -> Self {
        Self {
            tokens: path.tokens,
            log_probability: path.log_probability,
            language_model: 0.0,
            insertions: 0,
            score: path.log_probability,
        }
    }
}

/// A prefix in the beam: log probabilities of the paths that end with the blank and with its last token.
#[derive(Debug, Clone, Copy)]
struct Entry {
    prefix: u32,
    blank: f64,
    token: f64,
}

impl Entry {
    fn total(&self) -> f64 {
        add(self.blank, self.token)
    }
}

/// What may be in the next beam: the entry at `place` as it is, or extended by a token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: f64,
    log_probability: f64,
    place: u32,
    token: Option<u32>,
}

/// A search for one thread at a time; its buffers serve one utterance after another.
pub struct BeamSearch<'a, S: Scorer> {
    config: BeamConfig,
    scorer: &'a S,
    prefixes: Prefixes<S::State>,
    beam: Vec<Entry>,
    next: Vec<Entry>,
    candidates: Vec<Candidate>,
    /// The classes of a frame that may extend a prefix, and whether a class is one of them.
    allowed: Vec<u32>,
    is_allowed: Vec<bool>,
    /// Whether the beam holds what a token makes of a prefix, [places, classes].
    held: Vec<bool>,
    /// What the language model adds for a token after a prefix, [places, classes]; not a number before it was asked.
    added: Vec<f64>,
    next_added: Vec<f64>,
}

impl<'a, S: Scorer> BeamSearch<'a, S> {
    /// # Errors
    /// A setting out of its range.
    pub fn new(config: BeamConfig, scorer: &'a S) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            config,
            scorer,
            prefixes: Prefixes::new(),
            beam: Vec::new(),
            next: Vec::new(),
            candidates: Vec::new(),
            allowed: Vec::new(),
            is_allowed: Vec::new(),
            held: Vec::new(),
            added: Vec::new(),
            next_added: Vec::new(),
        })
    }

    /// The best hypotheses, best first, of which the first never scores less than what [`greedy`](greedy()) finds. None
    /// only where every path has probability zero, or the language model forbids it.
    ///
    /// # Errors
    /// Those of [`align`](align()), which no prefix of the search can cause.
    pub fn search(&mut self, frames: &Frames) -> Result<Vec<Hypothesis>> {
        self.begin(frames);
        for frame in frames.iter() {
            self.allow(frame, frames.blank());
            self.stay(frame, frames.blank());
            self.extend(frame);
            self.select();
        }
        self.hypotheses(frames)
    }

    fn begin(&mut self, frames: &Frames) {
        self.prefixes.reset(self.scorer.begin());
        self.beam.clear();
        self.beam.push(Entry {
            prefix: EMPTY,
            blank: 0.0,
            token: f64::NEG_INFINITY,
        });
        self.allowed.clear();
        self.is_allowed.clear();
        self.is_allowed.resize(frames.classes(), false);
        self.held.clear();
        self.held.resize(frames.classes() * self.config.width, false);
        self.added.clear();
        self.added.resize(frames.classes(), f64::NAN);
    }

    /// Chooses the classes that may extend a prefix; of equals the first.
    fn allow(&mut self, frame: &[f32], blank: usize) {
        self.allowed
            .drain(..)
            .for_each(|class| self.is_allowed[class as usize] = false);
        let classes = (0..frame.len()).filter(|&class| class != blank && frame[class] > f32::NEG_INFINITY);
        self.allowed.extend(classes.map(|class| class as u32));
        let by_probability = |a: &u32, b: &u32| frame[*b as usize].total_cmp(&frame[*a as usize]).then(a.cmp(b));
        let limit = self.config.classes.unwrap_or(usize::MAX);
        if limit < self.allowed.len() {
            self.allowed.select_nth_unstable_by(limit - 1, by_probability);
            self.allowed.truncate(limit);
        }
        let best = self.allowed.iter().copied().min_by(by_probability);
        let least = self.config.minimum_probability.ln();
        self.allowed
            .retain(|&class| frame[class as usize] >= least || Some(class) == best);
        self.allowed
            .iter()
            .for_each(|&class| self.is_allowed[class as usize] = true);
    }

    /// What becomes of each prefix that takes no token, or that its parent in the beam grows into.
    fn stay(&mut self, frame: &[f32], blank: usize) {
        for (place, entry) in self.beam.iter().enumerate() {
            self.prefixes.put(entry.prefix, place as u32);
        }
        self.next.clear();
        for entry in &self.beam {
            let &Prefix { parent, token, .. } = self.prefixes.get(entry.prefix);
            let mut stayed = Entry {
                prefix: entry.prefix,
                blank: entry.total() + f64::from(frame[blank]),
                token: f64::NEG_INFINITY,
            };
            if entry.prefix != EMPTY {
                let log_probability = f64::from(frame[token as usize]);
                stayed.token = entry.token + log_probability;
                let place = self.prefixes.get(parent).place;
                if place != NOWHERE && self.is_allowed[token as usize] {
                    let before = self.beam[place as usize];
                    stayed.token = add(stayed.token, self.before(&before, token) + log_probability);
                    self.held[place as usize * frame.len() + token as usize] = true;
                }
            }
            self.next.push(stayed);
        }
    }

    /// The probability that `token` can follow: after itself only behind a blank.
    fn before(&self, entry: &Entry, token: u32) -> f64 {
        match self.prefixes.get(entry.prefix).token == token {
            true => entry.blank,
            false => entry.total(),
        }
    }

    /// All candidates: what stays, and each prefix with each token that makes it new.
    fn extend(&mut self, frame: &[f32]) {
        self.candidates.clear();
        for (place, entry) in self.beam.iter().enumerate() {
            let prefix = self.prefixes.get(entry.prefix);
            let weight = self.config.weigh(prefix.log_probability, prefix.insertions);
            let mut push = |log_probability: f64, weight: f64, token| {
                let score = log_probability + weight;
                if score > f64::NEG_INFINITY {
                    self.candidates.push(Candidate {
                        score,
                        log_probability,
                        place: place as u32,
                        token,
                    });
                }
            };
            push(self.next[place].total(), weight, None);
            let (total, row) = (entry.total(), place * frame.len());
            for &token in &self.allowed {
                let at = row + token as usize;
                if std::mem::take(&mut self.held[at]) {
                    continue;
                }
                if self.added[at].is_nan() {
                    let (score, _) = self.scorer.extend(prefix.state, token);
                    self.added[at] = self.config.weigh(f64::from(score.log_probability), score.insertions);
                }
                let before = if token == prefix.token { entry.blank } else { total };
                push(
                    before + f64::from(frame[token as usize]),
                    weight + self.added[at],
                    Some(token),
                );
            }
        }
    }

    /// The best candidates become the beam.
    fn select(&mut self) {
        if self.candidates.len() > self.config.width {
            // Of equals the one that came first in the beam, and that stays.
            let order = |a: &Candidate, b: &Candidate| {
                let ties = (a.place, a.token).cmp(&(b.place, b.token));
                b.score.total_cmp(&a.score).then(ties)
            };
            self.candidates.select_nth_unstable_by(self.config.width - 1, order);
            self.candidates.truncate(self.config.width);
        }
        for entry in &self.beam {
            self.prefixes.put(entry.prefix, NOWHERE);
        }
        let (scorer, stayed) = (self.scorer, &self.next);
        let entries = self.candidates.iter().map(|candidate| {
            let entry = stayed[candidate.place as usize];
            match candidate.token {
                None => entry,
                Some(token) => Entry {
                    prefix: self
                        .prefixes
                        .extend(entry.prefix, token, |state| scorer.extend(state, token)),
                    blank: f64::NEG_INFINITY,
                    token: candidate.log_probability,
                },
            }
        });
        self.beam.clear();
        self.beam.extend(entries);
        self.carry(self.is_allowed.len());
    }

    /// Takes along what the language model said of the prefixes that stay.
    fn carry(&mut self, classes: usize) {
        self.next_added.clear();
        for candidate in &self.candidates {
            match candidate.token {
                None => {
                    let row = &self.added[candidate.place as usize * classes..][..classes];
                    self.next_added.extend_from_slice(row);
                }
                Some(_) => self.next_added.resize(self.next_added.len() + classes, f64::NAN),
            }
        }
        std::mem::swap(&mut self.added, &mut self.next_added);
    }

    /// Beams lose paths: so the best prefixes are scored anew over all their paths, and greedy decoding's with them.
    fn hypotheses(&mut self, frames: &Frames) -> Result<Vec<Hypothesis>> {
        let mut ended: Vec<(f64, u32)> = Vec::new();
        ended.extend(
            self.beam
                .iter()
                .map(|entry| (entry.total() + self.ended(entry.prefix).0, entry.prefix)),
        );
        ended.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut best: Vec<u32> = ended.into_iter().map(|(_, prefix)| prefix).collect();
        best.truncate(self.config.hypotheses);
        let greedy = self.greedy(frames);
        if !best.contains(&greedy) {
            best.push(greedy);
        }
        let mut hypotheses = Vec::new();
        for prefix in best {
            hypotheses.extend(self.hypothesis(frames, prefix)?);
        }
        hypotheses.sort_by(|a, b| b.score.total_cmp(&a.score));
        hypotheses.truncate(self.config.hypotheses);
        Ok(hypotheses)
    }

    /// The prefix that greedy decoding ends with.
    fn greedy(&mut self, frames: &Frames) -> u32 {
        let tokens = greedy(frames).tokens;
        let extend = |prefix, token| {
            let score = |state| self.scorer.extend(state, token);
            self.prefixes.extend(prefix, token, score)
        };
        tokens.into_iter().map(|token| token.token).fold(EMPTY, extend)
    }

    /// What the language model adds to a prefix that ends here, and the parts of it.
    fn ended(&self, prefix: u32) -> (f64, f64, u32) {
        let prefix = self.prefixes.get(prefix);
        let end = self.scorer.end(prefix.state);
        let language_model = prefix.log_probability + f64::from(end.log_probability);
        let insertions = prefix.insertions + end.insertions;
        (
            self.config.weigh(language_model, insertions),
            language_model,
            insertions,
        )
    }

    /// None for a prefix that is impossible.
    fn hypothesis(&self, frames: &Frames, prefix: u32) -> Result<Option<Hypothesis>> {
        let tokens = self.prefixes.tokens(prefix);
        let log_probability = log_probability(frames, &tokens)?;
        let (weight, language_model, insertions) = self.ended(prefix);
        let score = log_probability + weight;
        if score == f64::NEG_INFINITY {
            return Ok(None);
        }
        Ok(Some(Hypothesis {
            tokens: align(frames, &tokens)?.tokens,
            log_probability,
            language_model,
            insertions,
            score,
        }))
    }
}
