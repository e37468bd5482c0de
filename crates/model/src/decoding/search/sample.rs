//! Drawing tokens at random, from all or from the most probable ones.

use super::config::SampleConfig;
use super::hypothesis::{Choice, Found, Hypothesis, Lane};
use super::processors::Scores;
use super::select::Scored;
use super::{Context, NoDistribution};
use rand::RngExt;
use sensorium_data::random::Key;

/// The drawn sequences of one row.
#[derive(Debug)]
pub(super) struct Sample {
    /// Each with the key of its draws.
    lanes: Vec<(Key, Lane)>,
    found: Found,
    config: SampleConfig,
}

impl Sample {
    /// One sequence for each answer, all from the `sequence`-th of the model's first call.
    pub fn new(config: &SampleConfig, sequence: usize, key: &Key) -> Self {
        let lane = |index| (key.at(index), Lane::new(sequence));
        Self {
            lanes: (0..config.samples as u64).map(lane).collect(),
            found: Found::new(config.samples),
            config: config.clone(),
        }
    }

    pub fn advance(&mut self, logits: &[f32], context: &Context, buffers: &mut Buffers) -> Result<(), NoDistribution> {
        let (found, config) = (&mut self.found, &self.config);
        let mut failed = false;
        self.lanes.retain_mut(|(key, lane)| {
            let logits = context.logits_of(lane.sequence, logits);
            failed |= !context.fill(&mut buffers.scores, logits, lane);
            if failed {
                return false;
            }
            let step = key.at(lane.tokens.len() as u64);
            let Some(choice) = buffers.draw(logits, lane, config, &step) else {
                return false;
            };
            if choice.token == context.symbols.end {
                found.insert(lane.ended(&choice, 0.0));
                return false;
            }
            lane.push(&choice, context.constraint);
            let grows = lane.tokens.len() < context.config.max_length;
            if !grows {
                found.insert(lane.cut(0.0));
            }
            grows
        });
        if failed { Err(NoDistribution) } else { Ok(()) }
    }

    pub fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut().map(|(_, lane)| lane)
    }

    /// The tokens of the first sequence that still grows, or of the best answer.
    pub fn leading(&self) -> &[u32] {
        match self.lanes.first() {
            Some((_, lane)) => &lane.tokens,
            None => self.found.best().map_or(&[], |best| &best.tokens),
        }
    }

    pub fn stop(&mut self) {
        self.lanes.clear();
    }

    /// The answers by their probability.
    pub fn hypotheses(self) -> Vec<Hypothesis> {
        self.found.into_vec()
    }
}

/// Buffers that all rows use one after the other.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub scores: Scores,
    kept: Vec<Candidate>,
}

/// A token that may be drawn, and its probability up to a factor.
pub(super) type Candidate = (Scored, f32);

impl Buffers {
    /// A token for `lane`; none if all have a probability of 0.
    fn draw(&mut self, logits: &[f32], lane: &Lane, config: &SampleConfig, key: &Key) -> Option<Choice> {
        let Self { scores, kept } = self;
        weigh(&scores.values, config.temperature, kept);
        truncate(kept, config);
        let target = key.generator().random::<f64>() * mass(kept);
        let mut sum = 0.0;
        let reached = |(_, weight): &&Candidate| {
            sum += f64::from(*weight);
            sum > target
        };
        // Rounding may keep the sum below the target: then it is the last one's.
        let (Scored { score, token }, _) = *kept.iter().find(reached).or(kept.last())?;
        Some(Choice {
            lane: 0,
            token,
            log_probability: f64::from(logits[token as usize]) - scores.total,
            score: lane.score + (f64::from(score) - scores.total),
        })
    }
}

/// The tokens that have a probability, with it.
pub(super) fn weigh(scores: &[f32], temperature: f64, kept: &mut Vec<Candidate>) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scale = (1.0 / temperature) as f32;
    let possible = (0u32..).zip(scores).filter(|(_, score)| **score > f32::NEG_INFINITY);
    kept.clear();
    kept.extend(possible.map(|(token, &score)| (Scored { score, token }, ((score - most) * scale).exp())));
}

fn mass(kept: &[Candidate]) -> f64 {
    kept.iter().map(|(_, weight)| f64::from(*weight)).sum()
}

/// Keeps the `top_k` most probable tokens and of them the fewest that have a share of `top_p`.
pub(super) fn truncate(kept: &mut Vec<Candidate>, config: &SampleConfig) {
    if let Some(count) = config.top_k.filter(|count| *count < kept.len()) {
        kept.select_nth_unstable_by(count - 1, |a, b| b.0.cmp(&a.0));
        kept.truncate(count);
    }
    if let Some(share) = config.top_p.filter(|share| *share < 1.0) {
        let count = nucleus(kept, share);
        kept.truncate(count);
    }
}

/// Moves the most probable tokens to the front and returns how many of them first have `share` of the mass of all. The
/// part in which that happens is halved until it is one token, which takes a time that grows as their number does.
fn nucleus(kept: &mut [Candidate], share: f64) -> usize {
    let mut missing = share * mass(kept);
    let (mut low, mut high) = (0, kept.len());
    while high - low > 1 {
        let middle = low.midpoint(high);
        kept[low..high].select_nth_unstable_by(middle - low, |a, b| b.0.cmp(&a.0));
        let better = mass(&kept[low..middle]);
        if better >= missing {
            high = middle;
        } else {
            missing -= better;
            low = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    /// The tokens that are kept, the best first.
    fn check(scores: &[f32], config: &SampleConfig, expected: &[u32]) {
        let mut kept = Vec::new();
        weigh(scores, config.temperature, &mut kept);
        truncate(&mut kept, config);
        kept.sort_by_key(|candidate| Reverse(candidate.0));
        let tokens: Vec<u32> = kept.iter().map(|(scored, _)| scored.token).collect();
        assert_eq!(tokens, expected);
    }

    #[test]
    fn the_most_probable_are_kept() {
        let probabilities = [0.1f32, 0.4, 0.05, 0.3, 0.15].map(f32::ln);
        let config = |top_k, top_p, temperature| SampleConfig {
            top_k,
            top_p,
            temperature,
            samples: 1,
        };
        check(&probabilities, &config(Some(2), None, 1.0), &[1, 3]);
        check(&probabilities, &config(None, Some(0.69), 1.0), &[1, 3]);
        check(&probabilities, &config(None, Some(0.71), 1.0), &[1, 3, 4]);
        check(&probabilities, &config(None, Some(1e-6), 1.0), &[1]);
        check(&probabilities, &config(None, Some(1.0), 1.0), &[1, 3, 4, 0, 2]);
        // Of the two that are left, the first has 4/7.
        check(&probabilities, &config(Some(2), Some(0.57), 1.0), &[1]);
        check(&probabilities, &config(Some(2), Some(0.58), 1.0), &[1, 3]);
        // A low temperature leaves nearly all mass to the first.
        check(&probabilities, &config(None, Some(0.9), 0.1), &[1]);
        check(&[0.5; 4], &config(Some(2), None, 1.0), &[0, 1]);
        check(&[f32::NEG_INFINITY; 2], &config(Some(1), Some(0.5), 1.0), &[]);
    }

    proptest! {
        #[test]
        fn the_nucleus_is_the_smallest_set_with_its_mass(
            scores in prop::collection::vec(-9f32..9.0, 1..200),
            share in 0.01f64..0.999,
        ) {
            let mut kept = Vec::new();
            weigh(&scores, 1.0, &mut kept);
            let needed = share * mass(&kept);
            let count = nucleus(&mut kept, share);
            let (front, rest) = kept.split_at_mut(count);
            front.sort_by_key(|candidate| Reverse(candidate.0));
            prop_assert!(rest.iter().all(|other| other.0 < front[count - 1].0));
            prop_assert!(mass(front) >= needed * (1.0 - 1e-9), "{} of {needed}", mass(front));
            prop_assert!(mass(&front[..count - 1]) < needed * (1.0 + 1e-9), "{needed} without the last");
        }
    }
}
