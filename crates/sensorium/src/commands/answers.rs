//! Answers as people read them: a line a value, and a table where there are several outputs.

use sensorium_model::Answers;
use sensorium_model::tasks::{Answer, Prediction};
use std::fmt::Write;

/// Cells of the bar of a certain alternative.
const BAR: f64 = 30.0;

/// The answers to one sample, in lines that each end in a newline; `top` is the most alternatives to list.
pub fn sample(answers: &Answers, top: usize) -> String {
    match answers.iter().next() {
        Some((output, answer)) if answers.len() == 1 => {
            let confidence = confidence(answer).map_or_else(String::new, |confidence| format!(" ({confidence})"));
            format!("{output}: {}{confidence}\n{}", value(answer), alternatives(answer, top))
        }
        _ => table(answers),
    }
}

/// The answers to one row of a file: a line for a single output, a table otherwise.
pub fn row(number: usize, answers: &Answers) -> String {
    match answers.len() {
        1 => format!("row {number}: {}", sample(answers, 0)),
        _ => format!("row {number}\n{}", table(answers)),
    }
}

/// What was answered, on one line: labels and ranks with their probabilities.
pub fn value(answer: &Prediction) -> String {
    let share = |value: &String| {
        let found = answer.top.iter().find(|one| one.value == *value);
        found.map_or_else(|| value.clone(), |one| format!("{value} {}", percent(one.probability)))
    };
    match &answer.value {
        Answer::List(values) if values.is_empty() => "(none)".into(),
        Answer::List(values) if is_ranking(values, answer) => {
            format!("{} first of {}", share(&values[0]), values.len())
        }
        Answer::List(values) => values.iter().map(share).collect::<Vec<_>>().join(", "),
        Answer::Text(text) if text.trim().is_empty() => "(empty)".into(),
        Answer::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        number => number.to_string(),
    }
}

/// Whether the values are all there are in the order of their probabilities, of which the first is the answer.
fn is_ranking(values: &[String], answer: &Prediction) -> bool {
    values.len() > 1 && values.iter().eq(answer.top.iter().map(|one| &one.value))
}

/// How sure the model is; of a text of several tokens the geometric mean, since that of the whole shrinks with its length.
/// A list has its shares beside its values.
pub fn confidence(answer: &Prediction) -> Option<String> {
    if matches!(answer.value, Answer::List(_)) {
        return None;
    }
    if let [_, _, ..] = answer.tokens.as_slice() {
        let sum: f64 = answer.tokens.iter().map(|token| token.probability.ln()).sum();
        let mean = (sum / answer.tokens.len() as f64).exp();
        return Some(format!("{} a token", percent(mean)));
    }
    answer.probability.map(percent)
}

/// Never a rounded 0% or 100%.
fn percent(probability: f64) -> String {
    match 100.0 * probability {
        sure if sure >= 99.95 => ">99.9%".into(),
        unlikely if unlikely < 0.05 => "<0.1%".into(),
        share => format!("{share:.1}%"),
    }
}

/// The likeliest values as bars; a list shows the shares of its own values already, and what it left out follows here.
fn alternatives(answer: &Prediction, top: usize) -> String {
    let chosen: &[String] = match &answer.value {
        Answer::List(values) if !is_ranking(values, answer) => values,
        _ => &[],
    };
    let others = answer.top.iter().filter(|one| !chosen.contains(&one.value)).take(top);
    let others: Vec<_> = others.collect();
    let width = others
        .iter()
        .map(|one| one.value.chars().count())
        .max()
        .unwrap_or(0)
        .max(16);
    let mut lines = String::new();
    for one in others {
        let bar = "█".repeat((one.probability * BAR).round() as usize);
        let line = format!("  {:<width$} {:>7}  {bar}", one.value, percent(one.probability));
        lines += line.trim_end();
        lines.push('\n');
    }
    lines
}

/// Output, value and confidence in columns.
fn table(answers: &Answers) -> String {
    let rows = answers.iter().map(|(output, answer)| {
        let confidence = confidence(answer).unwrap_or_default();
        [output.clone(), value(answer), confidence]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    // A long text does not push the last column of the others aside.
    const WIDEST: usize = 60;
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.filter(|&width| width <= WIDEST).max().unwrap_or(0)
    };
    let (first, second) = (width(0), width(1));
    rows.iter()
        .fold(String::new(), |mut text, [output, value, confidence]| {
            let line = format!("{output:<first$}  {value:<second$}  {confidence}");
            writeln!(text, "{}", line.trim_end()).expect("a string takes all that is written");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_model::tasks::{Alternative, Part};

    fn alternatives(all: &[(&str, f64)]) -> Vec<Alternative> {
        let one = |&(value, probability): &(&str, f64)| Alternative {
            value: value.into(),
            probability,
        };
        all.iter().map(one).collect()
    }

    fn text(parts: &[(&str, f64)]) -> Prediction {
        let words: Vec<&str> = parts.iter().map(|(text, _)| *text).collect();
        let part = |&(text, probability): &(&str, f64)| Part {
            text: text.into(),
            probability,
            frames: None,
        };
        Prediction {
            tokens: parts.iter().map(part).collect(),
            ..Prediction::new(Answer::Text(words.join(" ")), Some(0.01))
        }
    }

    fn label() -> Prediction {
        Prediction {
            top: alternatives(&[("circle", 0.9), ("square", 0.1)]),
            ..Prediction::new(Answer::Text("circle".into()), Some(0.9))
        }
    }

    fn tags(values: &[&str]) -> Prediction {
        let values = values.iter().map(|value| value.to_string()).collect();
        Prediction {
            top: alternatives(&[("red", 0.98), ("round", 0.75), ("big", 0.2)]),
            ..Prediction::new(Answer::List(values), None)
        }
    }

    fn check(answers: &[(&str, Prediction)], expected: &str) {
        let answers = answers.iter().map(|(name, answer)| (name.to_string(), answer.clone()));
        assert_eq!(sample(&answers.collect(), 2), expected);
    }

    #[test]
    fn one_output_is_a_line_with_its_alternatives() {
        let circle = "  circle             90.0%  ███████████████████████████\n";
        let square = "  square             10.0%  ███\n";
        check(
            &[("answer", label())],
            &format!("answer: circle (90.0%)\n{circle}{square}"),
        );
        let big = "  big                20.0%  ██████\n";
        check(
            &[("tags", tags(&["red", "round"]))],
            &format!("tags: red 98.0%, round 75.0%\n{big}"),
        );
        check(
            &[("caption", text(&[("a", 0.5), ("cat", 0.5)]))],
            "caption: a cat (50.0% a token)\n",
        );
        check(&[("age", Prediction::new(Answer::Number(3.25), None))], "age: 3.2500\n");
        check(
            &[("said", Prediction::new(Answer::Text(" ".into()), None))],
            "said: (empty)\n",
        );
    }

    #[test]
    fn several_outputs_are_a_table() {
        check(
            &[
                ("answer", label()),
                ("caption", text(&[("a", 0.5), ("cat", 0.5)])),
                ("tags", tags(&[])),
            ],
            "answer   circle  90.0%\ncaption  a cat   50.0% a token\ntags     (none)\n",
        );
    }

    #[test]
    fn nothing_is_rounded_to_certainty() {
        for (probability, expected) in [(1.0, ">99.9%"), (0.9994, "99.9%"), (0.0006, "0.1%"), (0.0, "<0.1%")] {
            assert_eq!(percent(probability), expected);
        }
    }

    #[test]
    fn a_row_of_a_file_is_one_line() {
        let answers = [("answer".to_string(), label())];
        assert_eq!(row(7, &answers.into()), "row 7: answer: circle (90.0%)\n");
    }
}
