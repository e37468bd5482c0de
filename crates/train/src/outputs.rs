//! What each output of a recipe learns from the training targets before any training.

use crate::error::{Result, TrainError};
use crate::recipe::{OutputConfig, Recipe};
use crate::sources::column;
use sensorium_data::{Manifest, OutputColumn};
use sensorium_model::OutputConfig as ModelOutput;

/// An output made ready: the column that it is compared with, and the part of the model that answers.
pub struct FittedOutput {
    pub column: OutputColumn,
    pub config: ModelOutput,
}

/// Fits every output to the training rows.
pub fn fit(recipe: &Recipe, manifest: &Manifest, train: &[usize]) -> Result<Vec<FittedOutput>> {
    let outputs = recipe.outputs.iter();
    outputs
        .map(|(name, output)| fit_one(name, output, manifest, train))
        .collect()
}

fn fit_one(name: &str, output: &OutputConfig, manifest: &Manifest, train: &[usize]) -> Result<FittedOutput> {
    let column = column(name, &output.column);
    let targets = train.iter().map(|&index| manifest.samples[index].get(&column));
    let fitted = output
        .task
        .fit(targets)
        .map_err(|error| TrainError::Recipe(format!("outputs.{name} (column `{column}`): {error}")))?;
    Ok(FittedOutput {
        column: OutputColumn::plain(name, column),
        config: ModelOutput {
            task: output.task.clone(),
            from: output.from.clone().unwrap_or_default(),
            fitted,
        },
    })
}
