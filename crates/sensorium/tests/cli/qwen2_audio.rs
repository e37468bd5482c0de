//! A model that answers about sounds, from a public checkpoint; what is computed otherwise is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use serde_json::{Value, json};

const NAME: &str = "qwen2_audio";

/// What the original answers.
fn chats(fixture: &Fixture) -> Vec<Value> {
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{NAME}/expected.json"))).unwrap();
    expected["chats"].as_array().unwrap().clone()
}

#[test]
fn a_question_about_a_sound_is_answered_as_by_the_original() {
    let fixture = with_checkpoint(NAME);
    let chats = chats(&fixture);
    let finished = fixture.expect(&["import", NAME, "--run", "run"], 0, &[]);
    let told = finished.stdout.contains("answers `audio` and `text` by answer");
    assert!(told, "{}", finished.stdout);
    assert!(!finished.stdout.contains("left out"), "{}", finished.stdout);
    for sound in ["full.wav", "short.wav"] {
        std::fs::copy(fixture.path(NAME).join(sound), fixture.path(sound)).unwrap();
    }
    // What was imported needs the checkpoint no more.
    std::fs::remove_dir_all(fixture.path(NAME)).unwrap();
    fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    let rows = chats.iter().map(|chat| {
        let row = match chat["sound"].as_str() {
            Some(sound) => json!({"audio": sound, "text": chat["turns"]}),
            None => json!({"text": chat["turns"]}),
        };
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
        "--audio",
        "full.wav",
        "--text",
        "<|AUDIO|> or <|AUDIO|>",
    ];
    fixture.expect(&twice, 1, &["expected `<|AUDIO|>` as often as there are sounds (1)"]);
}

#[test]
fn its_encoder_of_sounds_is_one_for_recipes() {
    let fixture = with_checkpoint(NAME);
    for sound in ["full.wav", "short.wav"] {
        std::fs::copy(fixture.path(NAME).join(sound), fixture.path(sound)).unwrap();
    }
    let rows = (0..12).map(|row| match row % 2 {
        0 => "{\"audio\": \"full.wav\", \"label\": \"long\"}\n",
        _ => "{\"audio\": \"short.wav\", \"label\": \"short\"}\n",
    });
    fixture.write("rows.jsonl", rows.collect::<String>());
    let recipe = format!(
        "[data]\nmanifest = \"rows.jsonl\"\n[inputs.audio]\nmodality = \"audio\"\n\
         encoder = {{ pretrained = \"{NAME}\", freeze = true }}\n\
         [outputs.label]\ntask = \"classify\"\n[training]\nmax_epochs = 1\n"
    );
    fixture.write("recipe.toml", &recipe);
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
}

#[test]
fn settings_that_are_computed_otherwise_are_refused_by_name() {
    let refused = |name: &'static str, value: Value, words: &[&str]| {
        let fixture = with_checkpoint(NAME);
        checkpoints::refused(&fixture, NAME, "config.json", setting(name, value), words);
    };
    refused(
        "audio_config",
        json!({"model_type": "whisper"}),
        &["audio_config.model_type: expected `qwen2_audio_encoder`"],
    );
    refused(
        "text_config",
        json!({"model_type": "mistral"}),
        &["text_config.model_type: expected one of llama, qwen2, qwen3, found `mistral`"],
    );
    refused(
        "audio_token_index",
        json!(5),
        &["audio_token_index: expected the token of the sound"],
    );
    let fixture = with_checkpoint(NAME);
    let other = renamed("projector.linear.weight", "projector.lineal.weight");
    let words = [
        "missing: outputs.answer.decoder.projector.output.weight",
        "lineal.weight",
    ];
    checkpoints::refused(&fixture, NAME, "model.safetensors", other, &words);
}
