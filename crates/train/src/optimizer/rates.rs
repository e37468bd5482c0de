//! Learning rates that fall from block to block of an encoder (Clark et al. 2020; Bao et al. 2022).

use crate::recipe::Recipe;
use sensorium_model::depth::{Depth, blocks};
use sensorium_model::{Model, parameters};
use std::collections::BTreeMap;

/// What the learning rate of a parameter is multiplied by, by its path; of one that is not named by one.
pub fn rates(recipe: &Recipe, model: &Model) -> BTreeMap<String, f64> {
    let inputs = recipe.inputs.iter().filter_map(|(name, input)| {
        let decay = input.encoder.encoder.as_ref()?.layer_decay?;
        Some((format!("inputs.{name}."), decay))
    });
    let inputs: Vec<(String, f64)> = inputs.collect();
    if inputs.is_empty() {
        return BTreeMap::new();
    }
    let paths: Vec<String> = parameters(model).into_keys().collect();
    inputs
        .iter()
        .flat_map(|(encoder, decay)| of(encoder, *decay, &paths))
        .collect()
}

/// Of an encoder, with which the paths of its parameters begin.
fn of(encoder: &str, decay: f64, paths: &[String]) -> BTreeMap<String, f64> {
    let own = || {
        paths
            .iter()
            .filter_map(|path| Some((path, path.strip_prefix(encoder)?)))
    };
    let blocks = blocks(own().map(|(_, within)| within));
    let share = |(path, within): (&String, &str)| Some((path.clone(), Depth::of(within)?.share(decay, blocks)));
    own().filter_map(share).collect()
}

#[test]
fn a_rate_falls_from_block_to_block_of_its_encoder() {
    let paths = [
        "inputs.a.absent",
        "inputs.a.stem.weight",
        "inputs.a.trunk.blocks.0.weight",
        "inputs.a.trunk.blocks.1.weight",
        "inputs.a.trunk.norm.weight",
        "inputs.b.stem.weight",
        "outputs.c.head.output.weight",
    ];
    let found = of("inputs.a.", 0.5, &paths.map(String::from));
    let found: Vec<(&str, f64)> = found.iter().map(|(path, rate)| (path.as_str(), *rate)).collect();
    let expected = [(1, 0.125), (2, 0.25), (3, 0.5), (4, 1.0)].map(|(place, rate)| (paths[place], rate));
    assert_eq!(found, expected);
}
