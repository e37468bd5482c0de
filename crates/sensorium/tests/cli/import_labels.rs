//! `import` of encoders of texts with a head that tells labels apart.

use crate::checkpoints::{self, setting};
use crate::fixture::Fixture;
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with a small checkpoint in the folder `net`.
fn with(name: &str) -> Fixture {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("net")).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(Path::new(GOLDEN).join(name).join(file), fixture.path("net").join(file)).unwrap();
    }
    fixture
}

fn change(fixture: &Fixture, name: &'static str, value: Value) {
    let content = setting(name, value)(fixture.read("net/config.json"));
    fixture.write("net/config.json", content);
}

fn answer(fixture: &Fixture) -> Value {
    let asked = ["predict", "run", "--text", "a red bird", "--json"];
    let finished = fixture.expect(&asked, 0, &[]);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn texts_are_told_apart() {
    for name in ["bert-labels", "roberta-labels", "bert-tags"] {
        let fixture = with(name);
        let finished = fixture.expect(&["import", "net", "--run", "run"], 0, &[]);
        let told = finished.stdout.contains("answers `text` by embedding and label");
        assert!(
            told && !finished.stdout.contains("left out"),
            "{name}: {}",
            finished.stdout
        );
        let label = &answer(&fixture)["outputs"]["label"];
        assert_eq!(label["value"].is_array(), name == "bert-tags", "{label}");
        assert_eq!(label["top"].as_array().unwrap().len(), 3, "{label}");
    }
}

/// A head that gives a number, and one of tokens, are left out by name.
#[test]
fn heads_of_other_kinds_are_left_out() {
    for (setting, value) in [
        ("problem_type", json!("regression")),
        ("id2label", json!({"0": "score"})),
        ("architectures", json!(["BertForTokenClassification"])),
    ] {
        let fixture = with("bert-labels");
        change(&fixture, setting, value);
        let finished = fixture.expect(&["import", "net", "--run", "run"], 0, &[]);
        let expected = "left out, as they are not read: bert.pooler.dense.bias, bert.pooler.dense.weight, classifier.bias, \
                        classifier.weight";
        assert!(finished.stdout.contains(expected), "{setting}: {}", finished.stdout);
        assert_eq!(answer(&fixture)["outputs"].as_object().unwrap().len(), 1);
    }
}

#[test]
fn heads_that_would_be_computed_otherwise_are_refused() {
    let refused = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &[&str]| {
        checkpoints::refused(&with(name), "net", file, change, words);
    };
    let problem = setting("problem_type", json!("ranking"));
    refused("bert-labels", "config.json", &problem, &["problem_type", "`ranking`"]);
    let gap = setting("id2label", json!({"0": "a", "2": "b"}));
    refused("roberta-labels", "config.json", &gap, &["id2label", "a gap"]);
    let four = setting("id2label", json!({"0": "a", "1": "b", "2": "c", "3": "d"}));
    refused(
        "bert-labels",
        "config.json",
        &four,
        &["expected shape [4, 16], found [3, 16]"],
    );
    // A mean of all tokens is not what the head was trained on.
    let fixture = with("bert-labels");
    std::fs::create_dir(fixture.path("net/1_Pooling")).unwrap();
    fixture.write("net/1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#);
    let steps = |_| br#"[{"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#.to_vec();
    checkpoints::refused(&fixture, "net", "modules.json", steps, &["expected the first token"]);
}
