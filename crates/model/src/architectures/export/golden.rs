//! Checkpoints that are imported and exported again are what they were.

use super::super::golden::folder;
use super::super::{Checkpoint, safetensors, torch};
use super::{Export, TENSORS};
use crate::checkpoint::{HostTensors, to_host};
use crate::pipeline::Pipeline;
use crate::run_directory::RunDirectory;
use burn::tensor::Device;
use std::path::Path;
use tempfile::TempDir;

/// The golden checkpoints in Hugging Face's layout.
const FOLDERS: [&str; 35] = [
    "bert",
    "bert-labels",
    "bert-tags",
    "blip",
    "blip-vqa",
    "clip",
    "clip-gelu",
    "dinov2",
    "dinov2_with_registers",
    "efficientnet-lite",
    "gpt2",
    "hubert",
    "idefics3",
    "llama",
    "llama-scaled",
    "llava",
    "mt5",
    "qwen2",
    "qwen2_5_vl",
    "qwen2_audio",
    "qwen3",
    "resnet",
    "resnet-basic",
    "roberta",
    "roberta-labels",
    "siglip",
    "smolvlm",
    "smolvlm-chat",
    "t5",
    "t5-encoder",
    "t5-gated",
    "vit",
    "wav2vec2",
    "wav2vec2-large",
    "whisper",
];
/// The block of LLaVA's tower behind the one that is read.
const UNREAD: &str = "vision_tower.encoder.layers.2.";
/// What counts the steps of a batch normalisation, which is read nowhere.
const COUNTER: &str = ".num_batches_tracked";

#[test]
fn every_golden_checkpoint_is_written_back() {
    let mut found: Vec<String> = std::fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("config.json").exists() && !path.join("model.bin").exists())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    assert_eq!(found, FOLDERS);
}

/// All numbers of a folder under the names that they have there.
fn tensors(folder: &Path) -> HostTensors {
    let own = |name: &str| (!name.ends_with(COUNTER)).then(|| name.to_string());
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => safetensors::read(&path, own).unwrap(),
        Some("bin") => torch::read(&path, own).unwrap(),
        _ => HostTensors::new(),
    };
    files.flat_map(read).collect()
}

/// A checkpoint as a run that was written and read again, and the names that it leaves out.
fn run(source: &Path, temporary: &TempDir, name: &str) -> (RunDirectory, Pipeline, Vec<String>) {
    let run = RunDirectory::new(temporary.path().join(name));
    let checkpoint = Checkpoint::open(source).unwrap();
    let imported = checkpoint.import("imported", &Device::flex()).unwrap();
    imported.save(&run).unwrap();
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    (run, pipeline, imported.left_out)
}

#[test]
fn tensors_come_back_bit_for_bit() {
    for name in FOLDERS {
        let temporary = tempfile::tempdir().unwrap();
        let (run, pipeline, left_out) = run(&folder(name), &temporary, "run");
        let out = temporary.path().join("out");
        let export = Export::new(&run, &pipeline, None).unwrap();
        export.write(&out).unwrap();
        let (original, written) = (tensors(&folder(name)), tensors(&out));
        assert_eq!(export.sizes().0, written.len(), "{name}");
        for (tensor, found) in &written {
            assert!(*found == original[tensor], "{name}: {tensor} is another");
        }
        let missing = original.keys().filter(|tensor| !written.contains_key(*tensor));
        let missing = missing.filter(|tensor| !(name == "llava" && tensor.starts_with(UNREAD)));
        assert_eq!(missing.cloned().collect::<Vec<_>>(), left_out, "{name}");
    }
}

/// The description, with the processors' hashes and so the tokenizer's bytes, wherever it was read from.
fn described(pipeline: &Pipeline, source: &Path) -> String {
    let text = serde_json::to_string(&pipeline.description).unwrap();
    text.replace(&source.display().to_string(), "")
}

#[test]
fn what_is_exported_is_imported_as_it_was() {
    for name in FOLDERS {
        let temporary = tempfile::tempdir().unwrap();
        let (first, pipeline, _) = run(&folder(name), &temporary, "run");
        let out = temporary.path().join("out");
        Export::new(&first, &pipeline, None).unwrap().write(&out).unwrap();
        let (_, again, left_out) = run(&out, &temporary, "again");
        assert!(left_out.is_empty(), "{name}: {left_out:?}");
        assert_eq!(described(&again, &out), described(&pipeline, &folder(name)), "{name}");
        assert!(to_host(again.model()) == to_host(pipeline.model()), "{name}");
        let header = std::fs::read(out.join(TENSORS)).unwrap();
        let header = String::from_utf8_lossy(&header[8..300]).into_owned();
        assert!(header.contains(r#""__metadata__":{"format":"pt"}"#), "{name}: {header}");
    }
}

/// A folder of CTranslate2 has none of what the other layout says.
#[test]
fn a_run_that_keeps_nothing_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let (run, pipeline, _) = run(&folder("whisper-ctranslate2"), &temporary, "run");
    let error = Export::new(&run, &pipeline, None).unwrap_err().to_string();
    assert!(
        error.contains("expected a run with what is known of a checkpoint"),
        "{error}"
    );
}

#[test]
fn parts_are_named() {
    let temporary = tempfile::tempdir().unwrap();
    let (run, pipeline, _) = run(&folder("bert"), &temporary, "run");
    for part in ["inputs.text", "outputs.embedding"] {
        assert_eq!(Export::new(&run, &pipeline, Some(part)).unwrap().name(), "BertModel");
    }
    let error = Export::new(&run, &pipeline, Some("outputs.answer"))
        .unwrap_err()
        .to_string();
    let expected = "`outputs.answer` has no counterpart in transformers; what has: --input text, --output embedding";
    assert!(error.contains(expected), "{error}");
}

/// What has learnt in a place that the original does not have would be lost.
#[test]
fn numbers_without_a_place_are_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let (run, pipeline, _) = run(&folder("whisper"), &temporary, "run");
    let path = "outputs.text.decoder.bias";
    let mut tensors = to_host(pipeline.model());
    tensors.get_mut(path).unwrap().values[3] = 0.5;
    crate::checkpoint::save(&tensors, &run.weights()).unwrap();
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let error = Export::new(&run, &pipeline, None).unwrap_err().to_string();
    assert!(error.contains(path) && error.contains("no place for"), "{error}");
}
