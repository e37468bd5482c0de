//! `sensorium train RECIPE`.

use crate::exit::Usage;
use crate::{Global, interrupt, runs};
use sensorium_data::Home;
use sensorium_model::RunDirectory;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The recipe, a TOML file
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// The run directory; ./runs/NAME by default
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Override a value of the recipe, such as training.max_epochs=5
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Go on from the newest checkpoint, or start where there is none
    #[arg(long)]
    resume: bool,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let recipe = runs::load_recipe(&arguments.recipe, &arguments.overrides)?;
    let interrupt = interrupt::listen()?;
    let plan = runs::plan(recipe, &arguments.recipe, global.quiet)?;
    let home = Home::from_environment();
    let run = arguments
        .run
        .unwrap_or_else(|| home.runs().join(&plan.description.name));
    let run = RunDirectory::new(run);
    let trained = runs::train(plan, run, arguments.resume, interrupt, global.quiet).map_err(|error| {
        match error.downcast::<sensorium_train::TrainError>() {
            Ok(sensorium_train::TrainError::Run(message)) => Usage(message).into(),
            Ok(error) => error.into(),
            Err(error) => error,
        }
    })?;
    let path = trained.run.path().display();
    if !trained.run.report().exists() {
        runs::Measurable::load(&trained.run, None, global.quiet)?.write_report(&trained.run)?;
    }
    trained.tell(global.quiet);
    if !global.quiet {
        eprintln!("the best model is in {path}; measure it with: sensorium evaluate {path}");
    }
    Ok(())
}
