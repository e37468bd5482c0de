//! Weights that stay as they are and are held in few bits in training.

use crate::fixture::Fixture;
use crate::language::with_checkpoint;
use crate::pretrained::{train, trained};
use sensorium_model::Precision;
use sensorium_model::checkpoint::{HostTensors, load};
use std::path::PathBuf;

const FEW: [(&str, Precision); 2] = [("int8", Precision::Int8), ("int4", Precision::Int4)];

fn tensors(path: PathBuf) -> HostTensors {
    load(&path.join("model.safetensors")).unwrap()
}

/// The checkpoints of the training, the oldest first.
fn checkpoints(fixture: &Fixture) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture.path("run/checkpoints")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The run has the rounded weights whole with adapters beside them, its checkpoints have these alone, and go on from there to the
/// same bytes.
#[test]
fn adapters_are_trained_beside_weights_of_few_bits() {
    for (name, precision) in FEW {
        let fixture = trained();
        let recipe = format!(
            "[inputs.question]\nmodality = \"text\"\n[outputs.next]\ntask = \"language_model\"\npretrained = \"language\"\n\
             lora = {{ rank = 2, layers = [\"query\", \"value\"] }}\nprecision = \"{name}\"\n[training]\nmax_epochs = 2\n"
        );
        fixture.write("few.toml", recipe);
        train(&fixture, "few.toml", "run");
        let (before, after) = (tensors(fixture.path("language")), tensors(fixture.path("run")));
        let path = |layer: &str| format!("outputs.next.decoder.{layer}.weight");
        let block = |layer: &str| path(&format!("body.blocks.0.{layer}"));
        for held in [
            block("attention.query"),
            block("attention.output"),
            block("gate"),
            path("embedding"),
        ] {
            assert_eq!(after[&held], before[&held].clone().rounded(precision), "{name}: {held}");
            assert_ne!(after[&held], before[&held], "{name}: {held}");
        }
        let adapter = format!("{}.lora.b", block("attention.query"));
        assert!(after[&adapter].values.iter().any(|value| *value != 0.0), "{name}");
        let folders = checkpoints(&fixture);
        let kept = tensors(folders[1].clone());
        assert!(
            kept.contains_key(&adapter) && !kept.contains_key(&block("gate")),
            "{name}"
        );

        let finished = fixture.read("run/model.safetensors");
        std::fs::remove_dir_all(&folders[1]).unwrap();
        fixture.write("run/model.safetensors", "");
        fixture.expect(&["train", "few.toml", "--run", "run", "--resume", "--quiet"], 0, &[]);
        assert!(fixture.read("run/model.safetensors") == finished, "{name}");
        // What is finished needs the other run no more.
        std::fs::remove_dir_all(fixture.path("language")).unwrap();
        fixture.expect(&["predict", "run", "--input", "question=what colour", "--json"], 0, &[]);
    }
}

/// A decoder that is kept as it is, and an encoder.
#[test]
fn frozen_parts_are_held_in_few_bits() {
    for (name, precision) in FEW {
        let fixture = with_checkpoint("bert");
        let recipe = format!(
            "[data]\nmanifest = \"rows.jsonl\"\n[inputs.question]\nmodality = \"text\"\n\
             encoder = {{ pretrained = \"bert\", freeze = true, precision = \"{name}\" }}\n[outputs.answer]\ntask = \"classify\"\n\
             [training]\nmax_epochs = 1\n"
        );
        fixture.write("few.toml", recipe);
        train(&fixture, "few.toml", "run");
        fixture.expect(&["import", "bert", "--run", "plain"], 0, &[]);
        let (plain, held) = (tensors(fixture.path("plain")), tensors(fixture.path("run")));
        let of = |input: &str| format!("inputs.{input}.trunk.blocks.0.expand.weight");
        assert_eq!(
            held[&of("question")],
            plain[&of("text")].clone().rounded(precision),
            "{name}"
        );
        fixture.expect(&["evaluate", "run", "--quiet"], 0, &[]);
    }
    let fixture = trained();
    let recipe = "[inputs.image]\nmodality = \"image\"\nsize = 16\n[outputs.answer]\ntask = \"generate\"\nfrom = \"inputs.image\"\n\
                  pretrained = \"language\"\nfreeze = true\nprecision = \"int8\"\nreads = { kind = \"prefix\" }\n\
                  [training]\nmax_epochs = 1\n";
    fixture.write("few.toml", recipe);
    train(&fixture, "few.toml", "run");
    let after = tensors(fixture.path("run"));
    let projector = after.keys().filter(|path| path.contains(".projector."));
    assert!(projector.count() > 0);
    fixture.expect(&["predict", "run", "--image", "0.png", "--json"], 0, &[]);
}

#[test]
fn what_is_trained_is_not_held_in_few_bits() {
    let fixture = trained();
    let refused = |more: &str, words: &[&str]| {
        fixture.write("wrong.toml", format!("[inputs.question]\nmodality = \"text\"\n{more}"));
        fixture.expect(&["train", "wrong.toml", "--run", "run", "--quiet"], 2, words);
    };
    refused(
        "[outputs.next]\ntask = \"language_model\"\npretrained = \"language\"\nprecision = \"int8\"\n",
        &["outputs.next.precision", "add `lora`"],
    );
    refused(
        "encoder = { pretrained = \"bert\", precision = \"int8\" }\n[outputs.answer]\ntask = \"classify\"\n",
        &["inputs.question.encoder.precision", "add `lora`"],
    );
    refused(
        "encoder = { pretrained = \"bert\", freeze = true, precision = \"int2\" }\n[outputs.answer]\ntask = \"classify\"\n",
        &["int2", "int8"],
    );
}
