//! The whole state of training in a folder that is valid once its manifest is written.

use crate::average::Average;
use crate::error::Result;
use crate::optimizer::Optimizer;
use burn::tensor::Device;
use sensorium_data::shards::Position;
use sensorium_data::{DataError, ErrorKind, files};
use sensorium_model::{Model, RunDirectory, checkpoint};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Older checkpoints are removed: the newest, and the one before it in case the newest is damaged, are kept.
const KEPT: usize = 2;

const FILES: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "trainer.json"];
/// Beside them where the recipe asks for an average.
const AVERAGE: &str = "average.safetensors";

/// Where training stands, beside the tensors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainerState {
    /// Steps of the optimiser taken.
    pub step: u64,
    /// The epoch under way, from zero.
    pub epoch: u64,
    /// Batches of that epoch already used.
    pub batch: usize,
    /// Of a stream: where it goes on behind them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The sum of that epoch's row losses, and their number.
    pub loss_sum: f64,
    pub loss_rows: usize,
    pub best: Option<Best>,
    pub evaluations_since_best: u64,
    /// Seconds of training, over all sittings.
    pub seconds: f64,
    /// Why training ended; none while it goes on.
    pub finished: Option<String>,
}

/// The best evaluation so far by the stop metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub step: u64,
    pub epoch: u64,
    pub value: f64,
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    files: BTreeMap<String, String>,
}

fn folder(run: &RunDirectory, step: u64) -> PathBuf {
    run.checkpoints().join(format!("step-{step:08}"))
}

/// Writes a checkpoint, its manifest last, and removes those that are no longer needed.
pub fn save(
    run: &RunDirectory,
    state: &TrainerState,
    model: &Model,
    optimizer: &Optimizer,
    average: Option<&Average>,
) -> Result<()> {
    let folder = folder(run, state.step);
    remove(&folder)?;
    files::create_folder(&folder)?;
    let contents = [
        checkpoint::serialize(&checkpoint::to_host(model)),
        checkpoint::serialize(&optimizer.to_host()),
        serde_json::to_vec_pretty(state).expect("the trainer's state is plain data"),
    ];
    let average = average.map(|average| (AVERAGE, checkpoint::serialize(&checkpoint::to_host(average.model()))));
    let mut manifest = Manifest { files: BTreeMap::new() };
    for (name, bytes) in FILES.into_iter().zip(contents).chain(average) {
        files::write_atomically(&folder.join(name), &bytes)?;
        manifest
            .files
            .insert(name.to_string(), blake3::hash(&bytes).to_hex().to_string());
    }
    let manifest = serde_json::to_vec_pretty(&manifest).expect("a manifest is plain data");
    files::write_atomically(&folder.join("manifest.json"), &manifest)?;
    prune(run, state.step)
}

/// The newest checkpoint whose files are all as its manifest says; none where there is no such one.
pub fn newest(run: &RunDirectory) -> Result<Option<PathBuf>> {
    let mut folders = list(run)?;
    folders.reverse();
    Ok(folders
        .into_iter()
        .map(|(_, folder)| folder)
        .find(|folder| is_valid(folder)))
}

/// Reads the state of training out of a checkpoint, without its tensors.
pub fn read_state(folder: &Path) -> Result<TrainerState> {
    let path = folder.join("trainer.json");
    let bytes = files::read(&path)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        DataError::new(ErrorKind::Damaged, error.to_string())
            .at_path(&path)
            .into()
    })
}

/// Puts a checkpoint's tensors into a model and an optimiser of the same recipe.
pub fn restore(folder: &Path, model: Model, optimizer: &mut Optimizer, device: &Device) -> Result<Model> {
    let path = folder.join("model.safetensors");
    let model = checkpoint::from_host(model, checkpoint::load(&path)?, &path)?;
    let moments = checkpoint::load(&folder.join("optimizer.safetensors"))?;
    optimizer.load(moments, &device.clone().without_autodiff());
    Ok(model)
}

/// Puts a checkpoint's average into one of the same recipe.
pub fn restore_average(folder: &Path, average: &mut Average) -> Result<()> {
    let path = folder.join(AVERAGE);
    Ok(average.load(checkpoint::load(&path)?, &path)?)
}

fn is_valid(folder: &Path) -> bool {
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let Some(manifest) = read("manifest.json") else {
        return false;
    };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&manifest) else {
        return false;
    };
    let whole = FILES.iter().all(|name| manifest.files.contains_key(*name));
    whole
        && manifest.files.iter().all(|(name, expected)| {
            let hash = read(name).map(|bytes| blake3::hash(&bytes).to_hex().to_string());
            hash.as_ref() == Some(expected)
        })
}

/// The checkpoints by step, the oldest first.
fn list(run: &RunDirectory) -> Result<Vec<(u64, PathBuf)>> {
    let path = run.checkpoints();
    let entries = match std::fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(DataError::io(&error, &path).into()),
    };
    let step = |name: &str| name.strip_prefix("step-")?.parse().ok();
    let mut folders: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter_map(|path| Some((step(path.file_name()?.to_str()?)?, path)))
        .collect();
    folders.sort();
    Ok(folders)
}

/// Removes all but the newest checkpoints up to `step`, and any beyond it, which belong to an abandoned future.
fn prune(run: &RunDirectory, step: u64) -> Result<()> {
    let (past, future): (Vec<_>, Vec<_>) = list(run)?.into_iter().partition(|(found, _)| *found <= step);
    let old = past.iter().rev().skip(KEPT);
    old.chain(&future).try_for_each(|(_, folder)| remove(folder))
}

/// Removes a checkpoint; its manifest goes first, so that a half-removed one is never taken for whole.
fn remove(folder: &Path) -> Result<()> {
    for step in [
        std::fs::remove_file(folder.join("manifest.json")),
        std::fs::remove_dir_all(folder),
    ] {
        match step {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(DataError::io(&error, folder).into());
            }
            _ => {}
        }
    }
    Ok(())
}
