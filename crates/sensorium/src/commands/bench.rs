//! `sensorium bench`: fixed workloads, matrix products by shape, and rates of data preparation, timed.

use crate::Global;
use crate::exit::Usage;
use clap::builder::PossibleValuesParser;
use sensorium_bench::{GemmReport, PreparationReport, Report, Workload};
use serde::Serialize;
use std::path::PathBuf;

const GEMM: &str = "gemm";
const PREPARATION: &str = "preparation";
const STEPS: u32 = 5;

#[derive(clap::Args)]
pub struct Arguments {
    /// What to run: a workload, `gemm` for matrix products by shape, or `preparation` for rates of data preparation
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(names()))]
    name: String,
    /// Steps of a workload to time, after one that is not counted [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: Option<u32>,
    /// Initial parameters and inputs of a workload, exported by `benches/peers/workloads.py --export`
    #[arg(long, value_name = "FILE.safetensors")]
    initial: Option<PathBuf>,
    /// With `preparation`: write its pictures and sounds there, for other programs to read
    #[arg(long, value_name = "DIR")]
    inputs: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

fn names() -> impl Iterator<Item = &'static str> {
    Workload::ALL.map(Workload::name).into_iter().chain([GEMM, PREPARATION])
}

pub fn run(arguments: Arguments, _: &Global) -> anyhow::Result<()> {
    let json = arguments.json;
    let workload = Workload::ALL.into_iter().find(|it| it.name() == arguments.name);
    match &arguments.inputs {
        Some(folder) if arguments.name == PREPARATION => sensorium_bench::write_inputs(folder)?,
        Some(_) => return Err(Usage("`--inputs` is for `preparation`".into()).into()),
        None => {}
    }
    if let Some(workload) = workload {
        let steps = arguments.steps.unwrap_or(STEPS) as usize;
        let report = sensorium_bench::run(workload, steps, arguments.initial.as_deref())?;
        return show(&report, json, print_workload);
    }
    if arguments.steps.is_some() || arguments.initial.is_some() {
        let message = format!(
            "`--steps` and `--initial` are for workloads; `{}` takes neither",
            arguments.name
        );
        return Err(Usage(message).into());
    }
    match arguments.name.as_str() {
        GEMM => show(&sensorium_bench::gemm(), json, print_products),
        _ => show(&sensorium_bench::preparation()?, json, print_rates),
    }
}

fn show<R: Serialize>(report: &R, json: bool, print: impl Fn(&R)) -> anyhow::Result<()> {
    match json {
        true => println!("{}", serde_json::to_string(report)?),
        false => print(report),
    }
    Ok(())
}

fn print_products(report: &GemmReport) {
    println!("matrix products, f32, {} threads; m×k by k×n", report.threads);
    println!(
        "{:<20} {:>16} {:>9} {:>14} {:>6}",
        "operation", "m×k×n", "GFLOP/s", "GB/s of weights", "runs"
    );
    for product in &report.products {
        let shape = product.shape.map(|extent| extent.to_string()).join("×");
        let bandwidth = product
            .weight_gb_per_second
            .map_or(String::new(), |rate| format!("{rate:.1}"));
        println!(
            "{:<20} {shape:>16} {:>9.1} {bandwidth:>15} {:>6}",
            product.operation, product.gflops, product.timing.runs
        );
    }
}

fn print_rates(report: &PreparationReport) {
    println!("data preparation, {} thread", report.threads);
    for rate in &report.rates {
        let seconds = rate.timing.seconds;
        // The slowest run has the lowest rate.
        let [low, high] = [seconds.max, seconds.min].map(|it| rate.per_second * seconds.median / it);
        println!(
            "{:<42} {:>8.1} {}/s ({low:.1} to {high:.1}), {} inputs of {:.1} kB",
            rate.name,
            rate.per_second,
            rate.unit,
            rate.inputs,
            rate.bytes as f64 / rate.inputs as f64 / 1e3
        );
    }
}

fn print_workload(report: &Report) {
    let spread = report.seconds_per_step;
    println!(
        "{}, {} threads, {} steps",
        report.workload, report.threads, report.steps
    );
    println!(
        "a step      {:.4} s ({:.4} to {:.4})",
        spread.median, spread.min, spread.max
    );
    println!("first step  {:.2} s after the start", report.first_step_seconds);
    println!("memory      {:.0} MB at most", report.peak_rss_mb);
    println!(
        "loss        {}",
        report
            .loss
            .iter()
            .map(|loss| format!("{loss:.4}"))
            .collect::<Vec<_>>()
            .join(" ")
    );
}
