//! Word and character error rates of transcripts, counted as jiwer counts them.

use super::words::{is_space, words};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::AddAssign;

/// What turns a reference into a hypothesis with the fewest edits. Sums of rows give a corpus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EditCounts {
    pub hits: u64,
    pub substitutions: u64,
    pub deletions: u64,
    pub insertions: u64,
}

impl EditCounts {
    /// Edits for each element of the references: WER or CER. It exceeds one where much is inserted; without a reference it
    /// is the number of insertions, as jiwer has it.
    pub fn rate(&self) -> f64 {
        let reference = self.hits + self.substitutions + self.deletions;
        (self.substitutions + self.deletions + self.insertions) as f64 / reference.max(1) as f64
    }
}

impl AddAssign<&Self> for EditCounts {
    fn add_assign(&mut self, other: &Self) {
        self.hits += other.hits;
        self.substitutions += other.substitutions;
        self.deletions += other.deletions;
        self.insertions += other.insertions;
    }
}

/// Counts over words, parted by white space. Nothing else is normalised: see [`plain_transcript`](super::plain_transcript).
pub fn word_edits(reference: &str, hypothesis: &str) -> EditCounts {
    edits(words(reference), words(hypothesis))
}

/// Counts over characters (Unicode scalar values), spaces among them but not those at the ends.
pub fn character_edits(reference: &str, hypothesis: &str) -> EditCounts {
    edits(
        reference.trim_matches(is_space).chars(),
        hypothesis.trim_matches(is_space).chars(),
    )
}

/// Counts over any elements. Time grows with the product of the lengths, memory with the reference alone.
///
/// Where several alignments have the fewest edits, the counts are those of the one that rapidfuzz and so jiwer find: equal
/// ends are matched first; then, from the end, a deletion is taken before an insertion, and that before a pair. (For two
/// texts of ten thousand words and more rapidfuzz divides the table, and may part the same number of edits in another way.)
pub fn edits<T: Eq + Hash>(reference: impl Iterator<Item = T>, hypothesis: impl Iterator<Item = T>) -> EditCounts {
    let mut numbers = HashMap::new();
    let mut number = |element| {
        let next = numbers.len() as u32;
        *numbers.entry(element).or_insert(next)
    };
    let reference: Vec<u32> = reference.map(&mut number).collect();
    let hypothesis: Vec<u32> = hypothesis.map(&mut number).collect();
    let (reference, hypothesis, matched) = without_equal_ends(&reference, &hypothesis);
    let Cell { edits, substitutions } = last_cell(reference, hypothesis);
    let (rows, columns) = (hypothesis.len() as u64, reference.len() as u64);
    let unpaired = u64::from(edits - substitutions);
    // Insertions less deletions are what the hypothesis is longer by.
    let deletions = (unpaired + columns - rows) / 2;
    EditCounts {
        hits: matched + columns - u64::from(substitutions) - deletions,
        substitutions: substitutions.into(),
        deletions,
        insertions: unpaired - deletions,
    }
}

/// Both sequences without what they share at their beginnings and ends, and how much that is.
fn without_equal_ends<'a>(left: &'a [u32], right: &'a [u32]) -> (&'a [u32], &'a [u32], u64) {
    let equal = |pair: &(&u32, &u32)| pair.0 == pair.1;
    let first = left.iter().zip(right).take_while(equal).count();
    let (left, right) = (&left[first..], &right[first..]);
    let last = left.iter().rev().zip(right.iter().rev()).take_while(equal).count();
    (
        &left[..left.len() - last],
        &right[..right.len() - last],
        (first + last) as u64,
    )
}

/// The best alignment of two beginnings.
#[derive(Clone, Copy)]
struct Cell {
    edits: u32,
    substitutions: u32,
}

/// The best alignment of the whole sequences (Wagner and Fischer 1974). The alignment that is followed from a cell is fixed by
/// its neighbours, so each cell carries its counts, and one row of the table at a time is enough.
fn last_cell(reference: &[u32], hypothesis: &[u32]) -> Cell {
    let start = |edits: usize| Cell {
        edits: edits as u32,
        substitutions: 0,
    };
    let mut row: Vec<Cell> = (0..=reference.len()).map(start).collect();
    for (above, spoken) in hypothesis.iter().enumerate() {
        let mut diagonal = row[0];
        let mut left = start(above + 1);
        row[0] = left;
        for (cell, written) in row[1..].iter_mut().zip(reference) {
            let next = best(left, *cell, diagonal, spoken != written);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    row[reference.len()]
}

/// A cell from its neighbours: `left` lacks the last element of the reference, `above` that of the hypothesis, `diagonal`
/// both.
fn best(left: Cell, above: Cell, diagonal: Cell, different: bool) -> Cell {
    let paired = diagonal.edits + u32::from(different);
    let edits = paired.min(left.edits + 1).min(above.edits + 1);
    let substitutions = if edits == left.edits + 1 {
        left.substitutions
    } else if above.edits < diagonal.edits {
        above.substitutions
    } else {
        diagonal.substitutions + u32::from(different)
    };
    Cell { edits, substitutions }
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, counts, golden, hostile, number, text};
    use super::*;
    use proptest::prelude::*;

    fn check(found: EditCounts, expected: &[usize]) {
        let EditCounts {
            hits,
            substitutions,
            deletions,
            insertions,
        } = found;
        let found = [hits, substitutions, deletions, insertions].map(|count| count as usize);
        assert_eq!(found, expected);
    }

    #[test]
    fn counts_are_jiwers() {
        let file = golden("transcripts");
        let (mut words, mut characters) = (EditCounts::default(), EditCounts::default());
        for row in file["rows"].as_array().unwrap() {
            let (reference, hypothesis) = (text(&row["reference"]), text(&row["hypothesis"]));
            let (by_word, by_character) = (
                word_edits(reference, hypothesis),
                character_edits(reference, hypothesis),
            );
            check(by_word, &counts(&row["words"]));
            check(by_character, &counts(&row["characters"]));
            close(by_word.rate(), number(&row["wer"]));
            close(by_character.rate(), number(&row["cer"]));
            words += &by_word;
            characters += &by_character;
        }
        close(words.rate(), number(&file["wer"]));
        close(characters.rate(), number(&file["cer"]));
    }

    /// The ends differ, so that the whole table has to be walked.
    #[test]
    fn ten_thousand_words_are_compared() {
        let text = |end: usize| {
            let middle = (0..10_000).map(|place| place * place % 1013);
            [end].into_iter().chain(middle).chain([end])
        };
        check(edits(text(2000), text(3000)), &[10_000, 2, 0, 0]);
        check(edits(text(2000), text(3000).chain([7; 5])), &[10_000, 2, 0, 5]);
    }

    proptest! {
        #[test]
        fn counts_add_up(reference in hostile(), hypothesis in hostile()) {
            let same = word_edits(&reference, &reference);
            prop_assert_eq!(same, EditCounts { hits: words(&reference).count() as u64, ..EditCounts::default() });
            for (there, back) in [
                (word_edits(&reference, &hypothesis), word_edits(&hypothesis, &reference)),
                (character_edits(&reference, &hypothesis), character_edits(&hypothesis, &reference)),
            ] {
                let edits = |found: EditCounts| found.substitutions + found.deletions + found.insertions;
                prop_assert_eq!(edits(there), edits(back));
                let elements = there.hits + there.substitutions + there.deletions;
                prop_assert!(edits(there) <= elements.max(there.hits + there.substitutions + there.insertions));
                prop_assert!(there.rate() >= 0.0);
            }
        }
    }
}
