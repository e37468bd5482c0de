//! What the Python originals give, from `reference/tokenizers/make.py`.

use super::super::{Segment, TextConfig, TextProcessor};
use super::*;
use crate::testing::{cases, mutate, mutations};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

const FILES: [&str; 5] = ["bert", "gpt2", "unigram", "llama", "words"];

fn path(name: &str) -> String {
    format!("{}/../../reference/tokenizers/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn document(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(path(name)).unwrap()).unwrap()
}

fn texts(list: &Json) -> Vec<String> {
    serde_json::from_value(list.clone()).unwrap()
}

fn processor(config: Json) -> TextProcessor {
    let config: TextConfig = serde_json::from_value(config).unwrap();
    config.validate().unwrap();
    TextProcessor::fit(&config, &[]).unwrap()
}

/// The identifiers of each text, the same as the original's.
fn check(processor: &TextProcessor, expected: &Json) {
    for (text, expected) in texts(&document("texts.json")).iter().zip(expected.as_array().unwrap()) {
        let mut expected: Vec<u32> = serde_json::from_value(expected.clone()).unwrap();
        if expected.is_empty() {
            let special = processor.special();
            expected.push(special.end.unwrap_or(special.padding));
        }
        assert_eq!(processor.plain(text).unwrap(), expected, "{text:?}");
    }
}

#[test]
fn public_vocabularies_give_the_tokens_that_hugging_face_gives() {
    let expected = document("expected.json");
    for name in FILES {
        let tokenizer = json!({"kind": "file", "path": path(&format!("{name}.json"))});
        let processor = processor(json!({"tokenizer": tokenizer, "max_length": 4096}));
        check(&processor, &expected[name]["ids"]);
        let ids: Vec<Vec<u32>> = serde_json::from_value(expected[name]["ids"].clone()).unwrap();
        let decoded: Vec<String> = ids.iter().map(|tokens| processor.decode(tokens)).collect();
        assert_eq!(decoded, texts(&expected[name]["decoded"]), "{name}");
    }
}

#[test]
fn rank_files_give_the_tokens_that_tiktoken_gives() {
    let expected = document("expected.json");
    for (pattern, ids) in expected["tiktoken"].as_object().unwrap() {
        let tokenizer = json!({"kind": "tiktoken", "path": path("ranks.tiktoken"), "pattern": pattern});
        let processor = processor(json!({"tokenizer": tokenizer, "max_length": 4096}));
        check(&processor, ids);
        for text in texts(&document("texts.json")) {
            let tokens = processor.vocabulary.encode(&text).unwrap();
            assert_eq!(processor.decode(&tokens), text);
        }
    }
}

#[test]
fn accents_go_as_in_berts_uncased_models() {
    let config = json!({"strip_accents": true, "lowercase": true, "normalization": "none", "strip_control": false,
        "collapse_whitespace": false});
    let config: TextConfig = serde_json::from_value(config).unwrap();
    let expected = texts(&document("expected.json")["without_accents"]);
    for (text, expected) in texts(&document("texts.json")).iter().zip(expected) {
        // The library lowers each letter by itself, where a sigma at the end of a word has another form.
        assert_eq!(super::super::clean::clean(text, &config).replace('ς', "σ"), expected);
    }
}

#[cfg(feature = "chinese")]
#[test]
fn chinese_words_are_those_of_jieba() {
    for row in document("chinese.json").as_array().unwrap() {
        for (segment, expected) in [(Segment::Chinese, &row[1]), (Segment::ChineseDictionary, &row[2])] {
            let config = TextConfig {
                segment: Some(segment),
                lowercase: Some(false),
                normalization: Some(super::super::Normalization::None),
                ..TextConfig::default()
            };
            assert_eq!(
                super::super::clean::clean(row[0].as_str().unwrap(), &config),
                expected.as_str().unwrap()
            );
        }
    }
}

/// The tokens of a vocabulary trained on the golden texts, in the order of their identifiers, with the golden ones.
fn trained(config: TokenizerConfig, name: &str) -> (Vec<Json>, Vec<Json>) {
    let golden = document("trained.json");
    let vocabulary = Vocabulary::fit(&config, texts(&golden["texts"])).unwrap();
    let model = &serde_json::from_str::<Json>(vocabulary.text()).unwrap()["model"]["vocab"];
    let own = match model {
        Json::Object(names) => {
            let mut names: Vec<(u64, &String)> = names.iter().map(|(name, id)| (id.as_u64().unwrap(), name)).collect();
            names.sort();
            names.into_iter().map(|(_, name)| json!(name)).collect()
        }
        list => list.as_array().unwrap().clone(),
    };
    (own, golden[name].as_array().unwrap().clone())
}

#[test]
fn trained_merges_are_those_of_the_python_trainer() {
    let (own, golden) = trained(TokenizerConfig::Bpe { vocabulary: 500 }, "bpe");
    assert_eq!(own, golden);
}

/// The Python trainer breaks ties between equally frequent pairs by chance.
#[test]
fn trained_pieces_of_words_are_nearly_those_of_the_python_trainer() {
    let (own, golden) = trained(TokenizerConfig::WordPiece { vocabulary: 220 }, "word_piece");
    assert_eq!(own.len(), golden.len());
    let names = |list: &[Json]| -> BTreeSet<String> { list.iter().map(|name| name.as_str().unwrap().into()).collect() };
    let common = names(&own).intersection(&names(&golden)).count();
    assert!(common * 100 >= golden.len() * 95, "{common} of {}", golden.len());
}

/// The Python trainer adds up in the order of a hash map, and numbers what it had lost by chance.
#[test]
fn trained_unigrams_are_nearly_those_of_the_python_trainer() {
    let (own, golden) = trained(TokenizerConfig::Unigram { vocabulary: 150 }, "unigram");
    assert_eq!(own.len(), golden.len());
    let scores = |list: &[Json]| -> std::collections::BTreeMap<String, f64> {
        list.iter()
            .map(|item| (item[0].as_str().unwrap().to_string(), item[1].as_f64().unwrap()))
            .collect()
    };
    let (own, golden) = (scores(&own), scores(&golden));
    let near = |(name, score): (&String, &f64)| own.get(name).is_some_and(|other| (other - score).abs() < 0.01);
    let common = golden.iter().filter(|entry| near(*entry)).count();
    assert!(common * 100 >= golden.len() * 95, "{common} of {}", golden.len());
}

/// An error with words, or a tokenizer whose tokens are within its bounds and which can be taken up again.
fn check_bytes(config: &Json, bytes: Vec<u8>) {
    let config: TextConfig = serde_json::from_value(json!({"tokenizer": config, "max_length": 64})).unwrap();
    let Ok(content) = String::from_utf8(bytes) else { return };
    match TextProcessor::from_text(config.clone(), content) {
        Err(error) => assert!(error.message.contains("expected"), "{error}"),
        Ok(processor) => {
            for text in ["The fox, naïve 日本 🙂", "", "a\n b"] {
                if let Ok(tokens) = processor.plain(text) {
                    assert!(tokens.iter().all(|&token| (token as usize) < processor.vocabulary()));
                    processor.decode(&tokens);
                }
            }
            processor.decode(&[0, 1, 5, 77, u32::MAX]);
            let again = TextProcessor::from_text(config, processor.tokenizer_text().to_string()).unwrap();
            assert_eq!(again.special(), processor.special());
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn any_bytes_give_a_tokenizer_or_an_error(file in 0..FILES.len(), changes in mutations(), noise in ".{0,80}") {
        let bytes = std::fs::read(path(&format!("{}.json", FILES[file]))).unwrap();
        let config = json!({"kind": "file", "path": "x"});
        check_bytes(&config, mutate(bytes, &changes));
        check_bytes(&config, noise.clone().into_bytes());
        let bytes = std::fs::read(path("ranks.tiktoken")).unwrap();
        let config = json!({"kind": "tiktoken", "path": "x", "pattern": "o200k_base"});
        check_bytes(&config, mutate(bytes, &changes));
        check_bytes(&config, noise.into_bytes());
    }

    /// Settings around the vocabulary, where a file of some kilobytes is seldom hit.
    #[test]
    fn any_settings_give_a_tokenizer_or_an_error(file in 0..FILES.len(), changes in mutations()) {
        let mut document = document(&format!("{}.json", FILES[file]));
        let model = document["model"].as_object_mut().unwrap();
        let parts: Vec<Json> = ["vocab", "merges"].iter().filter_map(|part| model.remove(*part)).collect();
        let bytes = mutate(serde_json::to_vec(&document).unwrap(), &changes);
        let Ok(mut document) = serde_json::from_slice::<Json>(&bytes) else { return Ok(()) };
        if let Some(model) = document["model"].as_object_mut() {
            model.extend(["vocab", "merges"].map(String::from).into_iter().zip(parts));
        }
        check_bytes(&json!({"kind": "file", "path": "x"}), serde_json::to_vec(&document).unwrap());
    }
}

#[test]
fn hostile_files_are_refused_before_they_cost_anything() {
    let with = |part: &str, value: Json| {
        let mut document = document("words.json");
        document[part] = value;
        document.to_string()
    };
    let nested = |depth: usize| {
        let inner = json!({"type": "Lowercase"});
        (0..depth).fold(inner, |inner, _| json!({"type": "Sequence", "normalizers": [inner]}))
    };
    let grow = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(20)});
    let many = json!({"type": "Sequence", "normalizers": vec![json!({"type": "Lowercase"}); 200]});
    let bytes = json!({"type": "Sequence", "pretokenizers": vec![json!({"type": "ByteLevel"}); 9]});
    let model = |field: &str, value: Json| {
        let mut model = document("words.json")["model"].clone();
        model[field] = value;
        with("model", model)
    };
    for (file, code) in [
        ("[".repeat(1 << 20), "damaged"),
        ("{\"model\":".repeat(100_000), "damaged"),
        (with("normalizer", nested(20)), "unsupported"),
        (with("normalizer", nested(120)), "damaged"),
        (
            with("normalizer", json!({"type": "Sequence", "normalizers": [grow, grow]})),
            "unsupported",
        ),
        (with("normalizer", many), "unsupported"),
        (with("pre_tokenizer", bytes), "unsupported"),
        (model("dropout", json!(0.5)), "unsupported"),
        (model("max_input_chars_per_word", json!(1u64 << 40)), "unsupported"),
        (model("vocab", json!({"a": 3_000_000_000u32})), "too_large"),
        (" ".repeat((64 << 20) + 1), "too_large"),
    ] {
        let error = LibraryTokenizer::public(file).unwrap_err();
        assert_eq!(error.kind.code(), code, "{error}");
    }
}

#[test]
fn odd_files_end_in_tokens_or_an_error() {
    let step = |part: &str, value: Json| {
        let mut document = document("unigram.json");
        document["model"]["vocab"] = json!([
            ["<s>", 0],
            ["<pad>", 0],
            ["<unk>", 0],
            ["</s>", 0],
            ["a", -1e308],
            ["▁", 1e308]
        ]);
        document[part] = value;
        document
    };
    let split = |pattern: Json| json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
    let unigram = |vocab: Json| json!({"type": "Unigram", "unk_id": 0, "vocab": vocab});
    let template = json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}}], "pair": [], "special_tokens": {}});
    for (part, value) in [
        ("model", unigram(json!([["", 0.0], ["a", -1.0]]))),
        ("model", unigram(json!([["<unk>", 0.0], ["", -1.0], ["a", -1.0]]))),
        ("model", unigram(json!([]))),
        (
            "model",
            json!({"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "", "vocab": {"": 0, "a": 1}}),
        ),
        (
            "model",
            json!({"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "continuing_subword_prefix": "日本"}),
        ),
        ("model", json!({"type": "BPE", "vocab": {"a": 0}, "merges": ["a c"]})),
        ("pre_tokenizer", json!({"type": "FixedLength", "length": 0})),
        ("pre_tokenizer", split(json!({"String": ""}))),
        ("pre_tokenizer", split(json!({"Regex": ""}))),
        ("pre_tokenizer", split(json!({"Regex": "(a+)+$|(?=(.)*)*"}))),
        (
            "normalizer",
            json!({"type": "Replace", "pattern": {"String": ""}, "content": "b"}),
        ),
        (
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        ),
        (
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////9hYQ=="}),
        ),
        ("post_processor", template),
        (
            "post_processor",
            json!({"type": "BertProcessing", "sep": ["x", 9_999_999], "cls": ["y", 0]}),
        ),
        (
            "decoder",
            json!({"type": "Strip", "content": " ", "start": 4_000_000_000u32, "stop": 4_000_000_000u32}),
        ),
        (
            "added_tokens",
            json!([{"id": 0, "content": "", "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": true}]),
        ),
    ] {
        let bytes = serde_json::to_vec(&step(part, value)).unwrap();
        check_bytes(&json!({"kind": "file", "path": "x"}), bytes);
    }
}
