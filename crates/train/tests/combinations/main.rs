//! Every stem, trunk, fusion and task that a recipe can combine learns a toy set by heart, or is refused with a reason.

#[path = "../bars/mod.rs"]
mod bars;
mod combination;
mod learning;
mod rows;
mod table;
#[path = "../bars/tones.rs"]
mod tones;

use combination::{Combination, all, public};
use learning::{Course, learn};
use sensorium_train::{Recipe, config};
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::{FUSIONS, STEMS, Stem, TASKS, TRUNKS};
use tempfile::TempDir;

fn toy_set() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    rows::write(folder.path());
    folder
}

/// How a combination was learnt, or nothing where it was rightly refused.
fn check(combination: &Combination, folder: &Path) -> Result<Option<Course>, String> {
    let name = combination.name();
    let plan = match (combination.plan(folder), combination.refusal()) {
        (Err(error), Some(reason)) if error.contains(reason) => return Ok(None),
        (Err(error), expected) => return Err(format!("{name}: expected {expected:?}, found {error}")),
        (Ok(_), Some(reason)) => return Err(format!("{name}: expected to be refused by {reason}")),
        (Ok(plan), None) => plan,
    };
    let goal = combination.task.goal;
    let course = learn(&plan, goal);
    match course.loss <= goal {
        true => Ok(Some(course)),
        false => Err(format!(
            "{name}: a loss of {goal} is not reached from any seed, at last {course:?}"
        )),
    }
}

/// The results of `work` on every item, in their order, by as many threads as there are cores.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || {
        let mut taken = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            match items.get(index) {
                Some(item) => taken.push((index, work(item))),
                None => return taken,
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(take)).collect();
        let results = workers.into_iter().flat_map(|worker| worker.join().unwrap());
        results.collect::<Vec<_>>()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn every_combination_is_learnt_by_heart_or_refused_with_a_reason() {
    let folder = toy_set();
    let combinations = all();
    let results = in_parallel(&combinations, |combination| check(combination, folder.path()));
    let problems: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(problems.is_empty(), "{} problems: {problems:#?}", problems.len());
    // Alone, each finds the bits that it found among the others.
    for (combination, result) in combinations.iter().zip(&results).step_by(97) {
        assert_eq!(&check(combination, folder.path()), result, "{}", combination.name());
    }
}

#[test]
fn public_architectures_are_learnt_by_heart() {
    let folder = toy_set();
    for combination in public() {
        assert!(
            matches!(check(&combination, folder.path()), Ok(Some(_))),
            "{}",
            combination.name()
        );
    }
}

#[test]
fn a_stem_of_another_modality_is_refused() {
    let folder = toy_set();
    for (own, other) in STEMS.iter().flat_map(|own| STEMS.iter().map(move |other| (own, other))) {
        if own.modality == other.modality {
            continue;
        }
        let combination = Combination {
            stem: Stem {
                stem: other.stem,
                ..*own
            },
            trunk: TRUNKS[0],
            fusion: FUSIONS[0],
            task: &TASKS[0],
        };
        let error = combination.plan(folder.path()).map(|_| ()).unwrap_err();
        let reason = match own.modality {
            "image" => "inputs.medium.stem: an image takes the stem `pixels`",
            "text" => "inputs.medium.stem: a text takes the stem `embedding`",
            "audio" => "inputs.medium.stem: a sound takes the stem `convolution`",
            _ => "inputs.medium.stem: a video takes the stem `frames` or `tubelet`",
        };
        assert!(error.contains(reason), "{} with {}: {error}", own.name, other.stem);
    }
}

/// The tables must have every word that the recipe's schema has at `key` of `definition`.
fn check_words(definition: &str, key: &str, written: &[&str]) {
    let schema = config::schema::<Recipe>();
    let variants = schema["$defs"][definition]["oneOf"].as_array().unwrap().iter();
    let word = |variant: &Json| match &variant["const"] {
        Json::Null => variant["properties"][key]["const"].as_str().unwrap().to_string(),
        word => word.as_str().unwrap().to_string(),
    };
    let known: BTreeSet<String> = variants.map(word).collect();
    let tried = |word: &&String| {
        let setting = format!("{key} = \"{word}\"");
        written.iter().any(|text| text.contains(&setting))
    };
    let untried: Vec<_> = known.iter().filter(|word| !tried(word)).collect();
    assert!(
        known.len() > 1 && untried.is_empty(),
        "{definition}: the tables lack {untried:?}"
    );
}

#[test]
fn the_tables_have_every_word_of_the_recipe_language() {
    let modalities = STEMS.map(|stem| format!("modality = \"{}\"", stem.modality));
    let outputs = TASKS.each_ref().map(|task| task.output);
    check_words("InputConfig", "modality", &modalities.each_ref().map(String::as_str));
    let (stems, trunks): (Vec<&str>, Vec<&str>) = public().map(|one| (one.stem.stem, one.trunk)).unzip();
    check_words(
        "StemConfig",
        "kind",
        &[&STEMS.map(|stem| stem.stem)[..], &stems].concat(),
    );
    check_words("TrunkConfig", "kind", &[&TRUNKS[..], &trunks].concat());
    check_words("Cell", "cell", &TRUNKS);
    check_words("PositionKind", "positions", &TRUNKS);
    check_words("SpaceTime", "space_time", &TRUNKS);
    check_words("JoinConfig", "kind", &FUSIONS);
    check_words("OutputConfig", "task", &outputs);
    for task in ["generate", "language_model"] {
        let decoders: Vec<&str> = outputs.into_iter().filter(|output| output.contains(task)).collect();
        check_words("DecoderConfig", "kind", &decoders);
    }
    check_words("AlignLoss", "kind", &outputs);
}
