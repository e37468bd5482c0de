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

fn list() {
    println!(
        "{:<12} {:>8} {:>9}  {:<12} {:<28} DESCRIPTION",
        "NAME", "ROWS", "DOWNLOAD", "LICENCE", "TASKS"
    );
    for entry in catalogue::entries() {
        let size = match entry.bytes {
            0 => "none".to_string(),
            bytes => format!("{:.1} MB", bytes as f64 / 1e6),
        };
        let tasks = entry.tasks.join(", ");
        println!(
            "{:<12} {:>8} {:>9}  {:<12} {:<28} {}",
            entry.name, entry.rows, size, entry.licence, tasks, entry.description
        );
    }
}

fn fetch(name: &str, quiet: bool) -> anyhow::Result<()> {
    let mut progress = FetchProgress::new(quiet);
    let path = catalogue::fetch(name, &Home::from_environment(), &mut |p| progress.update(p))?;
    drop(progress);
    println!("{}", path.display());
    Ok(())
}
