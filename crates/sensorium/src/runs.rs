//! Training and measuring a run with progress: what `train`, `evaluate` and `demo` share.

use crate::exit::{Interrupted, Usage};
use crate::progress::{FetchProgress, ScoreProgress, TrainProgress};
use anyhow::Context;
use sensorium_data::Home;
use sensorium_data::split::Split;
use sensorium_model::{Device, DeviceKind, Pipeline, RunDirectory};
use sensorium_train::config;
use sensorium_train::{
    Controls, Evaluation, Facts, Grouping, Outcome, Plan, Recipe, ReportSource, Request, RunRows, Scores, Trainer,
    store,
};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

static DEVICE: OnceLock<DeviceKind> = OnceLock::new();

/// Chooses the device of this process, once.
pub fn use_device(kind: DeviceKind) {
    DEVICE.get_or_init(|| kind);
}

/// The device that models run on.
pub fn device() -> Device {
    DEVICE.get().copied().unwrap_or_default().open()
}

/// Reads a recipe; every mistake in it is one of usage.
pub fn load_recipe(path: &Path, overrides: &[String]) -> anyhow::Result<Recipe> {
    config::load(path, overrides).map_err(|error| Usage(error.to_string()).into())
}

/// A recipe with its rows, splits and processors.
pub fn plan(recipe: Recipe, path: &Path, quiet: bool) -> anyhow::Result<Plan> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let name = path
        .file_stem()
        .map_or("run".into(), |name| name.to_string_lossy().into_owned());
    let mut progress = FetchProgress::new(quiet);
    let home = Home::from_environment();
    Ok(Plan::new(recipe, folder, &name, &home, &mut |step| {
        progress.update(step)
    })?)
}

/// What training a run directory came to.
pub struct Trained {
    pub run: RunDirectory,
    pub reason: String,
}

impl Trained {
    /// Why the training ended, and what it took.
    pub fn tell(&self, quiet: bool) {
        if quiet {
            return;
        }
        eprintln!("finished: {}", self.reason);
        if let Some(facts) = Facts::load(&self.run) {
            eprintln!("{facts}");
        }
    }
}

/// Trains, or goes on training, with progress; the state is saved when interrupted.
pub fn train(
    plan: Plan,
    run: RunDirectory,
    resume: bool,
    interrupt: &AtomicBool,
    quiet: bool,
) -> anyhow::Result<Trained> {
    plan.prepare(&run, resume)?;
    let mut trainer = Trainer::new(plan, run.clone(), &device())?;
    if !quiet {
        announce(&trainer, &run);
    }
    let mut progress = TrainProgress::new(quiet, trainer.total_steps(), trainer.state().step);
    let outcome = trainer.run(interrupt, &mut |event| progress.observe(event));
    progress.finish();
    match outcome? {
        Outcome::Interrupted => {
            let path = run.path().display();
            let message = format!("interrupted; the state is saved in {path}; go on with --resume");
            Err(Interrupted(message).into())
        }
        Outcome::Finished(reason) => Ok(Trained { run, reason }),
    }
}

fn announce(trainer: &Trainer, run: &RunDirectory) {
    let plan = trainer.plan();
    let (splits, training) = (&plan.splits, plan.train_rows);
    eprintln!(
        "{}: {training} rows for training, {} for validation, {} for test; {} parameters; in {}",
        plan.description.name,
        splits.validation.len(),
        splits.test.len(),
        trainer.parameter_count(),
        run.path().display()
    );
}

/// What an evaluation measures.
pub struct Measures<'a> {
    pub split: Split,
    pub controls: Controls,
    /// A column by whose values the rows are measured, too.
    pub by: Option<&'a str>,
}

/// A loaded run with the rows that it can be measured on.
pub struct Measurable {
    pub pipeline: Pipeline,
    pub recipe: Recipe,
    pub rows: RunRows,
}

impl Measurable {
    /// Loads `run` and its recipe's manifest, or another one; an imported run has none of its own.
    pub fn load(run: &RunDirectory, manifest: Option<&Path>, quiet: bool) -> anyhow::Result<Self> {
        let pipeline = Pipeline::load(run, &device())?;
        let path = run.recipe();
        let recipe = match (path.exists(), manifest) {
            (true, _) => config::load(&path, &[])
                .map_err(|error| anyhow::anyhow!("{error}"))
                .context("the run's recipe cannot be read")?,
            (false, Some(_)) => Recipe::of_imported(&pipeline),
            (false, None) => anyhow::bail!(
                "{}: this run was imported and has no recipe that says what to measure it on; say so by --data MANIFEST",
                run.path().display()
            ),
        };
        if recipe
            .outputs
            .values()
            .all(|output| output.task.metric_names().is_empty())
        {
            let path = run.path().display();
            anyhow::bail!(
                "{path}: this run only embeds, and an embedding by itself is neither right nor wrong; index and search it"
            );
        }
        let mut progress = FetchProgress::new(quiet);
        let rows = sensorium_train::open_rows(&recipe, &pipeline, manifest, &Home::from_environment(), &mut |step| {
            progress.update(step)
        })?;
        Ok(Self { pipeline, recipe, rows })
    }

    /// Measures a split and stores what was found, and the report, in the run directory.
    pub fn evaluate(
        &self,
        run: &RunDirectory,
        measures: Measures,
        interrupt: &AtomicBool,
        quiet: bool,
    ) -> anyhow::Result<Evaluation> {
        let (evaluation, scores) = self.measure(run, measures, interrupt, quiet)?;
        store(run, &evaluation, &scores)?;
        self.write_report(run)?;
        Ok(evaluation)
    }

    /// Measures a split.
    pub fn measure(
        &self,
        run: &RunDirectory,
        measures: Measures,
        interrupt: &AtomicBool,
        quiet: bool,
    ) -> anyhow::Result<(Evaluation, Scores)> {
        let Measures { split, controls, by } = measures;
        let indices = self.rows.splits.get(split);
        if indices.is_empty() {
            anyhow::bail!("the split `{split}` has no rows; choose another with --split");
        }
        let RunRows { dataset, columns, .. } = &self.rows;
        let by = by
            .map(|column| Grouping::new(column, columns, dataset, indices))
            .transpose()?;
        let mut progress = ScoreProgress::new(quiet);
        let request = Request {
            pipeline: &self.pipeline,
            dataset,
            split: &split.to_string(),
            indices,
            controls,
            by: by.as_ref(),
            seed: self.recipe.seed,
            failure_budget: self.recipe.data.failure_budget,
            threads: self.recipe.data.loader_threads,
            interrupt,
        };
        let result = request.run(run, &mut |step| progress.update(step))?;
        result.ok_or_else(|| Interrupted("interrupted; nothing was stored".into()).into())
    }

    /// Draws `report.html` out of what the run directory holds.
    pub fn write_report(&self, run: &RunDirectory) -> anyhow::Result<PathBuf> {
        let Self { pipeline, recipe, rows } = self;
        ReportSource {
            run,
            pipeline,
            recipe,
            rows,
        }
        .write()?;
        Ok(run.report())
    }
}
