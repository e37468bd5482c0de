//! `export`: imported runs and those that were trained on checkpoints in the layout of their originals, and what has none.

use crate::fixture::{Fixture, copy_folder};
use sensorium_model::checkpoint::{HostTensors, to_host};
use sensorium_model::{Device, Pipeline, RunDirectory};
use serde_json::{Value, json};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with small checkpoints in folders of their names.
fn with(names: &[&str]) -> Fixture {
    let fixture = Fixture::new();
    names
        .iter()
        .for_each(|name| copy_folder(&Path::new(GOLDEN).join(name), &fixture.path(name)));
    fixture
}

fn train(fixture: &Fixture, recipe: &str) {
    let recipe = format!("[data]\nmanifest = \"rows.jsonl\"\n{recipe}\n[training]\nbatch_size = 12\nmax_epochs = 1\n");
    fixture.write("fine.toml", recipe);
    fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 0, &[]);
}

/// Exports the one part of the run that came from a checkpoint.
fn exported(fixture: &Fixture, model: &str) {
    let finished = fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    let told = finished.stdout.starts_with(&format!("out: {model}, "));
    assert!(told, "{}", finished.stdout);
}

fn config(fixture: &Fixture, name: &str) -> Value {
    serde_json::from_slice(&fixture.read(name)).unwrap()
}

/// The parameters of a run, adapters merged, that begin with a path, without it.
fn parameters(fixture: &Fixture, run: &str, path: &str) -> HostTensors {
    let run = RunDirectory::new(fixture.path(run));
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let tensors = to_host(pipeline.model()).into_iter();
    let within = tensors.filter_map(|(name, tensor)| Some((name.strip_prefix(path)?.to_string(), tensor)));
    within.filter(|(name, _)| name != "absent").collect()
}

#[test]
fn an_imported_run_is_exported_and_answers_the_same_again() {
    let fixture = with(&["bert-labels"]);
    fixture.expect(&["import", "bert-labels", "--run", "run"], 0, &[]);
    let finished = fixture.expect(&["export", "run", "--out", "out"], 0, &[]);
    assert_eq!(
        finished.stdout,
        "out: BertForSequenceClassification, 41 tensors of 5667 numbers\n"
    );
    let permissions = |name: &str| std::fs::metadata(fixture.path("out").join(name)).unwrap().permissions();
    assert_eq!(permissions("model.safetensors"), permissions("config.json"));
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    let answer = |run: &str| {
        let asked = ["predict", run, "--text", "a red bird", "--json"];
        let answer: Value = serde_json::from_str(&fixture.expect(&asked, 0, &[]).stdout).unwrap();
        answer["outputs"].clone()
    };
    assert_eq!(answer("run"), answer("again"));
    fixture.expect(&["export", "run", "--out", "out"], 2, &["--out out", "not empty"]);
    fixture.expect(
        &["export", "run", "--out", "other", "--output", "colour"],
        1,
        &[
            "`outputs.colour` has no counterpart",
            "--input text, --output embedding, --output label",
        ],
    );
    assert!(!fixture.path("other").exists());
    // What says nothing of a checkpoint was imported by an older version.
    std::fs::remove_dir_all(fixture.path("run/pretrained")).unwrap();
    fixture.expect(
        &["export", "run", "--out", "other"],
        1,
        &["anew where an older version did"],
    );
}

#[test]
fn an_encoder_that_was_trained_further_is_exported_without_what_reads_it() {
    let fixture = with(&["bert-labels"]);
    train(
        &fixture,
        r#"[inputs.question]
modality = "text"
encoder = { pretrained = "bert-labels" }
[inputs.image]
modality = "image"
[outputs.answer]
task = "classify""#,
    );
    std::fs::remove_dir_all(fixture.path("bert-labels")).unwrap();
    let refused = |option: &str, name: &str, words: &[&str]| {
        fixture.expect(&["export", "run", "--out", "out", option, name], 1, words);
    };
    refused(
        "--output",
        "answer",
        &["`outputs.answer` has no counterpart in transformers; what has: --input question"],
    );
    refused("--input", "image", &["`inputs.image`", "--input question"]);
    let finished = fixture.expect(&["export", "run", "--out", "out", "--input", "question"], 0, &[]);
    assert!(
        finished.stdout.starts_with("out: BertModel, 37 tensors"),
        "{}",
        finished.stdout
    );
    let written = config(&fixture, "out/config.json");
    assert_eq!(written["architectures"], json!(["BertModel"]));
    assert!(written.get("id2label").is_none());
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    let trained = parameters(&fixture, "run", "inputs.question.");
    assert!(parameters(&fixture, "again", "inputs.text.") == trained);
    let tokenizer = fixture.read("out/tokenizer.json");
    assert!(tokenizer == std::fs::read(Path::new(GOLDEN).join("bert-labels/tokenizer.json")).unwrap());
    let trained_here = Fixture::trained();
    trained_here.expect(
        &["export", "run", "--out", "out"],
        1,
        &["expected a run with what is known"],
    );
}

/// Encoder and decoder are one model, adapters are merged, and no parameter is trained that the original lacks.
#[test]
fn whisper_is_exported_as_one_model() {
    for lora in [true, false] {
        let fixture = with(&["whisper"]);
        let row = |number: usize| {
            let split = ["train", "validation"][number / 6];
            json!({"audio": "whisper/sound.wav", "answer": "the inn", "split": split}).to_string() + "\n"
        };
        fixture.write("rows.jsonl", (0..12).map(row).collect::<String>());
        let [inner, outer] = match lora {
            true => [", lora = { rank = 2 }", "lora = { rank = 2 }"],
            false => ["", ""],
        };
        let recipe = format!(
            r#"[inputs.audio]
modality = "audio"
max_seconds = 0.5
encoder = {{ pretrained = "whisper"{inner} }}
[outputs.answer]
task = "generate"
from = "inputs.audio"
pretrained = "whisper"
language = "en"
{outer}"#
        );
        train(&fixture, &recipe);
        fixture.expect(&["import", "whisper", "--run", "original"], 0, &[]);
        exported(&fixture, "WhisperForConditionalGeneration");
        let settings = config(&fixture, "out/generation_config.json");
        assert_eq!(
            (&settings["language"], &settings["task"]),
            (&json!("en"), &json!("transcribe"))
        );
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        for (trained, imported) in [("inputs.audio.", "inputs.audio."), ("outputs.answer.", "outputs.text.")] {
            let trained = parameters(&fixture, "run", trained);
            assert!(
                trained != parameters(&fixture, "original", imported),
                "{imported} was trained"
            );
            assert!(trained == parameters(&fixture, "again", imported), "{imported}");
        }
        let words = ["`inputs.audio` has no counterpart", "--output answer"];
        fixture.expect(&["export", "run", "--out", "other", "--input", "audio"], 1, &words);
    }
}

/// A tower has the configuration that it has by itself, and a model of any size its own.
#[test]
fn pictures_are_read_as_they_were_trained() {
    let fixture = with(&["clip", "vit", "dinov2"]);
    let recipe = |name: &str, more: &str| {
        format!(
            r#"[inputs.image]
modality = "image"
encoder = {{ pretrained = "{name}", freeze = true }}
{more}
[outputs.answer]
task = "classify""#
        )
    };
    let again = |recipe: &str| {
        let _ = std::fs::remove_dir_all(fixture.path("run"));
        let _ = std::fs::remove_dir_all(fixture.path("out"));
        train(&fixture, recipe);
    };
    again(&recipe("clip", ""));
    exported(&fixture, "CLIPVisionModel");
    let written = config(&fixture, "out/config.json");
    assert_eq!(
        (&written["model_type"], &written["image_size"]),
        (&json!("clip_vision_model"), &json!(24))
    );
    again(&recipe("dinov2", "size = 32"));
    exported(&fixture, "Dinov2Model");
    let written = config(&fixture, "out/preprocessor_config.json");
    assert_eq!(written["crop_size"], json!({"height": 32, "width": 32}));
    fixture.expect(&["import", "out", "--run", "imported"], 0, &[]);
    again(&recipe("vit", "size = 32"));
    fixture.expect(&["export", "run", "--out", "out"], 1, &["inputs.image", "found 32×32"]);
}

#[test]
fn a_language_model_that_was_trained_further_is_exported() {
    for (folder, model) in [("gpt2", "GPT2LMHeadModel"), ("qwen3", "Qwen3ForCausalLM")] {
        let fixture = with(&[folder]);
        let input = "[inputs.question]\nmodality = \"text\"\n[outputs.next]\ntask = \"language_model\"\n";
        train(&fixture, &format!("{input}pretrained = \"{folder}\"\n"));
        std::fs::remove_dir_all(fixture.path(folder)).unwrap();
        exported(&fixture, model);
        fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
        let again = parameters(&fixture, "again", "outputs.continuation.");
        assert!(again == parameters(&fixture, "run", "outputs.next."), "{folder}");
    }
}

/// It is written as the Llama that it could have come from, and goes on with texts in the same way; a second training of it is
/// written too.
#[test]
fn a_language_model_that_was_made_here_is_exported() {
    let fixture = Fixture::new();
    let recipe = |more: &str| {
        let decoder = r#"decoder = { kind = "llama", width = 16, layers = 2, heads = 2, key_heads = 1 }"#;
        let more = if more.is_empty() { decoder } else { more };
        format!(
            "[inputs.question]\nmodality = \"text\"\ntokenizer = {{ kind = \"bpe\", vocabulary = 280 }}\n[outputs.next]\n\
             task = \"language_model\"\ncontext = 24\n{more}\ndecoding = {{ method = {{ kind = \"greedy\" }}, max_length = 12 }}"
        )
    };
    train(&fixture, &recipe(""));
    exported(&fixture, "LlamaForCausalLM");
    let settings = config(&fixture, "out/tokenizer_config.json");
    assert_eq!(
        (&settings["bos_token"], &settings["eos_token"]),
        (&json!("[BOS]"), &json!("[EOS]"))
    );
    assert_eq!(config(&fixture, "out/config.json")["max_position_embeddings"], 24);
    fixture.expect(&["import", "out", "--run", "again"], 0, &[]);
    let trained = parameters(&fixture, "run", "outputs.next.");
    assert!(parameters(&fixture, "again", "outputs.continuation.") == trained);
    let answer = |run: &str, input: &str, output: &str| {
        let text = format!("{input}=What  COLOUR is");
        let asked = ["predict", run, "--input", &text, "--json"];
        let answer: Value = serde_json::from_str(&fixture.expect(&asked, 0, &[]).stdout).unwrap();
        answer["outputs"][output]["value"].clone()
    };
    let text = answer("run", "question", "next");
    assert!(text.as_str().is_some_and(|text| !text.is_empty()), "{text}");
    assert_eq!(answer("again", "text", "continuation"), text);
    std::fs::rename(fixture.path("run"), fixture.path("first")).unwrap();
    std::fs::remove_dir_all(fixture.path("out")).unwrap();
    train(&fixture, &recipe("pretrained = \"first\""));
    exported(&fixture, "LlamaForCausalLM");
    assert!(parameters(&fixture, "run", "outputs.next.") != trained);
}

/// What reads a picture in front of its text is no language model any more.
#[test]
fn a_language_model_behind_a_picture_has_no_counterpart() {
    let fixture = with(&["gpt2"]);
    train(
        &fixture,
        "[inputs.image]\nmodality = \"image\"\nsize = 16\n[outputs.answer]\ntask = \"generate\"\nfrom = \"inputs.image\"\n\
         pretrained = \"gpt2\"\nreads = { kind = \"prefix\" }",
    );
    fixture.expect(&["export", "run", "--out", "out"], 1, &["nothing of this run has"]);
}
