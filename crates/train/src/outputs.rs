//! What each output of a recipe reads, and what it learns from the training targets before any training.

use crate::error::{Result, TrainError};
use crate::pretrained;
use crate::prompts;
use crate::recipe::{OutputConfig, Recipe};
use crate::sources::column;
use sensorium_data::{
    DataError, InputColumn, Manifest, Modality, OutputColumn, Processor, ProcessorConfig, TextColumn, Value,
};
use sensorium_model::decoding::ngram::{NgramConfig, NgramModel};
use sensorium_model::tasks::{TaskConfig, TextTargets};
use sensorium_model::{OutputConfig as ModelOutput, Source, Writer};

/// An output made ready: the column that it is compared with, and the part of the model that answers.
pub struct FittedOutput {
    pub column: OutputColumn,
    pub config: ModelOutput,
    /// What reads and writes its texts, where it has any.
    pub writer: Option<Writer>,
}

/// Fills in where each output reads: a language model its one text, a transcript its one sound, align all inputs by
/// themselves, every other task the fusion.
pub fn set_sources(recipe: &mut Recipe) -> Result<()> {
    let (texts, sounds) = (inputs_of(recipe, Modality::Text), inputs_of(recipe, Modality::Audio));
    let all: Vec<String> = recipe.inputs.keys().cloned().collect();
    for (name, output) in &mut recipe.outputs {
        let source = match &mut output.task {
            TaskConfig::LanguageModel(_) => only(name, &texts, "a text"),
            TaskConfig::Transcribe(_) => only(name, &sounds, "a sound"),
            TaskConfig::Align(task) => {
                task.inputs.get_or_insert_with(|| all.clone());
                check_unsaid(name, output.from.as_ref())?;
                continue;
            }
            _ => Ok(Source::Fusion),
        };
        if output.from.is_none() {
            output.from = Some(source?);
        }
    }
    Ok(())
}

/// A task that names its inputs has no other source.
fn check_unsaid(output: &str, from: Option<&Source>) -> Result<()> {
    match from {
        None => Ok(()),
        Some(from) => Err(TrainError::Recipe(format!(
            "outputs.{output}.from: expected outputs.{output}.inputs, because this task compares several inputs, found \
             `{from}`; leave `from` out"
        ))),
    }
}

fn inputs_of(recipe: &Recipe, modality: Modality) -> Vec<String> {
    let inputs = recipe.inputs.iter();
    let inputs = inputs.filter(|(_, input)| input.processor.modality() == modality);
    inputs.map(|(name, _)| name.clone()).collect()
}

fn only(output: &str, inputs: &[String], what: &str) -> Result<Source> {
    match inputs {
        [input] => Ok(Source::Input(input.clone())),
        _ => Err(TrainError::Recipe(format!(
            "outputs.{output}.from: expected one input that is {what}, found {}; say which by from = \"inputs.NAME\"",
            inputs.len()
        ))),
    }
}

/// The column of an output's targets: its own word, that of the input which it reads as it stands, or its name; none where
/// the recipe names none for a task that needs none.
pub fn target_column(name: &str, output: &OutputConfig, recipe: &Recipe) -> Option<String> {
    if output.task.needs_no_column() {
        return output.column.clone();
    }
    let input = match &output.from {
        Some(Source::Input(input)) if output.task.reads_raw() => recipe.inputs.get_key_value(input),
        _ => None,
    };
    Some(match (&output.column, input) {
        (None, Some((name, input))) => column(name, &input.column),
        (given, _) => column(name, given),
    })
}

/// Fits every output to the training rows.
pub fn fit(recipe: &Recipe, inputs: &[InputColumn], manifest: &Manifest, train: &[usize]) -> Result<Vec<FittedOutput>> {
    let fit_one = |(name, output): (&String, &OutputConfig)| {
        let column = target_column(name, output, recipe);
        let place = column.as_ref().map(|column| format!(" (column `{column}`)"));
        let place = place.unwrap_or_default();
        let problem = |error: String| TrainError::Recipe(format!("outputs.{name}{place}: {error}"));
        let values = |column: &str| values(manifest, train, column);
        let (task, own) = match pretrained::decoder(&output.task).map_err(|error| problem(error.to_string()))? {
            Some(found) => found,
            None => (output.task.clone(), None),
        };
        let own = prompts::processor(&task, inputs).or(own);
        let texts = task.texts().map(|texts| {
            let column = texts.column.clone().or_else(|| column.clone()).unwrap_or_default();
            let processor = processor(texts.clone(), own, output, inputs, values(&column)).map_err(problem)?;
            let takes = texts.takes;
            Ok::<_, TrainError>(TextColumn {
                column,
                processor,
                takes,
            })
        });
        let texts = texts.transpose()?;
        let writer = texts.as_ref().map(|texts| writer(&task, texts, values(&texts.column)));
        let writer = writer.transpose().map_err(problem)?;
        let processor = texts.as_ref().map(|texts| &texts.processor);
        let fitted = task.fit(column.iter().flat_map(|column| values(column)), processor);
        let fitted = fitted.map_err(|error| problem(error.to_string()))?;
        Ok(FittedOutput {
            column: OutputColumn {
                name: name.clone(),
                column,
                texts,
            },
            config: ModelOutput {
                task,
                from: output.from.clone().unwrap_or_default(),
                fitted,
            },
            writer,
        })
    };
    recipe.outputs.iter().map(fit_one).collect()
}

fn values<'a>(manifest: &'a Manifest, rows: &'a [usize], column: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    let column = column.to_string();
    rows.iter().map(move |&row| manifest.samples[row].get(&column))
}

/// What reads an output's texts: its own processor, that of its prompt or its checkpoint, or that of its source.
fn processor<'a>(
    texts: TextTargets,
    own: Option<Processor>,
    output: &OutputConfig,
    inputs: &[InputColumn],
    values: impl Iterator<Item = &'a Value>,
) -> Result<Processor, String> {
    match (texts.config, &output.from) {
        (Some(config), _) if !config.augment.is_empty() => {
            Err("augment: expected none, because targets and candidates are never changed; take it out".into())
        }
        (Some(config), _) => match own {
            Some(own) => Ok(own),
            None => fit_texts(&ProcessorConfig::Text(config), values).map_err(|error| error.to_string()),
        },
        (None, Some(Source::Input(name))) => {
            let input = inputs.iter().find(|input| input.name == *name);
            let text = input.filter(|input| input.processor.modality() == Modality::Text);
            let text = text.ok_or_else(|| format!("expected from = \"inputs.NAME\" of a text, found inputs.{name}"))?;
            Ok(text.processor.clone())
        }
        (None, _) => Err("expected from = \"inputs.NAME\" of a text, found the fusion".into()),
    }
}

/// A processor fitted to every text of the training targets.
fn fit_texts<'a>(config: &ProcessorConfig, values: impl Iterator<Item = &'a Value>) -> Result<Processor, DataError> {
    let texts = texts(values);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Processor::fit(config, &texts)
}

/// The processor with the n-gram model that the task wants, learnt from the texts as the processor writes them, and with the
/// form that its answers must have.
fn writer<'a>(
    task: &TaskConfig,
    column: &TextColumn,
    values: impl Iterator<Item = &'a Value>,
) -> Result<Writer, String> {
    let train = |config: &NgramConfig| {
        let read = texts(values).into_iter().filter_map(|text| column.written(&text).ok());
        let written: Vec<String> = read.collect();
        NgramModel::train(config, written.iter().map(String::as_str)).map_err(|error| format!("ngram: {error}"))
    };
    let model = task.ngram().map(train).transpose()?;
    let constraint = task.decoding().and_then(|decoding| decoding.constraint.as_ref());
    let writer = Writer::new(column.processor.clone(), model).constrained(constraint);
    writer.map_err(|error| format!("decoding.constraint: {error}"))
}

/// All texts of some values, every reference of a list among them.
fn texts<'a>(values: impl Iterator<Item = &'a Value>) -> Vec<String> {
    let mut texts = Vec::new();
    for value in values {
        match value {
            Value::List(items) => texts.extend(items.iter().filter_map(Value::label)),
            value => texts.extend(value.label()),
        }
    }
    texts
}
