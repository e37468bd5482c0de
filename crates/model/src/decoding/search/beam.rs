//! Beam search in groups; greedy search is a beam of width one.

use super::config::BeamConfig;
use super::hypothesis::{Choice, Found, Hypothesis, Lane, normalized};
use super::processors::Scores;
use super::select::Selection;
use super::{Context, NoDistribution};
use std::mem;

/// The sequences of one row. Each group is a beam of its own; only the choices of a step know of each other.
#[derive(Debug)]
pub(super) struct Beam {
    groups: Vec<Group>,
    /// The tokens that the groups before have chosen in this step.
    chosen: Vec<u32>,
    config: BeamConfig,
}

impl Beam {
    /// One sequence, the `sequence`-th of the model's first call.
    pub fn new(config: &BeamConfig, sequence: usize) -> Self {
        let BeamConfig {
            width, groups, best, ..
        } = *config;
        let group = |index| Group::new(width / groups, best.div_ceil(groups), sequence, index == 0);
        Self {
            groups: (0..groups).map(group).collect(),
            chosen: Vec::with_capacity(width),
            config: config.clone(),
        }
    }

    pub fn advance(&mut self, logits: &[f32], context: &Context, buffers: &mut Buffers) -> Result<(), NoDistribution> {
        self.chosen.clear();
        for group in &mut self.groups {
            group.choose(logits, &self.chosen, context, &self.config, buffers)?;
            group.follow(context, &self.config, buffers);
            self.chosen
                .extend(group.lanes.iter().filter_map(|lane| lane.tokens.last()));
            group.finish(context, &self.config);
        }
        Ok(())
    }

    pub fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.groups.iter_mut().flat_map(|group| &mut group.lanes)
    }

    /// Of the first group: the tokens of the best sequence that still grows, or of the best answer.
    pub fn leading(&self) -> &[u32] {
        let group = &self.groups[0];
        match group.lanes.first() {
            Some(lane) => &lane.tokens,
            None => group.found.best().map_or(&[], |best| &best.tokens),
        }
    }

    pub fn stop(&mut self) {
        self.groups.iter_mut().for_each(|group| group.lanes.clear());
    }

    /// The best answers of all groups, the best first, each once.
    pub fn hypotheses(self) -> Vec<Hypothesis> {
        let mut all: Vec<Hypothesis> = Vec::new();
        for hypothesis in self.groups.into_iter().flat_map(|group| group.found.into_vec()) {
            let known = |other: &Hypothesis| other.tokens == hypothesis.tokens && other.ending == hypothesis.ending;
            if !all.iter().any(known) {
                all.push(hypothesis);
            }
        }
        all.sort_by(|a, b| b.score.total_cmp(&a.score));
        all.truncate(self.config.best);
        all
    }
}

/// Buffers that all rows use one after the other.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub scores: Scores,
    selection: Selection,
    /// (token, score before it was made dearer) of what other groups have chosen.
    plain: Vec<(u32, f32)>,
    /// (the rank, which counts diversity, and the choice), the best first.
    choices: Vec<(f64, Choice)>,
}

#[derive(Debug)]
struct Group {
    width: usize,
    lanes: Vec<Lane>,
    /// The lanes of the step before, whose buffers the next step fills.
    spare: Vec<Lane>,
    /// The lane that greedy search would have, while that still grows. It is kept beside the beam where it falls out of
    /// it, because beam search alone may miss the greedy answer and end with a worse one.
    greedy: Option<usize>,
    found: Found,
    /// Those that were found, however many are kept.
    ended: usize,
}

impl Group {
    fn new(width: usize, best: usize, sequence: usize, with_greedy: bool) -> Self {
        let lane = Lane::new(sequence);
        Self {
            width,
            lanes: vec![lane],
            spare: Vec::new(),
            greedy: with_greedy.then_some(0),
            found: Found::new(best),
            ended: 0,
        }
    }

    /// Leaves in `buffers.choices` the choices of all lanes, the best first.
    fn choose(
        &mut self,
        logits: &[f32],
        chosen: &[u32],
        context: &Context,
        config: &BeamConfig,
        buffers: &mut Buffers,
    ) -> Result<(), NoDistribution> {
        let Buffers {
            scores,
            selection,
            plain,
            choices,
        } = buffers;
        choices.clear();
        for (index, lane) in self.lanes.iter().enumerate() {
            let logits = context.logits_of(lane.sequence, logits);
            if !context.fill(scores, logits, lane) {
                return Err(NoDistribution);
            }
            plain.clear();
            for &token in chosen {
                let score = &mut scores.values[token as usize];
                plain.push((token, *score));
                *score -= config.diversity as f32;
            }
            // One of them may be the end, and then there must still be enough to go on with.
            for scored in selection.best(&scores.values, self.width + 1) {
                let token = scored.token;
                let own = plain.iter().find(|(other, _)| *other == token);
                let score = own.map_or(scored.score, |(_, score)| *score);
                let sum = |score| lane.score + (f64::from(score) - scores.total);
                let choice = Choice {
                    lane: index,
                    token,
                    log_probability: f64::from(logits[token as usize]) - scores.total,
                    score: sum(score),
                };
                choices.push((sum(scored.score), choice));
            }
        }
        choices.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(())
    }

    /// Ends what ends among the best `width` choices, and goes on with the best `width` that do not end.
    fn follow(&mut self, context: &Context, config: &BeamConfig, buffers: &Buffers) {
        let end = context.symbols.end;
        let greedy = self.greedy.take();
        let greedy = buffers.choices.iter().find(|choice| Some(choice.1.lane) == greedy);
        let mut grown = 0;
        mem::swap(&mut self.lanes, &mut self.spare);
        for (place, (_, choice)) in buffers.choices.iter().enumerate() {
            let is_greedy =
                greedy.is_some_and(|(_, greedy)| (greedy.lane, greedy.token) == (choice.lane, choice.token));
            let parent = &self.spare[choice.lane];
            if choice.token == end {
                if place < self.width || is_greedy {
                    self.found.insert(parent.ended(choice, config.length_penalty));
                    self.ended += 1;
                }
            } else if grown < self.width || is_greedy {
                if grown == self.lanes.len() {
                    self.lanes.push(Lane::default());
                }
                self.lanes[grown].follow(parent, choice, context.constraint);
                self.greedy = self.greedy.or(is_greedy.then_some(grown));
                grown += 1;
            }
        }
        self.lanes.truncate(grown);
    }

    /// Cuts what is as long as allowed, and stops where nothing that grows can be among the best any more.
    fn finish(&mut self, context: &Context, config: &BeamConfig) {
        let longest = context.config.max_length;
        for lane in self.lanes.iter_mut().filter(|lane| lane.tokens.len() == longest) {
            self.found.insert(lane.cut(config.length_penalty));
        }
        self.lanes.retain(|lane| !lane.tokens.is_empty());
        let most = self
            .lanes
            .iter()
            .map(|lane| lane.score)
            .fold(f64::NEG_INFINITY, f64::max);
        // Scores are sums of logarithms and only fall, so the best that can come of one is to fall no more and to be
        // divided by the penalty of the longest answer.
        let enough = config
            .patience
            .is_some_and(|patience| self.ended as f64 >= patience * self.width as f64);
        if enough || self.found.refuses(normalized(most, longest, config.length_penalty)) {
            self.lanes.clear();
        }
    }
}
