//! A recipe language of the shape that DESIGN.md shows, as a fixture for the tests of this module.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::parse;

/// The recipe of DESIGN.md, word for word.
pub const RECIPE: &str = r#"name = "easy-vqa"
seed = 1
[data]
manifest = "easy-vqa"            # a catalogue name, or a path to .jsonl/.csv/.parquet/a folder/WebDataset shards
split = { column = "split" }     # or { train = 0.9, validation = 0.05, test = 0.05, group = "scene" }
failure_budget = 0.01
[inputs.image]                   # the column is the input's name unless `column` says otherwise
modality = "image"
size = 64
augment = ["flip", { rotate = 10 }, { crop = 0.9 }]
stem = { kind = "patch", size = 4 }
trunk = { kind = "cnn", stages = [32, 64, 128] }
[inputs.question]
modality = "text"
tokenizer = { kind = "bpe", vocabulary = 1000 }
trunk = { kind = "rnn", cell = "gru", width = 128 }
[fusion]
kind = "concat"
width = 128
[outputs.answer]
task = "classify"
[training]
optimizer = { kind = "adamw", learning_rate = 1e-3 }
schedule = { kind = "cosine", warmup_steps = 100 }
batch_size = 64
max_epochs = 20                  # also max_steps, max_minutes
checkpoint_every_steps = 200     # beside every epoch's end
stop = { metric = "validation.loss", patience = 3 }   # and/or target = 0.05
"#;

/// An experiment.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Recipe {
    #[schemars(length(min = 1))]
    pub name: String,
    #[serde(default)]
    pub seed: u64,
    pub data: Data,
    pub inputs: BTreeMap<String, Input>,
    #[serde(default)]
    pub fusion: Fusion,
    pub outputs: BTreeMap<String, Output>,
    #[serde(default)]
    pub training: Training,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Data {
    pub manifest: String,
    pub split: Option<Split>,
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub failure_budget: f32,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum Split {
    Column {
        column: String,
    },
    Fractions {
        train: f32,
        validation: f32,
        test: f32,
        group: Option<String>,
    },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "modality", rename_all = "snake_case")]
pub enum Input {
    Image(ImageInput),
    Text(TextInput),
}

/// What every input may say.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Common {
    /// The manifest column, where it is not the input's name.
    pub column: Option<String>,
    #[serde(default)]
    pub dropout: f32,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct ImageInput {
    #[serde(flatten)]
    pub common: Common,
    pub size: Size,
    #[serde(default)]
    pub augment: Vec<Augment>,
    pub stem: Option<Stem>,
    pub trunk: Option<Trunk>,
    pub encoder: Option<Pretrained>,
    pub mean: Option<[f32; 3]>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct TextInput {
    #[serde(flatten)]
    pub common: Common,
    pub tokenizer: Tokenizer,
    pub trunk: Option<Trunk>,
}

/// A side, or height and width.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum Size {
    Square(#[schemars(range(min = 1))] u32),
    Rectangle([u32; 2]),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    Flip,
    Invert,
    Rotate(f32),
    Crop(f32),
    Erase { probability: f32, side: u32 },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Stem {
    Pixels,
    Patch { size: u8 },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trunk {
    Cnn {
        #[schemars(length(min = 1))]
        stages: Vec<u32>,
    },
    Rnn {
        cell: Cell,
        width: u32,
    },
    Transformer(Transformer),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Transformer {
    pub width: u32,
    #[serde(default)]
    pub heads: u32,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    Gru,
    /// Long short-term memory.
    Lstm,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Pretrained {
    pub pretrained: String,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tokenizer {
    Bpe { vocabulary: u32 },
    Characters,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fusion {
    Concat { width: u32 },
    Gated { width: u32 },
}

impl Default for Fusion {
    fn default() -> Self {
        Fusion::Concat { width: 256 }
    }
}

/// A task that reads from somewhere: a tagged enum flattened into its neighbours.
#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Output {
    pub from: Option<String>,
    #[serde(flatten)]
    pub task: Task,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Task {
    Classify { labels: Option<Vec<String>> },
    Regress { dimensions: u32 },
}

#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(default)]
pub struct Training {
    pub optimizer: Option<Optimizer>,
    pub schedule: Option<Schedule>,
    #[schemars(range(min = 1))]
    pub batch_size: Option<u32>,
    pub max_epochs: Option<u32>,
    pub max_steps: Option<u64>,
    pub max_minutes: Option<f64>,
    pub checkpoint_every_steps: Option<u64>,
    pub stop: Option<Stop>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Optimizer {
    Adamw {
        #[schemars(extend("exclusiveMinimum" = 0))]
        learning_rate: f64,
        #[serde(default)]
        weight_decay: f64,
    },
    Sgd {
        #[schemars(extend("exclusiveMinimum" = 0))]
        learning_rate: f64,
    },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Schedule {
    Constant,
    Cosine {
        #[serde(default)]
        warmup_steps: u64,
    },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Stop {
    pub metric: String,
    pub patience: Option<u32>,
    pub target: Option<f64>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    Disc { radius: u32 },
    Bar { length: u32 },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "ink", rename_all = "snake_case")]
pub enum Paint {
    Plain,
    Striped { angle: f32 },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Adjacent {
    Side(u32),
    Word(String),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum Source {
    Pretrained { pretrained: String },
    Built(Shape),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(untagged)]
pub enum Amount {
    Count(u32),
    Share(f32),
    Words(Vec<String>),
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Both {
    #[serde(flatten)]
    pub shape: Shape,
    #[serde(flatten)]
    pub paint: Option<Paint>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Dressed {
    #[serde(flatten)]
    pub paint: Option<Paint>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Named {
    pub name: Option<String>,
    #[serde(flatten)]
    pub rest: BTreeMap<String, u32>,
}

/// Every other way in which serde and schemars write a union, and collections.
#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(default)]
pub struct Unions {
    pub both: Option<Both>,
    pub adjacent: Option<Adjacent>,
    pub source: Option<Source>,
    pub amount: Option<Amount>,
    pub dressed: Option<Dressed>,
    pub named: Option<Named>,
    pub set: BTreeSet<u32>,
    pub pair: Option<(u32, String)>,
    pub tree: Option<Tree>,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
pub struct Tree {
    #[serde(default)]
    pub children: Vec<Tree>,
}

/// Puts `new` in the place of `old` in the recipe and compares the whole error.
pub fn check(old: &str, new: &str, expected: &str) {
    assert!(RECIPE.contains(old), "{old}");
    let text = RECIPE.replacen(old, new, 1);
    compare(&format!("{old} -> {new}"), &text, &[], expected);
}

/// Lays `setting` over the recipe and compares the whole error.
pub fn check_override(setting: &str, expected: &str) {
    compare(setting, RECIPE, &[setting.to_owned()], expected);
}

fn compare(case: &str, text: &str, settings: &[String], expected: &str) {
    let error = parse::<Recipe>(text, "recipe.toml", settings)
        .expect_err(case)
        .to_string();
    assert_eq!(error, expected.trim_start_matches('\n'), "{case}\n{error}");
}
