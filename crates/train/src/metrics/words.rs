//! Words and runs of words, as the reference programs of text measures cut them.

use std::collections::BTreeMap;

/// Python's white space: Unicode's, and the four ASCII separators.
pub(super) fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// The words of a text, parted by white space.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// How often each run of `length` words occurs in `words`, a text with single spaces between its words. A run is named by
/// its text; maps are ordered so that sums over them have the same bits every time.
pub(super) fn counted_runs(words: &str, length: usize) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    let starts: Vec<usize> = starts(words).collect();
    for (place, &start) in starts.iter().enumerate() {
        let end = match starts.get(place + length) {
            Some(next) => next - 1,
            None if place + length == starts.len() => words.len(),
            None => break,
        };
        *counts.entry(&words[start..end]).or_default() += 1;
    }
    counts
}

/// Where the words of a text with single spaces begin.
fn starts(words: &str) -> impl Iterator<Item = usize> {
    let first = (!words.is_empty()).then_some(0);
    first.into_iter().chain(words.match_indices(' ').map(|(at, _)| at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, length: usize, expected: &[(&str, u64)]) {
        let counts = counted_runs(text, length);
        assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn runs_are_counted() {
        check("", 1, &[]);
        check("a", 1, &[("a", 1)]);
        check("a", 2, &[]);
        check("a b a b", 2, &[("a b", 2), ("b a", 1)]);
        check("é ж é", 3, &[("é ж é", 1)]);
        check("a b", 4, &[]);
    }

    #[test]
    fn white_space_is_pythons() {
        let text = " a\u{1c}b\u{a0}c\t\u{3000}d\u{200b} ";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d\u{200b}"]);
    }
}
