//! `sensorium index RUN`: the rows of a set embedded in the space of a run that has one, as a folder to search in.

use super::data;
use crate::exit::{Interrupted, Usage};
use crate::progress::CheckProgress;
use crate::{Global, interrupt, runs};
use sensorium_data::{DataError, ErrorKind, Manifest};
use sensorium_model::retrieval::{Built, Index};
use sensorium_model::{ModelError, Pipeline, RunDirectory};
use std::path::PathBuf;

/// Bad rows that people are shown.
const SHOWN: usize = 10;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// The rows: a manifest, a folder, an archive, shards, or the name of a catalogue set
    #[arg(long, value_name = "MANIFEST")]
    data: String,
    /// The folder to write, which must be empty or missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The output in whose space to embed, where the run has several
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// The share of rows that may be bad
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    failure_budget: f64,
    /// Threads that prepare rows
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    loader_threads: u16,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let interrupt = interrupt::listen()?;
    let pipeline = Pipeline::load(&RunDirectory::new(&arguments.run), &runs::device())?;
    let output = Index::output(&pipeline, arguments.output.as_deref()).map_err(|error| usage(&arguments, &error))?;
    let Manifest {
        samples, root, broken, ..
    } = Manifest::open(&data::locate(&arguments.data, global)?)?;
    let total = samples.len() + broken.len();
    let progress = CheckProgress::new(global.quiet);
    let threads = arguments.loader_threads.into();
    let built = Index::build(pipeline, &output, samples, &root, threads, interrupt, &mut |done| {
        progress.update(done, total - broken.len());
    });
    drop(progress);
    let Some(Built { index, failed, empty }) = built else {
        return Err(Interrupted("interrupted; no index was written".into()).into());
    };
    let mut bad = [broken, failed].concat();
    bad.sort_by_key(|error| error.row);
    tell(&bad, total);
    within_budget(&bad, total, arguments.failure_budget)?;
    index.save(&arguments.out)?;
    println!(
        "{}: {} rows with {} distinct media; {empty} rows without any, {} bad",
        arguments.out.display(),
        index.rows().len(),
        index.media(),
        bad.len()
    );
    Ok(())
}

/// A run that cannot be indexed, or not by this output, is a mistake in the command line.
fn usage(arguments: &Arguments, error: &ModelError) -> anyhow::Error {
    let message = match error {
        ModelError::Config { message, .. } => message.clone(),
        other => other.to_string(),
    };
    let place = match &arguments.output {
        Some(output) => format!("--output {output}"),
        None => arguments.run.display().to_string(),
    };
    Usage(format!("{place}: {message}")).into()
}

/// The first bad rows, and how many there are.
fn tell(bad: &[DataError], total: usize) {
    if bad.is_empty() {
        return;
    }
    eprintln!("{} of {total} rows are bad and left out:", bad.len());
    bad.iter().take(SHOWN).for_each(|error| eprintln!("  {error}"));
    if bad.len() > SHOWN {
        eprintln!("  and {} more", bad.len() - SHOWN);
    }
}

fn within_budget(bad: &[DataError], total: usize, budget: f64) -> anyhow::Result<()> {
    let allowed = (budget * total as f64).floor() as usize;
    if bad.len() <= allowed {
        return Ok(());
    }
    let message = format!(
        "{} of {total} rows are bad, and the failure budget allows {allowed}; mend them or raise --failure-budget; no \
         index was written",
        bad.len()
    );
    Err(DataError::new(ErrorKind::Budget, message).into())
}
