//! From a recipe to everything that a run needs: rows, splits, fitted processors and the model's description.

use crate::error::{Result, TrainError};
use crate::mixing;
use crate::recipe::Recipe;
use sensorium_data::catalogue::{self, Progress};
use sensorium_data::split::{SplitConfig, Splits, split};
use sensorium_data::{DataError, Dataset, Home, InputColumn, Manifest, Processor, ProcessorConfig, Value, files};
use sensorium_model::{Description, Device, Model, ModelConfig, OutputConfig, Pipeline, RunDirectory};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A recipe made ready.
pub struct Plan {
    /// With every default filled in and the manifest's place resolved.
    pub recipe: Recipe,
    pub dataset: Arc<Dataset>,
    /// Indices into the samples of `dataset`.
    pub splits: Splits,
    pub description: Description,
    /// Records that could not even be parsed.
    pub broken: Vec<DataError>,
}

impl Plan {
    /// Finds the rows (fetching a catalogue set that is not on disk), divides them, and fits the processors and the
    /// labels to the training rows. `folder` is the recipe's own; `name` is used where the recipe has none.
    pub fn new(
        mut recipe: Recipe,
        folder: &Path,
        name: &str,
        home: &Home,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let manifest = open_manifest(&recipe.data.manifest, folder, home, progress)?;
        if catalogue::find(&recipe.data.manifest).is_none() {
            recipe.data.manifest = absolute(&manifest.path);
        }
        let name = recipe.name.get_or_insert_with(|| name.to_string()).clone();
        let config = recipe
            .data
            .split
            .get_or_insert_with(|| SplitConfig::for_columns(&manifest.columns));
        let splits = split(&manifest.samples, config, recipe.seed)?;
        if splits.train.is_empty() {
            return Err(TrainError::Recipe("data.split: no row is left for training".into()));
        }
        check_columns(&recipe, &manifest)?;
        check_stop_metric(&recipe)?;
        mixing::check(&recipe)?;
        let inputs = fit_inputs(&recipe, &manifest, &splits.train)?;
        let description = describe(name, &recipe, &manifest, &splits.train, &inputs)?;
        check_model(&description, &inputs, recipe.seed)?;
        let outputs = description.outputs.clone().into_iter().collect();
        let cache = recipe.data.cache_mib << 20;
        let dataset = Dataset::new(manifest.samples, manifest.root, inputs, outputs, cache);
        Ok(Self {
            recipe,
            dataset: Arc::new(dataset),
            splits,
            description,
            broken: manifest.broken,
        })
    }

    /// Rows of the manifest, those that could not be parsed included.
    pub fn rows(&self) -> usize {
        self.dataset.samples().len() + self.broken.len()
    }

    /// The metric that decides which checkpoint is the best: the training loss where nothing is left for validation.
    pub fn stop_metric(&self) -> &str {
        match self.splits.validation.is_empty() {
            true => "train.loss",
            false => &self.recipe.training.stop.metric,
        }
    }

    /// Makes `run` ready for this plan: a fresh folder is filled, a folder to resume must belong to the same recipe.
    pub fn prepare(&self, run: &RunDirectory, resume: bool) -> Result<()> {
        let occupied = std::fs::read_dir(run.path()).is_ok_and(|mut entries| entries.next().is_some());
        if occupied && !resume {
            let path = run.path().display();
            return Err(TrainError::Run(format!(
                "{path} is not empty; go on with it by --resume, or choose another folder with --run"
            )));
        }
        if occupied && run.recipe().exists() {
            self.check_same_recipe(run)?;
        }
        self.write(run)
    }

    /// A run can only be resumed with the recipe that began it, but for what does not change the result.
    fn check_same_recipe(&self, run: &RunDirectory) -> Result<()> {
        let text = files::read(&run.recipe())?;
        let text = String::from_utf8_lossy(&text);
        let name = run.recipe().display().to_string();
        let before: Recipe =
            crate::config::parse(&text, &name, &[]).map_err(|error| TrainError::Run(error.to_string()))?;
        let essence = |recipe: &Recipe| {
            let mut recipe = recipe.clone();
            recipe.data.loader_threads = 1;
            recipe.data.cache_mib = 0;
            recipe.training.max_minutes = None;
            recipe
        };
        if essence(&before) == essence(&self.recipe) {
            return Ok(());
        }
        Err(TrainError::Run(format!(
            "{name}: this run was begun with another recipe, or with other values of --set; resume it with those, or \
             train anew in another folder"
        )))
    }

    /// Writes what a run directory holds before training: the recipe, the processors and the description.
    fn write(&self, run: &RunDirectory) -> Result<()> {
        files::create_folder(run.path())?;
        files::create_folder(&run.processors())?;
        for input in self.dataset.inputs() {
            input.processor.save(&run.processors(), &input.name)?;
        }
        self.description.save(run)?;
        Ok(files::write_atomically(&run.recipe(), self.recipe_text().as_bytes())?)
    }

    /// The resolved recipe as TOML.
    pub fn recipe_text(&self) -> String {
        toml::to_string_pretty(&self.recipe).expect("a recipe came out of TOML and goes back to it")
    }
}

/// The rows that a trained pipeline can be measured on: those of its recipe divided as there, or those of another
/// manifest, all of which count as every split unless the manifest divides them itself.
pub fn open_rows(
    recipe: &Recipe,
    pipeline: &Pipeline,
    manifest: Option<&Path>,
    home: &Home,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Dataset, Splits)> {
    let manifest = match manifest {
        Some(path) => Manifest::open(path)?,
        None => open_manifest(&recipe.data.manifest, Path::new(""), home, progress)?,
    };
    let config = recipe
        .data
        .split
        .clone()
        .unwrap_or_else(|| SplitConfig::for_columns(&manifest.columns));
    let splits = split(&manifest.samples, &config, recipe.seed)?;
    let outputs = pipeline.description.outputs.clone().into_iter().collect();
    let inputs = pipeline.inputs().to_vec();
    let cache = recipe.data.cache_mib << 20;
    Ok((
        Dataset::new(manifest.samples, manifest.root, inputs, outputs, cache),
        splits,
    ))
}

/// A catalogue name, or a path relative to `folder`.
pub fn open_manifest(source: &str, folder: &Path, home: &Home, progress: &mut dyn FnMut(Progress)) -> Result<Manifest> {
    let path = match catalogue::find(source) {
        Some(_) => catalogue::fetch(source, home, progress)?,
        None => folder.join(source),
    };
    Ok(Manifest::open(&path)?)
}

fn absolute(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| PathBuf::from(path));
    path.to_string_lossy().into_owned()
}

/// The column of an input or an output: its own word, or its name.
fn column(name: &str, column: &Option<String>) -> String {
    column.clone().unwrap_or_else(|| name.to_string())
}

fn columns(recipe: &Recipe) -> Vec<(String, String)> {
    let inputs = recipe.inputs.iter();
    let inputs = inputs.map(|(name, input)| (format!("inputs.{name}"), column(name, &input.column)));
    let outputs = recipe.outputs.iter();
    let outputs = outputs.map(|(name, output)| (format!("outputs.{name}"), column(name, &output.column)));
    inputs.chain(outputs).collect()
}

fn check_columns(recipe: &Recipe, manifest: &Manifest) -> Result<()> {
    for (place, column) in columns(recipe) {
        if !manifest.columns.contains(&column) {
            let (path, known) = (manifest.path.display(), manifest.columns.join(", "));
            return Err(TrainError::Recipe(format!(
                "{place}: {path} has no column `{column}`; its columns are {known}; name one with {place}.column"
            )));
        }
    }
    Ok(())
}

/// A model that cannot be built is a mistake in the recipe, to be told before a folder is filled.
fn check_model(description: &Description, inputs: &[InputColumn], seed: u64) -> Result<()> {
    let shapes = inputs.iter().map(|input| (input.name.clone(), input.processor.shape()));
    Model::new(&description.model, &shapes.collect(), seed, &Device::flex())?;
    Ok(())
}

/// The metric must be one that the outputs have.
fn check_stop_metric(recipe: &Recipe) -> Result<()> {
    let mut known = vec!["train.loss".to_string(), "validation.loss".to_string()];
    for (name, output) in &recipe.outputs {
        let metrics = output.task.metric_names().iter();
        known.extend(metrics.map(|metric| format!("validation.{name}.{metric}")));
    }
    let metric = &recipe.training.stop.metric;
    if known.contains(metric) {
        return Ok(());
    }
    let known = known.join(", ");
    Err(TrainError::Recipe(format!(
        "training.stop.metric: `{metric}` is not measured; the metrics of this recipe are {known}"
    )))
}

fn fit_inputs(recipe: &Recipe, manifest: &Manifest, train: &[usize]) -> Result<Vec<InputColumn>> {
    let fit = |(name, input): (&String, &crate::recipe::InputConfig)| {
        let column = column(name, &input.column);
        let texts: Vec<&str> = match input.processor {
            ProcessorConfig::Text(_) => texts(manifest, train, &column),
            ProcessorConfig::Image(_) | ProcessorConfig::Audio(_) | ProcessorConfig::Video(_) => Vec::new(),
        };
        let processor =
            Processor::fit(&input.processor, &texts).map_err(|error| error.in_field(&format!("inputs.{name}")))?;
        Ok(InputColumn {
            name: name.clone(),
            column,
            processor,
        })
    };
    recipe.inputs.iter().map(fit).collect()
}

fn texts<'a>(manifest: &'a Manifest, train: &[usize], column: &str) -> Vec<&'a str> {
    let values = train.iter().map(|&index| manifest.samples[index].get(column));
    let text = |value: &'a Value| match value {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    };
    values.filter_map(text).collect()
}

fn describe(
    name: String,
    recipe: &Recipe,
    manifest: &Manifest,
    train: &[usize],
    inputs: &[InputColumn],
) -> Result<Description> {
    let mut outputs = BTreeMap::new();
    let mut output_columns = BTreeMap::new();
    for (name, output) in &recipe.outputs {
        let column = column(name, &output.column);
        let targets = train.iter().map(|&index| manifest.samples[index].get(&column));
        let labels = output
            .task
            .fit(targets)
            .map_err(|error| TrainError::Recipe(format!("outputs.{name} (column `{column}`): {error}")))?;
        outputs.insert(
            name.clone(),
            OutputConfig {
                task: output.task.clone(),
                labels,
            },
        );
        output_columns.insert(name.clone(), column);
    }
    let encoders = recipe.inputs.iter();
    let encoders = encoders
        .map(|(name, input)| (name.clone(), input.encoder.clone()))
        .collect();
    let by_name =
        |value: fn(&InputColumn) -> String| inputs.iter().map(|input| (input.name.clone(), value(input))).collect();
    Ok(Description {
        name,
        model: ModelConfig {
            inputs: encoders,
            fusion: recipe.fusion.clone(),
            outputs,
        },
        inputs: by_name(|input| input.column.clone()),
        outputs: output_columns,
        processors: by_name(|input| input.processor.hash()),
    })
}
