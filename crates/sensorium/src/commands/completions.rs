//! `sensorium completions SHELL`.

use clap::CommandFactory;

#[derive(clap::Args)]
pub struct Arguments {
    shell: clap_complete::Shell,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut command = crate::Cli::command();
    clap_complete::generate(arguments.shell, &mut command, "sensorium", &mut std::io::stdout());
    Ok(())
}
