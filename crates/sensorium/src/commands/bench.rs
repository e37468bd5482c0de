//! `sensorium bench`: fixed workloads, timed.

use crate::Global;
use clap::builder::PossibleValuesParser;
use sensorium_bench::{Report, Workload};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// What to run
    #[arg(value_parser = PossibleValuesParser::new(Workload::ALL.map(Workload::name)))]
    workload: String,
    /// Steps to time, after one that is not counted
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    steps: u32,
    /// Initial parameters and inputs, exported by `benches/peers/workloads.py --export`
    #[arg(long, value_name = "FILE.safetensors")]
    initial: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments, _: &Global) -> anyhow::Result<()> {
    let named = |workload: &Workload| workload.name() == arguments.workload;
    let workload = Workload::ALL
        .into_iter()
        .find(named)
        .expect("the parser let only these names pass");
    let report = sensorium_bench::run(workload, arguments.steps as usize, arguments.initial.as_deref())?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => print(&report),
    }
    Ok(())
}

fn print(report: &Report) {
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
