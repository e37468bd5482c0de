//! Models that answer about pictures, from public checkpoints; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use serde_json::{Value, json};

/// What the original answers.
fn cases(fixture: &Fixture) -> Vec<Value> {
    let expected: Value = serde_json::from_slice(&fixture.read("llava/expected.json")).unwrap();
    expected["texts"].as_array().unwrap().clone()
}

#[test]
fn a_question_about_a_picture_is_answered_as_by_the_original() {
    let fixture = with_checkpoint("llava");
    let cases = cases(&fixture);
    let finished = fixture.expect(&["import", "llava", "--run", "run"], 0, &[]);
    let told = finished.stdout.contains("answers `image` and `text` by answer");
    assert!(told, "{}", finished.stdout);
    assert!(!finished.stdout.contains("left out"), "{}", finished.stdout);
    std::fs::copy(fixture.path("llava/picture.png"), fixture.path("seen.png")).unwrap();
    // What was imported needs the checkpoint no more.
    std::fs::remove_dir_all(fixture.path("llava")).unwrap();
    // Without the block behind the one that is read.
    fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    for (case, run) in cases.iter().flat_map(|case| [(case, "run"), (case, "again")]) {
        let text = case["text"].as_str().unwrap();
        let asked = ["predict", run, "--image", "seen.png", "--text", text, "--json"];
        let answer: Value = serde_json::from_str(&fixture.expect(&asked, 0, &[]).stdout).unwrap();
        assert_eq!(answer["outputs"]["answer"]["value"], case["answer"], "{answer}");
    }
    let twice = ["predict", "run", "--image", "seen.png", "--text", "<image> or <image>"];
    fixture.expect(&twice, 1, &["expected `<image>` as often as there are pictures (1)"]);
}

#[test]
fn its_tower_of_pictures_is_an_encoder() {
    let fixture = with_checkpoint("llava");
    let recipe = "[inputs.image]\nmodality = \"image\"\nencoder = { pretrained = \"llava\", freeze = true }\n\
                  [outputs.answer]\ntask = \"classify\"\n[training]\nmax_epochs = 1\n";
    fixture.write("recipe.toml", recipe);
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let refused = |name: &'static str, value: Value, words: &[&str]| {
        let fixture = with_checkpoint("llava");
        checkpoints::refused(&fixture, "llava", "config.json", setting(name, value), words);
    };
    refused(
        "vision_feature_select_strategy",
        json!("full"),
        &["vision_feature_select_strategy: expected `default`, found `full`"],
    );
    refused(
        "vision_feature_layer",
        json!([-2, -1]),
        &["vision_feature_layer: expected one behind the first block"],
    );
    refused(
        "projector_hidden_act",
        json!("relu"),
        &["projector_hidden_act: expected `gelu`, found `relu`"],
    );
    refused(
        "multimodal_projector_bias",
        json!(false),
        &["multimodal_projector_bias: expected true"],
    );
    refused(
        "vision_config",
        json!({"model_type": "siglip_vision_model"}),
        &["vision_config.model_type: expected `clip_vision_model`"],
    );
    refused(
        "text_config",
        json!({"model_type": "mistral"}),
        &["text_config.model_type: expected one of llama, qwen2, qwen3, found `mistral`"],
    );
    refused(
        "image_token_index",
        json!(5),
        &["image_token_index: expected the token of the picture"],
    );
    let fixture = with_checkpoint("llava");
    let other = renamed("linear_1.weight", "linear_9.weight");
    let words = [
        "missing: outputs.answer.decoder.projector.input.weight",
        "linear_9.weight",
    ];
    checkpoints::refused(&fixture, "llava", "model.safetensors", other, &words);
}
