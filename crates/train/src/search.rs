//! How much a search for transcripts listens to its language model: chosen on validation rows once a model is trained, as α
//! and β are in Deep Speech (Hannun et al. 2014, section 2.2).

use crate::events::SearchEvent;
use crate::plan::Plan;
use crate::score::Scoring;
use sensorium_model::Model;
use sensorium_model::decoding::ctc::BeamConfig;
use sensorium_model::tasks::TaskConfig;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// The search of each output.
pub type Searches = BTreeMap<String, BeamConfig>;

/// What is tried beside the search as it is, the most careful first: of equal ones the first is taken.
const WEIGHTS: [f32; 4] = [0.0, 0.3, 0.6, 0.9];
const BONUSES: [f32; 4] = [0.0, 0.7, 1.4, 2.1];

/// Validation rows that are searched with each.
const MOST_ROWS: usize = 300;

/// The best settings for the outputs of [`open`]; none without validation rows.
pub fn choose(plan: &Plan, open: &Searches, model: Model, step: u64) -> Vec<SearchEvent> {
    let rows = rows(plan, open);
    if rows.is_empty() {
        return Vec::new();
    }
    let mut best: BTreeMap<String, SearchEvent> = BTreeMap::new();
    // The search as it is comes first, so that no choice is worse.
    let filled = settings().map(|setting| filled(open, setting));
    for beams in std::iter::once(open.clone()).chain(filled) {
        for (output, cer) in errors(plan, &model.clone().searching(&beams), &rows, open) {
            let known = best.get(&output);
            if known.is_some_and(|best| best.cer <= cer) {
                continue;
            }
            let choice = SearchEvent {
                step,
                language_model_weight: beams[&output].weight(),
                insertion_bonus: beams[&output].bonus(),
                cer,
                cer_before: known.map_or(cer, |best| best.cer_before),
                output: output.clone(),
            };
            best.insert(output, choice);
        }
    }
    best.into_values().collect()
}

fn settings() -> impl Iterator<Item = (f32, f32)> {
    let settings = WEIGHTS
        .into_iter()
        .flat_map(|weight| BONUSES.map(|bonus| (weight, bonus)));
    // Without a language model a bonus only makes texts longer.
    settings.filter(|(weight, bonus)| *weight > 0.0 || *bonus == 0.0)
}

/// The searches with what their recipes leave open.
fn filled(open: &Searches, (weight, bonus): (f32, f32)) -> Searches {
    let fill = |beam: &BeamConfig| BeamConfig {
        language_model_weight: beam.language_model_weight.or(Some(weight)),
        insertion_bonus: beam.insertion_bonus.or(Some(bonus)),
        ..beam.clone()
    };
    open.iter().map(|(output, beam)| (output.clone(), fill(beam))).collect()
}

/// The outputs that search with a language model and whose recipe leaves open how much they listen to it.
pub fn open(plan: &Plan) -> Searches {
    let outputs = plan.description.model.outputs.iter();
    let open = outputs.filter_map(|(name, output)| {
        let TaskConfig::Transcribe(task) = &output.task else {
            return None;
        };
        let listens = plan.writers.get(name)?.language_model.is_some();
        let open = task.beam.language_model_weight.is_none() || task.beam.insertion_bonus.is_none();
        (listens && open).then(|| (name.clone(), task.beam.clone()))
    });
    open.collect()
}

/// Validation rows with a text for one of the outputs, from all over the split.
fn rows(plan: &Plan, open: &Searches) -> Vec<usize> {
    let columns: Vec<&str> = open
        .keys()
        .map(|output| plan.description.outputs[output].as_str())
        .collect();
    let sample = |row: &usize| &plan.dataset.samples()[*row];
    let spoken = |row: &usize| columns.iter().any(|column| sample(row).get(column).label().is_some());
    let rows: Vec<usize> = plan.splits.validation.iter().copied().filter(spoken).collect();
    let every = rows.len().div_ceil(MOST_ROWS).max(1);
    rows.into_iter().step_by(every).collect()
}

/// The character error rate of each of the outputs.
fn errors(plan: &Plan, model: &Model, rows: &[usize], outputs: &Searches) -> BTreeMap<String, f64> {
    let scoring = Scoring {
        model,
        writers: &plan.writers,
        dataset: &plan.dataset,
        weights: &BTreeMap::new(),
        threads: plan.recipe.data.loader_threads,
        interrupt: &AtomicBool::new(false),
    };
    let scores = scoring.run(rows, &mut |_| {}).unwrap_or_default();
    let errors = outputs
        .keys()
        .map(|output| (output.clone(), scores.metrics(model, output)["cer"]));
    errors.filter(|(_, cer)| cer.is_finite()).collect()
}
