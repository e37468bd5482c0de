//! `sensorium data`: the catalogue.

use crate::Global;
use crate::progress::FetchProgress;
use sensorium_data::{Home, catalogue};

#[derive(clap::Subcommand)]
pub enum Command {
    /// List the data sets that can be fetched by name
    List,
    /// Fetch data sets, verify them and unpack them
    Fetch {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub fn run(command: Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::List => list(),
        Command::Fetch { names } => {
            names.iter().try_for_each(|name| fetch(name, global.quiet))?;
        }
    }
    Ok(())
}

/// A table whose columns are as wide as their widest cell; the last one is free.
fn list() {
    let mut rows = vec![["NAME", "ROWS", "DOWNLOAD", "LICENCE", "TASKS", "DESCRIPTION"].map(String::from)];
    rows.extend(catalogue::entries().iter().map(cells));
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

fn fetch(name: &str, quiet: bool) -> anyhow::Result<()> {
    let mut progress = FetchProgress::new(quiet);
    let path = catalogue::fetch(name, &Home::from_environment(), &mut |p| progress.update(p))?;
    drop(progress);
    println!("{}", path.display());
    Ok(())
}
