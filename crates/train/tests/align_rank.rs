//! Aligned inputs and ranked candidates learn a small set by heart, through the recipe and the trainer.

use sensorium_data::{Home, Sample, Value};
use sensorium_model::tasks::Answer;
use sensorium_model::{Device, Pipeline, RunDirectory};
use sensorium_train::{Event, Metrics, Outcome, Plan, Recipe, Trainer, config};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

const COLORS: [(&str, [u8; 3]); 4] = [
    ("red", [220, 30, 30]),
    ("green", [30, 180, 40]),
    ("blue", [40, 60, 220]),
    ("white", [250, 250, 250]),
];

const INPUTS: &str = r#"
[inputs.image]
modality = "image"
size = 8
trunk = { kind = "cnn", stages = [8, 16] }
[inputs.question]
modality = "text"
tokenizer = { kind = "word" }
trunk = { kind = "rnn", width = 16 }
[fusion]
kind = "gated"
width = 32
"#;

const TRAINING: &str = r#"
[training]
batch_size = 8
modality_dropout = 0.0
optimizer = { kind = "adamw", learning_rate = 5e-3 }
schedule = { kind = "constant" }
"#;

/// Pictures of one colour with two questions each; every row is there for training and for validation.
fn write_data(folder: &Path) {
    let mut rows = String::new();
    for (color, rgb) in COLORS {
        let name = format!("{color}.png");
        image::RgbImage::from_pixel(8, 8, image::Rgb(rgb))
            .save(folder.join(&name))
            .unwrap();
        let bright = if color == "white" { "yes" } else { "no" };
        let asked = [
            (
                format!("a {color} picture"),
                color,
                vec!["green", "red", "white", "blue"],
            ),
            (format!("bright like {color}"), bright, vec!["yes", "no"]),
        ];
        for split in ["train", "validation"] {
            for (question, answer, candidates) in &asked {
                let place = candidates.iter().position(|one| one == answer).unwrap();
                let rated: Vec<f64> = candidates
                    .iter()
                    .map(|one| if one == answer { 2.0 } else { 0.0 })
                    .collect();
                let row = serde_json::json!({
                    "image": name, "question": question, "answer": answer, "candidates": candidates, "place": place,
                    "rated": rated, "color": color, "split": split
                });
                rows += &format!("{row}\n");
            }
        }
    }
    std::fs::write(folder.join("rows.jsonl"), rows).unwrap();
}

fn plan(folder: &Path, output: &str, training: &str) -> Result<Plan, String> {
    let text = [
        "[data]\nmanifest = \"rows.jsonl\"\n",
        INPUTS,
        "[outputs.answer]\n",
        output,
        TRAINING,
        training,
    ];
    let text = text.concat();
    let recipe: Recipe = config::parse(&text, "recipe.toml", &[]).map_err(|error| error.to_string())?;
    let home = Home::from_environment();
    Plan::new(recipe, folder, "small", &home, &mut |_| {}).map_err(|error| error.to_string())
}

/// Trains, and gives the last measures with the finished pipeline.
fn train(folder: &Path, output: &str, training: &str) -> (Metrics, Pipeline) {
    let plan = plan(folder, output, training).unwrap();
    let run = RunDirectory::new(folder.join("run"));
    plan.prepare(&run, false).unwrap();
    let mut trainer = Trainer::new(plan, run.clone(), &Device::flex()).unwrap();
    let mut metrics = Metrics::new();
    let mut observe = |event: &Event| {
        if let Event::Evaluation(evaluation) = event {
            metrics = evaluation.metrics.clone();
        }
    };
    let outcome = trainer.run(&AtomicBool::new(false), &mut observe).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    (metrics, Pipeline::load(&run, &Device::flex()).unwrap())
}

fn check(output: &str, metric: &str, target: f64) -> (tempfile::TempDir, Metrics, Pipeline) {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let stop = format!("max_epochs = 150\nstop = {{ metric = \"validation.answer.{metric}\", target = {target} }}\n");
    let (metrics, pipeline) = train(folder.path(), output, &stop);
    let found = metrics[&format!("validation.answer.{metric}")];
    assert!(found >= target, "{output}: {metric} {found}");
    (folder, metrics, pipeline)
}

#[test]
fn pictures_and_texts_find_each_other() {
    for loss in ["info_nce", "sigmoid"] {
        let output = format!("task = \"align\"\nwidth = 16\nloss = {{ kind = \"{loss}\" }}\n");
        let (folder, metrics, pipeline) = check(&output, "recall@1", 1.0);
        for direction in ["image_to_question", "question_to_image"] {
            assert_eq!(metrics[&format!("validation.answer.{direction}.recall@1")], 1.0);
            assert!(metrics.contains_key(&format!("validation.answer.{direction}.median_rank")));
        }
        let cosine = |question: &str| {
            let values = [("image", "red.png"), ("question", question)];
            let values = values.map(|(column, value)| (column.to_string(), Value::Text(value.into())));
            let sample = Sample {
                row: 0,
                values: BTreeMap::from(values),
            };
            match pipeline.predict(vec![sample], folder.path()).remove(0).unwrap()["answer"].value {
                Answer::Number(cosine) => cosine,
                _ => panic!("a number"),
            }
        };
        assert!(cosine("a red picture") > cosine("a blue picture"));
    }
}

#[test]
fn rows_with_the_same_value_in_the_column_belong_together() {
    let output = "task = \"align\"\ncolumn = \"color\"\nwidth = 16\n";
    let (.., metrics, _) = check(output, "recall@1", 1.0);
    assert_eq!(metrics["validation.answer.mrr"], 1.0);
}

#[test]
fn the_right_candidate_is_learnt_from_its_text_its_place_or_ratings() {
    for (column, encoder) in [("answer", "gru"), ("place", "mean"), ("rated", "gru")] {
        let output = format!(
            "task = \"rank\"\ncolumn = \"{column}\"\ntokenizer = {{ kind = \"word\" }}\nencoder = {{ kind = \
             \"{encoder}\", width = 16 }}\n"
        );
        let (folder, metrics, pipeline) = check(&output, "accuracy", 1.0);
        for name in ["mrr", "ndcg", "recall@5", "mean_rank"] {
            assert_eq!(metrics[&format!("validation.answer.{name}")], 1.0, "{name}");
        }
        let text = |text: &str| Value::Text(text.into());
        let candidates = ["blue", "red", "green", "white"].map(text).to_vec();
        let sample = Sample {
            row: 0,
            values: BTreeMap::from([
                ("image".into(), text("blue.png")),
                ("question".into(), text("a blue picture")),
                ("candidates".into(), Value::List(candidates)),
                // What would be no candidate is not looked at when the answer is asked for.
                (column.into(), text("unknown")),
            ]),
        };
        let answers = pipeline.predict(vec![sample], folder.path()).remove(0).unwrap();
        let Answer::List(order) = &answers["answer"].value else {
            panic!("a ranking")
        };
        assert_eq!(
            (order[0].as_str(), order.len(), answers["answer"].top.len()),
            ("blue", 4, 4)
        );
    }
}

#[test]
fn mistakes_are_told_before_training() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    for (output, words) in [
        ("task = \"align\"\nfrom = \"fusion\"\n", "leave `from` out"),
        (
            "task = \"align\"\ninputs = [\"image\", \"smell\"]\n",
            "no input is called `smell`",
        ),
        ("task = \"align\"\ninputs = [\"image\"]\n", "outputs.answer.inputs"),
        (
            "task = \"align\"\ninputs = [\"image\", \"question\", \"image\"]\n",
            "two or more different inputs",
        ),
        (
            "task = \"align\"\ncolumn = \"colour\"\n",
            "name one with outputs.answer.column",
        ),
        (
            "task = \"rank\"\ncandidates = \"options\"\n",
            "name one with outputs.answer.candidates",
        ),
        (
            "task = \"rank\"\ncolumn = \"answer\"\naugment = [{ drop = 0.1 }]\n",
            "targets and candidates are never changed",
        ),
    ] {
        let error = plan(folder.path(), output, "").map(|_| ()).unwrap_err();
        assert!(error.contains(words), "{output}: {error}");
    }
}

#[test]
fn a_row_whose_answer_is_no_candidate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_data(folder.path());
    let plan = plan(folder.path(), "task = \"rank\"\ncolumn = \"color\"\n", "").unwrap();
    let (batch, failed) = plan.dataset.batch(&[0, 1], None);
    assert_eq!((batch.rows, failed.len()), (vec![0], 1));
    assert_eq!((failed[0].row, failed[0].field.as_deref()), (Some(1), Some("answer")));
    assert!(failed[0].message.contains("candidates"), "{}", failed[0].message);
}
