//! A model that answers about pictures and videos of any size, from a public checkpoint; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use serde_json::{Value, json};

const NAME: &str = "qwen2_5_vl";

/// The checkpoint, with its pictures and videos beside it, and what the original answers.
fn prepared() -> (Fixture, Vec<Value>) {
    let fixture = with_checkpoint(NAME);
    for medium in ["picture", "wide", "tall", "small", "video", "long", "short"] {
        let name = format!("{medium}.png");
        std::fs::copy(fixture.path(NAME).join(&name), fixture.path(&name)).unwrap();
    }
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{NAME}/expected.json"))).unwrap();
    let chats = expected["chats"].as_array().unwrap().clone();
    (fixture, chats)
}

#[test]
fn questions_about_pictures_and_videos_are_answered_as_by_the_original() {
    let (fixture, chats) = prepared();
    let finished = fixture.expect(&["import", NAME, "--run", "run"], 0, &[]);
    let told = finished
        .stdout
        .contains("answers `image` and `text` and `video` by answer");
    assert!(told && !finished.stdout.contains("left out"), "{}", finished.stdout);
    // What was imported needs the checkpoint no more.
    std::fs::remove_dir_all(fixture.path(NAME)).unwrap();
    fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    let rows = chats.iter().map(|chat| {
        let mut row = json!({"text": chat["turns"]});
        for (column, key) in [("image", "images"), ("video", "video")] {
            if let Some(media) = chat.get(key) {
                row[column] = media.clone();
            }
        }
        format!("{row}\n")
    });
    fixture.write("rows.jsonl", rows.collect::<String>());
    for run in ["run", "again"] {
        let finished = fixture.expect(&["predict", run, "--data", "rows.jsonl", "--json"], 0, &[]);
        let answers = finished
            .stdout
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let answers: Vec<Value> = answers.map(|row| row["outputs"]["answer"]["value"].clone()).collect();
        let expected: Vec<Value> = chats.iter().map(|chat| chat["answer"].clone()).collect();
        assert_eq!(answers, expected, "{run}");
    }
    let twice = [
        "predict",
        "run",
        "--video",
        "video.png",
        "--text",
        "<|video_pad|> or <|video_pad|>",
    ];
    fixture.expect(&twice, 1, &["expected `<|video_pad|>` once in a text"]);
}

#[test]
fn its_tower_is_an_encoder_for_recipes() {
    let (fixture, _) = prepared();
    let rows = (0..12).map(|row| match row % 2 {
        0 => "{\"image\": \"wide.png\", \"label\": \"wide\"}\n",
        _ => "{\"image\": \"tall.png\", \"label\": \"tall\"}\n",
    });
    fixture.write("rows.jsonl", rows.collect::<String>());
    let recipe = |settings: &str| {
        format!(
            "[data]\nmanifest = \"rows.jsonl\"\n[inputs.image]\nmodality = \"image\"\n{settings}\
             encoder = {{ pretrained = \"{NAME}\", freeze = 1 }}\n\
             [outputs.label]\ntask = \"classify\"\n[training]\nmax_epochs = 1\n"
        )
    };
    fixture.write("recipe.toml", recipe("resize = { pixels = [64, 640] }\n"));
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
    let finished = fixture.expect(&["predict", "run", "--image", "small.png"], 0, &[]);
    assert!(finished.stdout.contains("wide") || finished.stdout.contains("tall"));
    fixture.write("other.toml", recipe("patches = { side = 8, square = 1, frames = 1 }\n"));
    fixture.expect(&["train", "other.toml", "--run", "other"], 2, &["inputs.image.patches"]);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let refused = |file: &str, name: &'static str, value: Value, words: &[&str]| {
        let fixture = with_checkpoint(NAME);
        checkpoints::refused(&fixture, NAME, file, setting(name, value), words);
    };
    refused(
        "config.json",
        "vision_config",
        json!({"model_type": "siglip"}),
        &["vision_config.model_type: expected `qwen2_5_vl_vision`"],
    );
    refused(
        "config.json",
        "text_config",
        json!({"model_type": "llama"}),
        &["text_config.model_type: expected `qwen2_5_vl_text`, found `llama`"],
    );
    refused(
        "config.json",
        "image_token_id",
        json!(5),
        &["image_token_id: expected the token of the picture"],
    );
    refused(
        "processor_config.json",
        "image_processor",
        json!({"merge_size": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}),
        &["merge_size: expected 2 as in config.json, found 3"],
    );
    let fixture = with_checkpoint(NAME);
    let other = renamed("visual.merger.mlp.0.weight", "visual.merger.mlp.9.weight");
    let words = ["missing: outputs.answer.decoder.projector.input.weight", "mlp.9.weight"];
    checkpoints::refused(&fixture, NAME, "model.safetensors", other, &words);
}
