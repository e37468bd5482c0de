//! How much transcripts listen to their language model is chosen on validation rows when training ends, unless the recipe says it.

#[path = "bars/tones.rs"]
mod tones;

use sensorium_data::Home;
use sensorium_model::decoding::ctc::BeamConfig;
use sensorium_model::tasks::TaskConfig;
use sensorium_model::{Device, Pipeline, RunDirectory};
use sensorium_train::{Controls, Event, Plan, Recipe, Request, SearchEvent, Trainer, config};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tones::tones;

/// Sounds that stand for what they say, each in both splits.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for (index, said) in ["low", "middle", "high", "low beat", "middle beat", "high beat"]
        .into_iter()
        .enumerate()
    {
        let sound = format!("{index}.wav");
        std::fs::write(folder.join(&sound), tones(index % 3, index < 3, 4000)).unwrap();
        for split in ["train", "validation"] {
            let row = serde_json::json!({"sound": sound, "said": said, "split": split});
            rows += &format!("{row}\n");
        }
    }
    std::fs::write(folder.join("rows.jsonl"), rows).unwrap();
}

fn plan(folder: &Path, split: &str, beam: &str) -> Plan {
    let recipe = format!(
        r#"
        [data]
        manifest = "rows.jsonl"
        split = {split}
        [inputs.sound]
        modality = "audio"
        sample_rate = 8000
        trunk = {{ kind = "rnn", width = 16, bidirectional = true }}
        [outputs.answer]
        task = "transcribe"
        column = "said"
        tokenizer = {{ kind = "character" }}
        ngram = {{ unit = "character", order = 3 }}
        beam = {{ width = 8{beam} }}
        [training]
        batch_size = 6
        max_epochs = 40
        modality_dropout = 0.0
        optimizer = {{ kind = "adamw", learning_rate = 1e-2 }}
        "#
    );
    let recipe: Recipe = config::parse(&recipe, "recipe.toml", &[]).unwrap();
    Plan::new(recipe, folder, "search", &Home::from_environment(), &mut |_| {}).unwrap()
}

const BY_COLUMN: &str = r#"{ column = "split" }"#;

/// Trains, or goes on, and says what was chosen.
fn train(plan: Plan, run: &RunDirectory, resume: bool) -> Vec<SearchEvent> {
    plan.prepare(run, resume).unwrap();
    let mut chosen = Vec::new();
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    let mut observe = |event: &Event| {
        if let Event::Search(search) = event {
            chosen.push(search.clone());
        }
    };
    trainer.run(&AtomicBool::new(false), &mut observe).unwrap();
    chosen
}

fn beam(run: &RunDirectory) -> BeamConfig {
    let pipeline = Pipeline::load(run, &Device::flex()).unwrap();
    match &pipeline.description.model.outputs["answer"].task {
        TaskConfig::Transcribe(task) => task.beam.clone(),
        task => panic!("{task:?}"),
    }
}

/// The character error rate of the run on the validation rows.
fn measure(run: &RunDirectory, plan: &Plan) -> f64 {
    let pipeline = Pipeline::load(run, &Device::flex()).unwrap();
    let request = Request {
        pipeline: &pipeline,
        dataset: &plan.dataset,
        split: "validation",
        indices: &plan.splits.validation,
        controls: Controls::None,
        by: None,
        seed: 1,
        failure_budget: 0.0,
        threads: 1,
        interrupt: &AtomicBool::new(false),
    };
    let (evaluation, _) = request.run(run, &mut |_| {}).unwrap().unwrap();
    evaluation.metrics["answer"]["cer"]
}

#[test]
fn what_is_best_on_validation_rows_is_kept_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let run = RunDirectory::new(folder.path().join("run"));
    let plan = || plan(folder.path(), BY_COLUMN, "");
    let chosen = train(plan(), &run, false);
    let [choice] = &chosen[..] else { panic!("{chosen:?}") };
    let kept = beam(&run);
    assert_eq!(kept.language_model_weight, Some(choice.language_model_weight));
    assert_eq!(kept.insertion_bonus, Some(choice.insertion_bonus));
    assert_eq!(measure(&run, &plan()), choice.cer);
    assert!(choice.cer <= choice.cer_before, "{choice:?}");
    assert!(
        train(plan(), &run, true).is_empty(),
        "a run that is finished chooses nothing"
    );
    assert_eq!(beam(&run), kept);
}

#[test]
fn what_the_recipe_says_holds() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let run = |name: &str| RunDirectory::new(folder.path().join(name));
    let said = ", language_model_weight = 0.8, insertion_bonus = 0.1";
    assert!(train(plan(folder.path(), BY_COLUMN, said), &run("said"), false).is_empty());
    let kept = beam(&run("said"));
    assert_eq!(
        (kept.language_model_weight, kept.insertion_bonus),
        (Some(0.8), Some(0.1))
    );
    let half = plan(folder.path(), BY_COLUMN, ", language_model_weight = 0.8");
    let [choice] = &train(half, &run("half"), false)[..] else {
        panic!("one output chooses")
    };
    assert_eq!(choice.language_model_weight, 0.8);
    assert_eq!(beam(&run("half")).insertion_bonus, Some(choice.insertion_bonus));
    let without = plan(folder.path(), "{ train = 1.0, validation = 0.0, test = 0.0 }", "");
    assert!(train(without, &run("without"), false).is_empty());
    assert_eq!(beam(&run("without")).language_model_weight, None);
}
