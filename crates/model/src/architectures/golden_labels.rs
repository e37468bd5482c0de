//! Heads over labels of texts against what `transformers` makes of the same checkpoints (`reference/architectures/make.py`).

use super::golden::{answers, assert_near, case, folder, import};
use super::golden_pictures::encoded;
use crate::checkpoint::to_vec;
use crate::pass::Pass;
use crate::tasks::{Answer, Task};
use serde::Deserialize;

const FOLDERS: [&str; 3] = ["bert-labels", "bert-tags", "roberta-labels"];

#[derive(Deserialize)]
struct Case {
    texts: Vec<String>,
    /// By class.
    labels: Vec<String>,
    /// Of each text and class.
    logits: Vec<Vec<f32>>,
}

#[test]
fn logits_are_those_of_the_original() {
    for name in FOLDERS {
        let case: Case = case(&folder(name));
        let pipeline = import(&folder(name));
        let texts: Vec<&str> = case.texts.iter().map(String::as_str).collect();
        let summary = encoded(&pipeline, "text", &texts, &folder(name)).pooled();
        let task = pipeline.model().task("label");
        let logits = match task {
            Task::Classify(task) => task.forward(summary, &Pass::evaluation()),
            Task::Tag(task) => task.forward(summary, &Pass::evaluation()),
            other => panic!("{name}: labels are told apart, not {}", other.name()),
        };
        let found = to_vec(logits);
        for (found, expected) in found.chunks(case.labels.len()).zip(&case.logits) {
            let place = |label: &String| case.labels.iter().position(|one| one == label).unwrap();
            let expected: Vec<f32> = task.labels().iter().map(|label| expected[place(label)]).collect();
            assert_near(found, &expected, name);
        }
    }
}

/// The labels of a case, by softmax or each by itself, the most probable first.
fn ranked(case: &Case, logits: &[f32], several: bool) -> Vec<(String, f64)> {
    let shares: Vec<f64> = logits.iter().map(|logit| f64::from(*logit).exp()).collect();
    let sum: f64 = shares.iter().sum();
    let probability = |share: &f64| if several { share / (1.0 + share) } else { share / sum };
    let mut ranked: Vec<(String, f64)> = case
        .labels
        .iter()
        .cloned()
        .zip(shares.iter().map(probability))
        .collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

#[test]
fn texts_have_the_labels_of_the_original() {
    for name in FOLDERS {
        let (case, several): (Case, bool) = (case(&folder(name)), name == "bert-tags");
        let found = answers(&folder(name), "text", &case.texts);
        assert_eq!(found.len(), case.logits.len());
        for (answers, logits) in found.iter().zip(&case.logits) {
            let (label, expected) = (&answers["label"], ranked(&case, logits, several));
            for (one, (value, probability)) in label.top.iter().zip(&expected) {
                assert!(
                    one.value == *value && (one.probability - probability).abs() < 1e-5,
                    "{name}: {label:?}"
                );
            }
            let given = expected.iter().filter(|(_, probability)| *probability >= 0.5);
            let expected = match several {
                true => Answer::List(given.map(|(label, _)| label.clone()).collect()),
                false => Answer::Text(expected[0].0.clone()),
            };
            assert_eq!(label.value, expected, "{name}");
            assert!(matches!(answers["embedding"].value, Answer::Vector(_)), "{name}");
        }
    }
}
