//! `sensorium data check`: every row decoded and accounted for.

use crate::progress::CheckProgress;
use crate::{Global, interrupt};
use sensorium_data::check::{CheckOptions, Only, Report, check, open, write_quarantine};
use sensorium_data::{DataError, ErrorKind, Manifest, files};
use std::path::{Path, PathBuf};

/// Lines that people are shown of each list.
const SHOWN: usize = 10;

#[derive(clap::Args)]
pub struct Arguments {
    /// A manifest, a folder, an archive, shards, or the name of a catalogue set
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Where quarantine.jsonl is written, and stats.html by `stats`; beside the manifest by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The share of rows that may be bad
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    failure_budget: f64,
    /// Check only the rows whose COLUMN is VALUE; the others are skipped
    #[arg(long, value_name = "COLUMN=VALUE")]
    only: Option<String>,
    /// Take every file of a folder for a row, whatever the folder looks like
    #[arg(long)]
    files: bool,
    /// Look for exact copies only
    #[arg(long)]
    exact: bool,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// A set that was checked, and where its account is written.
pub struct Checked {
    pub manifest: Manifest,
    pub report: Report,
    pub folder: PathBuf,
    budget: f64,
}

pub fn run(arguments: &Arguments, global: &Global) -> anyhow::Result<()> {
    let checked = look(arguments, global)?;
    match arguments.json {
        true => println!("{}", serde_json::to_string(&checked.report)?),
        false => print(&checked.report),
    }
    checked.within_budget()
}

/// Checks what the arguments name and writes `quarantine.jsonl`.
pub fn look(arguments: &Arguments, global: &Global) -> anyhow::Result<Checked> {
    let manifest = open(&super::locate(&arguments.path, global)?, arguments.files)?;
    let options = CheckOptions {
        only: arguments.only.as_deref().map(only).transpose()?,
        near: !arguments.exact,
        ..CheckOptions::default()
    };
    let progress = CheckProgress::new(global.quiet);
    let report = check(&manifest, &options, interrupt::listen()?, &|done, all| {
        progress.update(done, all)
    })?;
    drop(progress);
    arguments.out.as_deref().map(files::create_folder).transpose()?;
    let checked = Checked {
        folder: folder(&manifest, arguments.out.as_deref()),
        budget: arguments.failure_budget,
        manifest,
        report,
    };
    write_quarantine(&checked.quarantine(), &checked.report.quarantined)?;
    Ok(checked)
}

impl Checked {
    fn quarantine(&self) -> PathBuf {
        self.folder.join("quarantine.jsonl")
    }

    pub fn within_budget(&self) -> anyhow::Result<()> {
        let (bad, rows) = (self.report.quarantined.len(), self.report.rows);
        let allowed = (self.budget * rows as f64).floor() as usize;
        if bad <= allowed {
            return Ok(());
        }
        let message = format!(
            "{bad} of {rows} rows cannot be read, and the failure budget allows {allowed}; {} lists them: mend them or \
             raise --failure-budget",
            self.quarantine().display()
        );
        Err(DataError::new(ErrorKind::Budget, message).into())
    }
}

fn only(text: &str) -> anyhow::Result<Only> {
    let Some((column, value)) = text.split_once('=') else {
        return Err(crate::exit::Usage(format!("--only {text}: expected COLUMN=VALUE")).into());
    };
    Ok(Only {
        column: column.to_string(),
        values: vec![value.to_string()],
    })
}

/// `out`, or the folder of the manifest.
fn folder(manifest: &Manifest, out: Option<&Path>) -> PathBuf {
    let beside = match manifest.path.is_dir() {
        true => Some(manifest.path.as_path()),
        false => manifest.path.parent(),
    };
    out.or(beside).unwrap_or(Path::new("")).to_path_buf()
}

fn print(report: &Report) {
    println!(
        "{} rows: {} good, {} skipped, {} bad; {} distinct media ({:.1} MB) in {:.1} s",
        report.rows,
        report.good,
        report.skipped,
        report.quarantined.len(),
        report.media,
        report.bytes as f64 / 1e6,
        report.seconds
    );
    for (split, rows) in &report.splits {
        println!("  {split}: {rows} rows");
    }
    for column in &report.columns {
        let hours = column
            .seconds
            .as_ref()
            .map(|seconds| format!(", {:.2} hours", seconds.sum / 3600.0));
        println!(
            "  {} ({}): {} present, {} missing, {} distinct{}",
            column.name,
            super::word(&column.role),
            column.present,
            column.missing,
            column.distinct,
            hours.unwrap_or_default()
        );
    }
    println!(
        "{} groups of duplicates, {} leaks between splits",
        report.duplicate_groups, report.leak_groups
    );
    for bad in report.quarantined.iter().take(SHOWN) {
        let path = bad.path.as_deref().map(|path| format!("{}: ", path.display()));
        println!("  row {}: {}{}", bad.row, path.unwrap_or_default(), bad.reason);
    }
    if report.quarantined.len() > SHOWN {
        println!("  and {} more", report.quarantined.len() - SHOWN);
    }
}
