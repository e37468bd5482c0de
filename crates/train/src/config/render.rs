//! Errors in a configuration, drawn the way rustc draws its own.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

/// How many problems one error shows; the rest are counted.
const SHOWN: usize = 10;

/// Comes before the text of an override, as it would be typed.
const FLAG: &str = "--set ";

/// Everything that is wrong with a configuration, in the order of the file, overrides last.
///
/// `Display` draws each problem (at most ten) without colour: `error: …`, file, line and column,
/// the line with a caret under the offending key or value, what was expected and found, and the
/// accepted words. It ends without a newline.
#[derive(Clone, Debug)]
pub struct ConfigError {
    name: String,
    text: String,
    overrides: Vec<String>,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    pub title: String,
    /// Stands at the caret.
    pub label: String,
    /// Stand below the lines of text.
    pub notes: Vec<String>,
    pub place: Place,
}

/// What the caret points at, as bytes of the text it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    File(Range<usize>),
    /// In the override of this number.
    Override(usize, Range<usize>),
    /// The file as a whole.
    Whole,
}

impl Problem {
    /// With one more line below the text.
    pub(super) fn note(mut self, text: String) -> Self {
        self.notes.push(text);
        self
    }
}

impl Place {
    /// Sorts problems as a reader meets them.
    fn order(&self) -> (usize, usize) {
        match self {
            Place::Whole => (0, 0),
            Place::File(range) => (1, range.start),
            Place::Override(number, range) => (2 + number, range.start),
        }
    }
}

impl ConfigError {
    /// Gathers `problems` of the file `name` that holds `text`, and of `overrides`; there must be
    /// one.
    pub(super) fn new(name: &str, text: &str, overrides: &[String], mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place.order());
        problems.dedup();
        ConfigError {
            name: name.to_owned(),
            text: text.to_owned(),
            overrides: overrides.to_vec(),
            problems,
        }
    }

    /// The error as `Display` writes it, with terminal colours.
    pub fn styled(&self) -> String {
        self.draw(&Renderer::styled())
    }

    fn draw(&self, renderer: &Renderer) -> String {
        let shown = self.problems.iter().take(SHOWN);
        let mut drawn: Vec<String> = shown.map(|problem| renderer.render(&[self.group(problem)])).collect();
        if self.problems.len() > SHOWN {
            let hidden = self.problems.len() - SHOWN;
            let noun = if hidden == 1 { "problem" } else { "problems" };
            drawn.push(format!("… and {hidden} more {noun}"));
        }
        drawn.join("\n\n")
    }

    fn group<'p>(&'p self, problem: &'p Problem) -> Group<'p> {
        let group = Group::with_title(Level::ERROR.primary_title(&problem.title));
        let group = match &problem.place {
            Place::File(range) => group.element(snippet(&self.name, self.text.clone(), range.clone(), &problem.label)),
            Place::Override(number, range) => group.element(snippet(
                "command line",
                format!("{FLAG}{}", self.overrides[*number]),
                range.start + FLAG.len()..range.end + FLAG.len(),
                &problem.label,
            )),
            Place::Whole => group.element(Origin::path(&self.name)).elements(note(&problem.label)),
        };
        group.elements(problem.notes.iter().flat_map(|text| note(text)))
    }
}

fn snippet<'p>(name: &'p str, text: String, range: Range<usize>, label: &'p str) -> Element<'p> {
    // A place of no width is the end of something; the caret then stands on its own.
    let annotation = AnnotationKind::Primary.span(range).label(label);
    Snippet::source(text).path(name).annotation(annotation).into()
}

fn note(text: &str) -> Option<Element<'_>> {
    (!text.is_empty()).then(|| Level::NOTE.message(text).into())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.draw(&Renderer::plain()))
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(place: Place) -> Problem {
        Problem {
            title: "wrong".to_owned(),
            label: "here".to_owned(),
            notes: vec!["more".to_owned()],
            place,
        }
    }

    #[test]
    fn draws_the_file_the_line_and_the_caret() {
        let problems = vec![problem(Place::File(4..5)), problem(Place::Whole)];
        let error = ConfigError::new("a.toml", "é\n\tx = 1\n", &[], problems);
        let expected = "error: wrong
--> a.toml
 = note: here
 = note: more

error: wrong
 --> a.toml:2:2
  |
2 |     x = 1
  |     ^ here
  |
  = note: more";
        assert_eq!(error.to_string(), expected);
        assert!(error.styled().contains("\u{1b}["));
    }

    #[test]
    fn sorts_drops_repetitions_and_counts_the_rest() {
        let text = "abcdefghijklmnop";
        let mut problems: Vec<_> = (0..13).rev().map(|at| problem(Place::File(at..at + 1))).collect();
        problems.push(problem(Place::Override(0, 0..1)));
        problems.push(problems[0].clone());
        let drawn = ConfigError::new("a.toml", text, &["x=1".to_owned()], problems).to_string();
        assert!(drawn.starts_with("error: wrong\n --> a.toml:1:1\n"));
        assert!(drawn.ends_with("… and 4 more problems"), "{drawn}");
        assert_eq!(drawn.matches("error: wrong").count(), 10);
    }
}
