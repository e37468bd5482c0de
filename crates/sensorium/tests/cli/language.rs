//! Language models from public checkpoints: they go on with a text, and what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use serde_json::{Value, json};
use std::path::Path;

/// The fixture with one of the small random models, in a folder of its name.
pub fn with_checkpoint(name: &str) -> Fixture {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path(name)).unwrap();
    for entry in std::fs::read_dir(golden(name)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, fixture.path(name).join(path.file_name().unwrap())).unwrap();
    }
    fixture
}

fn golden(name: &str) -> std::path::PathBuf {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");
    Path::new(golden).join(name)
}

#[test]
fn a_text_is_continued_as_by_the_original() {
    for name in ["gpt2", "llama", "qwen2"] {
        let fixture = with_checkpoint(name);
        let finished = fixture.expect(&["import", name, "--run", "run"], 0, &[]);
        let told = finished.stdout.contains("answers `text` by continuation");
        assert!(told, "{}", finished.stdout);
        // What was imported needs the checkpoint no more.
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        let expected = std::fs::read(golden(name).join("expected.json")).unwrap();
        let expected: Value = serde_json::from_slice(&expected).unwrap();
        for case in expected["texts"].as_array().unwrap() {
            let text = case["text"].as_str().unwrap();
            let finished = fixture.expect(&["predict", "run", "--text", text, "--json"], 0, &[]);
            let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
            assert_eq!(
                answer["outputs"]["continuation"]["value"], case["continuation"],
                "{name}: {answer}"
            );
        }
    }
}

/// The change is made to one setting of the small model.
fn refused(model: &str, name: &'static str, value: Value, words: &[&str]) {
    let fixture = with_checkpoint(model);
    checkpoints::refused(&fixture, model, "config.json", setting(name, value), words);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let gpt2 = |name, value, words: &[&str]| refused("gpt2", name, value, words);
    gpt2(
        "activation_function",
        json!("relu"),
        &["activation_function", "`gelu_new`", "`relu`"],
    );
    gpt2("n_inner", json!(96), &["n_inner: expected 128, found 96"]);
    gpt2("n_head", json!(3), &["n_head: expected a divisor of n_embd 32"]);
    gpt2("n_layer", json!(0), &["n_layer: expected at least 1"]);
    gpt2(
        "scale_attn_by_inverse_layer_idx",
        json!(true),
        &["scale_attn_by_inverse_layer_idx"],
    );
    gpt2(
        "tie_word_embeddings",
        json!(false),
        &["tie_word_embeddings: expected true"],
    );
    gpt2(
        "quantization_config",
        json!({"bits": 4}),
        &["quantization_config: expected none"],
    );
    gpt2("n_embd", json!(1u64 << 40), &["config.json describes"]);
    let llama = |name, value, words: &[&str]| refused("llama", name, value, words);
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0});
    llama(
        "rope_parameters",
        yarn,
        &["rope_parameters.rope_type", "`llama3`", "`yarn`"],
    );
    llama(
        "rope_interleaved",
        json!(true),
        &["rope_interleaved: expected false, found true"],
    );
    llama(
        "sliding_window",
        json!(16),
        &["sliding_window: expected none, found 16"],
    );
    llama(
        "hidden_act",
        json!("gelu"),
        &["hidden_act: expected `silu`, found `gelu`"],
    );
    llama(
        "num_key_value_heads",
        json!(3),
        &["num_key_value_heads", "divisor of num_attention_heads 4"],
    );
    llama("head_dim", json!(7), &["head_dim: expected an even number"]);
    llama("attention_bias", json!(true), &["missing", "attention.key.bias"]);
    let qwen = |name, value, words: &[&str]| refused("qwen3", name, value, words);
    qwen(
        "use_sliding_window",
        json!(true),
        &["use_sliding_window: expected false, found true"],
    );
    let layers = json!(["full_attention", "sliding_attention"]);
    qwen(
        "layer_types",
        layers,
        &["layer_types: expected `full_attention`, found `sliding_attention`"],
    );
    qwen("vocab_size", json!(200), &["expected", "200"]);
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let check = |model: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &[&str]| {
        let fixture = with_checkpoint(model);
        checkpoints::refused(&fixture, model, "model.safetensors", change, words);
    };
    check(
        "gpt2",
        &renamed("h.1.attn.c_attn.weight", "h.7.attn.c_attn.weight"),
        &[
            "missing: outputs.continuation.decoder.body.blocks.1.attention.key.weight",
            "unexpected: transformer.h.7.attn.c_attn.weight",
        ],
    );
    check(
        "llama",
        &renamed("layers.0.mlp.gate_proj.weight", "layers.0.mlp.gate_prox.weight"),
        &[
            "missing: outputs.continuation.decoder.body.blocks.0.gate.weight",
            "unexpected: model.layers.0.mlp.gate_prox.weight",
        ],
    );
}

/// What stands in front of a text follows the tokenizer's settings where they say it.
#[test]
fn a_begin_is_added_or_left_out_as_the_tokenizer_says() {
    let opening = |model: &str, added: Option<bool>| {
        let fixture = with_checkpoint(model);
        if let Some(added) = added {
            let path = fixture.path(model).join("tokenizer_config.json");
            let content = std::fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
            std::fs::write(&path, setting("add_bos_token", json!(added))(content)).unwrap();
        }
        fixture.expect(&["import", model, "--run", "run"], 0, &[]);
        let description: Value = serde_json::from_slice(&fixture.read("run/model.json")).unwrap();
        description["model"]["outputs"]["continuation"]["tokens"]["opening"].clone()
    };
    assert_eq!(opening("llama", None), json!([1]));
    assert_eq!(opening("llama", Some(true)), json!([1]));
    assert_eq!(opening("llama", Some(false)), json!([]));
    assert_eq!(opening("gpt2", None), json!([]));
    assert_eq!(opening("gpt2", Some(true)), json!([264]));
    let fixture = with_checkpoint("llama");
    let open = setting("add_eos_token", json!(true));
    checkpoints::refused(&fixture, "llama", "tokenizer_config.json", open, &["leaves texts open"]);
}
