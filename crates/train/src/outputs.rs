//! What each output of a recipe learns from the training targets before any training.

use crate::error::{Result, TrainError};
use crate::recipe::{OutputConfig, Recipe};
use crate::sources::column;
use sensorium_data::{DataError, Manifest, OutputColumn, Processor, ProcessorConfig, TextColumn, Value};
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
    let values = |column: &str| {
        let column = column.to_string();
        train.iter().map(move |&index| manifest.samples[index].get(&column))
    };
    let problem = |error: String| TrainError::Recipe(format!("outputs.{name} (column `{column}`): {error}"));
    let texts = output.task.texts().map(|texts| {
        let column = texts.column.unwrap_or_else(|| column.clone());
        let config = ProcessorConfig::Text(texts.config);
        let processor = fit_texts(&config, values(&column)).map_err(|error| problem(error.to_string()))?;
        Ok::<_, TrainError>(TextColumn {
            column,
            processor,
            takes: texts.takes,
        })
    });
    let texts = texts.transpose()?;
    let processor = texts.as_ref().map(|texts| &texts.processor);
    let fitted = output.task.fit(values(&column), processor);
    let fitted = fitted.map_err(|error| problem(error.to_string()))?;
    Ok(FittedOutput {
        column: OutputColumn {
            texts,
            ..OutputColumn::plain(name, column)
        },
        config: ModelOutput {
            task: output.task.clone(),
            from: output.from.clone().unwrap_or_default(),
            fitted,
        },
    })
}

/// A processor fitted to every text of the training targets, all references of a list among them.
fn fit_texts<'a>(config: &ProcessorConfig, values: impl Iterator<Item = &'a Value>) -> Result<Processor, DataError> {
    let mut texts = Vec::new();
    for value in values {
        match value {
            Value::List(items) => texts.extend(items.iter().filter_map(Value::label)),
            value => texts.extend(value.label()),
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Processor::fit(config, &texts)
}
