//! Pairs of turns of which the second is understood only through the first.
//!
//! For every picture and every wording of a second turn, each of its possible answers is as likely as
//! the others: what the first turn said decides alone. A model that does not see the history can but
//! guess.

use super::facts::{COLOURS, Facts, SHAPES};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

/// A question of a dialogue with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    pub question: String,
    pub answer: String,
    /// Whether the answer depends on the turn before.
    pub follow_up: bool,
}

/// How many pairs a picture gets, each of another kind.
pub(super) const PAIRS: usize = 3;

/// Draws one of some words.
type Pick<'a> = &'a mut dyn FnMut(&[&'static str]) -> &'static str;
/// Two questions with their answers.
type Pair = [(String, &'static str); 2];

/// The kinds of pairs.
const KINDS: [fn(Facts, Pick) -> Pair; 4] = [ellipsis_of_polarity, ellipsis_of_noun, what_else, reference];

/// [`PAIRS`] pairs about a picture, in the order in which they are to be asked.
pub(super) fn draw(facts: Facts, generator: &mut impl RngExt) -> Vec<[Turn; 2]> {
    let mut kinds = KINDS;
    kinds.shuffle(generator);
    let mut pick = |words: &[&'static str]| words.choose(generator).copied().unwrap_or_default();
    let pairs = kinds.iter().take(PAIRS).map(|kind| kind(facts, &mut pick));
    pairs.map(turns).collect()
}

fn turns([first, second]: Pair) -> [Turn; 2] {
    let turn = |(question, answer): (String, &str), follow_up| Turn {
        question,
        answer: answer.to_string(),
        follow_up,
    };
    [turn(first, false), turn(second, true)]
}

/// "is there no red shape?", "and a blue one?": whether there is one, or whether there is none?
fn ellipsis_of_polarity(facts: Facts, pick: Pick) -> Pair {
    let (words, true_word, noun, one) = aspect(facts, pick);
    // The first turn must not tell the second one's answer, so it asks for what is not there.
    let asked = pick(&without(words, &[true_word]));
    let other = pick(&without(words, &[true_word, asked]));
    let then = pick(&[true_word, other]);
    let polarity = pick(&["yes", "no"]);
    let first = is_there(&format!("{asked}{noun}"), polarity, pick);
    let opening = pick(&["and", "what about"]);
    let second = format!("{opening} a {then}{one}?");
    [
        (first, answer(false, polarity)),
        (second, answer(then == true_word, polarity)),
    ]
}

/// "is there a red circle?", "and a blue one?": a blue circle. Or with the colour left out.
fn ellipsis_of_noun(facts: Facts, pick: Pick) -> Pair {
    let colour_changes = pick(&["colour", "shape"]) == "colour";
    let other_colour = pick(&without(&COLOURS, &[facts.colour]));
    let other_shape = pick(&without(&SHAPES, &[facts.shape]));
    let opening = pick(&["and", "what about"]);
    let (colour, shape, second, is_true) = if colour_changes {
        let shape = pick(&[facts.shape, other_shape]);
        let second = format!("{opening} a {} one?", facts.colour);
        (other_colour, shape, second, shape == facts.shape)
    } else {
        let colour = pick(&[facts.colour, other_colour]);
        let second = format!("{opening} a {} of that color?", facts.shape);
        (colour, other_shape, second, colour == facts.colour)
    };
    let first = is_there(&format!("{colour} {shape}"), "yes", pick);
    [(first, "no"), (second, answer(is_true, "yes"))]
}

/// "what color is the shape?", "what else can you say about it?": its shape.
fn what_else(facts: Facts, pick: Pick) -> Pair {
    let second = pick(&["what else can you say about it?", "and what else is it?"]).to_string();
    let colour = pick(&["what color is the shape?", "what is the color of the shape?"]);
    let shape = pick(&["what shape is in the image?", "what shape is present?"]);
    match pick(&["colour", "shape"]) {
        "colour" => [(colour.to_string(), facts.colour), (second, facts.shape)],
        _ => [(shape.to_string(), facts.shape), (second, facts.colour)],
    }
}

/// "is there no red shape?", "so is it of that color?".
fn reference(facts: Facts, pick: Pick) -> Pair {
    let (words, true_word, noun, _) = aspect(facts, pick);
    let other = pick(&without(words, &[true_word]));
    let asked = pick(&[true_word, other]);
    let polarity = pick(&["yes", "no"]);
    let first = is_there(&format!("{asked}{noun}"), polarity, pick);
    let second = match noun.is_empty() {
        true => pick(&["is it one of those?", "so is it one?"]),
        false => pick(&["is it that color?", "so is it of that color?"]),
    };
    [
        (first, answer(asked == true_word, polarity)),
        (second.to_string(), answer(asked == true_word, "yes")),
    ]
}

/// Colours or shapes: the words, the picture's own, and what follows a word in a full and in a
/// shortened question.
fn aspect(facts: Facts, pick: Pick) -> (&'static [&'static str], &'static str, &'static str, &'static str) {
    match pick(&["colour", "shape"]) {
        "colour" => (&COLOURS, facts.colour, " shape", " one"),
        _ => (&SHAPES, facts.shape, "", ""),
    }
}

/// A question for a thing in the package's wordings; of `polarity` no, whether it is missing.
fn is_there(thing: &str, polarity: &str, pick: Pick) -> String {
    let wordings = match polarity {
        "yes" => ["is there a _?", "does the image contain a _?", "is a _ present?"],
        _ => [
            "is there not a _?",
            "does the image not contain a _?",
            "is no _ present?",
        ],
    };
    pick(&wordings).replace('_', thing)
}

fn answer(is_there: bool, polarity: &str) -> &'static str {
    match is_there == (polarity == "yes") {
        true => "yes",
        false => "no",
    }
}

fn without(words: &[&'static str], left_out: &[&str]) -> Vec<&'static str> {
    words.iter().copied().filter(|word| !left_out.contains(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;
    use std::collections::BTreeMap;

    fn pairs(facts: Facts, count: u64) -> Vec<[Turn; 2]> {
        let key = Key::new(5).with(facts.colour).with(facts.shape);
        let drawn = (0..count).map(|index| draw(facts, &mut key.at(index).generator()));
        drawn.flatten().collect()
    }

    fn named<'a>(question: &str, words: &[&'a str]) -> Option<&'a str> {
        let mut asked = question.trim_end_matches('?').split(' ');
        asked.find_map(|word| words.iter().find(|known| **known == word).copied())
    }

    /// Answers a question from the picture by its words alone.
    fn plain(facts: Facts, question: &str) -> String {
        let is = |words: &[&str], word| named(question, words).is_none_or(|asked| asked == word);
        let denies = question.contains(" no ") || question.contains(" not ");
        match question {
            _ if question.starts_with("what") && question.contains("color") => facts.colour.to_string(),
            _ if question.starts_with("what") => facts.shape.to_string(),
            _ => match (is(&COLOURS, facts.colour) && is(&SHAPES, facts.shape)) != denies {
                true => "yes".to_string(),
                false => "no".to_string(),
            },
        }
    }

    /// Spells out what a second turn means, and answers that.
    fn with_history(facts: Facts, first: &str, second: &str) -> String {
        let meant = if second.contains("else") {
            let wanted = if first.contains("color") { "shape" } else { "color" };
            format!("what {wanted} is it?")
        } else if second.contains("is it") {
            first.replace(" not ", " ").replace(" no ", " a ")
        } else {
            let (old, new) = match (named(second, &COLOURS), named(second, &SHAPES)) {
                (Some(colour), _) => (named(first, &COLOURS), colour),
                (None, Some(shape)) => (named(first, &SHAPES), shape),
                (None, None) => panic!("{second}"),
            };
            first.replace(old.unwrap(), new)
        };
        plain(facts, &meant)
    }

    #[test]
    fn the_turn_before_decides_the_answer() {
        for (colour, shape) in [("red", "circle"), ("gray", "triangle"), ("teal", "rectangle")] {
            let facts = Facts { colour, shape };
            for [first, second] in pairs(facts, 500) {
                assert_eq!(plain(facts, &first.question), first.answer, "{first:?}");
                let expected = with_history(facts, &first.question, &second.question);
                assert_eq!(second.answer, expected, "{facts:?} {first:?} {second:?}");
                assert!(second.follow_up && !first.follow_up);
            }
        }
    }

    /// The part of second turns that the best answer to each question, as a table learns it from the
    /// picture's facts and from what `known` tells of the turn before, gets right.
    fn best_guess(colours: &[&'static str], count: u64, known: fn(Facts, &Turn) -> String) -> f64 {
        let mut counts: BTreeMap<(String, String), BTreeMap<String, usize>> = BTreeMap::new();
        let all = colours
            .iter()
            .flat_map(|colour| SHAPES.map(|shape| Facts { colour, shape }));
        for facts in all {
            for [first, second] in pairs(facts, count) {
                let answers = counts.entry((known(facts, &first), second.question)).or_default();
                *answers.entry(second.answer).or_default() += 1;
            }
        }
        let all: usize = counts.values().flat_map(BTreeMap::values).sum();
        let right: usize = counts.values().map(|answers| answers.values().max().unwrap()).sum();
        right as f64 / all as f64
    }

    #[test]
    fn without_the_history_nothing_is_better_than_a_guess() {
        let best_guess = |known| best_guess(&["red", "gray"], 4000, known);
        let blind = best_guess(|facts, _| format!("{facts:?}"));
        assert!((0.5..0.54).contains(&blind), "{blind}");
        // The answer of the turn before is not enough either; its question is what is needed.
        let answer = best_guess(|facts, first| format!("{facts:?} {}", first.answer));
        assert!(answer < 0.8, "{answer}");
        let both = best_guess(|facts, first| format!("{facts:?} {}", first.question));
        assert_eq!(both, 1.0);
    }

    #[test]
    fn without_the_picture_the_history_is_not_enough() {
        let blind = best_guess(&COLOURS, 1000, |_, first| format!("{first:?}"));
        assert!(blind < 0.75, "{blind}");
    }
}
