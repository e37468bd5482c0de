//! `evaluate` of imported runs, which have no recipe: the rows are named, and all of them are measured.

use crate::fixture::{Fixture, json_lines};
use crate::language::with_checkpoint;
use serde_json::{Value, json};

/// Measures the run of a checkpoint on `asked`, whose right answers, under `column`, are those that it gives to `output`.
fn measured(fixture: &Fixture, name: &str, asked: &[Value], [output, column]: [&str; 2]) -> Value {
    fixture.expect(&["import", name, "--run", "run"], 0, &[]);
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    fixture.write("ask.jsonl", lines(asked));
    let finished = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
    let answers = json_lines(&finished.stdout);
    let mut rows = asked.to_vec();
    for (row, answer) in rows.iter_mut().zip(&answers) {
        row[column] = answer["outputs"][output]["value"].clone();
    }
    fixture.write("measured.jsonl", lines(&rows));
    fixture.expect(&["evaluate", "run"], 1, &["this run was imported", "--data MANIFEST"]);
    let words = ["expected a column of right answers", column];
    fixture.expect(&["evaluate", "run", "--data", "ask.jsonl"], 2, &words);
    let finished = fixture.expect(&["evaluate", "run", "--data", "measured.jsonl", "--json"], 0, &[]);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(document["rows"], asked.len(), "{document}");
    let report = String::from_utf8(fixture.read("run/report.html")).unwrap();
    assert!(report.contains("imported"), "{name}");
    document["metrics"][output].clone()
}

/// The prompts or texts of an expected.json.
fn expected(fixture: &Fixture, name: &str, list: &str) -> Vec<Value> {
    let expected: Value = serde_json::from_slice(&fixture.read(&format!("{name}/expected.json"))).unwrap();
    expected[list].as_array().unwrap().clone()
}

#[test]
fn labels_and_texts_are_measured_by_their_columns() {
    let fixture = with_checkpoint("bert-labels");
    let texts = ["a red bird", "the cat", "birds", "a cat and the bird"].map(|text| json!({ "text": text }));
    let metrics = measured(&fixture, "bert-labels", &texts, ["label", "label"]);
    assert_eq!(metrics["accuracy"], 1.0, "{metrics}");

    let fixture = with_checkpoint("t5");
    let rows = expected(&fixture, "t5", "rows");
    let rows: Vec<Value> = rows.iter().map(|row| json!({"text": row["text"]})).collect();
    let metrics = measured(&fixture, "t5", &rows, ["text", "answer"]);
    assert_eq!(metrics["accuracy"], 1.0, "{metrics}");

    let fixture = with_checkpoint("blip-vqa");
    let rows = expected(&fixture, "blip-vqa", "rows");
    let asked = |row: &Value| json!({"image": format!("blip-vqa/{}", row["picture"].as_str().unwrap()), "text": row["question"]});
    let rows: Vec<Value> = rows.iter().map(asked).collect();
    let metrics = measured(&fixture, "blip-vqa", &rows, ["text", "answer"]);
    assert_eq!(metrics["accuracy"], 1.0, "{metrics}");
}

#[test]
fn an_embedding_is_not_measured() {
    let fixture = with_checkpoint("bert");
    fixture.expect(&["import", "bert", "--run", "run"], 0, &[]);
    fixture.write("ask.jsonl", "{\"text\": \"a red bird\"}\n");
    fixture.expect(
        &["evaluate", "run", "--data", "ask.jsonl"],
        1,
        &["this run only embeds"],
    );
}

#[test]
fn speech_and_answers_about_sounds_are_measured_by_their_columns() {
    let fixture = with_checkpoint("wav2vec2");
    let sounds = ["long.wav", "short.wav"].map(|sound| json!({"audio": format!("wav2vec2/{sound}")}));
    let metrics = measured(&fixture, "wav2vec2", &sounds, ["text", "text"]);
    assert_eq!(metrics["wer"], 0.0, "{metrics}");

    let fixture = with_checkpoint("qwen2_audio");
    let sounds =
        ["full.wav", "short.wav"].map(|sound| json!({"audio": format!("qwen2_audio/{sound}"), "text": "the cat?"}));
    let metrics = measured(&fixture, "qwen2_audio", &sounds, ["answer", "answer"]);
    assert_eq!(metrics["accuracy"], 1.0, "{metrics}");
}
