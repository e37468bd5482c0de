//! Made-up answers, one of each kind.

use sensorium_serve::{Output, Part, Ranked};
use serde_json::Value;

pub const LABELS: [&str; 8] = ["circle", "red", "yes", "triangle", "no", "blue", "rectangle", "green"];

/// What a task could answer; `seed` varies it.
pub fn answer(task: &str, seed: usize) -> Output {
    match task {
        "classify" => label(seed),
        "tag" => tags(),
        "regress" => number(seed),
        "rank" => ranking(seed),
        "generate" => text(CAPTIONS[seed % CAPTIONS.len()], false),
        "transcribe" => text(&[("the", 0.99), ("quick", 0.97), ("brown", 0.91), ("foks", 0.38)], true),
        "language_model" => text(
            &[("and", 0.61), ("so", 0.52), ("it", 0.9), ("goes", 0.83), (".", 0.7)],
            false,
        ),
        _ => Output::default(),
    }
}

const CAPTIONS: [&[(&str, f64)]; 2] = [
    &[
        ("a", 0.98),
        ("small", 0.81),
        ("red", 0.97),
        ("circ", 0.93),
        ("le", 0.99),
        ("on", 0.88),
        ("a", 0.97),
        ("pale", 0.34),
        ("blue", 0.62),
        ("field", 0.71),
    ],
    &[("blue", 0.94)],
];

fn label(seed: usize) -> Output {
    let shares = [0.873, 0.071, 0.031, 0.014, 0.0004];
    let top = ranked(
        shares
            .iter()
            .enumerate()
            .map(|(place, &share)| (LABELS[(seed + place) % 8], share)),
    );
    Output {
        value: top[0].value.clone(),
        probability: Some(shares[0]),
        top,
        ..Output::default()
    }
}

fn tags() -> Output {
    let shares = [
        ("red", 0.981),
        ("round", 0.902),
        ("small", 0.554),
        ("glossy", 0.31),
        ("blue", 0.02),
    ];
    Output {
        value: vec!["red", "round", "small"].into(),
        top: ranked(shares.into_iter()),
        ..Output::default()
    }
}

fn number(seed: usize) -> Output {
    Output {
        value: (3.0 + (seed % 7) as f64 / 3.0).into(),
        ..Output::default()
    }
}

fn ranking(seed: usize) -> Output {
    let shares = [0.62, 0.21, 0.11, 0.06];
    let top = ranked(
        shares
            .iter()
            .enumerate()
            .map(|(place, &share)| (LABELS[(seed + place) % 8], share)),
    );
    Output {
        value: top.iter().map(|one| one.value.clone()).collect::<Vec<Value>>().into(),
        probability: Some(shares[0]),
        top,
        ..Output::default()
    }
}

/// `circ` is put together with what follows it; a transcript has frames.
fn text(parts: &[(&str, f64)], heard: bool) -> Output {
    let words: Vec<&str> = parts.iter().map(|(text, _)| *text).collect();
    let value = words.join(" ").replace("circ le", "circle").replace(" .", ".");
    let part = |(place, &(text, probability)): (usize, &(&str, f64))| Part {
        text: text.to_owned(),
        probability,
        frames: heard.then_some([8 * place, 8 * place + 5]),
    };
    Output {
        value: value.into(),
        probability: Some(parts.iter().map(|(_, probability)| probability).product()),
        tokens: parts.iter().enumerate().map(part).collect(),
        ..Output::default()
    }
}

fn ranked<'a>(shares: impl Iterator<Item = (&'a str, f64)>) -> Vec<Ranked> {
    let one = |(value, probability): (&str, f64)| Ranked {
        value: value.into(),
        probability,
    };
    shares.map(one).collect()
}
