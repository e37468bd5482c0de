//! From a recipe to everything that a run needs: rows, splits, fitted processors and the model's description.

use crate::error::{Result, TrainError};
use crate::mixing;
use crate::outputs::{self, FittedOutput, target_column};
use crate::pretrained;
use crate::prompts;
use crate::recipe::Recipe;
use crate::rows::{Rows, split_config};
use crate::sources::column;
use sensorium_data::catalogue::Progress;
use sensorium_data::manifest::Mix;
use sensorium_data::processors::FeatureShape;
use sensorium_data::random::Key;
use sensorium_data::split::Splits;
use sensorium_data::{
    DataError, Dataset, FeatureCache, Home, InputColumn, Manifest, Modality, OutputColumn, Processor, TrainingStream,
    Value, files,
};
use sensorium_model::{Description, Device, Model, ModelConfig, Pipeline, RunDirectory, TextDescription, Writers};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A recipe made ready.
pub struct Plan {
    /// With every default filled in and the manifest's place resolved.
    pub recipe: Recipe,
    pub dataset: Arc<Dataset>,
    /// Indices into the samples of `dataset`.
    pub splits: Splits,
    /// Rows for training, which a stream does not hold.
    pub train_rows: usize,
    pub mix: Option<Mix>,
    pub stream: Option<TrainingStream>,
    pub description: Description,
    /// What reads and writes the texts of outputs.
    pub writers: Writers,
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
        let rows = Rows::open(&recipe, folder, home, progress)?;
        recipe.data.manifest.resolve(folder);
        recipe.data.split = Some(split_config(&recipe, &rows.manifest));
        let name = recipe.name.get_or_insert_with(|| name.to_string()).clone();
        let train_rows = rows.training();
        let Rows {
            manifest,
            mut splits,
            mix,
            stream,
        } = rows;
        if splits.train.is_empty() {
            return Err(TrainError::Recipe("data.split: no row is left for training".into()));
        }
        for input in recipe.inputs.values_mut() {
            input.processor.resolve(folder);
        }
        outputs::set_sources(&mut recipe)?;
        pretrained::settle(&mut recipe, folder, home, progress)?;
        prompts::settle(&mut recipe)?;
        check_columns(&recipe, &manifest)?;
        check_stop_metric(&recipe)?;
        mixing::check(&recipe)?;
        let inputs = fit_inputs(&recipe, &manifest, &splits.train)?;
        let outputs = outputs::fit(&recipe, &inputs, &manifest, &splits.train)?;
        let turns = dialogues(&inputs, &manifest, &splits.train);
        let description = describe(name, &recipe, &inputs, turns, &outputs);
        check_model(&description, &inputs)?;
        let writers = outputs.iter();
        let writers = writers.filter_map(|output| Some((output.column.name.clone(), output.writer.clone()?)));
        let writers = writers.collect();
        let outputs = outputs.into_iter().map(|output| output.column).collect();
        let dataset = Dataset::new(manifest.samples, manifest.root, inputs, outputs);
        let dataset = dataset.with_cache(cache(&recipe, home)?);
        set_bucketing(&mut recipe, &dataset)?;
        bound_validation(&recipe, &dataset, mix.as_ref(), &mut splits);
        Ok(Self {
            mix: mix.map(|mix| mix.of(&splits.train)),
            recipe,
            dataset: Arc::new(dataset),
            splits,
            train_rows,
            stream,
            description,
            writers,
            broken: manifest.broken,
        })
    }

    /// Rows of the manifest, those that could not be parsed included.
    pub fn rows(&self) -> usize {
        let unheld = self.train_rows - self.splits.train.len();
        self.dataset.samples().len() + unheld + self.broken.len()
    }

    /// The metric that decides which checkpoint is the best: the training loss where nothing is left for validation.
    pub fn stop_metric(&self) -> &str {
        match self.splits.validation.is_empty() {
            true => "train.loss",
            false => &self.recipe.training.stop.metric,
        }
    }

    /// The shapes of the features that the inputs are read as.
    pub(crate) fn shapes(&self) -> BTreeMap<String, FeatureShape> {
        shapes(self.dataset.inputs())
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
            recipe.data.disk_cache_mib = 0;
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
        for (output, writer) in &self.writers {
            writer.save(run, output)?;
        }
        pretrained::keep(&self.recipe, run)?;
        // Written last is the recipe. A run that has it may have been trained: then its own description holds, if it is whole.
        if !run.recipe().exists() || Description::load(run).is_err() {
            self.description.save(run)?;
        }
        Ok(files::write_atomically(&run.recipe(), self.recipe_text().as_bytes())?)
    }

    /// The resolved recipe as TOML.
    pub fn recipe_text(&self) -> String {
        toml::to_string_pretty(&self.recipe).expect("a recipe came out of TOML and goes back to it")
    }
}

/// Rows with the processors of a trained pipeline.
pub struct RunRows {
    pub dataset: Arc<Dataset>,
    /// All columns of the manifest, those that nothing reads included.
    pub columns: Vec<String>,
    /// Indices into the samples of `dataset`.
    pub splits: Splits,
    /// Rows for training, which a stream does not hold.
    pub train_rows: usize,
}

/// The rows that a pipeline can be measured on: those of its recipe divided as there, or those of another manifest, all of
/// which count as every split where nothing in it divides them as the recipe does.
///
/// # Errors
/// For rows that cannot be read, and for another manifest without a column that an output is compared with.
pub fn open_rows(
    recipe: &Recipe,
    pipeline: &Pipeline,
    manifest: Option<&Path>,
    home: &Home,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunRows> {
    let rows = match manifest {
        Some(path) => Rows::of(path, recipe, home, progress)?,
        None => Rows::open(recipe, Path::new(""), home, progress)?,
    };
    let train_rows = rows.training();
    let outputs = measured(recipe, pipeline, &rows.manifest)?;
    let Rows { manifest, splits, .. } = rows;
    let dataset = Dataset::new(manifest.samples, manifest.root, pipeline.inputs().to_vec(), outputs);
    Ok(RunRows {
        dataset: Arc::new(dataset.with_cache(cache(recipe, home)?)),
        columns: manifest.columns,
        splits,
        train_rows,
    })
}

/// The outputs with the columns that they are compared with, of which the rows must have one.
fn measured(recipe: &Recipe, pipeline: &Pipeline, manifest: &Manifest) -> Result<Vec<OutputColumn>> {
    let own = |output: &OutputColumn| {
        let said = || recipe.outputs.get(&output.name)?.column.clone();
        OutputColumn {
            column: output.column.clone().or_else(said),
            ..output.clone()
        }
    };
    let outputs: Vec<OutputColumn> = pipeline.outputs().iter().map(own).collect();
    let wanted: Vec<&str> = outputs.iter().filter_map(|output| output.column.as_deref()).collect();
    let has = |column: &&str| manifest.columns.iter().any(|known| known == column);
    if wanted.is_empty() || wanted.iter().any(has) {
        return Ok(outputs);
    }
    let (path, known) = (manifest.path.display(), manifest.columns.join(", "));
    Err(TrainError::Recipe(format!(
        "{path}: expected a column of right answers, `{}`, found the columns {known}; give the one that has them this name",
        wanted.join("` or `")
    )))
}

/// The memory, and where asked for the disk space, that the recipe allows for prepared media.
fn cache(recipe: &Recipe, home: &Home) -> Result<FeatureCache> {
    let memory = FeatureCache::in_memory(recipe.data.cache_mib << 20);
    match recipe.data.disk_cache_mib << 20 {
        0 => Ok(memory),
        bytes => Ok(memory.on_disk(&home.features(), bytes)?),
    }
}

/// Fills in whether batches hold rows of similar length.
fn set_bucketing(recipe: &mut Recipe, dataset: &Dataset) -> Result<()> {
    let mut inputs = dataset.inputs().iter();
    let sound = inputs.any(|input| input.processor.modality() == Modality::Audio);
    let (streaming, lengths) = (recipe.data.streaming, dataset.has_lengths());
    let default = sound && lengths && !streaming;
    let bucket = *recipe.training.bucket_by_length.get_or_insert(default);
    let problem = match (bucket, streaming, lengths) {
        (true, true, _) => "the rows of a stream are not known beforehand, so that they cannot be sorted",
        (true, false, false) => "no row has a length to go by: that takes a sound, or a text beside no other medium",
        _ => return Ok(()),
    };
    Err(TrainError::Recipe(format!(
        "training.bucket_by_length: {problem}; leave it out"
    )))
}

/// Leaves as many rows of each set for validation as are to be measured after an epoch.
fn bound_validation(recipe: &Recipe, dataset: &Dataset, mix: Option<&Mix>, splits: &mut Splits) {
    let Some(most) = recipe.training.validation_rows else {
        return;
    };
    let sets: Vec<Vec<usize>> = match mix {
        Some(mix) => mix.of(&splits.validation).sets().collect(),
        None => vec![splits.validation.clone()],
    };
    let key = Key::new(recipe.seed).with("validation");
    let drawn = sets.iter().flat_map(|set| dataset.draw(set, most, &key));
    splits.validation = drawn.collect();
    splits.validation.sort_unstable();
}

/// Every column that is read: whose it is, which it is, and the key that names another one.
fn columns(recipe: &Recipe) -> Vec<(String, String, &'static str)> {
    let inputs = recipe.inputs.iter();
    let inputs = inputs.map(|(name, input)| (format!("inputs.{name}"), column(name, &input.column), "column"));
    let outputs = recipe.outputs.iter().flat_map(|(name, output)| {
        let own = target_column(name, output, recipe).map(|column| (column, "column"));
        let texts = output.task.texts().and_then(|texts| texts.column);
        let all = own.into_iter().chain(texts.map(|column| (column, "candidates")));
        all.map(move |(column, key)| (format!("outputs.{name}"), column, key))
    });
    inputs.chain(outputs).collect()
}

fn check_columns(recipe: &Recipe, manifest: &Manifest) -> Result<()> {
    for (place, column, key) in columns(recipe) {
        if !manifest.columns.contains(&column) {
            let (path, known) = (manifest.path.display(), manifest.columns.join(", "));
            return Err(TrainError::Recipe(format!(
                "{place}: {path} has no column `{column}`; its columns are {known}; name one with {place}.{key}"
            )));
        }
    }
    Ok(())
}

/// A model that cannot be built is a mistake in the recipe, to be told before a folder is filled.
fn check_model(description: &Description, inputs: &[InputColumn]) -> Result<()> {
    Model::blank(&description.model, &shapes(inputs), &Device::flex())?;
    Ok(())
}

fn shapes(inputs: &[InputColumn]) -> BTreeMap<String, FeatureShape> {
    let shapes = inputs.iter().map(|input| (input.name.clone(), input.processor.shape()));
    shapes.collect()
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
        let values = train.iter().map(|&index| manifest.samples[index].get(&column));
        let asked = prompts::answers(recipe, name);
        let asked = asked
            .iter()
            .flat_map(|column| train.iter().map(|&index| manifest.samples[index].get(column)));
        let texts: Vec<_> = values
            .chain(asked)
            .filter_map(|value| input.processor.training_text(value))
            .collect();
        let texts: Vec<&str> = texts.iter().map(|text| &**text).collect();
        let fit =
            || Processor::fit(&input.processor, &texts).map_err(|error| error.in_field(&format!("inputs.{name}")));
        let processor = match pretrained::texts(recipe, name)? {
            Some(processor) => processor,
            None => fit()?,
        };
        Ok(InputColumn {
            name: name.clone(),
            column,
            processor,
        })
    };
    recipe.inputs.iter().map(fit).collect()
}

fn describe(
    name: String,
    recipe: &Recipe,
    inputs: &[InputColumn],
    turns: BTreeSet<String>,
    outputs: &[FittedOutput],
) -> Description {
    let encoders = recipe.inputs.iter();
    let encoders = encoders
        .map(|(name, input)| (name.clone(), input.encoder.clone()))
        .collect();
    let by_name =
        |value: fn(&InputColumn) -> String| inputs.iter().map(|input| (input.name.clone(), value(input))).collect();
    let columns = outputs.iter().map(|output| &output.column);
    let texts = columns.clone().filter_map(|output| {
        let texts = output.texts.as_ref()?;
        let description = TextDescription {
            column: texts.column.clone(),
            takes: texts.takes,
            processor: texts.processor.hash(),
        };
        Some((output.name.clone(), description))
    });
    Description {
        name,
        model: ModelConfig {
            inputs: encoders,
            fusion: recipe.fusion.clone(),
            outputs: outputs
                .iter()
                .map(|output| (output.column.name.clone(), output.config.clone()))
                .collect(),
        },
        inputs: by_name(|input| input.column.clone()),
        outputs: columns
            .filter_map(|output| Some((output.name.clone(), output.column.clone()?)))
            .collect(),
        processors: by_name(|input| input.processor.hash()),
        texts: texts.collect(),
        turns,
    }
}

/// The text inputs of which a training row holds turns, each a question with its answer.
fn dialogues(inputs: &[InputColumn], manifest: &Manifest, train: &[usize]) -> BTreeSet<String> {
    let holds_turns = |input: &&InputColumn| {
        let values = || train.iter().map(|&index| manifest.samples[index].get(&input.column));
        input.processor.modality() == Modality::Text && values().any(is_dialogue)
    };
    let names = inputs.iter().filter(holds_turns).map(|input| input.name.clone());
    names.collect()
}

fn is_dialogue(value: &Value) -> bool {
    let is_list = |item: &Value| matches!(item, Value::List(_));
    matches!(value, Value::List(items) if items.iter().any(is_list))
}
