//! `sensorium data split`: a division in which no copy straddles two splits.

use crate::progress::CheckProgress;
use crate::{Global, interrupt};
use sensorium_data::Manifest;
use sensorium_data::check::{CheckOptions, SplitOptions, write_split};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// A manifest, or the name of a catalogue set
    #[arg(value_name = "PATH")]
    path: String,
    /// The share of groups that train the model
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    train: f64,
    /// The share of groups that choose the best checkpoint
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    validation: f64,
    /// The share of groups that measure the model
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    test: f64,
    /// The column whose equal values stay together
    #[arg(long, value_name = "COLUMN")]
    group: Option<String>,
    /// The column whose labels get the same shares each
    #[arg(long, value_name = "COLUMN")]
    stratify: Option<String>,
    /// Decides between equal shares
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The manifest to write; rows.split.jsonl beside the one that is read by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let manifest = Manifest::open(&super::locate(&arguments.path, global)?)?;
    let options = SplitOptions {
        train: arguments.train,
        validation: arguments.validation,
        test: arguments.test,
        group: arguments.group,
        stratify: arguments.stratify,
        seed: arguments.seed,
        out: arguments.out,
        check: CheckOptions::default(),
    };
    let progress = CheckProgress::new(global.quiet);
    let report = write_split(&manifest, &options, interrupt::listen()?, &|done, all| {
        progress.update(done, all)
    })?;
    drop(progress);
    if arguments.json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!(
        "{}: {} rows in {} groups",
        report.path.display(),
        report.rows,
        report.groups
    );
    for (name, split) in &report.splits {
        println!("  {name}: {} rows, {:.1}%", split.rows, 100.0 * split.fraction);
    }
    if report.left_out > 0 {
        println!("  {} records cannot be read and were left out", report.left_out);
    }
    Ok(())
}
