//! `import` of models that write about pictures: what they answer, their parts in recipes, and what is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::{Fixture, copy_folder, json_lines};
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with a small checkpoint in a folder of its name.
fn with(name: &str) -> Fixture {
    let fixture = Fixture::new();
    copy_folder(&Path::new(GOLDEN).join(name), &fixture.path(name));
    fixture
}

/// Each row by itself and all of them together are answered as by the original.
fn check(name: &str, told: &str) {
    let fixture = with(name);
    let finished = fixture.expect(&["import", name, "--run", "run"], 0, &[]);
    assert!(
        finished.stdout.contains(told) && !finished.stdout.contains("left out"),
        "{}",
        finished.stdout
    );
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{name}/expected.json"))).unwrap();
    let expected = expected["rows"].as_array().unwrap();
    let mut lines = String::new();
    for row in expected {
        let picture = format!("{name}/{}", row["picture"].as_str().unwrap());
        let mut asked = vec!["predict", "run", "--json", "--image", &picture];
        asked.extend(
            row["question"]
                .as_str()
                .into_iter()
                .flat_map(|question| ["--text", question]),
        );
        let answer: Value = serde_json::from_str(&fixture.expect(&asked, 0, &[]).stdout).unwrap();
        assert_eq!(
            answer["outputs"]["text"]["value"], row["greedy"]["text"],
            "{name}: {row}"
        );
        lines += &(json!({"image": picture, "text": row["question"]}).to_string() + "\n");
    }
    fixture.write("ask.jsonl", lines);
    let finished = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
    let answers = json_lines(&finished.stdout);
    assert_eq!(answers.len(), expected.len(), "{name}");
    for (answer, row) in answers.iter().zip(expected) {
        assert_eq!(
            answer["outputs"]["text"]["value"], row["greedy"]["text"],
            "{name}: {row}"
        );
    }
}

#[test]
fn pictures_are_described_as_by_the_original() {
    check("blip", "answers `image` by text");
}

#[test]
fn questions_are_answered_as_by_the_original() {
    check("blip-vqa", "answers `image` and `text` by text");
}

fn recipe(checkpoint: &str, question: &str, output: &str) -> String {
    format!(
        r#"[data]
manifest = "rows.jsonl"
[inputs.image]
modality = "image"
encoder = {{ pretrained = "{checkpoint}", freeze = true }}
{question}
[outputs.answer]
task = "generate"
{output}
[training]
batch_size = 12
max_epochs = 1
"#
    )
}

#[test]
fn a_recipe_trains_the_decoder_further() {
    let fixture = with("blip");
    let own = "from = \"inputs.image\"\npretrained = \"blip\"\nlora = { rank = 2, layers = [\"query\", \"map\"] }";
    fixture.write("fine.toml", recipe("blip", "", own));
    fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 0, &[]);
    fixture.expect(&["train", "fine.toml", "--run", "run", "--resume", "--quiet"], 0, &[]);
    std::fs::remove_dir_all(fixture.path("blip")).unwrap();
    fixture.expect(&["predict", "run", "--image", "1.png"], 0, &[]);
    let measured = fixture.expect(&["evaluate", "run", "--json", "--quiet"], 0, &[]);
    assert!(measured.stdout.contains("\"cider\""), "{}", measured.stdout);
}

#[test]
fn an_encoder_of_questions_reads_nothing_alone() {
    let fixture = with("blip-vqa");
    let question = "[inputs.question]\nmodality = \"text\"\nencoder = { pretrained = \"blip-vqa\" }";
    fixture.write("wrong.toml", recipe("blip-vqa", question, ""));
    let words = ["inputs.question.encoder", "one that attends to pictures"];
    fixture.expect(&["train", "wrong.toml", "--run", "run", "--quiet"], 2, &words);
}

#[test]
fn what_would_be_computed_otherwise_is_refused_by_name() {
    let config = |name: &'static str, field, value: Value, words: &[&str]| {
        checkpoints::refused(&with(name), name, "config.json", setting(field, value), words);
    };
    /// Another value in a part of the configuration.
    fn within(part: &'static str, field: &'static str, value: Value) -> impl Fn(Vec<u8>) -> Vec<u8> {
        move |content| {
            let mut config: Value = serde_json::from_slice(&content).unwrap();
            config[part][field] = value.clone();
            config.to_string().into_bytes()
        }
    }
    let texts = |name: &str, field, value: Value, words: &[&str]| {
        let change = within("text_config", field, value);
        checkpoints::refused(&with(name), name, "config.json", change, words);
    };
    config(
        "blip",
        "architectures",
        json!(["BlipForImageTextRetrieval"]),
        &["architectures: expected `BlipForConditionalGeneration` or `BlipForQuestionAnswering`"],
    );
    config("blip", "architectures", Value::Null, &["architectures", "found null"]);
    config(
        "blip",
        "tie_word_embeddings",
        json!(false),
        &["tie_word_embeddings: expected true"],
    );
    texts(
        "blip",
        "hidden_act",
        json!("relu"),
        &["text_config.hidden_act", "`relu`"],
    );
    texts(
        "blip",
        "is_decoder",
        json!(false),
        &["text_config.is_decoder: expected true"],
    );
    texts(
        "blip",
        "position_embedding_type",
        json!("relative_key"),
        &["text_config.position_embedding_type: expected \"absolute\""],
    );
    texts(
        "blip",
        "num_attention_heads",
        json!(3),
        &["text_config.num_attention_heads: expected a divisor of hidden_size 16"],
    );
    texts(
        "blip",
        "sep_token_id",
        json!(1000),
        &["text_config.sep_token_id: expected a token below vocab_size"],
    );
    texts(
        "blip",
        "max_position_embeddings",
        json!(3),
        &["text_config.max_position_embeddings: expected at least 4"],
    );
    texts(
        "blip",
        "intermediate_size",
        json!(36),
        &["outputs.text.decoder.body.blocks.0.expand.weight: expected shape [36, 16], found [40, 16]"],
    );
    texts("blip", "vocab_size", json!(1u64 << 19), &["config.json describes"]);
    let vision = within("vision_config", "hidden_size", json!(20));
    let words = ["text_config.hidden_size: expected 20, which is the hidden_size of vision_config"];
    checkpoints::refused(&with("blip-vqa"), "blip-vqa", "config.json", vision, &words);
}

#[test]
fn tensors_are_named_as_the_checkpoint_has_them() {
    let refused = |name: &str, from, to, words: &[&str]| {
        checkpoints::refused(&with(name), name, "model.safetensors", renamed(from, to), words);
    };
    refused(
        "blip",
        "vision_model.encoder.layers.1.self_attn.qkv.bias",
        "vision_model.encoder.layers.1.self_attn.qvk.bias",
        &[
            "missing: inputs.image.trunk.blocks.1.attention.key.bias",
            "unexpected: vision_model.encoder.layers.1.self_attn.qvk.bias",
        ],
    );
    refused(
        "blip",
        "text_decoder.cls.predictions.transform.dense.bias",
        "text_decoder.cls.predictions.transform.dense.bios",
        &["missing: outputs.text.decoder.body.transform.map.bias"],
    );
    refused(
        "blip-vqa",
        "text_encoder.encoder.layer.1.crossattention.output.LayerNorm.bias",
        "text_encoder.encoder.layer.1.crossattention.output.LayerNorm.bios",
        &["missing: fusion.blocks.1.cross_norm.bias"],
    );
    refused(
        "blip-vqa",
        "text_encoder.embeddings.word_embeddings.weight",
        "text_encoder.embeddings.word_embeddings.weighs",
        &["missing: inputs.text.stem.words.weight"],
    );
}
