//! What scripts rely on: the JSON documents, the exit codes and the files of a run directory.

use crate::fixture::{Fixture, copy_folder, json_lines};
use serde_json::Value;

#[test]
fn a_run_directory_holds_what_the_contract_names() {
    let fixture = Fixture::trained();
    for name in [
        "recipe.toml",
        "processors/image.json",
        "processors/question.json",
        "model.safetensors",
        "model.json",
        "metrics.jsonl",
        "facts.json",
        "tensorboard",
        "report.html",
        "quarantine.jsonl",
    ] {
        assert!(fixture.path("run").join(name).exists(), "{name} is missing");
    }
    let last = std::fs::read_dir(fixture.path("run/checkpoints"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    for name in [
        "model.safetensors",
        "optimizer.safetensors",
        "trainer.json",
        "manifest.json",
    ] {
        assert!(last.path().join(name).exists(), "{name} is missing in a checkpoint");
    }
}

#[test]
fn evaluate_prints_one_document_with_controls_and_intervals() {
    let fixture = Fixture::trained();
    let finished = fixture.expect(&["evaluate", "run", "--json"], 0, &[]);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&document["run"], &document["split"]), (&"run".into(), &"test".into()));
    assert_eq!((&document["rows"], &document["skipped"]), (&12.into(), &0.into()));
    let accuracy = document["metrics"]["answer"]["accuracy"].as_f64().unwrap();
    let [low, high] = [0, 1].map(|end| document["intervals"]["answer"]["accuracy"][end].as_f64().unwrap());
    assert!(low <= accuracy && accuracy <= high, "{low} {accuracy} {high}");
    let labels = document["confusion"]["answer"]["labels"].as_array().unwrap().len();
    assert_eq!(
        document["confusion"]["answer"]["counts"].as_array().unwrap().len(),
        labels
    );
    let controls: Vec<&String> = document["controls"].as_object().unwrap().keys().collect();
    let expected = [
        "shuffled:image",
        "shuffled:question",
        "without:image",
        "without:question",
    ];
    assert_eq!(controls, expected);
    assert!(document["controls"]["without:question"]["answer"]["macro_f1"].is_number());
    let lines = String::from_utf8(fixture.read("run/predictions/test.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 12);
    let stored: Value = serde_json::from_slice(&fixture.read("run/evaluation/test.json")).unwrap();
    assert_eq!(stored, document);
    let plain = fixture.expect(&["evaluate", "run", "--json", "--no-controls"], 0, &[]);
    let plain: Value = serde_json::from_str(&plain.stdout).unwrap();
    assert_eq!(plain["controls"], serde_json::json!({}));
    assert_eq!(plain["metrics"], document["metrics"]);
}

/// What is measured of a group is what is measured of its rows alone.
#[test]
fn evaluate_measures_the_rows_of_each_value() {
    let fixture = Fixture::trained();
    let measure = |more: &[&str]| -> Value {
        let finished = fixture.expect(&[&["evaluate", "run", "--json"], more].concat(), 0, &[]);
        serde_json::from_str(&finished.stdout).unwrap()
    };
    let rows = String::from_utf8(fixture.read("rows.jsonl")).unwrap();
    let colours = rows.lines().filter(|line| line.contains("which color?"));
    fixture.write("colours.jsonl", colours.collect::<Vec<_>>().join("\n"));
    let alone = measure(&["--data", "colours.jsonl"]);
    let document = measure(&["--by", "question"]);
    assert_eq!(document["by"], "question");
    let groups = document["groups"].as_object().unwrap();
    assert_eq!(groups.keys().collect::<Vec<_>>(), ["how large?", "which color?"]);
    let group = &groups["which color?"];
    let keys: Vec<&String> = group.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["rows", "metrics", "intervals", "controls"]);
    for key in ["rows", "metrics", "intervals"] {
        assert_eq!(group[key], alone[key], "{key}");
    }
    let controls = |of: &Value| of["controls"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(controls(group), controls(&document));
    assert_eq!(group["controls"]["without:image"], alone["controls"]["without:image"]);
    let report = String::from_utf8(fixture.read("run/report.html")).unwrap();
    assert!(report.contains("<h4>By question</h4>") && report.contains("<th scope=\"row\">which color?</th>"));
    let whole = measure(&["--no-controls"]);
    assert!(whole.get("groups").is_none() && whole.get("by").is_none(), "{whole}");
    assert_eq!(whole["metrics"], document["metrics"]);
    assert_eq!(whole["intervals"], document["intervals"]);
    let people = fixture.expect(&["evaluate", "run", "--by", "question", "--no-controls"], 0, &[]);
    let names = ["  how large?", "  which color?"];
    let lines = people
        .stdout
        .lines()
        .filter(|line| names.iter().any(|name| line.starts_with(name)));
    let lengths: Vec<usize> = lines.map(str::len).collect();
    assert!(lengths.len() == 2 && lengths[0] == lengths[1], "{}", people.stdout);
    let known = "image, question, answer, split";
    fixture.expect(&["evaluate", "run", "--by", "colour"], 2, &["--by colour", known]);
}

#[test]
fn a_run_tells_what_its_training_took() {
    let fixture = Fixture::new();
    let train = ["train", "recipe.toml", "--run", "run", "--set", "training.max_epochs=2"];
    let finished = fixture.expect(
        &train,
        0,
        &["parameters from 36 rows in 2 epochs and 12 steps", "seed 5"],
    );
    let facts: Value = serde_json::from_slice(&fixture.read("run/facts.json")).unwrap();
    let number = |name: &str| facts[name].as_f64().unwrap_or_else(|| panic!("{name}: {facts}"));
    let command = "sensorium train recipe.toml --run run --set training.max_epochs=2";
    assert_eq!(
        (&facts["command"], &facts["version"]),
        (&command.into(), &env!("CARGO_PKG_VERSION").into())
    );
    let counts = [
        "seed",
        "threads",
        "train_rows",
        "validation_rows",
        "test_rows",
        "epochs",
        "steps",
    ]
    .map(number);
    assert_eq!(counts, [5.0, 1.0, 36.0, 12.0, 12.0, 2.0, 12.0]);
    assert!(number("minutes") > 0.0 && number("minutes") < 5.0);
    let parameters = number("parameters");
    assert!(parameters > 100.0 && finished.stderr.contains(&format!("{parameters} parameters; in run")));
    let memory = facts.get("peak_memory_mb").map(|memory| memory.as_f64().unwrap());
    assert_eq!(memory.is_some_and(|memory| memory > 1.0), cfg!(target_os = "linux"));
    let report = String::from_utf8(fixture.read("run/report.html")).unwrap();
    assert!(report.contains(&format!("<code>{command}</code>")) && report.contains("<dt>Seed</dt><dd>5</dd>"));
}

#[test]
fn predict_answers_one_sample_with_any_subset_of_inputs() {
    let fixture = Fixture::trained();
    let all: [&[&str]; 4] = [
        &["--image", "0.png", "--text", "which color?"],
        &["--input", "image=0.png", "--input", "question=how large?"],
        &["--image", "0.png"],
        &["--text", ""],
    ];
    for inputs in all {
        let arguments = [&["predict", "run", "--json"], inputs].concat();
        let finished = fixture.expect(&arguments, 0, &[]);
        let line = &json_lines(&finished.stdout)[0];
        assert_eq!(line["row"], 0);
        let answer = &line["outputs"]["answer"];
        assert_eq!(answer["value"], answer["top"][0]["value"]);
        let top = answer["top"].as_array().unwrap();
        let sum: f64 = top.iter().map(|one| one["probability"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "the five labels have a probability of {sum}");
    }
    let people = fixture.expect(&["predict", "run", "--image", "0.png", "--top", "1"], 0, &[]);
    let lines: Vec<&str> = people.stdout.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("answer: ") && lines[0].ends_with("%)"),
        "{lines:?}"
    );
}

#[test]
fn predict_gives_one_line_for_each_row_in_order() {
    let fixture = Fixture::trained();
    let rows = [
        r#"{"image": "0.png", "question": "which color?"}"#,
        r#"{"image": "none.png", "question": "which color?"}"#,
        r#"{"image": "1.png", "question"#,
        "",
        r#"{"image": null, "question": "how large?"}"#,
        r#"{"image": "1.png"}"#,
    ];
    fixture.write("ask.jsonl", rows.join("\n"));
    let finished = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
    let lines = json_lines(&finished.stdout);
    let rows: Vec<u64> = lines.iter().map(|line| line["row"].as_u64().unwrap()).collect();
    assert_eq!(rows, [0, 1, 2, 3, 4]);
    let failed: Vec<bool> = lines.iter().map(|line| line["error"].is_object()).collect();
    assert_eq!(failed, [false, true, true, false, false]);
    assert_eq!(lines[1]["error"]["code"], "missing");
    assert!(lines[1]["error"]["path"].as_str().unwrap().ends_with("none.png"));
    let people = fixture.expect(&["predict", "run", "--data", "ask.jsonl"], 0, &[]);
    let lines: Vec<&str> = people.stdout.lines().collect();
    assert!(
        lines[0].starts_with("row 0: answer: ") && lines[1].starts_with("row 1: error: "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 5, "{lines:?}");
}

#[test]
fn a_run_can_be_moved_and_needs_nothing_else() {
    let fixture = Fixture::trained();
    let ask = |run: &str| {
        let arguments = ["predict", run, "--json", "--image", "3.png", "--text", "which color?"];
        fixture.expect(&arguments, 0, &[]).stdout
    };
    let before = ask("run");
    copy_folder(&fixture.path("run"), &fixture.path("elsewhere/moved"));
    for name in ["run/model.json", "rows.jsonl", "recipe.toml"] {
        std::fs::remove_file(fixture.path(name)).unwrap();
    }
    assert_eq!(ask("elsewhere/moved"), before);
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let fixture = Fixture::trained();
    let files = [
        "model.safetensors",
        "model.json",
        "metrics.jsonl",
        "facts.json",
        "recipe.toml",
        "report.html",
    ];
    let read = || files.map(|name| fixture.read(&format!("run/{name}")));
    let before = read();
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--resume"], 0, &["finished"]);
    assert!(read() == before);
}

#[test]
fn small_verbs_answer() {
    let fixture = Fixture::new();
    let schema: Value = serde_json::from_str(&fixture.expect(&["schema"], 0, &[]).stdout).unwrap();
    assert!(schema["properties"]["inputs"].is_object());
    let doctor: Value = serde_json::from_str(&fixture.expect(&["doctor", "--json"], 0, &[]).stdout).unwrap();
    assert_eq!(doctor["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        fixture
            .expect(&["completions", "bash"], 0, &[])
            .stdout
            .contains("sensorium")
    );
    assert!(fixture.expect(&["data", "list"], 0, &[]).stdout.contains("easy-vqa"));
    assert!(fixture.expect(&["--help"], 0, &[]).stdout.contains("demo"));
}

/// As where `head` has read its lines.
#[test]
fn a_closed_pipe_ends_the_program_without_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let fixture = Fixture::new();
    let mut command = fixture.command(&["data", "list"]);
    let output = command.stdout(writer).stderr(std::process::Stdio::piped());
    let output = output.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(141));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
