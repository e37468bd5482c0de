//! Models that read pictures whole or in tiles, from public checkpoints; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use serde_json::{Value, json};

/// What the original answers.
fn cases(fixture: &Fixture, folder: &str) -> Vec<Value> {
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{folder}/expected.json"))).unwrap();
    expected["texts"].as_array().unwrap().clone()
}

#[test]
fn a_question_about_a_picture_is_answered_as_by_the_original() {
    for folder in ["idefics3", "smolvlm"] {
        let fixture = with_checkpoint(folder);
        let cases = cases(&fixture, folder);
        let finished = fixture.expect(&["import", folder, "--run", "run"], 0, &[]);
        let told = finished.stdout.contains("answers `image` and `text` by answer");
        assert!(told && !finished.stdout.contains("left out"), "{}", finished.stdout);
        for name in ["picture.png", "wide.png", "tall.png"] {
            std::fs::copy(fixture.path(folder).join(name), fixture.path(name)).unwrap();
        }
        // What was imported needs the checkpoint no more.
        std::fs::remove_dir_all(fixture.path(folder)).unwrap();
        fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        for (case, run) in cases.iter().flat_map(|case| [(case, "run"), (case, "again")]) {
            let [picture, text] = ["picture", "text"].map(|name| case[name].as_str().unwrap());
            let asked = ["predict", run, "--image", picture, "--text", text, "--json"];
            let answer: Value = serde_json::from_str(&fixture.expect(&asked, 0, &[]).stdout).unwrap();
            assert_eq!(answer["outputs"]["answer"]["value"], case["answer"], "{answer}");
        }
        let twice = ["predict", "run", "--image", "wide.png", "--text", "<image> or <image>"];
        fixture.expect(&twice, 1, &["expected `<image>` as often as there are pictures (1)"]);
    }
}

#[test]
fn several_pictures_videos_and_dialogues_are_asked_about() {
    let fixture = with_checkpoint("smolvlm-chat");
    let expected: Value = serde_json::from_slice(&fixture.read("smolvlm-chat/expected.json")).unwrap();
    let chats = expected["chats"].as_array().unwrap();
    let finished = fixture.expect(&["import", "smolvlm-chat", "--run", "run"], 0, &[]);
    let told = finished
        .stdout
        .contains("answers `image` and `text` and `video` by answer");
    assert!(told && !finished.stdout.contains("left out"), "{}", finished.stdout);
    for name in ["picture.png", "wide.png", "clip.png", "large.png"] {
        std::fs::copy(fixture.path("smolvlm-chat").join(name), fixture.path(name)).unwrap();
    }
    std::fs::remove_dir_all(fixture.path("smolvlm-chat")).unwrap();
    let predict = |more: &[&str]| {
        let finished = fixture.expect(&[&["predict", "run", "--json"], more].concat(), 0, &[]);
        let answer: Value = serde_json::from_str(&finished.stdout).unwrap();
        answer["outputs"]["answer"]["value"].clone()
    };
    let two = [
        "--image",
        "picture.png",
        "--image",
        "wide.png",
        "--text",
        "Is it <image> or <image>?",
    ];
    assert_eq!(predict(&two), chats[0]["answer"]);
    let named = [
        "--input",
        "image=wide.png",
        "--input",
        "image=picture.png",
        "--text",
        "the cat in the rain?",
    ];
    assert_eq!(predict(&named), chats[1]["answer"]);
    assert_eq!(
        predict(&["--video", "clip.png", "--text", "What is it?"]),
        chats[4]["answer"]
    );
    // A row of a file has them by the names of its columns.
    let row = |chat: &Value| {
        let mut row = json!({"text": chat["turns"]});
        let given = [("image", &chat["images"]), ("video", &chat["video"])];
        for (name, value) in given.into_iter().filter(|(_, value)| !value.is_null()) {
            row[name] = value.clone();
        }
        row.to_string()
    };
    let bad = json!({"text": "<image>?", "image": ["picture.png", "wide.png"]}).to_string();
    let rows: Vec<String> = chats.iter().map(row).chain([bad]).collect();
    fixture.write("rows.jsonl", rows.join("\n"));
    fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    for run in ["run", "again"] {
        let finished = fixture.expect(&["predict", run, "--data", "rows.jsonl", "--json"], 0, &[]);
        let answers = crate::fixture::json_lines(&finished.stdout);
        for (answer, chat) in answers.iter().zip(chats) {
            assert_eq!(answer["outputs"]["answer"]["value"], chat["answer"], "{answer}");
        }
        let error = answers[chats.len()]["error"]["message"].as_str().unwrap();
        assert!(
            error.contains("as often as there are pictures (2), or not at all; found it 1 times"),
            "{error}"
        );
    }
    let video = [
        "predict",
        "run",
        "--video",
        "clip.png",
        "--video",
        "large.png",
        "--text",
        "?",
    ];
    fixture.expect(&video, 2, &["cannot be used multiple times"]);
}

#[test]
fn a_chat_goes_on_with_what_was_said() {
    let fixture = with_checkpoint("smolvlm-chat");
    fixture.expect(&["import", "smolvlm-chat", "--run", "run"], 0, &[]);
    let chat = |lines: &str| crate::chat::chat(&fixture, &["--image", "smolvlm-chat/picture.png"], lines);
    let alone = chat("And now?\n").stdout;
    let both = chat("Is it?\nAnd now?\n").stdout;
    assert_eq!(both.lines().count(), 2, "{both}");
    assert_ne!(both.lines().nth(1), alone.lines().next());
}

#[test]
fn a_tower_of_pictures_is_an_encoder_of_whole_ones() {
    let fixture = with_checkpoint("smolvlm");
    let recipe = "[inputs.image]\nmodality = \"image\"\nencoder = { pretrained = \"smolvlm\", freeze = true }\n\
                  [outputs.answer]\ntask = \"classify\"\n[training]\nmax_epochs = 1\n";
    fixture.write("recipe.toml", recipe);
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
    let stored: Value = serde_json::from_slice(&fixture.read("run/processors/image.json")).unwrap();
    assert_eq!(stored["resize"], json!({"longest": 96}), "{stored}");
    fixture.expect(&["export", "run", "--out", "out"], 1, &["nothing of this run has"]);
}

/// Changes a configuration of the folder that reads pictures whole.
fn refused(file: &str, name: &'static str, value: Value, words: &str) {
    let fixture = with_checkpoint("idefics3");
    checkpoints::refused(&fixture, "idefics3", file, setting(name, value), &[words]);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let config = |name, value, words| refused("config.json", name, value, words);
    config(
        "scale_factor",
        json!(3),
        "scale_factor: expected a divisor of the 4×4 patches",
    );
    config(
        "image_token_id",
        json!(5),
        "image_token_id: expected the token of the picture",
    );
    config(
        "text_config",
        json!({"model_type": "mistral"}),
        "text_config.model_type: expected one of llama, qwen2, qwen3, found `mistral`",
    );
    let vision = |name: &str, value: Value, words| {
        config(
            "vision_config",
            json!({"image_size": 32, "patch_size": 8, name: value}),
            words,
        );
    };
    vision(
        "model_type",
        json!("siglip_vision_model"),
        "vision_config.model_type: expected one of idefics3_vision",
    );
    vision(
        "image_size",
        json!([32, 24]),
        "vision_config.image_size: expected a square, found 4×3 patches",
    );
    vision(
        "image_size",
        json!(200),
        "vision_config.image_size: expected a number of patches along a side",
    );
    vision("intermediate_size", json!(1_000_000_000), "config.json describes");
    let pictures = |name, value, words| refused("preprocessor_config.json", name, value, words);
    pictures(
        "max_image_size",
        json!({"longest_edge": 16}),
        "expected pictures of 32×32",
    );
    pictures(
        "size",
        json!({"height": 96, "width": 96}),
        "size: expected a longest side",
    );
}

#[test]
fn tokens_and_tensors_that_are_missing_are_named() {
    let refused = |file: &str, [from, to]: [&'static str; 2], words: &[&str]| {
        let fixture = with_checkpoint("smolvlm");
        checkpoints::refused(&fixture, "smolvlm", file, renamed(from, to), words);
    };
    for name in [
        ["<global-img>", "<global-ing>"],
        ["<row_3_col_2>", "<row_9_col_2>"],
        ["<fake_token_around_image>", "<fake_token_around_imagg>"],
    ] {
        let words = format!("tokenizer.json: expected the token `{}`, found none", name[0]);
        refused("tokenizer.json", name, &[&words]);
    }
    refused(
        "tokenizer.json",
        ["<|im_start|>", "<|im_stort|>"],
        &["expected a vocabulary with the token `<|im_start|>`"],
    );
    let words = [
        "missing: outputs.answer.decoder.projector.output.weight",
        "modality_projektion",
    ];
    refused(
        "model.safetensors",
        ["modality_projection", "modality_projektion"],
        &words,
    );
}
