//! What is said and asked about a scene.
//!
//! Questions with the answers yes and no come in pairs, one of each, so that a model that does not
//! look at the picture gains nothing from them.

use super::scene::{Colour, Figure, Scene, Shape};
use crate::random::Key;
use rand::RngExt;
use rand::seq::IndexedRandom;

/// The figures from left to right: "a red circle, an orange star and a blue circle".
pub(super) fn caption(scene: &Scene) -> String {
    let named = |figure: &Figure| with_article(&format!("{} {}", figure.colour, figure.shape));
    let names: Vec<String> = scene.figures.iter().map(named).collect();
    match names.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => "nothing".to_string(),
    }
}

/// Eight or nine questions with their answers, none of them twice.
pub(super) fn ask(scene: &Scene, key: &Key) -> Vec<(String, String)> {
    let mut generator = key.with("questions").generator();
    let mut asked = vec![count(scene, &mut generator)];
    asked.extend(colour_of(scene, &mut generator));
    asked.extend(shape_of(scene, &mut generator));
    for (thing, answer) in things(scene, &mut generator) {
        let thing = with_article(&thing);
        let question = one_of(
            &[
                format!("is there {thing}?"),
                format!("does the picture show {thing}?"),
                format!("can you see {thing}?"),
            ],
            &mut generator,
        );
        asked.push((question, answer.to_string()));
    }
    asked
}

fn count(scene: &Scene, generator: &mut impl RngExt) -> (String, String) {
    let questions = ["how many shapes are there?", "how many shapes does the picture show?"];
    let answer = match scene.figures.len() {
        1 => "one",
        2 => "two",
        _ => "three",
    };
    (one_of(&questions.map(String::from), generator), answer.to_string())
}

/// Asks for the colour of a shape that the scene shows once, if there is one.
fn colour_of(scene: &Scene, generator: &mut impl RngExt) -> Option<(String, String)> {
    let alike = |figure: &Figure| scene.figures.iter().filter(|f| f.shape == figure.shape).count();
    let single: Vec<&Figure> = scene.figures.iter().filter(|figure| alike(figure) == 1).collect();
    let Figure { shape, colour, .. } = single.choose(generator)?;
    let questions = [
        format!("what colour is the {shape}?"),
        format!("which colour does the {shape} have?"),
    ];
    Some((one_of(&questions, generator), colour.to_string()))
}

/// Asks for the shape of a colour; no scene shows a colour twice.
fn shape_of(scene: &Scene, generator: &mut impl RngExt) -> Option<(String, String)> {
    let Figure { shape, colour, .. } = scene.figures.choose(generator)?;
    let questions = [
        format!("what shape is the {colour} one?"),
        format!("which shape is {colour}?"),
    ];
    Some((one_of(&questions, generator), shape.to_string()))
}

/// A shape, a colour and a coloured shape that are there, and one of each that are not.
fn things(scene: &Scene, generator: &mut impl RngExt) -> Vec<(String, &'static str)> {
    let has_shape = |shape: &Shape| scene.figures.iter().any(|figure| figure.shape == *shape);
    let has_colour = |colour: &Colour| scene.figures.iter().any(|figure| figure.colour == *colour);
    let has = |pair: &(Colour, Shape)| {
        scene
            .figures
            .iter()
            .any(|figure| (figure.colour, figure.shape) == *pair)
    };
    // A coloured shape of which neither half is there would be too easy to deny.
    let pairs = Colour::ALL
        .iter()
        .flat_map(|colour| Shape::ALL.map(|shape| (*colour, shape)));
    let pairs: Vec<(Colour, Shape)> = pairs
        .filter(|(colour, shape)| has_colour(colour) || has_shape(shape))
        .collect();

    let mut things = Vec::new();
    for (present, answer) in [(true, "yes"), (false, "no")] {
        let shape = pick(&Shape::ALL, |shape| has_shape(shape) == present, generator);
        things.extend(shape.map(|shape| (shape.to_string(), answer)));
        let colour = pick(&Colour::ALL, |colour| has_colour(colour) == present, generator);
        things.extend(colour.map(|colour| (format!("{colour} shape"), answer)));
        let pair = pick(&pairs, |pair| has(pair) == present, generator);
        things.extend(pair.map(|(colour, shape)| (format!("{colour} {shape}"), answer)));
    }
    things
}

fn pick<T: Copy>(all: &[T], wanted: impl Fn(&T) -> bool, generator: &mut impl RngExt) -> Option<T> {
    let left: Vec<T> = all.iter().copied().filter(wanted).collect();
    left.choose(generator).copied()
}

fn one_of(wordings: &[String], generator: &mut impl RngExt) -> String {
    wordings.choose(generator).cloned().unwrap_or_default()
}

/// "an orange star".
pub(super) fn with_article(thing: &str) -> String {
    match thing.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => format!("an {thing}"),
        false => format!("a {thing}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn scene(figures: &[(Colour, Shape)]) -> Scene {
        let figure = |(place, (colour, shape)): (usize, &(Colour, Shape))| Figure {
            shape: *shape,
            colour: *colour,
            x: place as f64,
            y: 0.0,
            radius: 1.0,
            turn: 0.0,
        };
        Scene {
            figures: figures.iter().enumerate().map(figure).collect(),
        }
    }

    fn check_caption(figures: &[(Colour, Shape)], expected: &str) {
        assert_eq!(caption(&scene(figures)), expected);
    }

    #[test]
    fn a_caption_names_the_figures_from_left_to_right() {
        use {Colour::*, Shape::*};
        check_caption(&[(Orange, Star)], "an orange star");
        check_caption(&[(Red, Circle), (Blue, Circle)], "a red circle and a blue circle");
        check_caption(
            &[(Red, Circle), (Orange, Cross), (Teal, Star)],
            "a red circle, an orange cross and a teal star",
        );
    }

    /// Answers a question from the scene by its words alone.
    fn answer(scene: &Scene, question: &str) -> String {
        let words: Vec<&str> = question.trim_end_matches('?').split(' ').collect();
        let named = |word: String| words.contains(&word.as_str());
        let any_shape = !Shape::ALL.iter().any(|shape| named(shape.to_string()));
        let any_colour = !Colour::ALL.iter().any(|colour| named(colour.to_string()));
        let found: Vec<&Figure> = scene
            .figures
            .iter()
            .filter(|figure| any_shape || named(figure.shape.to_string()))
            .filter(|figure| any_colour || named(figure.colour.to_string()))
            .collect();
        match words[..2] {
            ["how", "many"] => ["none", "one", "two", "three"][found.len()].to_string(),
            ["what" | "which", "colour"] => found[0].colour.to_string(),
            ["what" | "which", "shape"] => found[0].shape.to_string(),
            _ if found.is_empty() => "no".to_string(),
            _ => "yes".to_string(),
        }
    }

    #[test]
    fn answers_are_true_and_questions_differ() {
        for index in 0..500 {
            let key = Key::new(7).at(index);
            let scene = Scene::draw(&key);
            let asked = ask(&scene, &key);
            assert!((8..=9).contains(&asked.len()));
            for (question, expected) in &asked {
                assert_eq!(&answer(&scene, question), expected, "{question} {scene:?}");
            }
            let different: BTreeSet<&String> = asked.iter().map(|(question, _)| question).collect();
            assert_eq!(different.len(), asked.len());
            assert_eq!(ask(&scene, &key), asked);
        }
    }
}
