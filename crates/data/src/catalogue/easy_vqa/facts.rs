//! What the package's questions tell about the shape in a picture.

/// The colours of the package, as it spells them.
pub(super) const COLOURS: [&str; 8] = ["black", "blue", "brown", "gray", "green", "red", "teal", "yellow"];
pub(super) const SHAPES: [&str; 3] = ["circle", "rectangle", "triangle"];

/// The one shape of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Facts {
    pub colour: &'static str,
    pub shape: &'static str,
}

impl Facts {
    /// What questions and their answers leave as the only possibility; absent where they leave more.
    pub fn known<'a>(turns: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let (mut colours, mut shapes) = (COLOURS.to_vec(), SHAPES.to_vec());
        for (question, answer) in turns {
            narrow(&mut colours, question, answer);
            narrow(&mut shapes, question, answer);
        }
        match (&colours[..], &shapes[..]) {
            ([colour], [shape]) => Some(Self { colour, shape }),
            _ => None,
        }
    }
}

/// Keeps the words of `left` that agree with an answer.
fn narrow(left: &mut Vec<&'static str>, question: &str, answer: &str) {
    let words: Vec<&str> = question.trim_end_matches('?').split(' ').collect();
    let is_named = |word: &&'static str| words.contains(word);
    if left.contains(&answer) {
        left.retain(|word| *word == answer);
    } else if left.iter().any(is_named) {
        // A question that asks for a word names only what is there.
        let denies = words.contains(&"no") || words.contains(&"not");
        let is_there = words.first() == Some(&"what") || (answer == "yes") != denies;
        left.retain(|word| is_named(word) == is_there);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(turns: &[(&str, &str)], expected: Option<(&'static str, &'static str)>) {
        let expected = expected.map(|(colour, shape)| Facts { colour, shape });
        assert_eq!(Facts::known(turns.iter().copied()), expected, "{turns:?}");
    }

    #[test]
    fn facts_follow_from_any_sufficient_questions() {
        let what = ("what color is the shape?", "red");
        check(&[what], None);
        check(&[what, ("what shape is present?", "circle")], Some(("red", "circle")));
        check(&[("what is the teal shape?", "triangle")], Some(("teal", "triangle")));
        check(
            &[("what is the color of the circle?", "blue")],
            Some(("blue", "circle")),
        );
        check(&[what, ("is there no circle?", "no")], Some(("red", "circle")));
        check(&[what, ("is there a circle?", "yes")], Some(("red", "circle")));
        check(&[what, ("is there a circle?", "no")], None);
        let others = [("is a circle present?", "no"), ("is there not a triangle?", "yes")];
        check(&[what, others[0], others[1]], Some(("red", "rectangle")));
        check(&[("is there a red shape?", "no"), others[0], others[1]], None);
    }
}
