//! `chat` over a pipe: a line in answer to each question, with or without what was said before.

use crate::fixture::{Finished, Fixture, finished, json_lines};
use std::io::Write;
use std::process::Stdio;

pub fn chat(fixture: &Fixture, arguments: &[&str], lines: &str) -> Finished {
    let mut command = fixture.command(&[&["chat", "run"], arguments].concat());
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that ends early closes the pipe: what it said is looked at below.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    finished(child.wait_with_output().unwrap())
}

/// Expects a code, the number of lines on stdout, and words on stderr.
fn check(fixture: &Fixture, arguments: &[&str], lines: &str, code: i32, answers: usize, words: &[&str]) -> Finished {
    let finished = chat(fixture, arguments, lines);
    let shown = format!("{lines:?}\n{}\n{}", finished.stdout, finished.stderr);
    assert_eq!(
        (finished.code, finished.stdout.lines().count()),
        (code, answers),
        "{shown}"
    );
    words
        .iter()
        .for_each(|word| assert!(finished.stderr.contains(word), "{word}: {shown}"));
    finished
}

#[test]
fn each_question_has_a_line_in_answer() {
    let fixture = Fixture::trained();
    let image = ["--image", "0.png"];
    let alone = "each question is answered by itself";
    let lines = "which color?\n\n  how large?  \nwhich color?";
    let found = check(&fixture, &image, lines, 0, 3, &[alone]);
    let answers: Vec<&str> = found.stdout.lines().collect();
    assert!(answers[0].ends_with("%)"), "{answers:?}");
    assert_eq!(answers[0], answers[2], "a question was not answered by itself");
    check(&fixture, &[], "which color?\n", 0, 1, &[alone]);
    let quiet = check(&fixture, &["--quiet"], "", 0, 0, &[]);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn commands_say_what_they_did() {
    let fixture = Fixture::trained();
    let lines = "/image 1.png\nwhich color?\n/reset\n/image none.png\nwhich color?\n/help\n/quit\nwhich color?\n";
    let words = ["asking about 1.png", "forgotten", "error: ", "none.png", "/quit: leave"];
    let found = check(&fixture, &["--image", "0.png"], lines, 0, 2, &words);
    let answers: Vec<&str> = found.stdout.lines().collect();
    assert_eq!(
        answers[0], answers[1],
        "a picture that cannot be read took the place of another"
    );
    let alone = chat(&fixture, &["--image", "1.png"], "which color?\n");
    assert_eq!(alone.stdout.trim(), answers[0]);
}

#[test]
fn what_cannot_be_asked_about_is_refused() {
    let fixture = Fixture::trained();
    let question = "which color?\n";
    check(&fixture, &["--image", "none.png"], question, 1, 0, &["none.png"]);
    check(&fixture, &["--audio", "a.wav"], question, 2, 0, &["no audio input"]);
    check(&fixture, &["--text", "x"], question, 2, 0, &["no other text input"]);
    check(&fixture, &["--ask", "image"], question, 2, 0, &["a text input"]);
    check(&fixture, &["--output", "none"], question, 2, 0, &["it has answer"]);
}

#[test]
fn a_dialogue_run_hears_what_was_said_before() {
    let fixture = Fixture::new();
    let rows = String::from_utf8(fixture.read("rows.jsonl")).unwrap();
    let rows = rows.replace(r#""how large?""#, r#"[["which color?","red"],"how large?"]"#);
    fixture.write("rows.jsonl", rows);
    fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
    let examples: serde_json::Value = serde_json::from_slice(&fixture.read("run/examples/texts.json")).unwrap();
    assert_eq!(examples, serde_json::json!([{"question": "which color?"}]));
    let lines = "which color?\nhow large?\n/reset\nhow large?\n";
    let found = check(&fixture, &["--image", "0.png"], lines, 0, 3, &["forgotten"]);
    assert!(!found.stderr.contains("by itself"), "{}", found.stderr);
    let answers: Vec<&str> = found.stdout.lines().collect();
    let (said, _) = answers[0].split_once(" (").unwrap();
    let asked = |question: serde_json::Value| {
        let row = serde_json::json!({"image": "0.png", "question": question});
        fixture.write("ask.jsonl", row.to_string());
        let line = fixture.expect(&["predict", "run", "--data", "ask.jsonl", "--json"], 0, &[]);
        let answer = &json_lines(&line.stdout)[0]["outputs"]["answer"];
        let probability = 100.0 * answer["probability"].as_f64().unwrap();
        format!("{} ({probability:.1}%)", answer["value"].as_str().unwrap())
    };
    assert_eq!(
        answers[1],
        asked(serde_json::json!([["which color?", said], "how large?"]))
    );
    assert_eq!(answers[2], asked(serde_json::json!(["how large?"])));
}
