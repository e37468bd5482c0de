//! One model for several sets: each task is learnt from, measured on and controlled by its own rows.

mod bars;

use bars::Bar;
use sensorium_data::Home;
use sensorium_model::{Device, Pipeline, RunDirectory};
use sensorium_train::{Controls, Plan, Recipe, Request, Trainer, config};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Three sets: pictures with their colours, captions with their postures, and two questions about each picture.
fn write_data(folder: &Path) {
    let sets = ["pictures", "captions", "questions"];
    let mut rows: BTreeMap<&str, String> = sets.map(|set| (set, String::new())).into();
    let mut write = |set: &str, row: serde_json::Value| *rows.get_mut(set).unwrap() += &format!("{row}\n");
    for Bar { name, color, shape } in bars::draw(folder) {
        let caption = format!("a {color} bar is {shape}");
        for split in ["train", "validation"] {
            write(
                "pictures",
                serde_json::json!({"picture": name, "color": color, "split": split}),
            );
            write(
                "captions",
                serde_json::json!({"caption": caption, "posture": shape, "split": split}),
            );
            for (question, said) in [("which color", color), ("how is it", shape)] {
                let row = serde_json::json!({"picture": name, "question": question, "said": said, "split": split});
                write("questions", row);
            }
        }
    }
    for (set, rows) in rows {
        std::fs::write(folder.join(format!("{set}.jsonl")), rows).unwrap();
    }
}

const RECIPE: &str = r#"
[data]
manifest = [
    { manifest = "pictures.jsonl" },
    { manifest = "captions.jsonl" },
    { manifest = "questions.jsonl", weight = 2 },
]
[inputs.image]
column = "picture"
modality = "image"
size = 16
trunk = { kind = "cnn", stages = [16, 32] }
[inputs.caption]
modality = "text"
tokenizer = { kind = "word" }
[inputs.question]
modality = "text"
tokenizer = { kind = "word" }
[fusion]
inputs = ["caption", "image", "question"]
kind = "gated"
width = 32
[outputs.color]
task = "classify"
from = "inputs.image"
[outputs.posture]
task = "classify"
from = "inputs.caption"
[outputs.said]
task = "classify"
[training]
batch_size = 12
max_epochs = 60
validation_rows = 4
modality_dropout = 0.0
optimizer = { kind = "adamw", learning_rate = 5e-3 }
"#;

#[test]
fn each_task_is_measured_and_controlled_by_its_own_rows() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let recipe: Recipe = config::parse(RECIPE, "recipe.toml", &[]).unwrap();
    let home = Home::from_environment();
    let plan = Plan::new(recipe, folder.path(), "joined", &home, &mut |_| {}).unwrap();
    // Of 6, 6 and 12 rows for validation four of each set are measured after an epoch.
    let of_sets = plan.splits.validation.iter().map(|row| (row / 12).min(2));
    assert_eq!(of_sets.collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    let run = RunDirectory::new(folder.path().join("run"));
    plan.prepare(&run, false).unwrap();
    let (dataset, indices) = (plan.dataset.clone(), plan.splits.train.clone());
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let request = Request {
        pipeline: &pipeline,
        dataset: &dataset,
        split: "train",
        indices: &indices,
        controls: Controls::Each,
        seed: 1,
        failure_budget: 0.0,
        threads: 1,
        by: None,
        interrupt: &AtomicBool::new(false),
    };
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    let told = request.run(&run, &mut |progress| {
        assert!(progress.rows <= progress.total);
        answered.insert(progress.stage.into(), progress.total);
    });
    let (evaluation, scores) = told.unwrap().unwrap();
    for output in ["color", "posture", "said"] {
        assert!(evaluation.metrics[output]["accuracy"] > 0.9, "{:?}", evaluation.metrics);
        let [low, high] = evaluation.intervals[output]["accuracy"];
        assert!(low > 0.5 && high == 1.0, "{output}: {low} to {high}");
    }
    let measured = [("color", 6), ("posture", 6), ("said", 12)];
    assert_eq!(
        evaluation.measured,
        measured.map(|(output, rows)| (output.to_string(), rows)).into()
    );
    // Six pictures, six captions and twelve questions, each answered by its own output.
    for (place, row) in scores.rows.iter().enumerate() {
        let output = ["color", "posture", "said", "said"][place / 6];
        assert!(
            row.answers.keys().eq([output]) && row.targets.keys().eq([output]),
            "{place}"
        );
    }
    let expected = [
        ("all inputs", 24),
        ("shuffled:caption", 6),
        ("shuffled:image", 18),
        ("shuffled:question", 12),
        ("without:image", 12),
        ("without:question", 12),
    ];
    assert_eq!(answered, expected.map(|(name, rows)| (name.to_string(), rows)).into());
    let outputs = |control: &str| -> BTreeSet<&str> {
        let outputs = evaluation.controls[control].keys();
        outputs.map(String::as_str).collect()
    };
    assert_eq!(outputs("shuffled:image"), ["color", "said"].into());
    assert_eq!(outputs("without:image"), ["said"].into());
    assert_eq!(outputs("shuffled:caption"), ["posture"].into());
    for (control, outputs) in &evaluation.controls {
        for (output, metrics) in outputs {
            assert!(metrics["accuracy"] < 0.9, "{output} {control}: {metrics:?}");
        }
    }
}
