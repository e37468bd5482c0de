//! The average of the weights: against a plain reference over every step, over interruptions, and in what is kept.

mod bars;

use bars::Bar;
use sensorium_data::Home;
use sensorium_model::checkpoint::{HostTensors, load, to_host};
use sensorium_model::{Device, Model, Pipeline, RunDirectory};
use sensorium_train::{Controls, Event, Outcome, Plan, Recipe, Request, StepEvent, Trainer, config};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const DECAY: f64 = 0.4;

/// The colours of bars, of which one lies aside for validation.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for (number, Bar { name, color, shape }) in bars::draw(folder).into_iter().enumerate() {
        let split = if number == 5 { "validation" } else { "train" };
        rows += &format!(
            "{}\n",
            serde_json::json!({ "image": name, "answer": color, "shape": shape, "split": split })
        );
    }
    std::fs::write(folder.join("rows.jsonl"), rows).unwrap();
}

fn plan(folder: &Path, average: Option<f64>) -> Plan {
    let average = average.map_or(String::new(), |decay| format!("average = {decay}"));
    let recipe = format!(
        r#"
        [data]
        manifest = "rows.jsonl"
        [inputs.image]
        modality = "image"
        size = 16
        augment = ["flip"]
        trunk = {{ kind = "cnn", stages = [8, 8] }}
        [outputs.answer]
        task = "classify"
        [training]
        batch_size = 2
        max_epochs = 4
        optimizer = {{ kind = "adamw", learning_rate = 5e-3 }}
        {average}
        "#
    );
    let recipe: Recipe = config::parse(&recipe, "recipe.toml", &[]).unwrap();
    Plan::new(recipe, folder, "average", &Home::from_environment(), &mut |_| {}).unwrap()
}

/// Trains in one sitting: the steps, and the validation loss of the best evaluation.
fn train(folder: &Path, name: &str, average: Option<f64>) -> (RunDirectory, Vec<StepEvent>, f64) {
    let run = RunDirectory::new(folder.join(name));
    let plan = plan(folder, average);
    plan.prepare(&run, false).unwrap();
    let (mut steps, mut best) = (Vec::new(), f64::NAN);
    let mut observe = |event: &Event| match event {
        Event::Step(step) => steps.push(step.clone()),
        Event::Evaluation(evaluation) if evaluation.best => best = evaluation.metrics["validation.loss"],
        Event::Evaluation(_) | Event::Search(_) => {}
    };
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    trainer.run(&AtomicBool::new(false), &mut observe).unwrap();
    (run, steps, best)
}

/// What one sitting that is interrupted after its first step leaves in its checkpoint: the number of the step, the weights
/// and their average; nothing where the run was at its end.
fn one_step(folder: &Path, run: &RunDirectory) -> Option<(u64, HostTensors, HostTensors)> {
    let interrupt = AtomicBool::new(false);
    let mut observe = |event: &Event| {
        if let Event::Step(_) = event {
            interrupt.store(true, Ordering::Relaxed);
        }
    };
    let mut trainer = Trainer::new(plan(folder, Some(DECAY)), run.clone(), &Device::flex()).unwrap();
    let outcome = trainer.run(&interrupt, &mut observe).unwrap();
    let step = trainer.state().step;
    let checkpoint = run.checkpoints().join(format!("step-{step:08}"));
    let tensors = |name: &str| load(&checkpoint.join(name)).unwrap();
    (outcome == Outcome::Interrupted).then(|| (step, tensors("model.safetensors"), tensors("average.safetensors")))
}

/// Every number in 64 bits.
fn wide(tensors: &HostTensors) -> BTreeMap<String, Vec<f64>> {
    let values = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect();
    let each = tensors
        .iter()
        .map(|(path, tensor)| (path.clone(), values(&tensor.values)));
    each.collect()
}

fn initial(plan: &Plan) -> HostTensors {
    let inputs = plan.dataset.inputs().iter();
    let shapes = inputs.map(|input| (input.name.clone(), input.processor.shape()));
    let model = Model::new(
        &plan.description.model,
        &shapes.collect(),
        plan.recipe.seed,
        &Device::flex(),
    );
    to_host(&model.unwrap())
}

#[test]
fn it_is_the_reference_at_every_step_and_interruptions_change_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let run = RunDirectory::new(folder.path().join("interrupted"));
    let plan = plan(folder.path(), Some(DECAY));
    plan.prepare(&run, false).unwrap();
    let mut expected = wide(&initial(&plan));
    assert!(expected.keys().any(|path| path.ends_with("running_var")));
    let mut averages = BTreeMap::new();
    while let Some((step, weights, average)) = one_step(folder.path(), &run) {
        let decay = DECAY.min((1.0 + step as f64) / (10.0 + step as f64));
        for (path, values) in wide(&weights) {
            let found = &average[&path].values;
            for ((expected, value), found) in expected.get_mut(&path).unwrap().iter_mut().zip(values).zip(found) {
                *expected = decay * *expected + (1.0 - decay) * value;
                let error = (f64::from(*found) - *expected).abs();
                assert!(error < 1e-5, "step {step}, {path}: {found} is not {expected}");
            }
        }
        assert_ne!(weights, average);
        averages.insert(step, average);
    }
    assert_eq!(averages.len(), 12);
    let best = Trainer::new(plan, run.clone(), &Device::flex())
        .unwrap()
        .state()
        .best
        .clone();
    assert!(load(&run.weights()).unwrap() == averages[&best.unwrap().step]);

    let (whole, ..) = train(folder.path(), "whole", Some(DECAY));
    let bytes = |run: &RunDirectory, name: &str| std::fs::read(run.path().join(name)).unwrap();
    for name in [
        "model.safetensors",
        "checkpoints/step-00000012/model.safetensors",
        "checkpoints/step-00000012/average.safetensors",
        "checkpoints/step-00000012/optimizer.safetensors",
    ] {
        assert!(bytes(&run, name) == bytes(&whole, name), "{name}");
    }
}

#[test]
fn it_is_what_is_measured_and_what_a_pipeline_loads() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let (run, _, best) = train(folder.path(), "run", Some(DECAY));
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let plan = plan(folder.path(), Some(DECAY));
    let request = Request {
        pipeline: &pipeline,
        dataset: &Arc::clone(&plan.dataset),
        split: "validation",
        indices: &plan.splits.validation,
        controls: Controls::None,
        seed: 1,
        failure_budget: 0.0,
        threads: 1,
        by: None,
        interrupt: &AtomicBool::new(false),
    };
    let (_, scores) = request.run(&run, &mut |_| {}).unwrap().unwrap();
    assert!((scores.loss - best).abs() < 1e-9, "{} is not {best}", scores.loss);
}

#[test]
fn training_goes_on_with_the_plain_weights() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let (plain, steps, plain_loss) = train(folder.path(), "plain", None);
    let (averaged, same_steps, averaged_loss) = train(folder.path(), "averaged", Some(DECAY));
    assert_eq!(steps, same_steps);
    assert_ne!(plain_loss, averaged_loss);
    let files = |run: &RunDirectory| {
        let entries = std::fs::read_dir(run.checkpoints().join("step-00000012")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let without: Vec<_> = files(&averaged).difference(&files(&plain)).cloned().collect();
    assert_eq!(
        (files(&plain).len(), without),
        (4, vec!["average.safetensors".to_string()])
    );
    // An average without a memory is the weights themselves.
    let (forgetful, ..) = train(folder.path(), "forgetful", Some(0.0));
    let (plain, forgetful) = (load(&plain.weights()).unwrap(), load(&forgetful.weights()).unwrap());
    for (path, values) in wide(&plain) {
        for (plain, forgetful) in values.iter().zip(&wide(&forgetful)[&path]) {
            assert!((plain - forgetful).abs() < 1e-6, "{path}: {forgetful} is not {plain}");
        }
    }
}
