//! The command line: parse, run one verb, exit with the contract's code.

mod commands;
mod exit;
mod interrupt;
mod progress;
mod runs;

use clap::Parser;
use commands::Command;
use sensorium_model::DeviceKind;

/// From a folder of pictures and text to a trained, measured and served model.
#[derive(Parser)]
#[command(name = "sensorium", version, arg_required_else_help = true, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: Global,
}

/// Options of every verb.
#[derive(clap::Args, Debug, Clone)]
pub struct Global {
    /// Threads for computing; all cores by default.
    #[arg(long, global = true, env = "SENSORIUM_THREADS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// The device that models run on: cpu, or cuda and wgpu where they are compiled in.
    #[arg(
        long,
        global = true,
        env = "SENSORIUM_DEVICE",
        default_value = "cpu",
        value_name = "DEVICE"
    )]
    device: DeviceKind,
    /// Only errors and results.
    #[arg(long, short, global = true)]
    quiet: bool,
}

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    sensorium_model::keep_freed_memory();
    if let Some(threads) = cli.global.threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .expect("no other thread pool was started before this one");
    }
    runs::use_device(cli.global.device);
    exit::run(|| commands::run(cli.command, &cli.global))
}
