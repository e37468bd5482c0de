//! `index` and `search`: what is found, and what is refused.

use crate::fixture::Fixture;
use serde_json::{Value, json};

const RECIPE: &str = r#"name = "space"
[data]
manifest = "captions.jsonl"
[inputs.image]
modality = "image"
size = 8
trunk = { kind = "cnn", stages = [8, 16] }
[inputs.caption]
modality = "text"
tokenizer = { kind = "word" }
trunk = { kind = "rnn", width = 16 }
[outputs.space]
task = "align"
width = 16
[training]
batch_size = 12
max_epochs = 80
modality_dropout = 0.0
optimizer = { kind = "adamw", learning_rate = 5e-3 }
stop = { metric = "validation.space.recall@1", target = 1.0 }
"#;

/// The fixture's pictures with a caption each, six of them different, and a run that aligns both.
fn aligned() -> Fixture {
    let fixture = Fixture::new();
    let mut rows = String::new();
    for number in 0..30 {
        let color = ["red", "green", "blue"][number % 3];
        let size = ["small", "large"][number % 2];
        let split = ["train", "train", "train", "validation", "test"][number / 6];
        let image = format!("{number}.png");
        rows += &json!({"image": image, "caption": format!("a {size} {color} square"), "split": split}).to_string();
        rows.push('\n');
    }
    fixture.write("captions.jsonl", &rows);
    fixture.write("space.toml", RECIPE);
    fixture.expect(&["train", "space.toml", "--run", "run", "--quiet"], 0, &[]);
    fixture
}

fn search(fixture: &Fixture, query: &[&str]) -> Vec<Value> {
    let finished = fixture.expect(&[&["search", "found", "--json"], query].concat(), 0, &[]);
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    document["results"].as_array().unwrap().clone()
}

const INDEX: [&str; 6] = ["index", "run", "--data", "captions.jsonl", "--out", "found"];

#[test]
fn a_moved_index_finds_pictures_by_words_and_words_by_pictures() {
    let fixture = aligned();
    let finished = fixture.expect(&INDEX, 0, &[]);
    assert!(
        finished.stdout.contains("30 rows with 36 distinct media"),
        "{}",
        finished.stdout
    );
    std::fs::rename(fixture.path("found"), fixture.path("moved")).unwrap();
    std::fs::rename(fixture.path("moved"), fixture.path("found")).unwrap();
    std::fs::remove_dir_all(fixture.path("run")).unwrap();
    let found = search(
        &fixture,
        &["--text", "a large green square", "--among", "image", "--top", "3"],
    );
    assert_eq!(found.len(), 3);
    for one in &found {
        let path = one["values"]["image"].as_str().unwrap();
        assert_eq!(one["values"]["caption"], "a large green square", "{one}");
        assert!(std::path::Path::new(path).is_absolute() && one["input"] == "image");
        assert_eq!(one["row"].as_u64().unwrap() % 6, 1);
    }
    let cosines: Vec<f64> = found.iter().map(|one| one["cosine"].as_f64().unwrap()).collect();
    assert!(
        cosines.is_sorted_by(|a, b| a >= b) && cosines[0] <= 1.0 + 1e-5,
        "{cosines:?}"
    );
    let found = search(&fixture, &["--image", "2.png", "--among", "caption", "--top", "1"]);
    assert_eq!(found[0]["values"]["caption"], "a small blue square");
    // Without a choice the closest medium of a row counts: the picture itself.
    let found = search(&fixture, &["--input", "image=4.png", "--top", "40"]);
    assert_eq!((found.len(), &found[0]["input"]), (30, &json!("image")));
    assert!((found[0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-4);
    fixture.expect(
        &["search", "found", "--image", "4.png", "--text", "a small red square"],
        0,
        &[],
    );
}

#[test]
fn bad_rows_are_named_and_held_against_the_budget() {
    let fixture = aligned();
    let mut rows = String::from_utf8(fixture.read("captions.jsonl")).unwrap();
    rows += "{\"image\": \"none.png\", \"caption\": \"a square\"}\n{\"image\": \"1.png\", \n{\"image\": null}\n";
    fixture.write("captions.jsonl", &rows);
    fixture.expect(
        &INDEX,
        3,
        &["2 of 33 rows are bad", "none.png", "row 31", "--failure-budget"],
    );
    assert!(!fixture.path("found").exists());
    let finished = fixture.expect(&[&INDEX[..], &["--failure-budget", "0.1"]].concat(), 0, &["none.png"]);
    assert!(
        finished.stdout.contains("1 rows without any, 2 bad"),
        "{}",
        finished.stdout
    );
    fixture.expect(&INDEX, 3, &[]);
    fixture.expect(
        &[&INDEX[..], &["--failure-budget", "0.1"]].concat(),
        1,
        &["found", "not empty"],
    );
}

#[test]
fn what_cannot_be_searched_is_refused() {
    let fixture = Fixture::trained();
    fixture.expect(
        &["index", "run", "--data", "rows.jsonl", "--out", "found"],
        2,
        &["align"],
    );
    let fixture = aligned();
    fixture.expect(&[&INDEX[..], &["--output", "none"]].concat(), 2, &["none", "space"]);
    fixture.expect(&INDEX, 0, &[]);
    fixture.expect(&["search", "found"], 2, &["--text"]);
    fixture.expect(&["search", "found", "--audio", "0.png"], 2, &["no audio input"]);
    fixture.expect(
        &["search", "found", "--text", "a", "--among", "smell"],
        2,
        &["smell", "caption, image"],
    );
    fixture.expect(&["search", "found", "--image", "none.png"], 1, &["none.png"]);
    fixture.expect(&["search", "none", "--text", "a"], 1, &["sensorium index"]);
    let whole = fixture.read("found/rows.jsonl");
    for (name, bytes) in [
        ("rows.jsonl", &whole[..whole.len() - 3]),
        ("embeddings.safetensors", &[1, 2, 3][..]),
        ("index.json", b"{}"),
    ] {
        let name = format!("found/{name}");
        let before = fixture.read(&name);
        fixture.write(&name, bytes);
        fixture.expect(&["search", "found", "--text", "a"], 1, &[&name]);
        fixture.write(&name, before);
    }
    fixture.expect(&["search", "found", "--text", "a"], 0, &[]);
}
