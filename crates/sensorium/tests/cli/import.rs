//! `import`: public checkpoints as runs of their own and as encoders in recipes, and those that are refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use sensorium_model::checkpoint::{self, HostTensor};
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures/bert");

/// The fixture with a small BERT in the folder `bert`.
fn with_checkpoint() -> Fixture {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("bert")).unwrap();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(Path::new(GOLDEN).join(name), fixture.path("bert").join(name)).unwrap();
    }
    fixture
}

#[test]
fn an_imported_encoder_embeds_texts_and_is_searched() {
    let fixture = with_checkpoint();
    let finished = fixture.expect(&["import", "bert", "--run", "run"], 0, &[]);
    assert!(finished.stdout.contains("left out") && finished.stdout.contains("pooler.dense.weight"));
    let finished = fixture.expect(&["predict", "run", "--text", "a red bird", "--json"], 0, &[]);
    let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
    let vector = answer["outputs"]["embedding"]["value"].as_array().unwrap();
    let length: f64 = vector.iter().map(|number| number.as_f64().unwrap().powi(2)).sum();
    assert!(vector.len() == 16 && (length - 1.0).abs() < 1e-5, "{vector:?}");

    let texts = ["a red bird", "the house is green", "cats run"];
    let rows: String = texts
        .iter()
        .map(|text| json!({"text": text}).to_string() + "\n")
        .collect();
    fixture.write("texts.jsonl", rows);
    fixture.expect(&["index", "run", "--data", "texts.jsonl", "--out", "found"], 0, &[]);
    let finished = fixture.expect(&["search", "found", "--text", "the house is green", "--json"], 0, &[]);
    let found: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(found["results"][0]["row"], 1, "{found}");
    fixture.expect(&["import", "bert", "--run", "run"], 2, &["not empty"]);
    fixture.expect(&["evaluate", "run"], 1, &["recipe"]);
}

#[test]
fn weights_are_held_as_finely_as_is_asked_for() {
    let fixture = with_checkpoint();
    fixture.expect(&["import", "bert", "--run", "run"], 0, &[]);
    let embed = |precision: &str| -> Vec<f64> {
        let ask = [
            "predict",
            "run",
            "--text",
            "a red bird",
            "--json",
            "--precision",
            precision,
        ];
        let answer: Value = serde_json::from_str(&fixture.expect(&ask, 0, &[]).stdout).unwrap();
        serde_json::from_value(answer["outputs"]["embedding"]["value"].clone()).unwrap()
    };
    let exact = embed("float32");
    // Embeddings have the length one. Coarser ones are farther away, and not the same.
    let distance = |precision| {
        let squares = embed(precision).into_iter().zip(&exact).map(|(a, b)| (a - b).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let [fine, coarse, coarsest] = ["int16", "int8", "int4"].map(distance);
    assert!(
        0.0 < fine && fine < 1e-3 && fine < coarse && coarse < 0.03,
        "{fine} {coarse}"
    );
    assert!(coarse < coarsest && coarsest < 0.4, "{coarsest}");
    fixture.expect(&["predict", "run", "--text", "a", "--precision", "int2"], 2, &["int4"]);
}

/// The change is made to one file of the small BERT.
fn refused(file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    checkpoints::refused(&with_checkpoint(), "bert", file, change, words);
}

/// A pickle that would run a program if it were run.
const HOSTILE: &[u8] = b"cos\nsystem\n(S'touch ran'\ntR.";

#[test]
fn pickles_are_data() {
    let from = Path::new(GOLDEN).with_file_name("efficientnet-lite");
    let check = |change: &dyn Fn(Vec<u8>) -> Vec<u8>, code, words: &[&str]| {
        let fixture = Fixture::new();
        std::fs::create_dir(fixture.path("net")).unwrap();
        std::fs::copy(from.join("config.json"), fixture.path("net/config.json")).unwrap();
        let content = change(std::fs::read(from.join("pytorch_model.bin")).unwrap());
        fixture.write("net/pytorch_model.bin", content);
        fixture.expect(&["import", "net", "--run", "run"], code, words);
        assert_eq!(fixture.path("run").exists(), code == 0);
        assert!(!fixture.path("ran").exists());
        fixture
    };
    let padded = |content: Vec<u8>| [HOSTILE, &content].concat();
    check(&padded, 1, &["pytorch_model.bin", "`torch.save`"]);
    check(
        &|content| content[..content.len() - 100].to_vec(),
        1,
        &["fetch the file again"],
    );
    let fixture = check(&|content| content, 0, &[]);
    std::fs::copy(from.join("picture.png"), fixture.path("picture.png")).unwrap();
    let finished = fixture.expect(&["predict", "run", "--image", "picture.png"], 0, &[]);
    assert!(finished.stdout.contains("zebra"), "{}", finished.stdout);
}

#[test]
fn bad_checkpoints_are_refused() {
    let cut = |content: Vec<u8>| content[..content.len() / 2].to_vec();
    let forged = |content: Vec<u8>| [&u64::MAX.to_le_bytes(), &content[8..]].concat();
    refused("model.safetensors", cut, &["model.safetensors", "fetch it again"]);
    refused("model.safetensors", forged, &["model.safetensors", "fetch it again"]);
    refused(
        "model.safetensors",
        renamed("encoder.layer.1.output.dense.bias", "encoder.layer.9.output.dense.bias"),
        &[
            "missing: inputs.text.trunk.blocks.1.contract.bias",
            "unexpected: encoder.layer.9.output.dense.bias",
        ],
    );
    let config = |name, value, words: &[&str]| refused("config.json", setting(name, value), words);
    config(
        "model_type",
        json!("mystery"),
        &[
            "`mystery` is not known",
            "bert, blip, clip, dinov2, dinov2_with_registers, efficientnet-lite, gpt2, hubert, idefics3, llama, llava, mt5, qwen2, qwen2_5_vl, qwen2_audio, qwen3, resnet, roberta, siglip, smolvlm, t5, vit, wav2vec2, whisper",
        ],
    );
    config("hidden_act", json!("relu"), &["hidden_act", "`gelu`", "`relu`"]);
    config("num_attention_heads", json!(0), &["num_attention_heads", "at least 1"]);
    config(
        "num_attention_heads",
        json!(3),
        &["num_attention_heads", "divisor of hidden_size 16"],
    );
    config(
        "intermediate_size",
        json!(48),
        &["expected shape [48, 16], found [32, 16]"],
    );
    config(
        "vocab_size",
        json!(1u64 << 60),
        &["config.json describes", "hold 26400 bytes"],
    );
    config("layer_norm_eps", json!(-1.0), &["layer_norm_eps"]);
    refused(
        "config.json",
        |_| b"[1,".to_vec(),
        &["config.json", "expected the configuration"],
    );
    refused("tokenizer.json", |_| b"{}".to_vec(), &["tokenizer.json"]);
    let outside = |_| br#"{"weight_map": {"a": "../other.safetensors"}}"#.to_vec();
    refused(
        "model.safetensors.index.json",
        outside,
        &["names of files in this folder", "../other.safetensors"],
    );
    let steps = |_| br#"[{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#.to_vec();
    refused(
        "modules.json",
        steps,
        &["the step `sentence_transformers.models.Dense`", "not known"],
    );
    Fixture::new().expect(&["import", ".", "--run", "run"], 1, &["no config.json"]);
    Fixture::new().expect(&["import", "absent", "--run", "run"], 1, &["absent"]);
}

/// The fixture's recipe with a question that is read by the checkpoint.
fn recipe(encoder: &str) -> String {
    format!(
        r#"[data]
manifest = "rows.jsonl"
[inputs.question]
modality = "text"
{encoder}
[outputs.answer]
task = "classify"
[training]
batch_size = 12
max_epochs = 1
"#
    )
}

/// The tensors of the encoder of a run's input.
fn encoder(run: &Path, input: &str) -> Vec<(String, Vec<f32>)> {
    let tensors = checkpoint::load(&run.join("model.safetensors")).unwrap().into_iter();
    let within = |(name, tensor): (String, HostTensor)| {
        let name = name.strip_prefix(&format!("inputs.{input}."))?.to_string();
        (name != "absent").then_some((name, tensor.values))
    };
    tensors.filter_map(within).collect()
}

#[test]
fn a_recipe_trains_on_a_checkpoint_and_may_freeze_it() {
    let fixture = with_checkpoint();
    fixture.expect(&["import", "bert", "--run", "imported"], 0, &[]);
    let original = encoder(&fixture.path("imported"), "text");
    for freeze in [true, false] {
        fixture.write(
            "fine.toml",
            recipe(&format!("encoder = {{ pretrained = \"bert\", freeze = {freeze} }}")),
        );
        let run = format!("run-{freeze}");
        fixture.expect(&["train", "fine.toml", "--run", &run, "--quiet"], 0, &[]);
        let same = encoder(&fixture.path(&run), "question") == original;
        assert_eq!(same, freeze);
    }
    // What was trained needs the checkpoint no more.
    std::fs::remove_dir_all(fixture.path("bert")).unwrap();
    fixture.expect(&["evaluate", "run-true", "--quiet"], 0, &[]);
    fixture.expect(&["predict", "run-true", "--text", "how large?"], 0, &[]);
}

#[test]
fn a_recipe_must_not_contradict_its_checkpoint() {
    let fixture = with_checkpoint();
    let wrong = |settings: &str, words: &[&str]| {
        let text = recipe(&format!("encoder = {{ pretrained = \"bert\" }}\n{settings}"));
        fixture.write("wrong.toml", text);
        fixture.expect(&["train", "wrong.toml", "--run", "run", "--quiet"], 2, words);
    };
    wrong(
        "trunk = { kind = \"rnn\" }",
        &["inputs.question.trunk", "bert settles it"],
    );
    wrong(
        "tokenizer = { kind = \"word\" }",
        &["inputs.question.tokenizer", "bert settles it"],
    );
    wrong("max_length = 13", &["inputs.question.max_length", "at most 12"]);
}
