//! `sensorium search DIR`: the rows of an index that lie closest to a query.

use super::inputs::Inputs;
use crate::exit::Usage;
use crate::runs::device;
use sensorium_model::retrieval::{Hit, Index};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Arguments {
    /// The folder that `sensorium index` wrote
    #[arg(value_name = "DIR")]
    index: PathBuf,
    #[command(flatten)]
    query: Inputs,
    /// Look only at the media of this input; it may be given several times
    #[arg(long, value_name = "INPUT")]
    among: Vec<String>,
    /// How many rows to give
    #[arg(long, value_name = "K", default_value_t = 10)]
    top: usize,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let index = Index::load(&arguments.index, &device())?;
    let inputs = index.inputs();
    let query = arguments.query.collect(&inputs, None)?;
    if query.is_empty() {
        let message = "nothing to search for: give --text, --image, --audio, --video or --input NAME=VALUE";
        return Err(Usage(message.into()).into());
    }
    let unknown = |name: &&String| !inputs.iter().any(|input| input.name == **name);
    if let Some(name) = arguments.among.iter().find(unknown) {
        let known: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        let message = format!(
            "--among {name}: the index has no input `{name}`; it has {}",
            known.join(", ")
        );
        return Err(Usage(message).into());
    }
    let hits = index.search(query, Path::new(""), &arguments.among, arguments.top)?;
    match arguments.json {
        true => println!("{}", document(&hits)),
        false => print_for_people(&hits),
    }
    Ok(())
}

/// `{"results":[{"row","cosine","probability","input","values":{INPUT:VALUE}}]}`
fn document(hits: &[Hit]) -> serde_json::Value {
    let hit = |hit: &Hit| {
        serde_json::json!({
            "row": hit.row.row, "cosine": hit.cosine, "probability": hit.probability, "input": hit.input,
            "values": hit.row.values
        })
    };
    let results: Vec<serde_json::Value> = hits.iter().map(hit).collect();
    serde_json::json!({"results": results})
}

fn print_for_people(hits: &[Hit]) {
    for hit in hits {
        let share = hit.probability.map(|share| format!("  {:>5.1}%", 100.0 * share));
        let share = share.unwrap_or_default();
        println!("{:>7.4}{share}  row {} by its {}", hit.cosine, hit.row.row, hit.input);
        for (input, value) in &hit.row.values {
            println!("         {input}: {value}");
        }
    }
}
