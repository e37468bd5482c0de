//! Encoders whose first blocks stay as they are, and whose learning rates fall from block to block.

use crate::fixture::{Fixture, copy_folder};
use sensorium_model::checkpoint::{self, HostTensors};
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/architectures");

/// The fixture with a small checkpoint in the folder `net`.
fn with(name: &str) -> Fixture {
    let fixture = Fixture::new();
    copy_folder(&Path::new(GOLDEN).join(name), &fixture.path("net"));
    fixture
}

/// A recipe of one step without momentum and decay, so that a parameter moves by its learning rate times its gradient.
fn recipe(input: &str, settings: &str) -> String {
    let modality = if input == "image" { "image" } else { "text" };
    format!(
        r#"[data]
manifest = "rows.jsonl"
[inputs.{input}]
modality = "{modality}"
encoder = {{ pretrained = "net"{settings} }}
[outputs.answer]
task = "classify"
[training]
batch_size = 12
max_epochs = 1
max_steps = 1
schedule = {{ kind = "constant", warmup_steps = 0 }}
optimizer = {{ kind = "sgd", learning_rate = 100.0, momentum = 0.0, weight_decay = 0.0 }}
"#
    )
}

/// The parameters of the encoder after the step.
fn trained(fixture: &Fixture, input: &str, settings: &str) -> HostTensors {
    let _ = std::fs::remove_dir_all(fixture.path("run"));
    fixture.write("fine.toml", recipe(input, settings));
    fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 0, &[]);
    let tensors = checkpoint::load(&fixture.path("run/model.safetensors"))
        .unwrap()
        .into_iter();
    let prefix = format!("inputs.{input}.");
    tensors
        .filter_map(|(path, tensor)| Some((path.strip_prefix(&prefix)?.to_string(), tensor)))
        .filter(|(path, _)| path != "absent")
        .collect()
}

#[test]
fn the_first_blocks_stay_bit_for_bit() {
    let cases: [(&str, &str, &[&str]); 4] = [
        ("bert", "question", &["stem.", "trunk.blocks.0."]),
        (
            "vit",
            "image",
            &["stem.", "trunk.class", "trunk.places", "trunk.blocks.0."],
        ),
        ("efficientnet-lite", "image", &["trunk.first.", "trunk.blocks.0."]),
        ("resnet", "image", &["trunk.first.", "trunk.blocks.0."]),
    ];
    for (name, input, kept) in cases {
        let fixture = with(name);
        let original = trained(&fixture, input, ", freeze = true");
        let found = trained(&fixture, input, ", freeze = 1");
        let mut moved = 0;
        for (path, tensor) in &found {
            let same = *tensor == original[path];
            let stays = kept.iter().any(|part| path.starts_with(part));
            assert!(same || !stays, "{name}: {path} has moved");
            moved += usize::from(!same);
        }
        // A key's bias has no gradient, and a rectifier may let none through.
        let free = found
            .keys()
            .filter(|path| !kept.iter().any(|part| path.starts_with(part)));
        assert!(moved * 2 > free.count(), "{name}: {moved} have moved");
    }
}

#[test]
fn rates_fall_from_block_to_block() {
    let fixture = with("bert");
    let original = trained(&fixture, "question", ", freeze = true");
    let whole = trained(&fixture, "question", "");
    let fallen = trained(&fixture, "question", ", layer_decay = 0.25");
    for (path, share) in [
        ("stem.words.weight", 0.015625),
        ("trunk.blocks.0.expand.weight", 0.0625),
        ("trunk.blocks.1.expand.weight", 0.25),
    ] {
        let steps = |after: &HostTensors| -> Vec<f32> {
            let pairs = after[path].values.iter().zip(&original[path].values);
            pairs.map(|(after, before)| after - before).collect()
        };
        let (full, found) = (steps(&whole), steps(&fallen));
        let length = |steps: &[f32]| steps.iter().map(|step| step * step).sum::<f32>().sqrt();
        let wrong: Vec<f32> = full
            .iter()
            .zip(&found)
            .map(|(full, found)| found - share * full)
            .collect();
        assert!(length(&full) > 1e-4, "{path} moves");
        assert!(
            length(&wrong) < 1e-2 * length(&found),
            "{path}: {} beside {}",
            length(&wrong),
            length(&found)
        );
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let fixture = with("bert");
    let refused = |settings: &str, words: &[&str]| {
        fixture.write("fine.toml", recipe("question", settings));
        fixture.expect(&["train", "fine.toml", "--run", "run", "--quiet"], 2, words);
    };
    refused(
        ", freeze = 3",
        &["inputs.question.encoder.freeze", "at most the 2 blocks", "found 3"],
    );
    refused(
        ", freeze = true, layer_decay = 0.5",
        &["either `freeze` or `layer_decay`"],
    );
    refused(", freeze = 1, lora = {}", &["either `freeze` or `lora`"]);
    refused(", layer_decay = 1.5", &["layer_decay"]);
    refused(", freeze = \"all\"", &["freeze"]);
}
