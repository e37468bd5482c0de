//! `sensorium serve RUN…`.

use super::precision::Precision;
use crate::Global;
use crate::runs::device;
use sensorium_model::{Pipeline, RunDirectory, release_freed_memory};
use sensorium_serve::{Engine, Options, PipelineEngine};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directories
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// Where to listen
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7860")]
    addr: SocketAddr,
    /// The key that clients must send; needed for any address but this machine's own
    #[arg(long, value_name = "KEY", env = "SENSORIUM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    /// How finely the weights of Transformers and decoders are held
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    precision: Precision,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let runs: Vec<RunDirectory> = arguments.runs.iter().map(RunDirectory::new).collect();
    serve(
        &runs,
        arguments.addr,
        arguments.api_key,
        arguments.precision,
        global.quiet,
    )
}

/// Serves `runs` until a signal comes.
pub fn serve(
    runs: &[RunDirectory],
    addr: SocketAddr,
    api_key: Option<String>,
    precision: Precision,
    quiet: bool,
) -> anyhow::Result<()> {
    let mut engines: Vec<Arc<dyn Engine>> = Vec::new();
    for run in runs {
        let pipeline = Pipeline::load_packed(run, &device(), precision.into())?;
        engines.push(Arc::new(PipelineEngine::new(run, pipeline)));
    }
    release_freed_memory();
    let options = Options {
        addr,
        api_key,
        ..Options::default()
    };
    sensorium_serve::run(engines, options, |addr| {
        if !quiet {
            eprintln!("serving on http://{addr}/ — stop with Ctrl-C");
        }
    })?;
    Ok(())
}
