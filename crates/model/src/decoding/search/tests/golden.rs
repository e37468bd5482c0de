//! What Hugging Face's generation does; see `reference/decoding/make.py`.

use super::super::hypothesis::Lane;
use super::super::processors::Scores;
use super::super::sample::{truncate, weigh};
use super::super::{Context, DecodingConfig, SampleConfig, Search, Stepper, Symbols};
use super::{beam, row};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    logits: Vec<f32>,
    tokens: Vec<u32>,
    repetition_penalty: f64,
    no_repeat_ngram: usize,
    min_length: usize,
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    banned: Vec<u32>,
    scores: Vec<(u32, f32)>,
    drawn: Vec<(u32, f64)>,
}

fn check(case: &Case) {
    let config = DecodingConfig {
        repetition_penalty: case.repetition_penalty,
        no_repeat_ngram: case.no_repeat_ngram,
        min_length: case.min_length,
        ..DecodingConfig::default()
    };
    let symbols = Symbols {
        vocabulary: case.logits.len(),
        end: 0,
        forbidden: Vec::new(),
    };
    let mut lane = Lane::new(0);
    lane.tokens.clone_from(&case.tokens);
    let mut scores = Scores::default();
    let context = Context {
        config: &config,
        symbols: &symbols,
        constraint: None,
        rules: None,
    };
    assert!(scores.fill(&case.logits, &lane, &context));
    let values = &scores.values;
    assert!(
        case.banned
            .iter()
            .all(|&token| values[token as usize] == f32::NEG_INFINITY)
    );
    for (token, score) in &case.scores {
        assert!((values[*token as usize] - score).abs() < 2e-6, "token {token}");
    }
    let config = SampleConfig {
        temperature: case.temperature,
        top_k: case.top_k,
        top_p: case.top_p,
        samples: 1,
    };
    let mut kept = Vec::new();
    weigh(values, config.temperature, &mut kept);
    truncate(&mut kept, &config);
    kept.sort_by_key(|(scored, _)| scored.token);
    assert_eq!(kept.len(), case.drawn.len());
    let total: f32 = kept.iter().map(|(_, weight)| weight).sum();
    for ((scored, weight), (token, share)) in kept.iter().zip(&case.drawn) {
        assert_eq!(scored.token, *token);
        assert!((f64::from(weight / total) - share).abs() < 1e-6, "token {token}");
    }
}

#[test]
fn logits_are_processed_as_by_hugging_face() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../reference/decoding/processors.json"
    ));
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 40);
    cases.iter().for_each(check);
}

/// A model whose logits depend on the last token, and what a search in it finds.
#[derive(Deserialize)]
struct Table {
    width: usize,
    min_length: usize,
    no_repeat_ngram: usize,
    logits: Vec<Vec<f32>>,
    answers: Vec<Vec<u32>>,
    /// Of a beam's answers.
    scores: Vec<f64>,
}

/// The searches in which the greedy answer falls out of the beam, and is kept here but not there.
const GREEDY_KEPT: [usize; 3] = [0, 18, 29];

impl Table {
    fn logits_after(&self, tokens: &[u32]) -> Vec<f32> {
        let rows = tokens.iter().map(|token| &self.logits[*token as usize]);
        rows.flatten().copied().collect()
    }
}

impl Stepper for &Table {
    fn start(&mut self, prompts: &[&[u32]]) -> Vec<f32> {
        self.logits_after(prompts[0])
    }

    fn step(&mut self, _parents: &[usize], tokens: &[u32]) -> Vec<f32> {
        self.logits_after(tokens)
    }
}

fn check_search(index: usize, mut table: &Table) {
    let config = DecodingConfig {
        method: beam(table.width, 0.0, table.width),
        min_length: table.min_length,
        max_length: 7,
        repetition_penalty: 1.0,
        no_repeat_ngram: table.no_repeat_ngram,
        constraint: None,
    };
    let symbols = Symbols {
        vocabulary: table.logits.len(),
        end: 0,
        forbidden: vec![1],
    };
    let search = Search::new(&config, &symbols, vec![row(&[1], None)]).unwrap();
    let found = search.run(&mut table).remove(0).unwrap();
    assert_eq!(found.len(), table.answers.len());
    let same = found.iter().map(|hypothesis| &hypothesis.tokens).eq(&table.answers);
    assert_eq!(same, !GREEDY_KEPT.contains(&index), "search {index}: {found:?}");
    for (hypothesis, score) in found.iter().zip(&table.scores) {
        let more = hypothesis.score - score;
        assert!(more > -1e-4 && (!same || more < 1e-4), "search {index}: {more} more");
    }
}

#[test]
fn beams_find_what_those_of_hugging_face_find() {
    let text = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../reference/decoding/searches.json"
    ));
    let cases: Vec<Table> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 30);
    cases
        .iter()
        .enumerate()
        .for_each(|(index, table)| check_search(index, table));
}
