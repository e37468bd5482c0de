//! `sensorium export RUN`: what came from a public checkpoint, in the layout of Hugging Face again.

use crate::exit::Usage;
use crate::runs;
use sensorium_model::architectures::Export;
use sensorium_model::{Pipeline, RunDirectory};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The folder to write, which must be empty or missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The input whose encoder is written, in a run with several parts that came from checkpoints
    #[arg(long, value_name = "NAME", conflicts_with = "output")]
    input: Option<String>,
    /// The output whose decoder is written, with the encoder that it reads
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let out = arguments.out.display();
    if std::fs::read_dir(&arguments.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Usage(format!(
            "--out {out}: the folder is not empty; choose another one, or remove it"
        ))
        .into());
    }
    let run = RunDirectory::new(&arguments.run);
    let pipeline = Pipeline::load(&run, &runs::device())?;
    let input = arguments.input.as_ref().map(|name| format!("inputs.{name}"));
    let output = arguments.output.as_ref().map(|name| format!("outputs.{name}"));
    let export = Export::new(&run, &pipeline, input.or(output).as_deref())?;
    export.write(&arguments.out)?;
    let (tensors, numbers) = export.sizes();
    println!("{out}: {}, {tensors} tensors of {numbers} numbers", export.name());
    Ok(())
}
