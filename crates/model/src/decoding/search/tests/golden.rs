//! What Hugging Face's logits processors make of logits; see `reference/decoding/make.py`.

use super::super::hypothesis::Lane;
use super::super::processors::Scores;
use super::super::sample::{truncate, weigh};
use super::super::{DecodingConfig, SampleConfig, Symbols};
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
    assert!(scores.fill(&case.logits, &lane, &config, &symbols, None));
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
