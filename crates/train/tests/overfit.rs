//! Every pair of image and text trunks learns a small set by heart, through the recipe and the trainer.

use sensorium_data::Home;
use sensorium_model::{Device, RunDirectory};
use sensorium_train::{Event, Outcome, Plan, Recipe, Trainer, config};
use std::path::Path;
use std::sync::atomic::AtomicBool;

const COLORS: [(&str, [u8; 3]); 3] = [
    ("red", [220, 30, 30]),
    ("green", [30, 180, 40]),
    ("blue", [40, 60, 220]),
];

/// Pictures of a coloured bar, lying or standing, and two questions about each: neither input alone is enough.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for (color, rgb) in COLORS {
        for (shape, lying) in [("lying", true), ("standing", false)] {
            let name = format!("{color}-{shape}.png");
            let pixel = |x: u32, y: u32| {
                let (along, across) = if lying { (x, y) } else { (y, x) };
                let inside = (2..14).contains(&along) && (6..10).contains(&across);
                image::Rgb(if inside { rgb } else { [240, 240, 240] })
            };
            image::RgbImage::from_fn(16, 16, pixel)
                .save(folder.join(&name))
                .unwrap();
            for (question, answer) in [("which color is it", color), ("how does it lie", shape)] {
                let row = serde_json::json!({
                    "image": name, "question": question, "answer": answer, "split": "train"
                });
                rows += &format!("{row}\n");
            }
        }
    }
    std::fs::write(folder.join("rows.jsonl"), rows).unwrap();
}

fn check(image: &str, text: &str, fusion: &str) {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let recipe = format!(
        r#"
        [inputs.image]
        modality = "image"
        size = 16
        trunk = {image}
        [inputs.question]
        modality = "text"
        tokenizer = {{ kind = "word" }}
        trunk = {text}
        [fusion]
        kind = "{fusion}"
        width = 32
        [outputs.answer]
        task = "classify"
        [training]
        batch_size = 12
        max_epochs = 150
        modality_dropout = 0.0
        optimizer = {{ kind = "adamw", learning_rate = 5e-3 }}
        schedule = {{ kind = "constant", warmup_steps = 10 }}
        stop = {{ target = 0.05 }}
        "#
    );
    let recipe: Recipe = config::parse(&recipe, "recipe.toml", &[]).unwrap();
    let home = Home::from_environment();
    let plan = Plan::new(recipe, folder.path(), "overfit", &home, &mut |_| {}).unwrap();
    let run = RunDirectory::new(folder.path().join("run"));
    plan.prepare(&run, false).unwrap();
    let mut trainer = Trainer::new(plan, run, &Device::flex()).unwrap();
    let mut losses = Vec::new();
    let mut observe = |event: &Event| {
        if let Event::Step(step) = event {
            losses.push(step.loss);
        }
    };
    let outcome = trainer.run(&AtomicBool::new(false), &mut observe).unwrap();
    let last = losses.last().copied().unwrap_or(f64::NAN);
    let name = format!("image {image}, text {text}, {fusion}");
    assert!(matches!(outcome, Outcome::Finished(_)), "{name}");
    assert!(last < 0.1, "{name}: the loss went from {:.3} to {last:.3}", losses[0]);
}

const TRUNKS: [&str; 3] = [
    r#"{ kind = "cnn", stages = [16, 32] }"#,
    r#"{ kind = "rnn", width = 16 }"#,
    r#"{ kind = "transformer", width = 32, layers = 1, heads = 2 }"#,
];

#[test]
fn cnn_pictures_with_each_text_trunk() {
    TRUNKS.iter().for_each(|text| check(TRUNKS[0], text, "gated"));
}

#[test]
fn rnn_pictures_with_each_text_trunk() {
    TRUNKS.iter().for_each(|text| check(TRUNKS[1], text, "concat"));
}

#[test]
fn transformer_pictures_with_each_text_trunk() {
    TRUNKS.iter().for_each(|text| check(TRUNKS[2], text, "cross_attention"));
}

#[test]
fn an_lstm_reads_pictures_and_texts() {
    let lstm = r#"{ kind = "rnn", cell = "lstm", width = 16, layers = 2 }"#;
    check(lstm, lstm, "gated");
}
