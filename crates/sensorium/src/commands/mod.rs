//! One file per verb.

mod answers;
mod bench;
mod chat;
mod completions;
mod data;
mod demo;
mod doctor;
mod evaluate;
mod export;
mod groups;
mod import;
mod index;
mod inputs;
mod precision;
mod predict;
mod schema;
mod search;
mod serve;
mod train;
mod transcribe;

use crate::Global;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Fetch a real data set, train on it, measure the model, write the report and open the page
    Demo(demo::Arguments),
    /// List and fetch data sets
    #[command(subcommand)]
    Data(data::Command),
    /// Train a model as a recipe says
    Train(train::Arguments),
    /// Measure a trained model, with controls
    Evaluate(evaluate::Arguments),
    /// Answer for one sample or for a file of rows
    Predict(predict::Arguments),
    /// Write what is said in recordings, with times
    Transcribe(transcribe::Arguments),
    /// Embed the rows of a set with a run that aligns inputs or an imported encoder, to be searched
    Index(index::Arguments),
    /// Find the rows of an index that lie closest to a text, a picture, a sound or a video
    Search(search::Arguments),
    /// Make a run directory of a public checkpoint
    Import(import::Arguments),
    /// Write an imported run, or a part that was trained on a checkpoint, as a folder that transformers loads
    Export(export::Arguments),
    /// Ask question after question about a picture, a sound, a video or a text
    Chat(chat::Arguments),
    /// Serve trained models over HTTP, with a page
    Serve(serve::Arguments),
    /// Say what is installed and what this machine offers
    Doctor(doctor::Arguments),
    /// Time a fixed workload, matrix products or data preparation on this machine
    Bench(bench::Arguments),
    /// Print the JSON Schema of recipes
    Schema,
    /// Print a completion script for a shell
    Completions(completions::Arguments),
}

pub fn run(command: Command, global: &Global) -> anyhow::Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(arguments, global),
        Command::Data(command) => data::run(command, global),
        Command::Train(arguments) => train::run(arguments, global),
        Command::Evaluate(arguments) => evaluate::run(arguments, global),
        Command::Predict(arguments) => predict::run(arguments),
        Command::Transcribe(arguments) => transcribe::run(arguments, global),
        Command::Index(arguments) => index::run(arguments, global),
        Command::Search(arguments) => search::run(arguments),
        Command::Import(arguments) => import::run(&arguments, global),
        Command::Export(arguments) => export::run(&arguments),
        Command::Chat(arguments) => chat::run(arguments, global),
        Command::Serve(arguments) => serve::run(arguments, global),
        Command::Doctor(arguments) => doctor::run(arguments),
        Command::Bench(arguments) => bench::run(arguments, global),
        Command::Schema => schema::run(),
        Command::Completions(arguments) => completions::run(arguments),
    }
}
