//! The confusion matrix and what it says about each label.

use super::data::Confusion;
use crate::page::format;
use serde::Serialize;

/// More labels than this leave no room for counts: the rarest are then taken together.
const LABELS: usize = 60;

/// Characters of a label beside the matrix; its full text is in the tooltips.
const LABEL_CHARACTERS: usize = 18;

/// The matrix laid out in pixels, and the table of labels.
#[derive(Debug, Clone, Serialize)]
pub struct ConfusionView {
    pub cell: usize,
    /// Space to the left of and above the cells.
    pub left: usize,
    pub top: usize,
    pub width: usize,
    pub height: usize,
    pub font: usize,
    /// Column labels stand upright because they are wider than a cell.
    pub upright: bool,
    pub labels: Vec<Name>,
    /// Cells with a count above zero.
    pub cells: Vec<Cell>,
    pub scores: Vec<Score>,
    /// How many labels are taken together in the last row and column.
    pub merged: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Name {
    pub full: String,
    pub short: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    pub row: usize,
    pub column: usize,
    pub right: bool,
    /// The ink's opacity.
    pub heat: String,
    /// The ink is so strong that text on it needs the background's colour.
    pub strong: bool,
    pub count: String,
    pub title: String,
}

/// One label's precision, recall and F1 as text, with F1 also as a share for its bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    pub label: String,
    pub rows: String,
    pub precision: String,
    pub recall: String,
    pub f1: String,
    pub bar: String,
}

/// `None` where there is nothing to show.
pub fn view(confusion: &Confusion) -> Option<ConfusionView> {
    if confusion.labels.is_empty() || total(confusion) == 0 {
        return None;
    }
    let (shown, merged) = merge(confusion);
    let size = shown.labels.len();
    let (cell, font) = match size {
        ..=4 => (64, 15),
        5..=8 => (52, 14),
        9..=14 => (40, 13),
        15..=26 => (30, 11),
        _ => (21, 8),
    };
    let labels: Vec<Name> = shown.labels.iter().map(|label| name(label)).collect();
    // About 0.58 of the label font's 12 pixels is the width of a character.
    let longest = labels.iter().map(|name| name.short.chars().count()).max().unwrap_or(0) * 7 + 12;
    let upright = longest > cell;
    let (left, top) = (longest + 18, if upright { longest + 18 } else { 42 });
    Some(ConfusionView {
        cell,
        left,
        top,
        width: left + cell * size + 1,
        height: top + cell * size + 1,
        font,
        upright,
        labels,
        cells: cells(&shown),
        scores: scores(confusion),
        merged,
    })
}

fn name(label: &str) -> Name {
    Name {
        full: label.into(),
        short: format::shorten(label, LABEL_CHARACTERS),
    }
}

fn count(confusion: &Confusion, row: usize, column: usize) -> u64 {
    confusion
        .counts
        .get(row)
        .and_then(|counts| counts.get(column))
        .copied()
        .unwrap_or(0)
}

fn row_total(confusion: &Confusion, row: usize) -> u64 {
    (0..confusion.labels.len())
        .map(|column| count(confusion, row, column))
        .sum()
}

fn column_total(confusion: &Confusion, column: usize) -> u64 {
    (0..confusion.labels.len())
        .map(|row| count(confusion, row, column))
        .sum()
}

fn total(confusion: &Confusion) -> u64 {
    (0..confusion.labels.len()).map(|row| row_total(confusion, row)).sum()
}

/// Takes the labels with the fewest rows together where there are too many to draw.
fn merge(confusion: &Confusion) -> (Confusion, usize) {
    let size = confusion.labels.len();
    if size <= LABELS {
        return (confusion.clone(), 0);
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by_key(|label| std::cmp::Reverse(row_total(confusion, *label)));
    let (kept, rest) = order.split_at_mut(LABELS - 1);
    kept.sort_unstable();
    let mut place = vec![LABELS - 1; size];
    for (index, label) in kept.iter().enumerate() {
        place[*label] = index;
    }
    let mut counts = vec![vec![0; LABELS]; LABELS];
    for row in 0..size {
        for column in 0..size {
            counts[place[row]][place[column]] += count(confusion, row, column);
        }
    }
    let mut labels: Vec<String> = kept.iter().map(|label| confusion.labels[*label].clone()).collect();
    labels.push(format!("{} others", rest.len()));
    (Confusion { labels, counts }, rest.len())
}

fn cells(confusion: &Confusion) -> Vec<Cell> {
    let size = confusion.labels.len();
    let places = (0..size).flat_map(|row| (0..size).map(move |column| (row, column)));
    let filled = places.filter(|(row, column)| count(confusion, *row, *column) > 0);
    filled.map(|(row, column)| cell(confusion, row, column)).collect()
}

fn cell(confusion: &Confusion, row: usize, column: usize) -> Cell {
    let (number, rows) = (count(confusion, row, column), row_total(confusion, row));
    let share = number as f64 / rows as f64;
    // The root lifts rare confusions, which are what the reader looks for, above the paper.
    let heat = 0.04 + 0.88 * share.sqrt();
    let [expected, predicted] = [row, column].map(|label| confusion.labels[label].as_str());
    let title = format!(
        "{expected} taken for {predicted}: {} of {} rows ({})",
        format::count(number),
        format::count(rows),
        format::percent(share)
    );
    Cell {
        row,
        column,
        right: row == column,
        heat: format!("{heat:.2}"),
        strong: heat > 0.6,
        count: format::short_count(number),
        title,
    }
}

/// The labels with the lowest F1 first; labels that never occur come last.
fn scores(confusion: &Confusion) -> Vec<Score> {
    let mut scores: Vec<(f64, Score)> = (0..confusion.labels.len())
        .map(|label| score(confusion, label))
        .collect();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    scores.into_iter().map(|(_, score)| score).collect()
}

/// F1, not a number for a label that never occurs, with the texts.
fn score(confusion: &Confusion, label: usize) -> (f64, Score) {
    let (expected, predicted) = (row_total(confusion, label), column_total(confusion, label));
    let right = count(confusion, label, label) as f64;
    // The harmonic mean of precision and recall, defined also where one of them is not.
    let f1 = 2.0 * right / (expected + predicted) as f64;
    let score = Score {
        label: confusion.labels[label].clone(),
        rows: format::count(expected),
        precision: format::percent(right / predicted as f64),
        recall: format::percent(right / expected as f64),
        f1: format::percent(f1),
        bar: format!("{:.1}", if f1.is_finite() { f1 * 100.0 } else { 0.0 }),
    };
    (f1.abs(), score)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion(counts: &[&[u64]]) -> Confusion {
        Confusion {
            labels: (0..counts.len()).map(|index| format!("label {index}")).collect(),
            counts: counts.iter().map(|row| row.to_vec()).collect(),
        }
    }

    fn check(counts: &[&[u64]], expected: &[[&str; 5]]) {
        let view = view(&confusion(counts)).unwrap();
        let found: Vec<[&str; 5]> = view
            .scores
            .iter()
            .map(|one| [&one.label, &one.rows, &one.precision, &one.recall, &one.f1])
            .map(|texts| texts.map(String::as_str))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn scores_follow_from_the_counts_worst_first() {
        check(
            &[&[8, 2, 0], &[1, 4, 0], &[0, 0, 0]],
            &[
                ["label 1", "5", "66.7%", "80.0%", "72.7%"],
                ["label 0", "10", "88.9%", "80.0%", "84.2%"],
                ["label 2", "0", "–", "–", "–"],
            ],
        );
    }

    #[test]
    fn a_label_never_predicted_scores_zero() {
        check(
            &[&[3, 0], &[2, 0]],
            &[
                ["label 1", "2", "–", "0.0%", "0.0%"],
                ["label 0", "3", "60.0%", "100.0%", "75.0%"],
            ],
        );
    }

    #[test]
    fn cells_are_shares_of_their_row() {
        let view = view(&confusion(&[&[3, 1], &[0, 2000]])).unwrap();
        assert_eq!(view.cells.len(), 3);
        assert_eq!(view.cells[1].title, "label 0 taken for label 1: 1 of 4 rows (25.0%)");
        assert_eq!((view.cells[1].heat.as_str(), view.cells[1].right), ("0.48", false));
        assert_eq!(
            (view.cells[2].heat.as_str(), view.cells[2].count.as_str()),
            ("0.92", "2.0k")
        );
    }

    #[test]
    fn nothing_to_show_and_ragged_counts() {
        assert!(view(&Confusion::default()).is_none());
        assert!(view(&confusion(&[&[0, 0], &[0, 0]])).is_none());
        assert_eq!(view(&confusion(&[&[1], &[]])).unwrap().cells.len(), 1);
    }

    #[test]
    fn every_size_fits_and_rare_labels_are_taken_together() {
        for size in [1, 2, 13, 60, 200] {
            let row = |label: usize| (0..size).map(|at| u64::from(at == label) * 5).collect();
            let counts: Vec<Vec<u64>> = (0..size).map(row).collect();
            let labels = (0..size).map(|index| format!("label {index}")).collect();
            let view = view(&Confusion { labels, counts }).unwrap();
            assert_eq!(view.labels.len(), size.min(LABELS));
            assert!(view.width < 1500, "{}", view.width);
            assert_eq!(view.scores.len(), size);
            assert_eq!(view.merged, if size > LABELS { size - LABELS + 1 } else { 0 });
        }
    }
}
