//! A folder with a small data set and a recipe that trains on it in a second.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const COLORS: [(&str, [u8; 3]); 3] = [
    ("red", [220, 30, 30]),
    ("green", [30, 180, 40]),
    ("blue", [40, 60, 220]),
];

pub struct Fixture {
    folder: TempDir,
}

/// What a command came to.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Fixture {
    /// Thirty pictures with two questions each, and `recipe.toml`.
    pub fn new() -> Self {
        let fixture = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut rows = String::new();
        for number in 0..30 {
            let (color, rgb) = COLORS[number % 3];
            let size = if number % 2 == 0 { "small" } else { "large" };
            let side = if number % 2 == 0 { 4 } else { 10 };
            let name = format!("{number}.png");
            let inside = |at: u32| (2..2 + side).contains(&at);
            image::RgbImage::from_fn(16, 16, |x, y| {
                image::Rgb(if inside(x) && inside(y) { rgb } else { [240, 240, 240] })
            })
            .save(fixture.path(&name))
            .unwrap();
            let split = ["train", "train", "train", "validation", "test"][number / 6];
            for (question, answer) in [("which color?", color), ("how large?", size)] {
                let row = serde_json::json!({
                    "image": name, "question": question, "answer": answer, "split": split
                });
                rows += &format!("{row}\n");
            }
        }
        fixture.write("rows.jsonl", &rows);
        fixture.write("recipe.toml", RECIPE);
        fixture
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The program in this folder, before its arguments are all there.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sensorium"));
        command.args(arguments).current_dir(self.folder.path());
        command.env_remove("SENSORIUM_HOME").env("SENSORIUM_THREADS", "1");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Finished {
        finished(self.command(arguments).output().unwrap())
    }

    /// Runs and expects an exit code, and words in what is printed on stderr.
    pub fn expect(&self, arguments: &[&str], code: i32, words: &[&str]) -> Finished {
        let finished = self.run(arguments);
        assert_eq!(
            finished.code, code,
            "{arguments:?}\n{}\n{}",
            finished.stdout, finished.stderr
        );
        for word in words {
            let message = format!("{arguments:?}: `{word}` is not in\n{}", finished.stderr);
            assert!(finished.stderr.contains(word), "{message}");
        }
        finished
    }

    /// The same rows in shards of `shards`, which the recipe streams.
    pub fn streaming() -> Self {
        let fixture = Self::new();
        let rows = String::from_utf8(fixture.read("rows.jsonl")).unwrap();
        let lines: Vec<String> = rows
            .lines()
            .map(|line| line.replace("\"image\":\"", "\"image\":\"../"))
            .collect();
        std::fs::create_dir(fixture.path("shards")).unwrap();
        for (number, lines) in lines.chunks(7).enumerate() {
            fixture.write(&format!("shards/part-{number}.jsonl"), lines.join("\n") + "\n");
        }
        let data = "[data]\nmanifest = \"shards\"\nstreaming = true\n";
        fixture.write("recipe.toml", RECIPE.replace("[data]\n", data));
        fixture
    }

    /// A recipe that keeps an average of the weights.
    pub fn averaged() -> Self {
        let fixture = Self::new();
        fixture.write(
            "recipe.toml",
            RECIPE.replace("[training]\n", "[training]\naverage = 0.9\n"),
        );
        fixture
    }

    /// The same rows and a set of texts that only train, three of them for each row, with an output of their own.
    pub fn mixed() -> Self {
        let fixture = Self::new();
        let texts: String = (0..20)
            .map(|number| {
                let kind = if number % 2 == 0 { "even" } else { "odd" };
                format!("{{\"question\": \"which number is {number}?\", \"kind\": \"{kind}\"}}\n")
            })
            .collect();
        fixture.write("texts.jsonl", texts);
        let data = "[data]\nmanifest = [{ manifest = \"rows.jsonl\" }, \
                    { manifest = \"texts.jsonl\", weight = 3, only = \"train\" }]\n";
        let kind = "[outputs.kind]\ntask = \"classify\"\nfrom = \"inputs.question\"\n[training]\n";
        let recipe = RECIPE.replace("[data]\n", data).replace("[training]\n", kind);
        fixture.write("recipe.toml", recipe);
        fixture
    }

    /// A trained run in `run`.
    pub fn trained() -> Self {
        let fixture = Self::new();
        fixture.expect(&["train", "recipe.toml", "--run", "run", "--quiet"], 0, &[]);
        fixture
    }
}

pub fn finished(output: Output) -> Finished {
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The JSON document, or the JSON lines, that a command printed.
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Copies a run directory.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

const RECIPE: &str = r#"name = "small"
seed = 5
[data]
failure_budget = 0.0
[inputs.image]
modality = "image"
size = 16
augment = ["flip", { crop = 0.8 }, { color = 0.1 }]
trunk = { kind = "cnn", stages = [8, 8] }
[inputs.question]
modality = "text"
tokenizer = { kind = "word" }
trunk = { kind = "rnn", width = 8 }
[fusion]
kind = "gated"
width = 16
dropout = 0.1
[outputs.answer]
task = "classify"
[training]
batch_size = 6
max_epochs = 10
checkpoint_every_steps = 2
optimizer = { kind = "adamw", learning_rate = 5e-3 }
"#;
