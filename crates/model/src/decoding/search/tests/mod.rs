//! Whole searches on small models.

mod golden;
mod toy;

use super::hypothesis::normalized;
use super::*;
use proptest::prelude::*;
use toy::{BEGIN, END, Toy};

const PROMPT: &[u32] = &[BEGIN, 2];

fn row<'a>(prompt: &'a [u32], constraint: Option<&'a Constraint>) -> Row<'a> {
    let key = prompt.iter().fold(Key::new(7), |key, &token| key.at(token.into()));
    Row {
        prompt,
        key,
        constraint,
        rules: None,
    }
}

fn search(model: &mut Toy, config: &DecodingConfig, constraint: Option<&Constraint>) -> Vec<Hypothesis> {
    let search = Search::new(config, &model.symbols(), vec![row(PROMPT, constraint)]).unwrap();
    search.run(model).pop().unwrap().unwrap()
}

fn beam(width: usize, length_penalty: f64, best: usize) -> MethodConfig {
    MethodConfig::Beam(BeamConfig {
        width,
        length_penalty,
        best,
        ..BeamConfig::default()
    })
}

fn groups(width: usize, groups: usize, diversity: f64) -> MethodConfig {
    MethodConfig::Beam(BeamConfig {
        width,
        groups,
        diversity,
        best: width,
        ..BeamConfig::default()
    })
}

fn sample(samples: usize, top_k: Option<usize>, top_p: Option<f64>) -> MethodConfig {
    MethodConfig::Sample(SampleConfig {
        temperature: 1.3,
        top_k,
        top_p,
        samples,
    })
}

fn methods() -> Vec<MethodConfig> {
    vec![
        MethodConfig::Greedy,
        beam(1, 1.0, 1),
        beam(3, 0.0, 3),
        beam(4, 0.6, 2),
        groups(4, 2, 1.0),
        sample(1, None, None),
        sample(3, Some(3), None),
        sample(2, None, Some(0.8)),
    ]
}

fn config(method: MethodConfig, max_length: usize) -> DecodingConfig {
    DecodingConfig {
        method,
        max_length,
        ..DecodingConfig::default()
    }
}

fn repeats(tokens: &[u32], length: usize) -> bool {
    let mut runs: Vec<&[u32]> = tokens.windows(length).collect();
    runs.sort();
    runs.windows(2).any(|pair| pair[0] == pair[1])
}

/// A beam that holds every prefix finds what a search through all answers finds.
fn check_full(seed: u64, haste: f32, alpha: f64, config: &DecodingConfig, constraint: Option<&Constraint>) {
    let mut model = Toy {
        haste,
        ..Toy::new(seed, 5)
    };
    let keep = |tokens: &[u32]| {
        let runs = config.no_repeat_ngram;
        constraint.is_none_or(|constraint| constraint.accepts(tokens)) && (runs == 0 || !repeats(tokens, runs))
    };
    let expected = model.exhaust(PROMPT, config.max_length, alpha, keep);
    for best in [1, 2, 20] {
        let config = DecodingConfig {
            method: beam(100, alpha, best),
            ..config.clone()
        };
        let found = search(&mut model, &config, constraint);
        assert_eq!(found.len(), best.min(expected.len()));
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(
                (&found.tokens, found.ending),
                (&expected.tokens, expected.ending),
                "seed {seed}"
            );
            assert!((found.score - expected.score).abs() < 1e-9, "seed {seed}");
            assert!(
                (found.log_probability - expected.log_probability).abs() < 1e-9,
                "seed {seed}"
            );
            assert_eq!(found.log_probabilities, expected.log_probabilities);
        }
    }
}

#[test]
fn a_beam_of_full_width_is_exhaustive() {
    for seed in 0..20 {
        for (alpha, haste) in [(0.0, 0.0), (0.6, 1.0), (1.0, -1.0), (3.0, 0.0)] {
            let plain = config(MethodConfig::Greedy, 4);
            check_full(seed, haste, alpha, &plain, None);
            let runs = DecodingConfig {
                no_repeat_ngram: 2,
                ..plain.clone()
            };
            check_full(seed, haste, alpha, &runs, None);
            let list = Constraint::list(&[vec![2], vec![3, 4], vec![3, 4, 2, 2], vec![3, 4, 2, 3, 3]]).unwrap();
            check_full(seed, haste, alpha, &plain, Some(&list));
            let grammar = Constraint::grammar("(ab)*c?", &["", "", "a", "b", "c"]).unwrap();
            check_full(seed, haste, alpha, &plain, Some(&grammar));
        }
    }
}

/// No token follows a greater one.
#[derive(Debug)]
struct Rising;

impl Rules for Rising {
    fn apply(&self, tokens: &[u32], logits: &mut [f32]) {
        let least = tokens.last().map_or(0, |&token| token as usize);
        logits[BEGIN as usize..least.max(1)].fill(f32::NEG_INFINITY);
    }
}

#[test]
fn what_rules_leave_is_the_distribution() {
    for (seed, method) in (0..20).zip(methods().into_iter().cycle()) {
        let mut model = Toy::new(seed, 6);
        let row = Row {
            rules: Some(&Rising),
            ..row(PROMPT, None)
        };
        let search = Search::new(&config(method, 5), &model.symbols(), vec![row]).unwrap();
        for found in search.run(&mut model).pop().unwrap().unwrap() {
            assert!(found.tokens.is_sorted(), "{:?}", found.tokens);
            for (place, &token) in found.tokens.iter().enumerate() {
                let mut left = model.logits(&[PROMPT, &found.tokens[..place]].concat());
                left[BEGIN as usize] = f32::NEG_INFINITY;
                Rising.apply(&found.tokens[..place], &mut left);
                let expected = left[token as usize] - sensorium_kernels::log_sum_exp(&left);
                assert!((found.log_probabilities[place] - expected).abs() < 1e-5, "seed {seed}");
            }
        }
    }
}

#[test]
fn a_patient_beam_stops_when_it_has_found_enough() {
    let steps = |patience| {
        let mut model = Toy::new(3, 6);
        let method = MethodConfig::Beam(BeamConfig {
            patience,
            length_penalty: 1.0,
            best: 4,
            ..BeamConfig::default()
        });
        let found = search(&mut model, &config(method, 40), None);
        assert_eq!(found.len(), 4);
        model.calls.len()
    };
    assert!(steps(Some(1.0)) < steps(Some(3.0)));
    assert!(steps(Some(3.0)) < steps(None));
}

/// That a beam is no worse than greedy search holds because the greedy answer is kept beside it; a beam alone gives no
/// such promise.
fn check_not_below_greedy(seed: u64, width: usize, alpha: f64, penalty: f64) {
    let mut model = Toy {
        haste: -0.5,
        ..Toy::new(seed, 8)
    };
    let config = |method| DecodingConfig {
        repetition_penalty: penalty,
        ..config(method, 12)
    };
    let greedy = search(&mut model, &config(MethodConfig::Greedy), None).remove(0);
    let found = search(&mut model, &config(beam(width, alpha, 1)), None).remove(0);
    let least = normalized(greedy.score, greedy.log_probabilities.len(), alpha);
    assert!(
        found.score >= least - 1e-9,
        "seed {seed}, width {width}: {} is below {least}",
        found.score
    );
}

#[test]
fn a_beam_is_never_below_greedy() {
    for seed in 0..300 {
        for width in [1, 2, 3, 5] {
            check_not_below_greedy(seed, width, 0.0, 1.0);
            check_not_below_greedy(seed, width, 0.6, 1.0);
            check_not_below_greedy(seed, width, 0.0, 1.3);
        }
    }
}

/// Rows in a batch have the answers that each has alone.
fn check_batch(method: MethodConfig) {
    let config = DecodingConfig {
        no_repeat_ngram: 3,
        repetition_penalty: 1.1,
        min_length: 1,
        ..config(method, 9)
    };
    let list = Constraint::list(&[vec![2, 3], vec![4, 4, 4, 4, 4], vec![5]]).unwrap();
    let prompts: [&[u32]; 5] = [&[BEGIN], &[BEGIN, 5], &[BEGIN, 5, 2], &[BEGIN, 3], &[BEGIN, 4]];
    let rows = prompts.map(|prompt| row(prompt, (prompt.len() == 3).then_some(&list)));
    let mut model = Toy::new(3, 7);
    let all = |model: &mut Toy, rows: Vec<Row>| {
        let results = Search::new(&config, &model.symbols(), rows).unwrap().run(model);
        results.into_iter().map(Result::unwrap).collect::<Vec<_>>()
    };
    let together = all(&mut model, rows.to_vec());
    let alone: Vec<_> = rows.iter().flat_map(|row| all(&mut model, vec![row.clone()])).collect();
    assert_eq!(together, alone, "{:?}", config.method);
    let mut reversed = all(&mut model, rows.iter().rev().cloned().collect());
    reversed.reverse();
    assert_eq!(together, reversed, "{:?}", config.method);
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    methods().into_iter().for_each(check_batch);
}

/// What holds for every answer, by whatever method.
fn check_answers(seed: u64, config: &DecodingConfig, constraint: Option<&Constraint>) {
    let mut model = Toy::new(seed, 6);
    let found = search(&mut model, config, constraint);
    assert!(!found.is_empty() && found.is_sorted_by(|a, b| a.score >= b.score));
    for hypothesis in &found {
        let Hypothesis {
            tokens,
            log_probabilities,
            ..
        } = hypothesis;
        assert!(!tokens.contains(&END) && !tokens.contains(&BEGIN), "{tokens:?}");
        assert!(tokens.len() <= config.max_length);
        let end: &[u32] = match hypothesis.ending {
            Ending::End => &[END],
            Ending::Limit => &[],
        };
        assert_eq!(hypothesis.ending == Ending::Limit, tokens.len() == config.max_length);
        let expected = model.log_probabilities(PROMPT, &[tokens, end].concat());
        assert!((hypothesis.log_probability - expected.iter().sum::<f64>()).abs() < 1e-9);
        let expected: Vec<f32> = expected.iter().map(|p| *p as f32).collect();
        assert_eq!(log_probabilities, &expected);
        match constraint {
            Some(constraint) => assert!(constraint.accepts(tokens), "{tokens:?}"),
            None => assert!(tokens.len() >= config.min_length, "{tokens:?}"),
        }
        let repeats = config.no_repeat_ngram > 0 && repeats(tokens, config.no_repeat_ngram);
        assert!(!repeats || constraint.is_some(), "{tokens:?}");
    }
    assert_eq!(found, search(&mut model, config, constraint), "the same again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn limits_hold(
        seed in 0u64..1000,
        method in prop::sample::select(methods()),
        min_length in 0usize..4,
        more in 1usize..7,
        no_repeat_ngram in prop::sample::select(vec![0usize, 2, 3]),
        repetition_penalty in 1f64..2.0,
    ) {
        let max_length = min_length + more;
        let config = DecodingConfig { method, min_length, max_length, repetition_penalty, no_repeat_ngram, constraint: None };
        check_answers(seed, &config, None);
    }

    #[test]
    fn nothing_is_outside_a_list(
        seed in 0u64..1000,
        method in prop::sample::select(methods()),
        answers in prop::collection::vec(prop::collection::vec(2u32..6, 0..6), 1..6),
        min_length in 0usize..3,
        no_repeat_ngram in 0usize..3,
    ) {
        let constraint = Constraint::list(&answers).unwrap();
        let max_length = constraint.shortest().max(3);
        let config = DecodingConfig { min_length, no_repeat_ngram, ..config(method, max_length) };
        check_answers(seed, &config, Some(&constraint));
    }

    #[test]
    fn nothing_is_outside_a_grammar(
        seed in 0u64..1000,
        method in prop::sample::select(methods()),
        pattern in prop::sample::select(vec!["(ab)+", "a{2,9}b?|bcb", "(a|bcb)*", "[^c]{3}", "(abc){1,2}|cc"]),
        max_length in 3usize..8,
        min_length in 0usize..3,
    ) {
        let constraint = Constraint::grammar(pattern, &["", "", "a", "b", "c", "ab"]).unwrap();
        check_answers(seed, &DecodingConfig { min_length, ..config(method, max_length) }, Some(&constraint));
    }
}

#[test]
fn draws_follow_the_distribution() {
    let mut model = Toy::new(5, 6);
    let config = config(sample(1024, None, None), 1);
    let found = search(&mut model, &config, None);
    let mut weights = model
        .logits(PROMPT)
        .iter()
        .map(|logit| (logit / 1.3).exp())
        .collect::<Vec<f32>>();
    weights[BEGIN as usize] = 0.0;
    for token in 0..6 {
        let drawn = |hypothesis: &&Hypothesis| hypothesis.tokens.first().copied().unwrap_or(END) == token;
        let share = found.iter().filter(drawn).count() as f32 / 1024.0;
        let expected = weights[token as usize] / weights.iter().sum::<f32>();
        assert!(
            (share - expected).abs() < 0.05,
            "token {token}: {share} is not {expected}"
        );
    }
}

/// The number of sequences of each call, the first with the prompts.
fn check_calls(haste: f32, method: MethodConfig, expected: &[usize]) {
    let mut model = Toy {
        haste,
        ..Toy::new(1, 6)
    };
    search(&mut model, &config(method, 6), None);
    assert_eq!(model.calls, expected);
}

#[test]
fn a_search_ends_when_nothing_can_become_better() {
    check_calls(20.0, MethodConfig::Greedy, &[1]);
    check_calls(20.0, beam(4, 1.0, 1), &[1]);
    check_calls(-20.0, MethodConfig::Greedy, &[1; 6]);
    check_calls(-20.0, beam(3, 0.0, 1), &[1, 3, 3, 3, 3, 3]);
    check_calls(-20.0, groups(4, 2, 1.0), &[1, 4, 4, 4, 4, 4]);
    check_calls(-20.0, sample(2, None, None), &[1, 2, 2, 2, 2, 2]);
}

#[test]
fn groups_avoid_each_other() {
    let model = &mut Toy {
        haste: -20.0,
        ..Toy::new(2, 8)
    };
    let found = search(model, &config(groups(3, 3, 50.0), 3), None);
    let mut firsts: Vec<u32> = found.iter().map(|hypothesis| hypothesis.tokens[0]).collect();
    firsts.sort();
    firsts.dedup();
    assert_eq!(firsts.len(), 3, "{found:?}");
    let alone = search(model, &config(beam(1, 0.6, 1), 3), None);
    assert!(
        found.contains(&alone[0]),
        "the first group searches as if it were alone"
    );
}

/// A model that is no distribution in the row with the last prompt.
struct Broken(Toy);

impl Stepper for Broken {
    fn start(&mut self, prompts: &[&[u32]]) -> Vec<f32> {
        let mut logits = self.0.start(prompts);
        *logits.last_mut().unwrap() = f32::NAN;
        logits
    }

    fn step(&mut self, parents: &[usize], tokens: &[u32]) -> Vec<f32> {
        self.0.step(parents, tokens)
    }
}

#[test]
fn a_broken_row_fails_alone() {
    for method in methods() {
        let model = Toy::new(4, 6);
        let rows = vec![row(PROMPT, None), row(&[BEGIN], None)];
        let search = Search::new(&config(method, 4), &model.symbols(), rows).unwrap();
        let results = search.run(&mut Broken(model));
        assert!(results[0].is_ok());
        let error = results[1].as_ref().unwrap_err().to_string();
        assert!(error.starts_with("row 1: ") && error.contains("NaN"), "{error}");
    }
}

#[test]
fn a_search_can_be_followed_and_given_up() {
    for method in [MethodConfig::Greedy, sample(1, None, None)] {
        let mut model = Toy {
            haste: -20.0,
            ..Toy::new(6, 6)
        };
        let rows = vec![row(PROMPT, None), row(&[BEGIN], None)];
        let mut search = Search::new(&config(method, 5), &model.symbols(), rows).unwrap();
        let mut logits = model.start(&[PROMPT, &[BEGIN]]);
        let mut seen = Vec::new();
        while let Some(Step { parents, tokens }) = search.advance(&logits) {
            logits = model.step(parents, tokens);
            assert!(search.leading(0).starts_with(&seen));
            seen = search.leading(0).to_vec();
            search.stop(1);
        }
        assert_eq!(model.calls, [2, 2, 1, 1, 1]);
        let leading = search.leading(0).to_vec();
        let mut results = search.finish();
        assert!(results.remove(1).unwrap().is_empty());
        assert_eq!(results.remove(0).unwrap()[0].tokens, leading);
    }
}

/// `answers` are refused for the second row, in words with `word`.
fn check_refused(answers: &[Vec<u32>], word: &str) {
    let list = Constraint::list(answers).unwrap();
    let rows = vec![row(PROMPT, None), row(PROMPT, Some(&list))];
    let symbols = Toy::new(0, 6).symbols();
    let error = Search::new(&config(MethodConfig::Greedy, 2), &symbols, rows)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("row 1") && error.contains(word), "{error}");
}

#[test]
fn a_constraint_that_cannot_be_kept_is_refused() {
    check_refused(&[vec![2], vec![6]], "found 6");
    check_refused(&[vec![2, END]], "found 0");
    check_refused(&[vec![BEGIN]], "found 1");
    check_refused(&[vec![2, 2, 2]], "found 3 in the shortest");
}
