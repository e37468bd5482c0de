//! Models against KenLM's files and scores, and what holds for any texts.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

fn golden(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../reference/ngram");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn train(config: &NgramConfig, text: &str) -> NgramModel {
    NgramModel::train(config, text.lines()).unwrap()
}

fn words(order: usize) -> NgramConfig {
    NgramConfig {
        order,
        ..NgramConfig::default()
    }
}

/// The (log probability, weight) of each n-gram of an ARPA file.
fn entries(arpa: &str) -> BTreeMap<&str, (f64, f64)> {
    let mut entries = BTreeMap::new();
    for line in arpa.lines() {
        let mut fields = line.split('\t');
        if let (Some(Ok(log10)), Some(ngram)) = (fields.next().map(str::parse), fields.next()) {
            entries.insert(
                ngram,
                (log10, fields.next().map_or(0.0, |weight| weight.parse().unwrap())),
            );
        }
    }
    entries
}

fn check(name: &str, texts: &str, config: &NgramConfig) {
    let file = golden(&format!("{name}.arpa"));
    let (expected, ours) = (entries(&file), train(config, &golden(texts)).to_arpa());
    let ours = String::from_utf8(ours).unwrap();
    let found = entries(&ours);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>(),
        "{name}"
    );
    for (ngram, (log10, weight)) in expected {
        let (found_log10, found_weight) = found[ngram];
        let near = (found_log10 - log10).abs() < 2e-6 * (1.0 - log10) && (found_weight - weight).abs() < 5e-6;
        assert!(near, "{name}, {ngram}: {:?} is not {:?}", found[ngram], (log10, weight));
    }
}

#[test]
fn training_gives_what_lmplz_writes() {
    check("trigram", "corpus.txt", &words(3));
    check("unigram", "corpus.txt", &words(1));
    check("fallback", "few.txt", &words(5));
    let vocabulary = Some(40);
    check("limited", "corpus.txt", &NgramConfig { vocabulary, ..words(3) });
    let prune = vec![0, 0, 1, 2];
    check("pruned", "corpus.txt", &NgramConfig { prune, ..words(4) });
}

#[test]
fn scores_are_those_of_kenlm() {
    let golden_scores: BTreeMap<String, Vec<(String, f64)>> = serde_json::from_str(&golden("scores.json")).unwrap();
    for (name, scores) in golden_scores {
        let model = NgramModel::read_arpa(golden(&format!("{name}.arpa")).as_bytes(), Unit::Word).unwrap();
        for (text, expected) in scores {
            let found = model.evaluate([&text[..]]).log_probability / std::f64::consts::LN_10;
            assert!(
                (found - expected).abs() < 1e-5,
                "{name}, {text}: {found} is not {expected}"
            );
        }
    }
}

/// The sum of all tokens' probabilities in a state.
fn mass(model: &NgramModel, state: State) -> f64 {
    let tokens = (0..model.vocabulary().tokens().len() as u32).filter(|&token| token != BEGIN);
    tokens.map(|token| f64::from(model.score(state, token).0).exp()).sum()
}

fn configs() -> impl Strategy<Value = NgramConfig> {
    let unit = prop_oneof![Just(Unit::Word), Just(Unit::Character)];
    let vocabulary = prop::option::of(1..6usize);
    (unit, 1..=6usize, vocabulary, prop::collection::vec(0..3u64, 0..2)).prop_map(|(unit, order, vocabulary, prune)| {
        NgramConfig {
            unit,
            order,
            vocabulary,
            prune,
        }
    })
}

proptest! {
    #[test]
    fn probabilities_sum_to_one_and_files_keep_the_model(
        config in configs(),
        texts in prop::collection::vec("[ab c]{0,12}", 1..20),
        history in "[abcd ]{0,8}",
    ) {
        let Ok(model) = NgramModel::train(&config, texts.iter().map(String::as_str)) else {
            return Ok(());
        };
        let mut state = model.begin();
        for token in model.vocabulary().encode(&history) {
            prop_assert!((mass(&model, state) - 1.0).abs() < 1e-5);
            state = model.score(state, token).1;
        }
        prop_assert!((mass(&model, state) - 1.0).abs() < 1e-5);
        prop_assert!((mass(&model, model.empty()) - 1.0).abs() < 1e-5);
        let read = NgramModel::read_arpa(&model.to_arpa(), config.unit).unwrap();
        prop_assert_eq!(read, model);
    }
}

/// Kneser–Ney of an unpruned bigram model by its definition.
fn by_definition(text: &str, context: &str, word: &str) -> f64 {
    let mut bigrams: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for line in text.lines() {
        let line: Vec<&str> = ["<s>"].into_iter().chain(line.split(' ')).chain(["</s>"]).collect();
        line.windows(2)
            .for_each(|pair| *bigrams.entry((pair[0], pair[1])).or_default() += 1.0);
    }
    let discount = |count: f64, [d1, d2, d3]: [f64; 3]| match count {
        0.0 => 0.0,
        1.0 => d1,
        2.0 => d2,
        _ => d3,
    };
    let discounts = |counts: &[f64]| {
        let n = [1.0, 2.0, 3.0, 4.0].map(|n| counts.iter().filter(|&&count| count == n).count() as f64);
        let y = n[0] / (n[0] + 2.0 * n[1]);
        [1, 2, 3].map(|j| j as f64 - (j + 1) as f64 * y * n[j] / n[j - 1])
    };
    let share = |counts: &[f64], found: f64, shorter: f64, d: [f64; 3]| {
        let (total, taken) = (
            counts.iter().sum::<f64>(),
            counts.iter().map(|&count| discount(count, d)).sum::<f64>(),
        );
        (found - discount(found, d)) / total + taken / total * shorter
    };
    let mut before: BTreeMap<&str, f64> = BTreeMap::new();
    bigrams
        .keys()
        .for_each(|&(_, word)| *before.entry(word).or_default() += 1.0);
    let unigrams: Vec<f64> = before.values().copied().collect();
    let even = 1.0 / (unigrams.len() + 1) as f64;
    let found = before.get(word).copied().unwrap_or(0.0);
    // The corpus is too small for the discounts of its unigrams, as `lmplz` says too.
    let unigram = share(&unigrams, found, even, [0.5, 1.0, 1.5]);
    let all: Vec<f64> = bigrams.values().copied().collect();
    let after = bigrams.iter().filter(|((first, _), _)| *first == context);
    let after: Vec<f64> = after.map(|(_, &count)| count).collect();
    share(
        &after,
        bigrams.get(&(context, word)).copied().unwrap_or(0.0),
        unigram,
        discounts(&all),
    )
}

#[test]
fn backing_off_is_the_interpolated_definition() {
    let text = golden("corpus.txt");
    let model = train(&words(2), &text);
    let vocabulary = model.vocabulary();
    for context in ["<s>", "the", "dog", "sees"] {
        let state = model.score(model.empty(), vocabulary.identifier(context)).1;
        for (token, word) in vocabulary.tokens().iter().enumerate().filter(|(token, _)| *token != 1) {
            let (found, expected) = (
                f64::from(model.score(state, token as u32).0).exp(),
                by_definition(&text, context, word),
            );
            assert!(
                (found / expected - 1.0).abs() < 1e-5,
                "{context} {word}: {found} is not {expected}"
            );
        }
    }
}

#[test]
fn more_context_predicts_better() {
    let text = golden("corpus.txt");
    let lines: Vec<&str> = text.lines().collect();
    let (held_out, training) = lines.split_at(30);
    let measure = |order| {
        let config = NgramConfig {
            unit: Unit::Character,
            ..words(order)
        };
        let model = NgramModel::train(&config, training.iter().copied()).unwrap();
        model.evaluate(held_out.iter().copied())
    };
    let (short, long) = (measure(2), measure(5));
    assert!(long.perplexity() < 0.5 * short.perplexity(), "{long:?} {short:?}");
    assert!(long.bits_per_byte() < 1.5, "{}", long.bits_per_byte());
    assert_eq!((long.characters, long.unknown), (long.bytes, 0));
    assert_eq!(long.bits_per_character(), long.bits_per_byte());
}

#[test]
fn rare_words_share_the_mass_of_what_is_dropped() {
    let config = NgramConfig {
        vocabulary: Some(2),
        ..words(2)
    };
    let model = NgramModel::train(&config, ["a b a b", "a b c", "c d"]).unwrap();
    assert_eq!(model.vocabulary().tokens()[3..], ["a", "b"]);
    assert!((mass(&model, model.begin()) - 1.0).abs() < 1e-6);
    assert_eq!(model.evaluate(["c d"]).unknown, 2);
}
