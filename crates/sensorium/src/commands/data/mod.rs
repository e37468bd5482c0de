//! `sensorium data`: the catalogue, and checks of any data set.

mod check;
mod split;
mod stats;

use crate::Global;
use crate::progress::FetchProgress;
use sensorium_data::{Home, catalogue};
use std::path::PathBuf;

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the data sets that can be fetched by name
    List,
    /// Fetch data sets, verify them and unpack them
    Fetch {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Decode every row, account for bad ones, and find duplicates and leaks between splits
    Check(check::Arguments),
    /// Check a set and write stats.html: what each column holds, with samples, copies, leaks and bad rows
    Stats(check::Arguments),
    /// Write the manifest again with a split that no copy straddles
    Split(split::Arguments),
}

pub fn run(command: Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::List => list(),
        Command::Fetch { names } => {
            names
                .iter()
                .try_for_each(|name| fetch(name, global.quiet).map(|path| println!("{}", path.display())))?;
        }
        Command::Check(arguments) => check::run(&arguments, global)?,
        Command::Stats(arguments) => stats::run(&arguments, global)?,
        Command::Split(arguments) => split::run(arguments, global)?,
    }
    Ok(())
}

/// The manifest of a catalogue set, which is fetched where it is not on disk, or the path itself.
pub(super) fn locate(path: &str, global: &Global) -> anyhow::Result<PathBuf> {
    match catalogue::find(path) {
        Some(_) => fetch(path, global.quiet),
        None => Ok(PathBuf::from(path)),
    }
}

/// The word that stands for a plain enum value in JSON.
fn word(value: &impl serde::Serialize) -> String {
    let json = serde_json::to_value(value).unwrap_or_default();
    json.as_str().unwrap_or_default().to_string()
}

fn list() {
    table("ROWS", catalogue::entries());
    println!("\nWeights, for `sensorium import NAME` and `encoder = {{ pretrained = \"NAME\" }}`:");
    table("FILES", catalogue::weights::entries());
}

/// A table whose columns are as wide as their widest cell; the last one is free.
fn table(count: &str, entries: &[catalogue::Entry]) {
    let mut rows = vec![["NAME", count, "DOWNLOAD", "LICENCE", "TASKS", "DESCRIPTION"].map(String::from)];
    rows.extend(entries.iter().map(cells));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        println!("{}{}", cells.collect::<String>(), row[5]);
    }
}

fn cells(entry: &catalogue::Entry) -> [String; 6] {
    let size = match entry.bytes {
        0 => "none".to_string(),
        bytes => format!("{:.1} MB", bytes as f64 / 1e6),
    };
    let (name, licence, description) = (entry.name.into(), entry.licence.into(), entry.description.into());
    [
        name,
        entry.rows.to_string(),
        size,
        licence,
        entry.tasks.join(", "),
        description,
    ]
}

fn fetch(name: &str, quiet: bool) -> anyhow::Result<PathBuf> {
    let mut progress = FetchProgress::new(quiet);
    Ok(catalogue::fetch(name, &Home::from_environment(), &mut |p| {
        progress.update(p)
    })?)
}
