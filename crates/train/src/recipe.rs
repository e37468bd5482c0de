//! The recipe: one TOML file that says what to train, on what, and how.

use crate::optimizer::OptimizerConfig;
use crate::schedule::ScheduleConfig;
use crate::sources::Sources;
use schemars::JsonSchema;
use sensorium_data::split::SplitConfig;
use sensorium_data::{InputColumn, ProcessorConfig};
use sensorium_model::fusion::JoinConfig;
use sensorium_model::tasks::TaskConfig;
use sensorium_model::{EncoderConfig, OutputConfig as ModelOutput, Pipeline, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A complete experiment. Everything but `inputs` and `outputs` has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recipe {
    /// What the run is called; the recipe's file name by default.
    pub name: Option<String>,
    /// The source of all randomness: the same recipe and seed give the same model.
    #[serde(default = "default_seed")]
    pub seed: u64,
    #[serde(default)]
    pub data: DataConfig,
    /// What the model reads, by name.
    #[schemars(length(min = 1))]
    pub inputs: BTreeMap<String, InputConfig>,
    /// How the inputs are joined.
    #[serde(default)]
    pub fusion: JoinConfig,
    /// What the model answers, by name.
    #[schemars(length(min = 1))]
    pub outputs: BTreeMap<String, OutputConfig>,
    #[serde(default)]
    pub training: TrainingConfig,
}

impl Recipe {
    /// What a run that was imported is measured by, as it has no recipe: its columns and its tasks.
    pub fn of_imported(pipeline: &Pipeline) -> Self {
        let description = &pipeline.description;
        let input = |input: &InputColumn| {
            let config = InputConfig {
                column: Some(input.column.clone()),
                processor: input.processor.config(),
                encoder: description.model.inputs[&input.name].clone(),
            };
            (input.name.clone(), config)
        };
        let output = |(name, output): (&String, &ModelOutput)| {
            let texts = description.texts.get(name).map(|texts| &texts.column);
            let own = (!output.task.needs_no_column()).then(|| texts.unwrap_or(name).clone());
            let config = OutputConfig {
                column: own,
                from: Some(output.from.clone()),
                weight: default_weight(),
                task: output.task.clone(),
            };
            (name.clone(), config)
        };
        Self {
            name: Some(description.name.clone()),
            seed: default_seed(),
            data: DataConfig::default(),
            inputs: pipeline.inputs().iter().map(input).collect(),
            fusion: description.model.fusion.clone(),
            outputs: description.model.outputs.iter().map(output).collect(),
            training: TrainingConfig {
                stop: StopConfig::of_speech(&description.model.outputs),
                ..TrainingConfig::default()
            },
        }
    }
}

impl StopConfig {
    /// What comes first of speech that is written is its word error rate.
    fn of_speech(outputs: &BTreeMap<String, ModelOutput>) -> Self {
        let written = outputs.iter().find(|(_, output)| match &output.task {
            TaskConfig::Generate(generate) => generate.speech.is_some(),
            task => matches!(task, TaskConfig::Transcribe(_)),
        });
        written.map_or_else(Self::default, |(name, _)| Self {
            metric: format!("validation.{name}.wer"),
            ..Self::default()
        })
    }
}

fn default_seed() -> u64 {
    1
}

/// Where the rows come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DataConfig {
    /// The name of a catalogue set, or a path relative to the recipe: a .jsonl, .csv, .tsv or .parquet file, a folder, an
    /// archive or shards; or several of them with weights.
    pub manifest: Sources,
    /// Read the training rows of shards anew in each epoch, shard by shard and shuffled within some 128 MiB, instead of
    /// holding a list of all rows: for sets of many millions, and for slow disks.
    pub streaming: bool,
    /// How rows are divided; by the column `split` where there is one, else at random 90 : 5 : 5.
    pub split: Option<SplitConfig>,
    /// The share of rows that may be unreadable before the run is stopped.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub failure_budget: f64,
    /// Threads that prepare batches; the result does not depend on it.
    #[schemars(range(min = 1, max = 256))]
    pub loader_threads: usize,
    /// Memory for decoded media, in MiB.
    #[schemars(range(min = 0, max = 1_048_576))]
    pub cache_mib: usize,
    /// Disk space for decoded pictures, sounds and videos, in MiB, shared by all runs under `SENSORIUM_HOME/cache`; worth
    /// it where decoding is slower than training.
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub disk_cache_mib: u64,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            manifest: Sources::default(),
            streaming: false,
            split: None,
            failure_budget: 0.01,
            loader_threads: 2,
            cache_mib: 128,
            disk_cache_mib: 0,
        }
    }
}

/// One input: how its values are read, and how they are encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputConfig {
    /// The column to read; the input's name by default.
    pub column: Option<String>,
    #[serde(flatten)]
    pub processor: ProcessorConfig,
    #[serde(flatten)]
    pub encoder: EncoderConfig,
}

/// One output: what it answers, and which column holds the right answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputConfig {
    /// The column with the targets; the output's name by default. Align needs none: rows with the same value in it belong
    /// together.
    pub column: Option<String>,
    /// Where it reads: `fusion`, or `inputs.NAME` for one input alone; what fits the task by default.
    pub from: Option<Source>,
    /// The weight of this output's loss.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub weight: f64,
    #[serde(flatten)]
    pub task: TaskConfig,
}

fn default_weight() -> f64 {
    1.0
}

/// How the model is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TrainingConfig {
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    /// Rows in a batch.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Put rows of similar length in one batch, so that little of it is padding: by the bytes of a sound, else by the
    /// characters of a text. Done by default where an input is sound.
    pub bucket_by_length: Option<bool>,
    /// How many rows of one picture, video or sound go into a batch together, which encodes it once: all of them by
    /// default. Fewer give a batch more different ones, from which an encoder may learn much faster.
    #[schemars(range(min = 1))]
    pub rows_per_medium: Option<usize>,
    /// Batches whose gradients are averaged into one step.
    #[schemars(range(min = 1, max = 4096))]
    pub accumulate: usize,
    /// The largest norm of the gradient of all parameters together; longer ones are scaled down.
    #[schemars(range(min = 0.0))]
    pub clip_norm: Option<f64>,
    /// Measures and keeps an exponential moving average of the weights instead of the weights themselves, which training
    /// goes on with (Polyak and Juditsky 1992): after every step the average moves towards them by 1 minus this, and in
    /// the first steps by more. 0.999 is usual.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub average: Option<f64>,
    /// The probability with which each input of a row is withheld, so that any input may be missing later.
    #[schemars(range(min = 0.0, max = 0.9))]
    pub modality_dropout: f64,
    /// Blends each picture of a batch with another one, and their losses alike, by a share drawn from Beta(α, α) with this
    /// α (mixup, Zhang et al. 2018); for pictures as the only input.
    #[schemars(range(min = 0.001, max = 100.0))]
    pub mixup: Option<f64>,
    /// Pastes a rectangle of another picture into each picture of a batch, of an area drawn in the same way (CutMix, Yun et
    /// al. 2019); with `mixup` too, every batch draws one of the two.
    #[schemars(range(min = 0.001, max = 100.0))]
    pub cutmix: Option<f64>,
    #[schemars(range(min = 1))]
    pub max_epochs: u64,
    #[schemars(range(min = 1))]
    pub max_steps: Option<u64>,
    #[schemars(range(min = 0.0))]
    pub max_minutes: Option<f64>,
    /// The most rows of each set that are measured after an epoch, drawn once by the seed; all of the validation split by
    /// default. `sensorium evaluate` measures all of it.
    #[schemars(range(min = 1))]
    pub validation_rows: Option<usize>,
    /// Save the state also inside an epoch; it is always saved at an epoch's end.
    #[schemars(range(min = 1))]
    pub checkpoint_every_steps: Option<u64>,
    pub stop: StopConfig,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            optimizer: OptimizerConfig::default(),
            schedule: ScheduleConfig::default(),
            batch_size: 64,
            bucket_by_length: None,
            rows_per_medium: None,
            accumulate: 1,
            clip_norm: Some(1.0),
            average: None,
            modality_dropout: 0.1,
            mixup: None,
            cutmix: None,
            max_epochs: 20,
            max_steps: None,
            max_minutes: None,
            validation_rows: None,
            checkpoint_every_steps: None,
            stop: StopConfig::default(),
        }
    }
}

/// What the best checkpoint is, and when to stop early.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StopConfig {
    /// `validation.loss`, or `validation.OUTPUT.METRIC` such as `validation.answer.accuracy`.
    pub metric: String,
    /// Stop after this many evaluations without a better value.
    #[schemars(range(min = 1))]
    pub patience: Option<u64>,
    /// Stop as soon as the metric has reached this value.
    pub target: Option<f64>,
}

impl Default for StopConfig {
    fn default() -> Self {
        Self {
            metric: "validation.loss".into(),
            patience: None,
            target: None,
        }
    }
}

impl StopConfig {
    /// Losses, error rates, perplexities and ranks are better when smaller; every other metric when larger.
    pub fn smaller_is_better(&self) -> bool {
        let name = self.metric.rsplit('.').next().unwrap_or_default();
        matches!(
            name,
            "loss"
                | "wer"
                | "cer"
                | "wer_unaided"
                | "cer_unaided"
                | "perplexity"
                | "bits_per_byte"
                | "mae"
                | "rmse"
                | "mean_rank"
                | "median_rank"
        )
    }

    pub fn is_better(&self, new: f64, old: f64) -> bool {
        if self.smaller_is_better() { new < old } else { new > old }
    }

    pub fn reached(&self, value: f64) -> bool {
        let reached = |target: f64| {
            if self.smaller_is_better() {
                value <= target
            } else {
                value >= target
            }
        };
        self.target.is_some_and(reached)
    }
}
