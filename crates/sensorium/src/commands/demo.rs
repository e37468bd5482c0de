//! `sensorium demo`: the whole way from nothing to a page, on real data.

use super::precision::Precision;
use super::{evaluate, serve};
use crate::progress::FetchProgress;
use crate::runs::{Measurable, Measures};
use crate::{Global, interrupt, runs};
use sensorium_data::split::Split;
use sensorium_data::{DataError, ErrorKind, Home, catalogue};
use sensorium_model::RunDirectory;
use sensorium_train::{Controls, Recipe, Sources, config};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The recipe of the demo, as it stands in the repository.
const RECIPE: &str = include_str!("../../../../recipes/vqa-easy.toml");
/// What is trained on where the real set cannot be fetched.
const FALLBACK: &str = "motion";
/// The set that the demonstration is about.
const REAL: &str = "easy-vqa";

#[derive(clap::Args)]
pub struct Arguments {
    /// End after the report
    #[arg(long)]
    no_serve: bool,
    /// The run directory; ./runs/demo-SET by default
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7860")]
    addr: SocketAddr,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let interrupt = interrupt::listen()?;
    let quiet = global.quiet;
    let home = Home::from_environment();
    let mut recipe: Recipe =
        config::parse(RECIPE, "recipes/vqa-easy.toml", &[]).map_err(|error| anyhow::anyhow!("{error}"))?;
    let set = data_set(REAL, &home, quiet)?;
    recipe.data.manifest = Sources::One(set.to_string());
    let run = RunDirectory::new(arguments.run.unwrap_or_else(|| home.runs().join(format!("demo-{set}"))));
    let plan = runs::plan(recipe, Path::new("vqa-easy.toml"), quiet)?;
    let trained = runs::train(plan, run.clone(), true, interrupt, quiet)?;
    trained.tell(quiet);
    let loaded = Measurable::load(&run, None, quiet)?;
    let measures = Measures {
        split: Split::Test,
        controls: Controls::Each,
        by: None,
    };
    let evaluation = loaded.evaluate(&run, measures, interrupt, quiet)?;
    drop(loaded);
    print!("{}", evaluate::table(&evaluation));
    println!("report: {}", run.report().display());
    if arguments.no_serve {
        return Ok(());
    }
    serve::serve(&[run], arguments.addr, None, Precision::Float32, quiet)
}

/// The real set, or the generated one where the real one cannot be had.
fn data_set(name: &'static str, home: &Home, quiet: bool) -> Result<&'static str, DataError> {
    let mut progress = FetchProgress::new(quiet);
    match catalogue::fetch(name, home, &mut |step| progress.update(step)) {
        Ok(_) => Ok(name),
        Err(error) if error.kind == ErrorKind::Fetch && !interrupt::is_set() => {
            progress.finish();
            eprintln!("{error}\n{name} cannot be fetched; going on with the generated set `{FALLBACK}`");
            Ok(FALLBACK)
        }
        Err(error) => Err(error),
    }
}
