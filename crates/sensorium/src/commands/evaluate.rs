//! `sensorium evaluate RUN`.

use super::groups;
use super::precision::Precision;
use crate::{Global, interrupt, runs};
use sensorium_data::split::Split;
use sensorium_model::RunDirectory;
use sensorium_train::{Controls, Evaluation};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Arguments {
    /// The run directory
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// train, validation or test
    #[arg(long, default_value = "test")]
    split: Split,
    /// Measure on another manifest
    #[arg(long, value_name = "MANIFEST")]
    data: Option<PathBuf>,
    /// Also measure the rows of each value of this column of the manifest
    #[arg(long, value_name = "COLUMN")]
    by: Option<String>,
    /// Leave out the evaluations with an input withheld or shuffled
    #[arg(long)]
    no_controls: bool,
    /// Withhold every set of inputs
    #[arg(long, conflicts_with = "no_controls")]
    ablate: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Measure what answers are worth with weights held so finely; nothing is stored
    #[arg(long, value_enum)]
    precision: Option<Precision>,
}

pub fn run(arguments: Arguments, global: &Global) -> anyhow::Result<()> {
    let interrupt = interrupt::listen()?;
    let run = RunDirectory::new(arguments.run);
    let mut loaded = runs::Measurable::load(&run, arguments.data.as_deref(), global.quiet)?;
    let controls = match (arguments.no_controls, arguments.ablate) {
        (true, _) => Controls::None,
        (_, true) => Controls::Ablate,
        _ => Controls::Each,
    };
    let measures = runs::Measures {
        split: arguments.split,
        controls,
        by: arguments.by.as_deref(),
    };
    let evaluation = match arguments.precision {
        Some(precision) => {
            loaded.pipeline = loaded.pipeline.packed(precision.into());
            loaded.measure(&run, measures, interrupt, global.quiet)?.0
        }
        None => loaded.evaluate(&run, measures, interrupt, global.quiet)?,
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&evaluation)?);
        return Ok(());
    }
    print!("{}", table(&evaluation));
    if arguments.precision.is_none() {
        println!("report: {}", run.report().display());
    }
    Ok(())
}

/// The metrics with their intervals, then each control, in columns; behind them those of groups.
pub fn table(evaluation: &Evaluation) -> String {
    let mut text = format!(
        "{} · {} · {} rows, {} skipped\n",
        evaluation.run, evaluation.split, evaluation.rows, evaluation.skipped
    );
    for (output, metrics) in &evaluation.metrics {
        if let Some(rows) = evaluation.measured.get(output).filter(|rows| **rows < evaluation.rows) {
            text += &format!("  {output}: {rows} rows\n");
        }
        for (metric, value) in metrics {
            let name = format!("{output}.{metric}");
            text += &format!("  {name:<24} {value:>7.4}");
            if let Some([low, high]) = evaluation.intervals[output].get(metric) {
                text += &format!("  [{low:.4}, {high:.4}]");
            }
            text.push('\n');
        }
        for (control, outputs) in &evaluation.controls {
            // Of a control the metrics are told, and not their parts, such as the directions of a search.
            let Some(metrics) = outputs.get(output) else { continue };
            let values = metrics.iter().filter(|(metric, _)| !metric.contains('.'));
            let values: Vec<String> = values.map(|(metric, value)| format!("{metric} {value:.4}")).collect();
            text += &format!("  {control:<24} {}\n", values.join("  "));
        }
    }
    text + &groups::table(evaluation)
}
