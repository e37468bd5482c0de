//! `sensorium schema`: the JSON Schema of recipes, for editors.

use sensorium_train::{Recipe, config};

pub fn run() -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(&config::schema::<Recipe>())?);
    Ok(())
}
