//! What is learnt by heart is answered: the losses, searches and decoders of tasks, through the recipe and the trainer.

mod bars;
#[path = "bars/tones.rs"]
mod tones;

use bars::Bar;
use sensorium_data::Home;
use sensorium_model::tasks::Answer;
use sensorium_model::{Device, Pipeline, RunDirectory};
use sensorium_train::{Controls, Evaluation, Outcome, Plan, Recipe, Request, Trainer, config};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use tones::tones;

/// Pictures and sounds of bars with everything that could be said of them.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for (index, Bar { name, color, shape }) in bars::draw(folder).into_iter().enumerate() {
        let (sound, lying) = (format!("{color}-{shape}.wav"), shape == "lying");
        std::fs::write(folder.join(&sound), tones(index / 2, lying, 4000)).unwrap();
        let row = serde_json::json!({
            "sound": sound, "image": name, "caption": format!("a {color} bar is {shape}"), "tags": [color, shape],
            "number": (index / 2) as f64 * 10.0 + f64::from(lying), "split": "train"
        });
        rows += &format!("{row}\n");
    }
    std::fs::write(folder.join("rows.jsonl"), rows).unwrap();
}

const IMAGE: &str = r#"
[inputs.image]
modality = "image"
size = 16
trunk = { kind = "cnn", stages = [16, 32] }
[fusion]
kind = "gated"
width = 32
"#;

const TEXT: &str = "[inputs.caption]\nmodality = \"text\"\ntokenizer = { kind = \"word\" }\n";

/// Trains on six rows and measures them again.
fn train(inputs: &str, output: &str) -> (Evaluation, Vec<Option<Answer>>) {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let recipe = format!(
        r#"
        {inputs}
        [outputs.answer]
        {output}
        [training]
        batch_size = 6
        max_epochs = 150
        modality_dropout = 0.0
        optimizer = {{ kind = "adamw", learning_rate = 5e-3 }}
        schedule = {{ kind = "constant", warmup_steps = 10 }}
        "#
    );
    let recipe: Recipe = config::parse(&recipe, "recipe.toml", &[]).unwrap();
    let home = Home::from_environment();
    let plan = Plan::new(recipe, folder.path(), "tasks", &home, &mut |_| {}).unwrap();
    let run = RunDirectory::new(folder.path().join("run"));
    plan.prepare(&run, false).unwrap();
    let (dataset, indices) = (plan.dataset.clone(), plan.splits.train.clone());
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    let outcome = trainer.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    let pipeline = Pipeline::load(&run, &Device::flex()).unwrap();
    let request = Request {
        pipeline: &pipeline,
        dataset: &dataset,
        split: "train",
        indices: &indices,
        controls: Controls::Each,
        by: None,
        seed: 1,
        failure_budget: 0.0,
        threads: 1,
        interrupt: &AtomicBool::new(false),
    };
    let (evaluation, scores) = request.run(&run, &mut |_| {}).unwrap().unwrap();
    let answers = scores
        .rows
        .iter()
        .map(|row| Some(row.answers.get("answer")?.value.clone()));
    (evaluation, answers.collect())
}

/// The metric must be near `expected`, and with another row's input far from it.
fn check(inputs: &str, output: &str, metric: &str, expected: f64) -> Vec<Option<Answer>> {
    let (evaluation, answers) = train(inputs, output);
    let found = evaluation.metrics["answer"][metric];
    assert!(
        (found - expected).abs() < 0.1 * expected.max(1.0),
        "{output}: {:?}",
        evaluation.metrics
    );
    for (control, outputs) in &evaluation.controls {
        let shuffled = outputs["answer"][metric];
        assert!((shuffled - expected).abs() > 0.1, "{output}: {control} has {outputs:?}");
    }
    answers
}

#[test]
fn tags_are_learnt_with_every_loss() {
    for loss in ["binary_cross_entropy", "focal", "asymmetric"] {
        let output = format!("task = \"tag\"\ncolumn = \"tags\"\nloss = {{ kind = \"{loss}\" }}");
        let answers = check(IMAGE, &output, "map", 1.0);
        let Some(Answer::List(tags)) = &answers[0] else {
            panic!("expected tags, found {:?}", answers[0])
        };
        assert_eq!(tags.iter().collect::<BTreeSet<_>>().len(), 2);
        assert!(tags.contains(&"red".to_string()) && tags.contains(&"lying".to_string()));
    }
}

#[test]
fn numbers_are_learnt_with_every_loss() {
    for loss in ["squared", "absolute", "huber"] {
        let output = format!("task = \"regress\"\ncolumn = \"number\"\nloss = \"{loss}\"");
        check(IMAGE, &output, "pearson", 1.0);
    }
}

#[test]
fn captions_are_written_by_every_decoder_and_search() {
    let gru = r#"decoder = { kind = "gru", width = 32, dropout = 0.0 }"#.to_string();
    let transformer = |layers: usize| {
        format!("decoder = {{ kind = \"transformer\", width = 32, layers = {layers}, heads = 2, dropout = 0.0 }}")
    };
    let llama = |layers: usize| {
        format!(
            "decoder = {{ kind = \"llama\", width = 32, layers = {layers}, heads = 2, key_heads = 1, dropout = 0.0 }}"
        )
    };
    // One attention to the picture and the text together has not the words of two apart.
    let prefix = |decoder: String| format!("{decoder}\nreads = {{ kind = \"prefix\" }}");
    let decoders = [transformer(1), llama(1), gru, prefix(transformer(2)), prefix(llama(2))];
    let methods = [
        r#"{ kind = "greedy" }"#,
        r#"{ kind = "beam", width = 3, length_penalty = 0.6 }"#,
    ];
    for decoder in decoders {
        for method in methods {
            let output = format!(
                "task = \"generate\"\ncolumn = \"caption\"\ntokenizer = {{ kind = \"word\" }}\n{decoder}\n\
                 decoding = {{ method = {method} }}"
            );
            let answers = check(IMAGE, &output, "accuracy", 1.0);
            assert_eq!(answers[0], Some(Answer::Text("a red bar is lying".into())));
        }
    }
}

#[test]
fn recordings_are_transcribed_alone_with_word_pairs_and_with_attention() {
    let trunks = [
        r#"{ kind = "rnn", width = 32, bidirectional = true }"#,
        r#"{ kind = "conformer", width = 32, layers = 1, heads = 2, kernel = 5, dropout = 0.0 }"#,
        r#"{ kind = "cnn", stages = [32] }"#,
    ];
    let variants = [
        "",
        "ngram = { unit = \"word\", order = 2 }",
        "attention = { weight = 0.3, decoder = { kind = \"gru\", width = 32 } }",
    ];
    for (trunk, variant) in trunks.into_iter().zip(variants) {
        let inputs = format!("[inputs.sound]\nmodality = \"audio\"\nsample_rate = 8000\ntrunk = {trunk}");
        let output =
            format!("task = \"transcribe\"\ncolumn = \"caption\"\ntokenizer = {{ kind = \"word\" }}\n{variant}");
        let (evaluation, answers) = train(&inputs, &output);
        let found = &evaluation.metrics["answer"];
        assert!(found["wer"] < 0.05, "{trunk}: {found:?}");
        assert!(evaluation.controls["shuffled:sound"]["answer"]["wer"] > 0.1, "{trunk}");
        assert_eq!(answers[0], Some(Answer::Text("a red bar is lying".into())));
    }
}

#[test]
fn a_language_model_learns_its_texts() {
    for decoder in ["transformer", "llama", "gru"] {
        let output = format!("task = \"language_model\"\ndecoder = {{ kind = \"{decoder}\", width = 32 }}");
        let (evaluation, _) = train(TEXT, &output);
        let perplexity = evaluation.metrics["answer"]["perplexity"];
        // Of six tokens the colour and the posture cannot be known: (3 · 2)^(1/6).
        assert!((1.3..1.6).contains(&perplexity), "{decoder}: {perplexity}");
    }
}
