//! `sensorium predict RUN`: one sample from the command line, or a file of rows.

use super::answers;
use super::inputs::Inputs;
use super::precision::Precision;
use crate::exit::Usage;
use crate::runs::device;
use sensorium_data::{DataError, Manifest, Sample};
use sensorium_model::tasks::Prediction;
use sensorium_model::{Answers, BATCH_SIZE, Pipeline, RunDirectory};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The most batches of a file's rows that are answered, and then printed, together: the more, the better do those of one
/// batch fit each other.
const TOGETHER: usize = 64;
/// How many times as many rows come after the first ones.
const GROWTH: usize = 8;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    #[command(flatten)]
    inputs: Inputs,
    /// A manifest of rows, each of which is answered
    #[arg(long, value_name = "ROWS", conflicts_with_all = ["inputs", "image", "audio", "video", "text"])]
    data: Option<PathBuf>,
    /// One JSON object for each row
    #[arg(long)]
    json: bool,
    /// How many of the rows go through the model together
    #[arg(long, value_name = "N", requires = "data", default_value_t = BATCH_SIZE as u16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    batch: u16,
    /// How many alternatives to give; people see none of them with --data
    #[arg(long, value_name = "K", default_value_t = 5)]
    top: usize,
    /// How finely the weights of Transformers and decoders are held
    #[arg(long, value_enum, default_value_t = Precision::Float32)]
    precision: Precision,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let pipeline = Pipeline::load_packed(
        &RunDirectory::new(&arguments.run),
        &device(),
        arguments.precision.into(),
    )?;
    let printer = Printer {
        json: arguments.json,
        top: arguments.top,
    };
    match &arguments.data {
        Some(path) => file(&pipeline, path, arguments.batch.into(), &printer),
        None => single(&pipeline, &arguments, &printer),
    }
}

fn single(pipeline: &Pipeline, arguments: &Arguments, printer: &Printer) -> anyhow::Result<()> {
    let values = arguments.inputs.collect(pipeline.inputs(), None)?;
    if values.is_empty() {
        let message = "nothing to answer: give --input NAME=VALUE, --image, --audio, --video, --text or --data ROWS";
        return Err(Usage(message.into()).into());
    }
    let sample = Sample { row: 0, values };
    let answer = pipeline.predict(vec![sample], Path::new("")).remove(0);
    if printer.json {
        printer.print(0, answer.clone());
    }
    let answer = answer.map_err(|error| DataError { row: None, ..error })?;
    if !printer.json {
        print!("{}", answers::sample(&answer, printer.top));
    }
    Ok(())
}

/// Every row of a manifest in order, whether it can be answered or not.
fn file(pipeline: &Pipeline, path: &Path, batch: usize, printer: &Printer) -> anyhow::Result<()> {
    let Manifest {
        samples, broken, root, ..
    } = Manifest::open(path)?;
    let mut broken: BTreeMap<usize, DataError> = broken
        .into_iter()
        .map(|error| (error.row.unwrap_or_default(), error))
        .collect();
    let mut next = 0;
    // The next rows are answered while these are printed.
    std::thread::scope(|scope| {
        let (sender, answered) = std::sync::mpsc::sync_channel(1);
        let (samples, root) = (samples.as_slice(), root.as_path());
        scope.spawn(move || {
            let answer = |part: &[Sample]| pipeline.predict_by(batch, part.to_vec(), root);
            // Nobody listens any more where printing has panicked.
            parts(samples, batch).all(|part| sender.send((part, answer(part))).is_ok())
        });
        for (part, answers) in answered {
            for (sample, answer) in part.iter().zip(answers) {
                next = printer.print_broken(next, sample.row, &mut broken);
                printer.print(sample.row, answer);
                next += 1;
            }
        }
    });
    printer.print_broken(next, usize::MAX, &mut broken);
    Ok(())
}

/// Rows that are answered one part after the other: few at first, so that the first answers come soon.
fn parts(samples: &[Sample], batch: usize) -> impl Iterator<Item = &[Sample]> {
    let sizes = std::iter::successors(Some(batch), move |size| Some((GROWTH * size).min(TOGETHER * batch)));
    let mut rest = samples;
    let part = move |size: usize| {
        let (part, others) = rest.split_at(size.min(rest.len()));
        rest = others;
        Some(part).filter(|part| !part.is_empty())
    };
    sizes.map_while(part)
}

struct Printer {
    json: bool,
    top: usize,
}

impl Printer {
    /// Prints the broken records from `next` up to `until`, and gives the row after them.
    fn print_broken(&self, mut next: usize, until: usize, broken: &mut BTreeMap<usize, DataError>) -> usize {
        while let Some(error) = broken.remove(&next).filter(|_| next < until) {
            self.print(next, Err(error));
            next += 1;
        }
        next
    }

    fn print(&self, row: usize, answer: Result<Answers, DataError>) {
        match (answer, self.json) {
            (Ok(mut outputs), true) => {
                let shorten = |answer: &mut Prediction| answer.top.truncate(self.top);
                outputs.values_mut().for_each(shorten);
                print_json(&Line { row, outputs });
            }
            (Ok(answers), false) => print!("{}", answers::row(row, &answers)),
            (Err(error), true) => {
                let path = error.path.as_ref().map(|path| path.display().to_string());
                let error = serde_json::json!({
                    "code": error.kind.code(), "message": error.message, "path": path
                });
                print_json(&serde_json::json!({"row": row, "error": error}));
            }
            (Err(error), false) => println!("row {row}: error: {error}"),
        }
    }
}

/// The answers to a row, as a script reads them.
#[derive(serde::Serialize)]
struct Line {
    row: usize,
    outputs: Answers,
}

fn print_json(line: &impl serde::Serialize) {
    println!(
        "{}",
        serde_json::to_string(line).expect("answers have names and numbers")
    );
}
