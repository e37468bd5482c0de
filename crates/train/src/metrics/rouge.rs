//! ROUGE-L (Lin 2004): the longest common subsequence of a text and its references, as pycocoevalcap measures it.

use super::words::words;

/// How much more recall weighs than precision.
const BETA: f64 = 1.2;

/// ROUGE-L of one row in 0..=1: the F-measure of the best precision and the best recall over the references. Texts are cut
/// at white space; captions are first written as [`caption_words`](super::caption_words) has them. An empty text is one
/// empty word, as in the reference program. Zero without references; a set's score is the mean over its rows.
pub fn rouge_l(hypothesis: &str, references: &[impl AsRef<str>]) -> f64 {
    let hypothesis = cut(hypothesis);
    let (mut precision, mut recall) = (0.0_f64, 0.0_f64);
    for reference in references {
        let reference = cut(reference.as_ref());
        let common = longest_common_subsequence(&hypothesis, &reference) as f64;
        precision = precision.max(common / hypothesis.len() as f64);
        recall = recall.max(common / reference.len() as f64);
    }
    match precision > 0.0 {
        true => (1.0 + BETA.powi(2)) * precision * recall / (recall + BETA.powi(2) * precision),
        false => 0.0,
    }
}

fn cut(text: &str) -> Vec<&str> {
    let cut: Vec<&str> = words(text).collect();
    match cut.is_empty() {
        true => vec![""],
        false => cut,
    }
}

/// The length of the longest sequence that both hold in this order, kept for one row of the table at a time.
fn longest_common_subsequence(left: &[&str], right: &[&str]) -> usize {
    let mut row = vec![0; right.len() + 1];
    for word in left {
        let mut diagonal = 0;
        for (place, other) in right.iter().enumerate() {
            let above = row[place + 1];
            row[place + 1] = match word == other {
                true => diagonal + 1,
                false => above.max(row[place]),
            };
            diagonal = above;
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, hostile, number, text, texts};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_those_of_pycocoevalcap() {
        for row in golden("captions")["rows"].as_array().unwrap() {
            let found = rouge_l(text(&row["hypothesis_words"]), &texts(&row["reference_words"]));
            close(found, number(&row["rouge_l"]));
        }
        assert_eq!(rouge_l("a", &Vec::<String>::new()), 0.0);
    }

    proptest! {
        #[test]
        fn a_score_is_a_share_and_equal_texts_score_one(hypothesis in hostile(), references in prop::collection::vec(hostile(), 0..4)) {
            let score = rouge_l(&hypothesis, &references);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&score));
            prop_assert!((rouge_l(&hypothesis, &[&hypothesis]) - 1.0).abs() < 1e-12);
            let turned: Vec<&String> = references.iter().rev().collect();
            prop_assert_eq!(score, rouge_l(&hypothesis, &turned));
        }
    }
}
