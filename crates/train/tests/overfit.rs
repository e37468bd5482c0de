//! Pictures with texts are learnt by heart, and blended pictures to the same bits, through the recipe and the trainer.

mod bars;

use bars::Bar;
use sensorium_data::random::Key;
use sensorium_data::{Draw, Home, Mixing};
use sensorium_model::checkpoint::{HostTensors, load, to_vec};
use sensorium_model::{Device, Model, Pass, RunDirectory};
use sensorium_train::{Event, Outcome, Plan, Recipe, Trainer, config};
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// Two questions about each picture: neither input alone is enough.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for Bar { name, color, shape } in bars::draw(folder) {
        for (question, answer) in [("which color is it", color), ("how does it lie", shape)] {
            let row = serde_json::json!({
                "image": name, "question": question, "answer": answer, "split": "train"
            });
            rows += &format!("{row}\n");
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

const CNN: &str = r#"{ kind = "cnn", stages = [16, 32] }"#;
const RNN: &str = r#"{ kind = "rnn", width = 16 }"#;
const TRANSFORMER: &str = r#"{ kind = "transformer", width = 32, layers = 1, heads = 2 }"#;

/// What else goes together is tried without the trainer, in `combinations`.
#[test]
fn pictures_and_texts_are_learnt_together() {
    check(CNN, RNN, "gated");
    check(TRANSFORMER, TRANSFORMER, "concat");
}

/// A recipe that reads the colour off the pictures, which are blended in training.
fn blended(folder: &Path, threads: usize) -> Plan {
    let recipe = format!(
        r#"
        [data]
        loader_threads = {threads}
        [inputs.image]
        modality = "image"
        size = 16
        trunk = {CNN}
        [outputs.answer]
        task = "classify"
        [training]
        batch_size = 5
        max_epochs = 12
        mixup = 0.4
        cutmix = 1.0
        optimizer = {{ kind = "adamw", learning_rate = 5e-3 }}
        "#
    );
    let recipe: Recipe = config::parse(&recipe, "recipe.toml", &[]).unwrap();
    Plan::new(recipe, folder, "blended", &Home::from_environment(), &mut |_| {}).unwrap()
}

#[test]
fn blended_pictures_train_to_the_same_bits_with_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let train = |threads: usize, name: &str| {
        let plan = blended(folder.path(), threads);
        let run = RunDirectory::new(folder.path().join(name));
        plan.prepare(&run, false).unwrap();
        let mut losses = Vec::new();
        let mut observe = |event: &Event| {
            if let Event::Step(step) = event {
                losses.push(step.loss);
            }
        };
        let mut trainer = Trainer::new(plan, run, &Device::flex()).unwrap();
        trainer.run(&AtomicBool::new(false), &mut observe).unwrap();
        losses
    };
    let losses = train(1, "one");
    assert!(losses.iter().all(|loss| loss.is_finite() && *loss > 0.0), "{losses:?}");
    assert_eq!(losses, train(3, "three"));
}

/// The weights after one epoch of a recipe that reads the answers off some of the columns, all of them as texts.
fn weights_of(folder: &Path, columns: &[&str]) -> HostTensors {
    let training = "training = { batch_size = 5, max_epochs = 1, modality_dropout = 0.0, clip_norm = 1e9 }\n";
    let read = columns.iter().map(|column| {
        format!(
            "inputs.{column} = {{ modality = 'text', tokenizer = {{ kind = 'character' }}, trunk = {RNN} }}\n\
             outputs.by_{column} = {{ task = 'classify', column = 'answer', from = 'inputs.{column}' }}\n"
        )
    });
    let text = training.to_string() + &read.collect::<String>();
    let recipe: Recipe = config::parse(&text, "recipe.toml", &[]).unwrap();
    let plan = Plan::new(recipe, folder, "parts", &Home::from_environment(), &mut |_| {}).unwrap();
    let run = RunDirectory::new(folder.join(columns.join("-")));
    plan.prepare(&run, false).unwrap();
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
    load(&run.weights()).unwrap()
}

#[test]
fn outputs_that_share_no_encoder_train_together_to_the_bits_that_each_has_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let mut both = weights_of(folder.path(), &["image", "question"]);
    for column in ["image", "question"] {
        for (path, alone) in weights_of(folder.path(), &[column]) {
            assert!(both.remove(&path).unwrap().values == alone.values, "{path}");
        }
    }
    assert!(both.is_empty(), "{:?}", both.keys());
}

#[test]
fn the_loss_of_blended_rows_is_that_of_both_targets_by_their_shares() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let plan = blended(folder.path(), 1);
    let inputs = plan.dataset.inputs().iter();
    let shapes = inputs
        .map(|input| (input.name.clone(), input.processor.shape()))
        .collect();
    let model = Model::new(&plan.description.model, &shapes, 1, &Device::flex()).unwrap();
    let draw = Draw {
        key: Key::new(1),
        modality_dropout: 0.0,
        mixing: Some(Mixing {
            mixup: Some(1.0),
            cutmix: None,
        }),
    };
    let indices: Vec<usize> = (0..plan.dataset.samples().len()).collect();
    let (batch, failed) = plan.dataset.batch(&indices, Some(&draw));
    assert!(failed.is_empty());
    let mixed = batch.mixed.clone().unwrap();
    assert!(
        mixed.weight > 0.0 && mixed.weight < 1.0 && mixed.partners != indices,
        "{mixed:?}"
    );
    let pass = Pass::evaluation();
    let rows = |batch: &_| to_vec(model.losses(&model.encode(batch, &pass), &pass)["answer"].rows.clone());
    let found = rows(&batch);
    let mut own = batch.clone();
    own.mixed = None;
    let mut other = own.clone();
    let targets = &batch.targets["answer"].values;
    let turned = mixed.partners.iter().map(|&partner| targets[partner].clone());
    other.targets.get_mut("answer").unwrap().values = turned.collect();
    for ((found, own), other) in found.iter().zip(rows(&own)).zip(rows(&other)) {
        let expected = mixed.weight * own + (1.0 - mixed.weight) * other;
        assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
    }
}
