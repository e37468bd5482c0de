//! Data sets with bad files: `data check`, training and its budget agree on exactly which rows those are.

use crate::fixture::{Fixture, json_lines};

/// The pictures that [`damaged`] spoils, one in ten.
const SPOILT: [&str; 3] = ["0.png", "10.png", "20.png"];
/// The rows that show them, two for each.
const ROWS: [u64; 6] = [0, 1, 20, 21, 40, 41];

/// A set in which one picture is cut, one is zeroed in the middle, and one is a text.
fn damaged() -> Fixture {
    let fixture = Fixture::new();
    let whole = fixture.read(SPOILT[0]);
    fixture.write(SPOILT[0], &whole[..whole.len() / 2]);
    let mut zeroed = fixture.read(SPOILT[1]);
    let middle = zeroed.len() / 2;
    zeroed[middle - 8..middle + 8].fill(0);
    fixture.write(SPOILT[1], zeroed);
    fixture.write(SPOILT[2], "this is no picture");
    fixture
}

/// A set in which one picture's header claims four times its width, one is a sound, and one is all zeros.
fn forged() -> Fixture {
    let fixture = Fixture::new();
    let picture = image::load_from_memory(&fixture.read(SPOILT[0])).unwrap();
    let mut bitmap = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bitmap, image::ImageFormat::Bmp).unwrap();
    let mut bitmap = bitmap.into_inner();
    bitmap[18..22].copy_from_slice(&64u32.to_le_bytes());
    fixture.write(SPOILT[0], bitmap);
    let sound = concat!(env!("CARGO_MANIFEST_DIR"), "/../../reference/audio/s16.wav");
    fixture.write(SPOILT[1], std::fs::read(sound).unwrap());
    fixture.write(SPOILT[2], vec![0; 900]);
    fixture
}

fn quarantined(fixture: &Fixture, path: &str) -> Vec<u64> {
    let text = String::from_utf8(fixture.read(path)).unwrap();
    json_lines(&text)
        .iter()
        .map(|line| line["row"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_check_accounts_for_every_row_and_prints_its_report_over_the_budget_too() {
    [damaged(), forged()].iter().for_each(check_accounts);
}

fn check_accounts(fixture: &Fixture) {
    let check = ["data", "check", "rows.jsonl", "--json", "--quiet", "--out", "account"];
    let finished = fixture.expect(&check, 3, &["6 of 60 rows", "quarantine.jsonl"]);
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let listed: Vec<u64> = report["quarantined"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["row"].as_u64().unwrap())
        .collect();
    assert_eq!(listed, ROWS);
    assert_eq!(
        (
            report["rows"].as_u64(),
            report["good"].as_u64(),
            report["skipped"].as_u64()
        ),
        (Some(60), Some(54), Some(0))
    );
    assert_eq!(quarantined(fixture, "account/quarantine.jsonl"), ROWS);
    fixture.expect(
        &["data", "check", "rows.jsonl", "--failure-budget", "0.1", "--quiet"],
        0,
        &[],
    );
    let filtered = [
        "data",
        "check",
        "rows.jsonl",
        "--json",
        "--quiet",
        "--only",
        "split=test",
    ];
    let report: serde_json::Value = serde_json::from_str(&fixture.expect(&filtered, 0, &[]).stdout).unwrap();
    assert_eq!(
        (report["good"].as_u64(), report["skipped"].as_u64()),
        (Some(12), Some(48))
    );
}

#[test]
fn the_page_about_a_set_is_written_whatever_the_check_finds() {
    let fixture = damaged();
    let stats = |more: &[&str], code: i32| {
        let arguments = [&["data", "stats", "rows.jsonl", "--quiet", "--out", "page"], more].concat();
        fixture.expect(&arguments, code, &[]).stdout
    };
    assert_eq!(stats(&[], 3), "page/stats.html\n");
    assert_eq!(quarantined(&fixture, "page/quarantine.jsonl"), ROWS);
    let page = String::from_utf8(fixture.read("page/stats.html")).unwrap();
    for text in [
        "of 60 rows; 6 cannot be read",
        "data:image/png;base64,",
        "which color?",
        "<b>16 px</b> wide",
        "10.png",
    ] {
        assert!(page.contains(text), "{text} is not on the page");
    }
    let document: serde_json::Value = serde_json::from_str(&stats(&["--json"], 3)).unwrap();
    assert_eq!((&document["rows"], &document["good"]), (&60.into(), &54.into()));
    let names: Vec<&str> = document["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 4, "{names:?}");
    stats(&["--failure-budget", "0.1"], 0);
    assert_eq!(String::from_utf8(fixture.read("page/stats.html")).unwrap(), page);
}

#[test]
fn training_goes_on_within_the_budget_and_stops_above_it() {
    [damaged(), forged()].iter().for_each(check_budget);
}

fn check_budget(fixture: &Fixture) {
    let train = |run: &str, budget: &str, code: i32| {
        let budget = format!("data.failure_budget={budget}");
        fixture.expect(
            &["train", "recipe.toml", "--run", run, "--set", &budget, "--quiet"],
            code,
            &[],
        );
    };
    train("within", "0.1", 0);
    assert_eq!(quarantined(fixture, "within/quarantine.jsonl"), ROWS);
    train("above", "0.02", 3);
}

#[test]
fn a_split_keeps_copies_together() {
    let fixture = Fixture::new();
    let picture = fixture.read("3.png");
    fixture.write("29.png", picture);
    fixture.expect(
        &[
            "data",
            "split",
            "rows.jsonl",
            "--train",
            "0.5",
            "--validation",
            "0.25",
            "--test",
            "0.25",
            "--quiet",
        ],
        0,
        &[],
    );
    let text = String::from_utf8(fixture.read("rows.split.jsonl")).unwrap();
    let rows = json_lines(&text);
    let split_of = |name: &str| -> Vec<&serde_json::Value> {
        rows.iter()
            .filter(|row| row["image"] == name)
            .map(|row| &row["split"])
            .collect()
    };
    let together = [split_of("3.png"), split_of("29.png")].concat();
    assert_eq!(together.len(), 4);
    assert!(together.iter().all(|split| *split == together[0]), "{together:?}");
}

/// One second of a tone as a WAV file of 16 bits and 8 kHz.
fn tone(hertz: f64) -> Vec<u8> {
    let sample = |at: u32| (8000.0 * (f64::from(at) * hertz * std::f64::consts::TAU / 8000.0).sin()) as i16;
    let samples: Vec<u8> = (0..8000).flat_map(|at| sample(at).to_le_bytes()).collect();
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + samples.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(8000u32.to_le_bytes());
    wav.extend(16_000u32.to_le_bytes());
    wav.extend(b"\x02\0\x10\0data");
    wav.extend((samples.len() as u32).to_le_bytes());
    wav.extend(samples);
    wav
}

const RECIPE: &str = r#"
[inputs.audio]
modality = "audio"
sample_rate = 8000
features = { kind = "log_mel" }
augment = [{ gain = [-3, 3] }, { time_mask = 10 }]
trunk = { kind = "rnn", width = 16 }
[inputs.video]
modality = "video"
frames = 2
size = 16
trunk = { kind = "cnn", stages = [8] }
[fusion]
kind = "gated"
width = 16
[outputs.answer]
task = "classify"
[training]
batch_size = 8
max_epochs = 12
optimizer = { kind = "adamw", learning_rate = 1e-2 }
"#;

#[test]
fn sounds_and_videos_are_learnt_measured_and_answered() {
    let fixture = Fixture::new();
    let mut rows = String::new();
    for number in 0..30 {
        let (answer, hertz) = [("low", 300.0), ("high", 1500.0)][number % 2];
        let audio = format!("{number}.wav");
        fixture.write(&audio, tone(hertz + 10.0 * number as f64));
        let split = ["train", "train", "train", "validation", "test"][number / 6];
        let video = [format!("{number}.png"), "0.png".to_string()];
        let row = serde_json::json!({"audio": audio, "video": video, "answer": answer, "split": split});
        rows += &format!("{row}\n");
    }
    fixture.write("moving.jsonl", rows);
    fixture.write("moving.toml", format!("[data]\nmanifest = \"moving.jsonl\"\n{RECIPE}"));
    fixture.expect(&["train", "moving.toml", "--run", "run", "--quiet"], 0, &[]);
    let finished = fixture.expect(&["evaluate", "run", "--json", "--quiet"], 0, &[]);
    let evaluation: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!(evaluation["metrics"]["answer"]["accuracy"], 1.0, "{evaluation}");
    let finished = fixture.expect(&["predict", "run", "--audio", "25.wav", "--json"], 0, &[]);
    assert_eq!(json_lines(&finished.stdout)[0]["outputs"]["answer"]["value"], "high");
    let page = String::from_utf8(fixture.read("run/report.html")).unwrap();
    assert!(
        page.contains("data:image/png;base64,"),
        "the report shows spectra and frames"
    );
}

#[test]
fn a_stream_has_the_rows_of_a_manifest_and_its_broken_ones() {
    let fixture = Fixture::streaming();
    fixture.write(
        "shards/part-9.jsonl",
        "[]\n{\"image\":\"none.png\",\"answer\":\"red\",\"split\":\"train\"}\n",
    );
    let train = [
        "train",
        "recipe.toml",
        "--run",
        "run",
        "--set",
        "data.failure_budget=0.1",
    ];
    fixture.expect(&train, 0, &["37 rows for training, 12 for validation, 12 for test"]);
    assert_eq!(quarantined(&fixture, "run/quarantine.jsonl"), [60, 61]);
    let evaluation: serde_json::Value =
        serde_json::from_str(&fixture.expect(&["evaluate", "run", "--json", "--quiet"], 0, &[]).stdout).unwrap();
    assert_eq!(
        (evaluation["rows"].as_u64(), evaluation["skipped"].as_u64()),
        (Some(12), Some(0))
    );
    let several = [
        "train",
        "recipe.toml",
        "--run",
        "other",
        "--set",
        "data.manifest=[{manifest=\"shards\"}]",
    ];
    fixture.expect(&several, 2, &["data.streaming: expected one set"]);
    let sorted = [
        "train",
        "recipe.toml",
        "--run",
        "other",
        "--set",
        "training.bucket_by_length=true",
    ];
    fixture.expect(&sorted, 2, &["training.bucket_by_length", "cannot be sorted"]);
}

#[test]
fn sets_are_mixed_by_their_weights() {
    let fixture = Fixture::new();
    let rows = String::from_utf8(fixture.read("rows.jsonl")).unwrap();
    let few: Vec<&str> = rows.lines().filter(|line| line.contains("train")).take(4).collect();
    fixture.write("few.jsonl", few.join("\n"));
    let mixed = "data.manifest=[{manifest=\"rows.jsonl\"},{manifest=\"few.jsonl\",weight=3}]";
    let train = [
        "train",
        "recipe.toml",
        "--run",
        "run",
        "--set",
        mixed,
        "--set",
        "training.max_epochs=1",
    ];
    fixture.expect(&train, 0, &["40 rows for training"]);
    let recipe = String::from_utf8(fixture.read("run/recipe.toml")).unwrap();
    assert!(recipe.contains("weight = 3.0") && recipe.contains(&fixture.path("few.jsonl").display().to_string()));
    fixture.expect(&["evaluate", "run", "--quiet"], 0, &[]);
    fixture.expect(
        &["train", "recipe.toml", "--run", "other", "--set", "data.manifest=[]"],
        2,
        &["data.manifest"],
    );
}

#[test]
fn a_cache_on_disk_changes_no_byte() {
    let expected = Fixture::trained().read("run/model.safetensors");
    let fixture = Fixture::new();
    for run in ["cold", "warm"] {
        let train = [
            "train",
            "recipe.toml",
            "--run",
            run,
            "-q",
            "--set",
            "data.disk_cache_mib=1",
        ];
        fixture.expect(&train, 0, &[]);
        assert!(fixture.read(&format!("{run}/model.safetensors")) == expected, "{run}");
    }
    let processors = std::fs::read_dir(fixture.path("cache/features")).unwrap();
    assert_eq!(processors.count(), 1, "one for the pictures, none for the questions");
}
