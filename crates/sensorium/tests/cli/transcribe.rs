//! `transcribe`: a small Whisper in both layouts, every format, and what is refused.

use crate::checkpoints::{self, renamed, setting};
use crate::fixture::{Fixture, copy_folder};
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with the golden checkpoint `name` in the folder `checkpoint` and a recording in `sound.wav`.
fn with_checkpoint(name: &str) -> Fixture {
    let fixture = Fixture::new();
    copy_folder(&Path::new(GOLDEN).join(name), &fixture.path("checkpoint"));
    let sound = Path::new(GOLDEN).join("whisper/sound.wav");
    std::fs::copy(sound, fixture.path("sound.wav")).unwrap();
    fixture
}

fn imported(name: &str) -> Fixture {
    let fixture = with_checkpoint(name);
    let finished = fixture.expect(&["import", "checkpoint", "--run", "run"], 0, &[]);
    assert!(
        finished.stdout.contains("answers `audio` by text"),
        "{}",
        finished.stdout
    );
    fixture
}

/// The document that `transcribe --format json` prints.
fn document(fixture: &Fixture, arguments: &[&str], code: i32) -> Value {
    let arguments = [&["transcribe", "run", "--format", "json"], arguments].concat();
    let finished = fixture.expect(&arguments, code, &[]);
    serde_json::from_str(&finished.stdout).unwrap()
}

#[test]
fn both_layouts_transcribe_alike() {
    let [own, converted] = ["whisper", "whisper-ctranslate2"].map(imported);
    let found = document(&own, &["sound.wav"], 0);
    assert_eq!(found, document(&converted, &["sound.wav"], 0));
    let entry = &found.as_array().unwrap()[0];
    assert_eq!(
        (&entry["file"], &entry["language"]),
        (&json!("sound.wav"), &json!("de"))
    );
    let segments = entry["segments"].as_array().unwrap();
    let texts: Vec<&str> = segments
        .iter()
        .map(|segment| segment["text"].as_str().unwrap())
        .collect();
    assert!(!texts.is_empty() && segments.iter().all(|one| one["start"].as_f64() < one["end"].as_f64()));
    let words = &document(&own, &["sound.wav", "--words"], 0)[0]["segments"][0]["words"][0];
    assert!(
        words["word"].is_string() && words["start"].is_f64() && words["end"].is_f64(),
        "{words}"
    );
    // What was imported needs the checkpoint no more, and answers single clips too.
    std::fs::remove_dir_all(own.path("checkpoint")).unwrap();
    let finished = own.expect(
        &["transcribe", "run", "sound.wav", "--beam", "1", "--language", "zh"],
        0,
        &[],
    );
    assert!(!finished.stdout.is_empty());
    let finished = own.expect(&["predict", "run", "--audio", "sound.wav"], 0, &[]);
    assert!(finished.stdout.starts_with("text: eteetee"), "{}", finished.stdout);
}

#[test]
fn every_file_has_its_transcript_or_its_error() {
    let fixture = imported("whisper");
    fixture.write("broken.wav", b"RIFF");
    let found = document(&fixture, &["broken.wav", "sound.wav", "absent.wav"], 1);
    let entries = found.as_array().unwrap();
    assert_eq!(entries[0]["error"]["code"], "damaged", "{found}");
    assert!(entries[1]["text"].is_string(), "{found}");
    assert_eq!(entries[2]["error"]["code"], "missing", "{found}");

    std::fs::copy(fixture.path("sound.wav"), fixture.path("other.wav")).unwrap();
    let files = ["transcribe", "run", "sound.wav", "other.wav", "--format"];
    fixture.expect(&[&files[..], &["srt"]].concat(), 2, &["--output"]);
    for (format, starts) in [
        ("srt", "1\n00:00:0"),
        ("vtt", "WEBVTT\n\n00:00:0"),
        ("json", "["),
        ("txt", ""),
    ] {
        let name = if format == "txt" { "text" } else { format };
        fixture.expect(&[&files[..], &[name, "--output", "out"]].concat(), 0, &[]);
        for stem in ["sound", "other"] {
            let text = String::from_utf8(fixture.read(&format!("out/{stem}.{format}"))).unwrap();
            assert!(text.len() > starts.len() && text.starts_with(starts), "{text}");
        }
    }
    let twice = ["transcribe", "run", "sound.wav", "sound.wav", "--output", "out"];
    fixture.expect(&twice, 2, &["two of the files"]);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    let fixture = imported("whisper");
    let refused = |arguments: &[&str], words: &[&str]| {
        let arguments = [&["transcribe", "run", "sound.wav"], arguments].concat();
        fixture.expect(&arguments, 2, words);
    };
    refused(
        &["--language", "cs"],
        &["--language", "`cs` is not known", "en, zh, de"],
    );
    refused(&["--task", "sing"], &["transcribe", "translate"]);
    refused(&["--beam", "0"], &["--beam"]);
    refused(&["--words"], &["--words", "--format json", "--format vtt"]);
    fixture.expect(&["transcribe", "run"], 2, &["FILE"]);
    fixture.expect(&["transcribe", "absent", "sound.wav"], 1, &["absent"]);
    let trained = Fixture::trained();
    trained.expect(
        &["transcribe", "run", "0.png"],
        1,
        &["run", "no decoder of speech", "`predict`"],
    );
}

/// The change is made to one file of a checkpoint.
fn bad(name: &str, file: &str, change: impl Fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    checkpoints::refused(&with_checkpoint(name), "checkpoint", file, change, words);
}

#[test]
fn bad_checkpoints_of_whisper_are_refused() {
    let config = |name, value, words: &[&str]| bad("whisper", "config.json", setting(name, value), words);
    config("encoder_ffn_dim", json!(48), &["encoder_ffn_dim", "4 times d_model"]);
    config(
        "decoder_attention_heads",
        json!(3),
        &["decoder_attention_heads", "divisor of d_model 16"],
    );
    config("activation_function", json!("relu"), &["activation_function", "`relu`"]);
    config("scale_embedding", json!(true), &["scale_embedding"]);
    config("vocab_size", json!(300), &["vocab_size", "in all"]);
    config(
        "max_source_positions",
        json!(60),
        &["expected shape [60, 16], found [50, 16]"],
    );
    config(
        "max_source_positions",
        json!(1u64 << 40),
        &["max_source_positions", "at most"],
    );
    config(
        "decoder_layers",
        json!(1),
        &["unexpected: model.decoder.layers.1.fc1.bias"],
    );
    config("d_model", json!(1u64 << 40), &["encoder_ffn_dim"]);
    bad(
        "whisper",
        "generation_config.json",
        |_| b"[".to_vec(),
        &["generation_config.json"],
    );
    let name = renamed("decoder.layers.1.fc1.weight", "decoder.layers.7.fc1.weight");
    bad(
        "whisper",
        "model.safetensors",
        name,
        &["unexpected: model.decoder.layers.7.fc1.weight"],
    );
}

#[test]
fn bad_checkpoints_of_ctranslate2_are_refused() {
    let weights = |change: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &[&str]| {
        bad("whisper-ctranslate2", "model.bin", change, words);
    };
    weights(
        &|content| content[..content.len() / 2].to_vec(),
        &["model.bin", "the end of the file"],
    );
    weights(&|content| [&[9], &content[1..]].concat(), &["version 9 and not 6"]);
    weights(
        &renamed("WhisperSpec", "WhiskerSpec"),
        &["`WhisperSpec`", "`WhiskerSpec`"],
    );
    weights(
        &renamed("decoder/layer_1/ffn/linear_0/bias", "decoder/layer_1/ffn/linear_7/bias"),
        &[
            "missing: outputs.text.decoder.body.blocks.1.expand.bias",
            "ffn/linear_7/bias",
        ],
    );
    let vocabulary = |change: &dyn Fn(Vec<u8>) -> Vec<u8>, words: &[&str]| {
        bad("whisper-ctranslate2", "vocabulary.json", change, words);
    };
    vocabulary(
        &renamed("<|endoftext|>", "<|endofteXt|>"),
        &["`<|endoftext|>`", "found none"],
    );
    vocabulary(&|_| b"{}".to_vec(), &["vocabulary.json", "a list of tokens"]);
    vocabulary(&renamed("\"!\"", "\"a\""), &["expected a tokenizer"]);
}

/// A recipe whose sounds are read by the checkpoint.
fn recipe(settings: &str, output: &str) -> String {
    format!(
        r#"[data]
manifest = "sounds.jsonl"
[inputs.audio]
modality = "audio"
encoder = {{ pretrained = "checkpoint" }}
{settings}
[outputs.answer]
{output}
[training]
max_epochs = 1
"#
    )
}

/// Twelve rows of the same recording.
fn write_rows(fixture: &Fixture) {
    let row = |number: usize| {
        let split = ["train", "train", "validation", "test"][number / 3];
        let answer = ["low", "high"][number % 2];
        json!({"audio": "sound.wav", "answer": answer, "split": split})
    };
    let rows: String = (0..12).map(|number| row(number).to_string() + "\n").collect();
    fixture.write("sounds.jsonl", rows);
}

#[test]
fn a_recipe_reads_sounds_by_the_encoder() {
    let fixture = with_checkpoint("whisper");
    write_rows(&fixture);
    let recipe = |settings: &str| recipe(settings, "task = \"classify\"");
    fixture.write("fine.toml", recipe("max_seconds = 0.5"));
    fixture.expect(&["train", "fine.toml", "--run", "fine", "--quiet"], 0, &[]);
    let stored: Value = serde_json::from_slice(&fixture.read("fine/processors/audio.json")).unwrap();
    let expected = json!({"kind": "log_mel", "mels": 16, "pad_to_seconds": null});
    assert_eq!((&stored["features"], &stored["max_seconds"]), (&expected, &json!(0.5)));
    let wrong = |settings: &str, words: &[&str]| {
        fixture.write("wrong.toml", recipe(settings));
        fixture.expect(&["train", "wrong.toml", "--run", "wrong", "--quiet"], 2, words);
    };
    wrong("max_seconds = 2", &["inputs.audio.max_seconds", "at most 1 seconds"]);
    wrong("sample_rate = 8000", &["inputs.audio.sample_rate", "16000"]);
    wrong(
        "features = { kind = \"mfcc\" }",
        &["inputs.audio.features", "expected none"],
    );
}

#[test]
fn a_recipe_trains_the_decoder_further() {
    for layout in ["whisper", "whisper-ctranslate2"] {
        let fixture = with_checkpoint(layout);
        write_rows(&fixture);
        let recipe = |more: &str| {
            let output = format!("task = \"generate\"\nfrom = \"inputs.audio\"\n{more}");
            recipe("max_seconds = 0.5", &output)
        };
        fixture.write("fine.toml", recipe("pretrained = \"checkpoint\"\nlanguage = \"zh\""));
        fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 0, &[]);
        // Once more from the recipe that the run keeps.
        fixture.expect(&["train", "fine.toml", "--run", "run", "--resume", "--quiet"], 0, &[]);
        std::fs::remove_dir_all(fixture.path("checkpoint")).unwrap();
        let measured = fixture.expect(&["evaluate", "run", "--json", "--quiet"], 0, &[]);
        assert!(measured.stdout.contains("\"wer\""), "{}", measured.stdout);
        let found = document(&fixture, &["sound.wav"], 0);
        assert_eq!(found[0]["language"], json!("zh"));
    }
}

#[test]
fn adapters_are_trained_in_the_place_of_weights() {
    let fixture = with_checkpoint("whisper");
    write_rows(&fixture);
    let own = "pretrained = \"checkpoint\"\nlanguage = \"en\"";
    let adapted = |lora: &str| {
        let output = format!("task = \"generate\"\nfrom = \"inputs.audio\"\n{own}\nlora = {lora}");
        let encoder = format!("pretrained = \"checkpoint\", lora = {lora} }}");
        recipe("max_seconds = 0.5", &output).replace("pretrained = \"checkpoint\" }", &encoder)
    };
    fixture.write("adapted.toml", adapted("{ rank = 2 }"));
    fixture.expect(&["train", "adapted.toml", "--run", "run", "--quiet"], 0, &[]);
    let found = document(&fixture, &["sound.wav"], 0);
    assert_eq!(found[0]["language"], json!("en"));
    let wrong = |text: String, words: &[&str]| {
        fixture.write("wrong.toml", text);
        fixture.expect(&["train", "wrong.toml", "--run", "wrong", "--quiet"], 2, words);
    };
    wrong(
        adapted("{ layers = [\"kwery\"] }"),
        &["lora.layers", "`kwery`", "query"],
    );
    wrong(adapted("{ rank = 0 }"), &["rank"]);
    let frozen = adapted("{ rank = 2 }").replace("\"checkpoint\", lora", "\"checkpoint\", freeze = true, lora");
    wrong(frozen, &["inputs.audio.encoder", "`freeze` or `lora`"]);
    wrong(
        adapted("{}").replace(own, ""),
        &["outputs.answer.lora", "beside `pretrained`"],
    );
}

#[test]
fn what_a_decoder_settles_is_not_said_otherwise() {
    let fixture = with_checkpoint("whisper");
    write_rows(&fixture);
    let bert = Path::new(GOLDEN).join("bert");
    copy_folder(&bert, &fixture.path("bert"));
    let wrong = |more: &str, words: &[&str]| {
        let output = format!("task = \"generate\"\nfrom = \"inputs.audio\"\n{more}");
        fixture.write("wrong.toml", recipe("", &output));
        fixture.expect(&["train", "wrong.toml", "--run", "wrong", "--quiet"], 2, words);
    };
    let given = "pretrained = \"checkpoint\"\n";
    wrong(given, &["outputs.answer.language", "one of en, zh"]);
    wrong(
        &format!("{given}language = \"xx\""),
        &["outputs.answer.language", "`xx`"],
    );
    wrong("language = \"en\"", &["outputs.answer.language", "beside `pretrained`"]);
    let with = |more: &str| format!("{given}language = \"en\"\n{more}");
    wrong(
        &with("decoder = { kind = \"gru\" }"),
        &["outputs.answer.decoder", "expected none"],
    );
    wrong(
        &with("tokenizer = { kind = \"word\" }"),
        &["outputs.answer.tokenizer", "expected none"],
    );
    wrong(
        &with("max_length = 40"),
        &["outputs.answer.max_length", "at most 28 tokens"],
    );
    wrong(
        "pretrained = \"bert\"",
        &["outputs.answer.pretrained", "a checkpoint with a decoder"],
    );
}
