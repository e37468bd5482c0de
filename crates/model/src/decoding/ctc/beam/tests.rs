//! The search against trying all paths, greedy decoding, and itself without a language model.

use super::super::testing::{Random, sums};
use super::super::{NgramScorer, Score, Unscored};
use super::*;
use crate::decoding::ngram::{NgramConfig, NgramModel, Unit};
use std::sync::Arc;

fn wide() -> BeamConfig {
    BeamConfig {
        width: 500,
        hypotheses: 500,
        minimum_probability: 0.0,
        ..BeamConfig::default()
    }
}

fn search<S: Scorer>(config: &BeamConfig, scorer: &S, frames: &Frames) -> Vec<Hypothesis> {
    BeamSearch::new(config.clone(), scorer).unwrap().search(frames).unwrap()
}

fn tokens(hypothesis: &Hypothesis) -> Vec<u32> {
    hypothesis.tokens.iter().map(|token| token.token).collect()
}

/// A model of texts over the classes blank, a, b and the space.
fn scorer(unit: Unit) -> NgramScorer {
    let config = NgramConfig {
        unit,
        ..NgramConfig::default()
    };
    let model = NgramModel::train(&config, ["ab a b", "a ab", "b ab ab", "ba", "a a b a"]).unwrap();
    NgramScorer::new(Arc::new(model), ["", "a", "b", " "])
}

/// What a full search scores must be what each reading of the frames scores by definition.
fn check<S: Scorer>(config: &BeamConfig, scorer: &S, random: &Random) {
    let frames = random.frames();
    let mut expected = sums(&frames);
    let mut previous = f64::INFINITY;
    for found in search(config, scorer, &frames) {
        let tokens = tokens(&found);
        let sum = expected.remove(&tokens).unwrap();
        let (mut state, mut language_model, mut insertions) = (scorer.begin(), 0.0, 0);
        let mut take = |score: Score| {
            language_model += f64::from(score.log_probability);
            insertions += score.insertions;
        };
        for &token in &tokens {
            let (score, next) = scorer.extend(state, token);
            take(score);
            state = next;
        }
        take(scorer.end(state));
        let score = sum + config.weigh(language_model, insertions);
        assert!((found.log_probability - sum).abs() < 1e-9, "{tokens:?}");
        assert!((found.language_model - language_model).abs() < 1e-9 && found.insertions == insertions);
        assert!((found.score - score).abs() < 1e-9 && found.score <= previous);
        previous = found.score;
    }
    assert!(expected.is_empty(), "{expected:?}");
}

#[test]
fn a_full_search_is_exhaustive() {
    for seed in 0..12 {
        let length = (seed % 5) as usize;
        let random = |classes: usize| Random::new(seed, length, classes, (seed as usize) % classes);
        check(&wide(), &Unscored, &random(3));
        check(&wide(), &Unscored, &random(4));
        let config = BeamConfig {
            language_model_weight: Some(0.7),
            insertion_bonus: Some(0.4),
            ..wide()
        };
        check(&config, &Unscored, &random(3));
        let random = Random::new(seed, length, 4, 0);
        check(&config, &scorer(Unit::Character), &random);
        check(&config, &scorer(Unit::Word), &random);
    }
}

/// Wide searches find more than greedy decoding, and none finds less.
fn compare<S: Scorer>(scorer: &S, classes: usize) {
    let (mut better, seeds) = (0, 60);
    for seed in 0..seeds {
        let random = Random::new(seed, 40, classes, 0);
        let frames = random.frames();
        let path: Vec<u32> = greedy(&frames).tokens.iter().map(|token| token.token).collect();
        let width = 1 << (seed % 6);
        let config = BeamConfig {
            width,
            ..BeamConfig::default()
        };
        let found = &search(&config, scorer, &frames)[0];
        let mut least = log_probability(&frames, &path).unwrap();
        let mut state = scorer.begin();
        for token in path {
            let (score, next) = scorer.extend(state, token);
            least += config.weigh(f64::from(score.log_probability), score.insertions);
            state = next;
        }
        let end = scorer.end(state);
        least += config.weigh(f64::from(end.log_probability), end.insertions);
        assert!(
            found.score >= least - 1e-9,
            "seed {seed}: {} is below {least}",
            found.score
        );
        let exact = log_probability(&frames, &tokens(found)).unwrap();
        assert_eq!(found.log_probability, exact);
        better += usize::from(found.score > least + 1e-9);
    }
    assert!(2 * better > seeds as usize, "{better} of {seeds}");
}

#[test]
fn a_search_finds_no_less_than_greedy_decoding() {
    compare(&Unscored, 8);
    compare(&scorer(Unit::Character), 4);
    compare(&scorer(Unit::Word), 4);
}

#[test]
fn a_model_without_weight_is_no_model() {
    for seed in 0..20 {
        let random = Random::new(seed, 30, 4, 0);
        let config = BeamConfig {
            width: 8,
            hypotheses: 8,
            language_model_weight: Some(0.0),
            ..BeamConfig::default()
        };
        let plain = search(&config, &Unscored, &random.frames());
        for unit in [Unit::Character, Unit::Word] {
            let scored = search(&config, &scorer(unit), &random.frames());
            let key = |hypothesis: &Hypothesis| (tokens(hypothesis), hypothesis.score);
            assert_eq!(
                scored.iter().map(key).collect::<Vec<_>>(),
                plain.iter().map(key).collect::<Vec<_>>()
            );
        }
    }
}

/// Allows a single text of tokens.
struct Only(&'static [u32]);

impl Scorer for Only {
    type State = usize;

    fn begin(&self) -> usize {
        0
    }

    fn extend(&self, at: usize, token: u32) -> (Score, usize) {
        let mut score = Score::default();
        if self.0.get(at) != Some(&token) {
            score.log_probability = f32::NEG_INFINITY;
        }
        (score, at + 1)
    }

    fn end(&self, at: usize) -> Score {
        let mut score = Score::default();
        if at != self.0.len() {
            score.log_probability = f32::NEG_INFINITY;
        }
        score
    }
}

#[test]
fn what_a_model_forbids_is_not_found() {
    let random = Random::new(1, 12, 4, 0);
    let found = search(&wide(), &Only(&[3, 1, 2]), &random.frames());
    assert_eq!(found.iter().map(tokens).collect::<Vec<_>>(), [[3, 1, 2]]);
    let short = Random::new(1, 2, 4, 0);
    assert_eq!(search(&wide(), &Only(&[3, 1, 2]), &short.frames()), []);
    let unweighted = BeamConfig {
        language_model_weight: Some(0.0),
        ..wide()
    };
    assert!(search(&unweighted, &Only(&[3, 1, 2]), &short.frames()).len() > 1);
}

#[test]
fn a_search_may_move_to_another_thread() {
    fn check(_: impl Send) {}
    let scorer = scorer(Unit::Word);
    check(BeamSearch::new(BeamConfig::default(), &scorer).unwrap());
}

#[test]
fn buffers_carry_nothing_over() {
    let scorer = scorer(Unit::Word);
    let mut search = BeamSearch::new(BeamConfig::default(), &scorer).unwrap();
    for (seed, length, classes) in [(1, 30, 4), (2, 0, 4), (3, 50, 4), (4, 7, 3), (1, 30, 4)] {
        let random = Random::new(seed, length, classes, 0);
        let alone = BeamSearch::new(BeamConfig::default(), &scorer)
            .unwrap()
            .search(&random.frames());
        assert_eq!(search.search(&random.frames()).unwrap(), alone.unwrap());
    }
}

#[test]
fn classes_of_little_probability_extend_nothing() {
    let values = [0.5f32, 0.3, 0.2].map(f32::ln);
    let frames = Frames::new(&values, 1, 3, 0).unwrap();
    let count = |classes, minimum_probability| {
        let config = BeamConfig {
            classes,
            minimum_probability,
            ..wide()
        };
        search(&config, &Unscored, &frames).len()
    };
    assert_eq!(count(None, 0.0), 3);
    assert_eq!(count(Some(1), 0.0), 2);
    assert_eq!(count(None, 0.25), 2);
    assert_eq!(count(None, 0.9), 2);
}

#[test]
fn frames_without_any_probability_have_no_hypothesis() {
    let values = [f32::NEG_INFINITY; 6];
    let frames = Frames::new(&values, 2, 3, 0).unwrap();
    assert_eq!(search(&wide(), &Unscored, &frames), []);
}
