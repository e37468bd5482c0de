//! `sensorium import SOURCE`: a public checkpoint becomes a run directory.

use crate::exit::Usage;
use crate::progress::FetchProgress;
use crate::{Global, runs};
use sensorium_data::Home;
use sensorium_model::RunDirectory;
use sensorium_model::architectures::{Checkpoint, Imported};
use sensorium_train::pretrained;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of a checkpoint in the layout of Hugging Face or CTranslate2, or the name of one in the catalogue
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The run directory to write, which must be empty or missing
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
}

pub fn run(arguments: &Arguments, global: &Global) -> anyhow::Result<()> {
    let run = RunDirectory::new(&arguments.run);
    let path = run.path().display();
    if std::fs::read_dir(run.path()).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Usage(format!(
            "--run {path}: the folder is not empty; choose another one, or remove it"
        ))
        .into());
    }
    let mut progress = FetchProgress::new(global.quiet);
    let home = Home::from_environment();
    let source = pretrained::locate(&arguments.source, Path::new(""), &home, &mut |step| {
        progress.update(step)
    })?;
    drop(progress);
    let checkpoint = Checkpoint::open(&source)?;
    let imported = checkpoint.import(&run.name(), &runs::device())?;
    imported.save(&run)?;
    let Imported { pipeline, left_out, .. } = imported;
    let inputs: Vec<&str> = pipeline.inputs().iter().map(|input| input.name.as_str()).collect();
    let answers: Vec<&str> = pipeline.model().tasks().iter().map(|(name, _)| name).collect();
    println!(
        "{path}: {} numbers; answers `{}` by {}",
        checkpoint.architecture().parameters,
        inputs.join("` and `"),
        answers.join(" and ")
    );
    if !left_out.is_empty() {
        println!("left out, as they are not read: {}", left_out.join(", "));
    }
    Ok(())
}
