//! `import` of encoders of pictures, and of those of pictures and texts in one space: what they answer and find, and what is
//! refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with a small checkpoint in a folder of its name.
fn with(name: &str) -> Fixture {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path(name)).unwrap();
    for file in std::fs::read_dir(Path::new(GOLDEN).join(name)).unwrap() {
        let path = file.unwrap().path();
        std::fs::copy(&path, fixture.path(name).join(path.file_name().unwrap())).unwrap();
    }
    fixture
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Labels are texts of an index, and a picture is searched for among them.
#[test]
fn pictures_are_tagged_with_labels_that_nobody_trained() {
    for name in ["clip", "siglip"] {
        let fixture = with(name);
        let finished = fixture.expect(&["import", name, "--run", "run"], 0, &[]);
        let told = finished.stdout.contains("answers `image` and `text` by similarity");
        assert!(told && !finished.stdout.contains("left out"), "{}", finished.stdout);
        let expected: Value =
            json_of(&std::fs::read_to_string(Path::new(GOLDEN).join(name).join("expected.json")).unwrap());
        let texts = expected["texts"].as_array().unwrap();
        let rows: String = texts
            .iter()
            .map(|text| json!({ "text": text }).to_string() + "\n")
            .collect();
        fixture.write("labels.jsonl", rows);
        fixture.expect(&["index", "run", "--data", "labels.jsonl", "--out", "found"], 0, &[]);
        let picture = format!("{name}/picture.png");
        let finished = fixture.expect(&["search", "found", "--image", &picture, "--json"], 0, &[]);
        let found = json_of(&finished.stdout);
        let logits: Vec<f64> = expected["similarities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_f64().unwrap())
            .collect();
        let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
        for hit in found["results"].as_array().unwrap() {
            let logit = logits[hit["row"].as_u64().unwrap() as usize];
            let expected = match name {
                "clip" => logit.exp() / sum,
                _ => 1.0 / (1.0 + (-logit).exp()),
            };
            let probability = hit["probability"].as_f64().unwrap();
            assert!((probability - expected).abs() < 1e-4, "{name}: {hit}, not {expected}");
        }
        assert_eq!(found["results"].as_array().unwrap().len(), logits.len(), "{name}");
    }
}

#[test]
fn pictures_are_found_by_texts_and_answered() {
    let fixture = with("clip");
    fixture.expect(&["import", "clip", "--run", "run"], 0, &[]);
    let pictures: String = (0..4)
        .map(|number| json!({"image": format!("{number}.png")}).to_string() + "\n")
        .collect();
    fixture.write("pictures.jsonl", pictures);
    fixture.expect(&["index", "run", "--data", "pictures.jsonl", "--out", "found"], 0, &[]);
    let finished = fixture.expect(&["search", "found", "--image", "2.png", "--json"], 0, &[]);
    assert_eq!(json_of(&finished.stdout)["results"][0]["row"], 2);
    let finished = fixture.expect(&["search", "found", "--text", "a cat", "--top", "1"], 0, &[]);
    assert!(
        finished.stdout.contains('%') && finished.stdout.contains(".png"),
        "{}",
        finished.stdout
    );
    let asked = ["predict", "run", "--image", "2.png", "--text", "a cat", "--json"];
    let answer = json_of(&fixture.expect(&asked, 0, &[]).stdout);
    assert!(answer["outputs"]["similarity"]["value"].is_number(), "{answer}");
}

#[test]
fn an_imported_vit_names_what_it_sees() {
    let fixture = with("vit");
    fixture.expect(&["import", "vit", "--run", "run"], 0, &[]);
    let finished = fixture.expect(&["predict", "run", "--image", "vit/picture.png", "--json"], 0, &[]);
    let answer = json_of(&finished.stdout);
    assert_eq!(answer["outputs"]["label"]["value"], "zebra", "{answer}");
    assert_eq!(answer["outputs"]["embedding"]["value"].as_array().unwrap().len(), 16);
}

/// Each tower of a pair is an encoder of its own in a recipe.
#[test]
fn recipes_train_on_the_towers_of_a_pair() {
    let fixture = with("clip");
    let recipe = |more: &str| {
        format!(
            r#"[data]
manifest = "rows.jsonl"
[inputs.image]
modality = "image"
encoder = {{ pretrained = "clip", freeze = true }}
{more}
[inputs.question]
modality = "text"
encoder = {{ pretrained = "clip" }}
[outputs.answer]
task = "classify"
[training]
batch_size = 12
max_epochs = 1
"#
        )
    };
    fixture.write("fine.toml", recipe(""));
    fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 0, &[]);
    std::fs::remove_dir_all(fixture.path("clip")).unwrap();
    fixture.expect(&["predict", "run", "--image", "1.png", "--text", "how large?"], 0, &[]);
    let recipe_of_run = String::from_utf8(fixture.read("run/recipe.toml")).unwrap();
    assert!(recipe_of_run.contains("shortest = 24"), "{recipe_of_run}");

    let fixture = with("clip");
    fixture.write("wrong.toml", recipe("stem = { kind = \"pixels\" }"));
    let words = ["inputs.image.stem", "clip settles it"];
    fixture.expect(&["train", "wrong.toml", "--run", "run", "--quiet"], 2, &words);
    let sound = "[inputs.sound]\nmodality = \"audio\"\nencoder = { pretrained = \"clip\" }\n[outputs.answer]";
    fixture.write("wrong.toml", recipe("").replace("[outputs.answer]", sound));
    let words = ["inputs.sound.modality", "expected `image`"];
    fixture.expect(&["train", "wrong.toml", "--run", "run", "--quiet"], 2, &words);
}

#[test]
fn what_would_be_computed_otherwise_is_refused_by_name() {
    let config = |name: &'static str, field, value: Value, words: &[&str]| {
        checkpoints::refused(&with(name), name, "config.json", setting(field, value), words);
    };
    config("vit", "hidden_act", json!("relu"), &["hidden_act", "`gelu`", "`relu`"]);
    config("vit", "image_size", json!(24), &["pictures of 24×24", "found 26×26"]);
    config(
        "vit",
        "image_size",
        json!(4),
        &["image_size: expected 8, which is the patch_size"],
    );
    config("vit", "patch_size", json!([8, 4]), &["patch_size: expected a square"]);
    config("vit", "num_channels", json!(1), &["num_channels: expected 3, found 1"]);
    config("vit", "num_attention_heads", json!(3), &["divisor of hidden_size 16"]);
    config(
        "vit",
        "id2label",
        json!({"1": "b"}),
        &["id2label: expected a label for each class"],
    );
    config(
        "dinov2",
        "use_swiglu_ffn",
        json!(true),
        &["use_swiglu_ffn: expected false"],
    );
    config("dinov2", "hidden_size", json!(1u64 << 40), &["config.json describes"]);
    config(
        "clip",
        "projection_dim",
        json!(0),
        &["projection_dim: expected 1 to 8192, found 0"],
    );
    config(
        "clip",
        "projection_dim",
        json!(8),
        &["projections.image.weight", "found [12, 16]"],
    );
    config(
        "clip",
        "text_config",
        json!({"hidden_act": "tanh"}),
        &["text_config.hidden_act"],
    );
    config(
        "clip",
        "vision_config",
        json!({"num_hidden_layers": 0}),
        &["vision_config.num_hidden_layers"],
    );
    config(
        "siglip",
        "vision_config",
        json!({"vision_use_head": false}),
        &["vision_config.vision_use_head"],
    );

    let missing = with("clip");
    std::fs::remove_file(missing.path("clip/preprocessor_config.json")).unwrap();
    missing.expect(
        &["import", "clip", "--run", "run"],
        1,
        &["preprocessor_config.json", "fetch it too"],
    );
    let renamed = |from, to, words: &[&str]| {
        checkpoints::refused(&with("clip"), "clip", "model.safetensors", renamed(from, to), words);
    };
    renamed(
        "vision_model.pre_layrnorm.bias",
        "vision_model.pre_layernorm.bia",
        &[
            "missing: inputs.image.trunk.norm_before.bias",
            "unexpected: vision_model.pre_layernorm.bia",
        ],
    );
    renamed(
        "text_model.final_layer_norm.bias",
        "text_model.final_layer_norm.bios",
        &["missing: inputs.text.trunk.norm.bias"],
    );
    renamed("logit_scale", "logit_scald", &["missing: outputs.similarity.log_scale"]);
}
