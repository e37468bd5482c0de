//! Encoders of raw speech and heads of letters, from public checkpoints; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use serde_json::{Value, json};

const SOUNDS: [&str; 3] = ["frame.wav", "long.wav", "short.wav"];

/// The fixture with the golden checkpoint `name`, and its sounds beside it.
fn with_sounds(name: &str) -> Fixture {
    let fixture = with_checkpoint(name);
    for sound in SOUNDS {
        std::fs::copy(fixture.path(name).join(sound), fixture.path(sound)).unwrap();
    }
    fixture
}

/// What the original makes of the sounds, by their names.
fn expected(fixture: &Fixture, name: &str) -> Value {
    let mut expected: Value = serde_json::from_slice(&fixture.read(&format!("{name}/expected.json"))).unwrap();
    expected["sounds"].take()
}

fn document(fixture: &Fixture, arguments: &[&str]) -> Value {
    serde_json::from_str(&fixture.expect(arguments, 0, &[]).stdout).unwrap()
}

#[test]
fn speech_is_written_as_by_the_original() {
    for name in ["wav2vec2", "wav2vec2-large"] {
        let fixture = with_sounds(name);
        let expected = expected(&fixture, name);
        let finished = fixture.expect(&["import", name, "--run", "run"], 0, &[]);
        for words in [
            "answers `audio` by text",
            "left out, as they are not read: wav2vec2.masked_spec_embed",
        ] {
            assert!(finished.stdout.contains(words), "{}", finished.stdout);
        }
        // What was imported needs the checkpoint no more.
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        for (sound, run) in SOUNDS.into_iter().flat_map(|sound| [(sound, "run"), (sound, "again")]) {
            let answer = document(&fixture, &["predict", run, "--audio", sound, "--json"]);
            assert_eq!(answer["outputs"]["text"]["value"], expected[sound]["text"], "{answer}");
        }
    }
}

#[test]
fn an_encoder_without_a_head_embeds_sounds() {
    let fixture = with_sounds("hubert");
    let expected = expected(&fixture, "hubert");
    let finished = fixture.expect(&["import", "hubert", "--run", "run"], 0, &[]);
    assert!(
        finished.stdout.contains("answers `audio` by embedding"),
        "{}",
        finished.stdout
    );
    let answer = document(&fixture, &["predict", "run", "--audio", "long.wav", "--json"]);
    let found = answer["outputs"]["embedding"]["value"].as_array().unwrap();
    let embedding = expected["long.wav"]["embedding"].as_array().unwrap();
    for (found, expected) in found.iter().zip(embedding) {
        let distance = found.as_f64().unwrap() - expected.as_f64().unwrap();
        assert!(distance.abs() < 1e-5, "{found}, not {expected}");
    }
    // A sound that is shorter than one token is refused.
    let wave = fixture.read("frame.wav");
    let [whole, data] = [134u32, 98].map(u32::to_le_bytes);
    let parts = [&wave[..4], &whole, &wave[8..40], &data, &wave[44..142]];
    fixture.write("short.wav", parts.concat());
    let words = ["short.wav", "expected at least 0.0250 seconds of sound"];
    fixture.expect(&["predict", "run", "--audio", "short.wav"], 1, &words);
}

/// A recipe that writes what is said in the sounds, on the checkpoint `name`.
fn recipe(name: &str, encoder: &str, more: &str) -> String {
    format!(
        r#"[data]
manifest = "spoken.jsonl"
[inputs.audio]
modality = "audio"
encoder = {{ pretrained = "{name}"{encoder} }}
{more}
[outputs.said]
task = "transcribe"
from = "inputs.audio"
tokenizer = {{ kind = "character" }}
[training]
batch_size = 4
max_epochs = 2
"#
    )
}

fn with_rows(name: &str) -> Fixture {
    let fixture = with_sounds(name);
    let row = |number: usize| {
        let split = ["train", "train", "validation", "test"][number / 4];
        let sound = ["long.wav", "short.wav"][number % 2];
        json!({"audio": sound, "said": "a b", "split": split}).to_string() + "\n"
    };
    fixture.write("spoken.jsonl", (0..16).map(row).collect::<String>());
    fixture
}

#[test]
fn a_recipe_trains_letters_behind_an_encoder() {
    for (name, encoder) in [
        ("wav2vec2", ""),
        ("wav2vec2-large", ", freeze = 0"),
        ("hubert", ", lora = { rank = 2 }"),
        ("hubert", ", freeze = true"),
    ] {
        let fixture = with_rows(name);
        fixture.write("recipe.toml", recipe(name, encoder, ""));
        fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
        std::fs::remove_dir_all(fixture.path(name)).unwrap();
        let stored: Value = serde_json::from_slice(&fixture.read("run/processors/audio.json")).unwrap();
        assert_eq!(stored["features"]["kind"], json!("waveform"), "{stored}");
        assert_eq!(stored["min_seconds"], json!(0.025), "{stored}");
        fixture.expect(&["evaluate", "run", "--quiet"], 0, &[]);
        let answer = document(&fixture, &["predict", "run", "--audio", "long.wav", "--json"]);
        assert!(answer["outputs"]["said"]["value"].is_string(), "{answer}");
        let finished = fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
        let model = if name == "hubert" {
            "HubertModel"
        } else {
            "Wav2Vec2Model"
        };
        assert!(finished.stdout.contains(model), "{}", finished.stdout);
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    }
}

#[test]
fn a_recipe_must_not_contradict_its_checkpoint() {
    let fixture = with_rows("wav2vec2");
    let wrong = |more: &str, words: &[&str]| {
        fixture.write("recipe.toml", recipe("wav2vec2", "", more));
        fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 2, words);
    };
    wrong(
        "sample_rate = 8000",
        &["inputs.audio.sample_rate", "expected 16000 samples"],
    );
    wrong(
        "features = { kind = \"mfcc\" }",
        &["inputs.audio.features", "wav2vec2 settles it"],
    );
    wrong(
        "max_seconds = 40.0",
        &["inputs.audio.max_seconds", "at most 30 seconds"],
    );
    let searching = recipe("wav2vec2", "", "").replace("tokenizer =", "greedy = true\nattention = {}\ntokenizer =");
    fixture.write("recipe.toml", searching);
    let words = ["`greedy`", "neither `attention` nor `ngram`"];
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 2, &words);
}

/// Changes one file of a checkpoint.
fn refused(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    checkpoints::refused(&with_checkpoint(name), name, file, change, words);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let config = |name: &'static str, value: Value, words: &str| {
        refused("wav2vec2", "config.json", setting(name, value), &["config.json", words]);
    };
    config("add_adapter", json!(true), "add_adapter: expected false, found true");
    config(
        "adapter_attn_dim",
        json!(16),
        "adapter_attn_dim: expected null, found 16",
    );
    config(
        "hidden_act",
        json!("relu"),
        "hidden_act: expected \"gelu\", found \"relu\"",
    );
    config(
        "feat_extract_activation",
        json!("gelu_new"),
        "feat_extract_activation: expected",
    );
    config(
        "feat_extract_norm",
        json!("batch"),
        "feat_extract_norm: expected `group` or `layer`",
    );
    config(
        "conv_kernel",
        json!([10, 3]),
        "conv_dim, conv_kernel and conv_stride: expected as many",
    );
    config(
        "conv_stride",
        json!([5, 2, 2, 2, 2, 2, 0]),
        "conv_stride: expected numbers from 1",
    );
    config(
        "num_attention_heads",
        json!(5),
        "num_attention_heads: expected a divisor of hidden_size 32",
    );
    config(
        "num_conv_pos_embedding_groups",
        json!(5),
        "num_conv_pos_embedding_groups: expected a divisor",
    );
    config(
        "num_conv_pos_embeddings",
        json!(0),
        "num_conv_pos_embeddings: expected a number from 1",
    );
    config("vocab_size", json!(1), "vocab_size: expected at least 2");
    config(
        "pad_token_id",
        json!(99),
        "pad_token_id: expected a token below vocab_size 22",
    );
    config("intermediate_size", json!(1_000_000_000), "config.json describes");
    let hubert = |name: &'static str, value: Value, words: &str| {
        refused("hubert", "config.json", setting(name, value), &[words]);
    };
    hubert(
        "conv_pos_batch_norm",
        json!(true),
        "conv_pos_batch_norm: expected false",
    );
    hubert(
        "feat_proj_layer_norm",
        json!(false),
        "feat_proj_layer_norm: expected true",
    );
    let sounds = |name: &'static str, value: Value, words: &str| {
        refused("wav2vec2", "preprocessor_config.json", setting(name, value), &[words]);
    };
    sounds("feature_size", json!(80), "feature_size: expected 1");
    sounds("sampling_rate", json!(0), "sampling_rate: expected 1000 to 192000");
}

#[test]
fn letters_and_tensors_that_do_not_fit_are_named() {
    let vocabulary = |file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &str| {
        refused("wav2vec2-large", file, change, &["vocab.json", words]);
    };
    vocabulary(
        "vocab.json",
        &|_| b"[1]".to_vec(),
        "expected tokens with their identifiers",
    );
    vocabulary(
        "vocab.json",
        &renamed("|", "/"),
        "expected a token for each identifier, found `/` and `|` for 0",
    );
    vocabulary(
        "config.json",
        &setting("pad_token_id", json!(2)),
        "pad_token: expected the token pad_token_id 2",
    );
    let settings = |name, value, words: &str| vocabulary("tokenizer_config.json", &setting(name, value), words);
    settings(
        "tokenizer_class",
        json!("Wav2Vec2PhonemeCTCTokenizer"),
        "tokenizer_class: expected `Wav2Vec2CTC",
    );
    settings(
        "word_delimiter_token",
        json!("-"),
        "word_delimiter_token: expected one letter",
    );
    settings("target_lang", json!("eng"), "target_lang: expected none, found `eng`");
    for (file, words) in [
        ("vocab.json", "vocab.json"),
        ("preprocessor_config.json", "expected preprocessor_config"),
    ] {
        let fixture = with_checkpoint("wav2vec2");
        std::fs::remove_file(fixture.path("wav2vec2").join(file)).unwrap();
        fixture.expect(&["import", "wav2vec2", "--run", "run"], 1, &[words]);
    }
    let words = [
        "missing: inputs.audio.trunk.positions.length",
        "pos_conv_embed.conv.weight_h",
    ];
    refused("hubert", "model.safetensors", renamed("weight_g", "weight_h"), &words);
    let words = ["missing: outputs.text.output.weight", "lm_hood.weight"];
    refused(
        "wav2vec2",
        "model.safetensors",
        renamed("lm_head.weight", "lm_hood.weight"),
        &words,
    );
}
