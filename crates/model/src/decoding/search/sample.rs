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
    kept: Vec<Scored>,
}

impl Buffers {
    /// A token for `lane`; none if all have a probability of 0.
    fn draw(&mut self, logits: &[f32], lane: &Lane, config: &SampleConfig, key: &Key) -> Option<Choice> {
        let values = (0u32..).zip(&self.scores.values);
        let possible = values.filter(|(_, score)| **score > f32::NEG_INFINITY);
        self.kept.clear();
        self.kept
            .extend(possible.map(|(token, &score)| Scored { score, token }));
        truncate(&mut self.kept, config);
        let weights = Weights::new(&self.kept, config.temperature);
        let target = key.generator().random::<f64>() * self.kept.iter().map(|scored| weights.of(scored)).sum::<f64>();
        let mut sum = 0.0;
        let reached = |scored: &&Scored| {
            sum += weights.of(scored);
            sum > target
        };
        // Rounding may keep the sum below the target: then it is the last one's.
        let Scored { score, token } = *self.kept.iter().find(reached).or(self.kept.last())?;
        Some(Choice {
            lane: 0,
            token,
            log_probability: f64::from(logits[token as usize]) - self.scores.total,
            score: lane.score + (f64::from(score) - self.scores.total),
        })
    }
}

/// Probabilities up to a factor, after the temperature.
struct Weights {
    most: f32,
    scale: f32,
}

impl Weights {
    fn new(kept: &[Scored], temperature: f64) -> Self {
        Self {
            most: kept.iter().map(|scored| scored.score).fold(f32::NEG_INFINITY, f32::max),
            scale: (1.0 / temperature) as f32,
        }
    }

    fn of(&self, scored: &Scored) -> f64 {
        f64::from(((scored.score - self.most) * self.scale).exp())
    }
}

/// Keeps the `top_k` most probable tokens and of them the fewest that have a mass of `top_p` after the temperature.
fn truncate(kept: &mut Vec<Scored>, config: &SampleConfig) {
    if let Some(count) = config.top_k.filter(|count| *count < kept.len()) {
        kept.select_nth_unstable_by(count - 1, |a, b| b.cmp(a));
        kept.truncate(count);
    }
    if let Some(mass) = config.top_p.filter(|mass| *mass < 1.0) {
        let weights = Weights::new(kept, config.temperature);
        let count = nucleus(kept, mass, |scored| weights.of(scored));
        kept.truncate(count);
    }
}

/// Moves the best tokens to the front and returns how many of them have the share `mass` of all weights. Only the part
/// in which that happens is sorted.
fn nucleus(kept: &mut [Scored], mass: f64, weight: impl Fn(&Scored) -> f64) -> usize {
    let mut missing = mass * kept.iter().map(&weight).sum::<f64>();
    let (mut count, mut size) = (0, 32);
    while count < kept.len() {
        let rest = &mut kept[count..];
        let size_now = rest.len().min(size);
        if size_now < rest.len() {
            rest.select_nth_unstable_by(size_now - 1, |a, b| b.cmp(a));
        }
        let part = &mut rest[..size_now];
        let sum: f64 = part.iter().map(&weight).sum();
        if sum >= missing {
            part.sort_unstable_by(|a, b| b.cmp(a));
            let within = part.iter().scan(0.0, |sum, scored| {
                *sum += weight(scored);
                Some(*sum)
            });
            return count + 1 + within.take_while(|sum| *sum < missing).count().min(size_now - 1);
        }
        missing -= sum;
        count += size_now;
        size *= 2;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scored(scores: &[f32]) -> Vec<Scored> {
        (0..)
            .zip(scores)
            .map(|(token, &score)| Scored { score, token })
            .collect()
    }

    /// The tokens that are kept, the best first.
    fn check(scores: &[f32], config: &SampleConfig, expected: &[u32]) {
        let mut kept = scored(scores);
        truncate(&mut kept, config);
        kept.sort_by(|a, b| b.cmp(a));
        let tokens: Vec<u32> = kept.iter().map(|scored| scored.token).collect();
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
    }

    proptest! {
        #[test]
        fn the_nucleus_is_the_smallest_set_with_its_mass(
            scores in prop::collection::vec(-9f32..9.0, 1..200),
            mass in 0.01f64..0.999,
        ) {
            let mut kept = scored(&scores);
            let weight = |scored: &Scored| f64::from(scored.score.exp());
            let total: f64 = kept.iter().map(weight).sum();
            let count = nucleus(&mut kept, mass, weight);
            let (front, rest) = kept.split_at_mut(count);
            front.sort_by(|a, b| b.cmp(a));
            let least = front[count - 1];
            prop_assert!(rest.iter().all(|other| *other < least));
            let sum = |part: &[Scored]| part.iter().map(weight).sum::<f64>() / total;
            prop_assert!(sum(front) >= mass - 1e-9, "{} of {mass}", sum(front));
            prop_assert!(sum(&front[..count - 1]) < mass + 1e-9, "{mass} without the last");
        }
    }
}
