//! The nearest word to one that was mistyped.

/// The candidate closest to `word`, if it is close enough to be what was meant: at most a third of
/// the longer word's characters differ. Case does not count; the first of equals wins.
pub(super) fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let letters: Vec<char> = candidate.to_lowercase().chars().collect();
        let edits = distance(&word, &letters);
        let close_enough = edits * 3 <= word.len().max(letters.len());
        if close_enough && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Damerau–Levenshtein distance, restricted: insertions, deletions, substitutions and swaps of
/// neighbours each cost one, and no stretch is edited twice (optimal string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before_last[j - 2] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Option<&str>) {
        let candidates = ["learning_rate", "kind", "seed", "width", "cosine"];
        assert_eq!(nearest(word, candidates), expected, "{word}");
    }

    #[test]
    fn suggests_only_what_is_near() {
        check("learning_rat", Some("learning_rate"));
        check("learning-rate", Some("learning_rate"));
        check("laerning_rate", Some("learning_rate"));
        check("lr", None);
        check("knd", Some("kind"));
        check("Cosine", Some("cosine"));
        check("wdith", Some("width"));
        check("height", None);
        check("", None);
    }

    #[test]
    fn counts_a_swap_as_one_edit() {
        let count = |a: &str, b: &str| {
            let letters = |word: &str| word.chars().collect::<Vec<_>>();
            distance(&letters(a), &letters(b))
        };
        assert_eq!(count("abcd", "abdc"), 1);
        assert_eq!(count("kitten", "sitting"), 3);
        assert_eq!(count("", "abc"), 3);
        assert_eq!(count("ca", "abc"), 3);
    }
}
