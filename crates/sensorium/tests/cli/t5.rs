//! T5 and mT5 from public checkpoints: texts that are answered by texts, and encoders alone; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::{Fixture, json_lines};
use crate::language::with_checkpoint;
use serde_json::{Value, json};

/// What the original makes of some texts.
fn rows(fixture: &Fixture, name: &str) -> Vec<Value> {
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{name}/expected.json"))).unwrap();
    expected["rows"].as_array().unwrap().clone()
}

fn document(fixture: &Fixture, arguments: &[&str]) -> Value {
    serde_json::from_str(&fixture.expect(arguments, 0, &[]).stdout).unwrap()
}

#[test]
fn texts_are_answered_as_by_the_original() {
    for name in ["t5", "t5-gated", "mt5"] {
        let fixture = with_checkpoint(name);
        let expected = rows(&fixture, name);
        let finished = fixture.expect(&["import", name, "--run", "run"], 0, &[]);
        let told = finished.stdout.contains("answers `text` by text") && !finished.stdout.contains("left out");
        assert!(told, "{}", finished.stdout);
        // What was imported needs the checkpoint no more.
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        let line = |row: &Value| json!({"text": row["text"]}).to_string() + "\n";
        fixture.write("ask.jsonl", expected.iter().map(line).collect::<String>());
        for run in ["run", "again"] {
            let finished = fixture.expect(&["predict", run, "--data", "ask.jsonl", "--json"], 0, &[]);
            let answers = json_lines(&finished.stdout);
            assert_eq!(answers.len(), expected.len(), "{name}");
            for (answer, row) in answers.iter().zip(&expected) {
                let found = &answer["outputs"]["text"]["value"];
                assert_eq!(*found, row["greedy"]["text"], "{name}: {row}");
            }
        }
        let text = expected[0]["text"].as_str().unwrap();
        let few = ["predict", "run", "--text", text, "--precision", "int8", "--json"];
        assert!(document(&fixture, &few)["outputs"]["text"]["value"].is_string());
    }
}

#[test]
fn an_encoder_alone_embeds_texts() {
    let fixture = with_checkpoint("t5-encoder");
    let expected = rows(&fixture, "t5-encoder");
    let told = ["answers `text` by embedding"];
    let finished = fixture.expect(&["import", "t5-encoder", "--run", "run"], 0, &[]);
    assert!(finished.stdout.contains(told[0]), "{}", finished.stdout);
    for row in expected {
        let text = row["text"].as_str().unwrap();
        let answer = document(&fixture, &["predict", "run", "--text", text, "--json"]);
        let found = answer["outputs"]["embedding"]["value"].as_array().unwrap();
        for (found, expected) in found.iter().zip(row["mean"].as_array().unwrap()) {
            let distance = found.as_f64().unwrap() - expected.as_f64().unwrap();
            assert!(distance.abs() < 1e-4, "{found}, not {expected}");
        }
    }
}

/// A recipe that answers texts on the checkpoint `name`.
fn recipe(name: &str, encoder: &str, output: &str) -> String {
    format!(
        r#"[data]
manifest = "asked.jsonl"
[inputs.asked]
modality = "text"
encoder = {{ pretrained = "{name}"{encoder} }}
[outputs.answer]
from = "inputs.asked"
{output}
[training]
batch_size = 4
max_epochs = 2
"#
    )
}

fn with_rows(name: &str) -> Fixture {
    let fixture = with_checkpoint(name);
    let row = |number: usize| {
        let split = ["train", "train", "validation", "test"][number / 4];
        let (asked, answer) = [("the dog sees a cat", "a cat"), ("is a house red", "red")][number % 2];
        json!({"asked": asked, "answer": answer, "split": split}).to_string() + "\n"
    };
    fixture.write("asked.jsonl", (0..16).map(row).collect::<String>());
    fixture
}

/// Both parts learn, and are written back together.
#[test]
fn a_recipe_trains_encoder_and_decoder_further() {
    for (name, encoder, more) in [
        ("t5", "", ""),
        ("t5-gated", ", freeze = 1", ""),
        ("mt5", ", lora = { rank = 2 }", "lora = { rank = 2 }"),
    ] {
        let fixture = with_rows(name);
        let output = format!("task = \"generate\"\npretrained = \"{name}\"\n{more}");
        fixture.write("recipe.toml", recipe(name, encoder, &output));
        fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        fixture.expect(&["evaluate", "run", "--quiet"], 0, &[]);
        fixture.write("ask.jsonl", "{\"asked\": \"the dog\"}\n");
        let finished = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
        let before = json_lines(&finished.stdout)[0]["outputs"]["answer"]["value"].clone();
        let parts = ["export", "run", "--out", "out", "--output", "answer"];
        let finished = fixture.expect(&parts, 0, &[]);
        assert!(
            finished.stdout.contains("T5ForConditionalGeneration"),
            "{}",
            finished.stdout
        );
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        let answer = document(&fixture, &["predict", "again", "--text", "the dog", "--json"]);
        assert_eq!(answer["outputs"]["text"]["value"], before, "{name}: {answer}");
    }
}

#[test]
fn an_encoder_goes_into_a_recipe_and_back() {
    let fixture = with_rows("mt5");
    fixture.write(
        "recipe.toml",
        recipe("mt5", "", "task = \"classify\"\ncolumn = \"answer\""),
    );
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
    let finished = fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    assert!(finished.stdout.contains("MT5EncoderModel"), "{}", finished.stdout);
    let finished = fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    assert!(!finished.stdout.contains("left out"), "{}", finished.stdout);
}

/// Changes one file of a checkpoint.
fn refused(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    checkpoints::refused(&with_checkpoint(name), name, file, change, words);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let config = |name: &'static str, value: Value, words: &str| {
        refused("t5", "config.json", setting(name, value), &["config.json", words]);
    };
    config(
        "architectures",
        json!(["T5ForQuestionAnswering"]),
        "architectures: expected `T5ForConditionalGeneration` or `T5EncoderModel`",
    );
    config(
        "feed_forward_proj",
        json!("gated-tanh"),
        "feed_forward_proj: expected `relu`",
    );
    config("num_heads", json!(0), "num_heads: expected at least 1, found 0");
    config("d_kv", json!(0), "d_kv: expected at least 1, found 0");
    config(
        "num_decoder_layers",
        json!(0),
        "num_decoder_layers: expected at least 1",
    );
    config(
        "relative_attention_num_buckets",
        json!(3),
        "relative_attention_num_buckets: expected at least 4, found 3",
    );
    config(
        "relative_attention_max_distance",
        json!(16),
        "relative_attention_max_distance: expected more than half of relative_attention_num_buckets 32, found 16",
    );
    config(
        "layer_norm_epsilon",
        json!(-1.0),
        "layer_norm_epsilon: expected a number",
    );
    config("dropout_rate", json!(1.0), "dropout_rate: expected a number from 0");
    config("vocab_size", json!(1u64 << 40), "config.json describes");
    let generation = |name: &'static str, value: Value, words: &str| {
        refused(
            "t5",
            "generation_config.json",
            setting(name, value),
            &["config.json", words],
        );
    };
    generation(
        "eos_token_id",
        json!([1, 5]),
        "eos_token_id: expected one token below vocab_size 55",
    );
    generation(
        "decoder_start_token_id",
        json!(1),
        "decoder_start_token_id: expected a token",
    );
}

#[test]
fn tensors_and_tokenizers_that_do_not_fit_are_named() {
    let words = [
        "missing: outputs.text.decoder.body.stack.positions.weight",
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bits.weight",
    ];
    let change = renamed(
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bias",
        "decoder.block.0.layer.0.SelfAttention.relative_attention_bits",
    );
    refused("t5", "model.safetensors", change, &words);
    refused(
        "t5",
        "config.json",
        setting("num_layers", json!(1)),
        &["unexpected: encoder.block.1.layer.0.SelfAttention.k.weight"],
    );
    let fixture = with_checkpoint("t5");
    let tokenizer = fixture.path("t5").join("tokenizer.json");
    std::fs::rename(&tokenizer, fixture.path("t5").join("spiece.model")).unwrap();
    let words = ["expected tokenizer.json, found spiece.model alone", "save_pretrained"];
    fixture.expect(&["import", "t5", "--run", "run"], 1, &words);
    let first = json!([{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]);
    let fixture = with_checkpoint("t5-encoder");
    fixture.write("t5-encoder/modules.json", first.to_string());
    std::fs::create_dir(fixture.path("t5-encoder/1_Pooling")).unwrap();
    fixture.write(
        "t5-encoder/1_Pooling/config.json",
        r#"{"pooling_mode_cls_token": true}"#,
    );
    fixture.expect(
        &["import", "t5-encoder", "--run", "run"],
        1,
        &["expected the mean of all tokens"],
    );
}
