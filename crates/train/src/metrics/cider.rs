//! CIDEr and CIDEr-D (Vedantam, Zitnick and Parikh 2015): how well a caption agrees with what people wrote of a picture.

use super::words::{counted_runs, words};
use std::collections::{BTreeSet, HashMap};

/// The longest run of words that is compared.
const ORDERS: usize = 4;

/// The width of CIDEr-D's penalty for a different length.
const SIGMA: f64 = 6.0;

/// The weights of runs of words, learnt from the references of the set that is measured. Texts are cut at white space;
/// captions are first written as [`caption_words`](super::caption_words) has them.
///
/// The score of a set is the mean over its rows, and a resample is the mean over the drawn rows: the weights stay those
/// of the whole set.
pub struct Cider {
    /// In how many rows' references each run occurs.
    frequencies: HashMap<String, u64>,
    rows: u64,
}

/// One text as vectors of weighted runs, one for each length of run.
struct Vectors<'a> {
    /// Each run with its weight, ordered by the run.
    weights: [Vec<(&'a str, f64)>; ORDERS],
    norms: [f64; ORDERS],
    /// The number of runs of two words, which the reference program takes for the length.
    length: f64,
}

impl Cider {
    /// Learns the weights from the references of each row.
    pub fn new<'a, T: AsRef<str> + 'a>(rows: impl IntoIterator<Item = &'a [T]>) -> Self {
        let mut frequencies = HashMap::new();
        let mut count = 0;
        for references in rows {
            count += 1;
            for run in runs(references) {
                *frequencies.entry(run).or_default() += 1;
            }
        }
        Self {
            frequencies,
            rows: count,
        }
    }

    /// CIDEr of one row in 0..=10, as the paper defines it: ten times the mean cosine between the vectors of the caption
    /// and of each reference. Zero without references.
    pub fn cider(&self, hypothesis: &str, references: &[impl AsRef<str>]) -> f64 {
        self.mean(hypothesis, references, |hypothesis, reference| {
            hypothesis.cosines(reference, |weight, _| weight)
        })
    }

    /// CIDEr-D of one row in 0..=10, which pycocoevalcap and the COCO server call CIDEr: weights are clipped to the
    /// reference's, so that a repeated word gains nothing, and a different length is punished.
    pub fn cider_d(&self, hypothesis: &str, references: &[impl AsRef<str>]) -> f64 {
        self.mean(hypothesis, references, |hypothesis, reference| {
            let penalty = (hypothesis.length - reference.length).powi(2) / (2.0 * SIGMA.powi(2));
            hypothesis.cosines(reference, f64::min) * (-penalty).exp()
        })
    }

    fn mean(
        &self,
        hypothesis: &str,
        references: &[impl AsRef<str>],
        similarity: impl Fn(&Vectors, &Vectors) -> f64,
    ) -> f64 {
        let hypothesis = joined(hypothesis);
        let hypothesis = self.vectors(&hypothesis);
        let one = |reference: &str| similarity(&hypothesis, &self.vectors(&joined(reference)));
        let sum: f64 = references.iter().map(|reference| one(reference.as_ref())).sum();
        10.0 * sum / references.len().max(1) as f64
    }

    /// The vectors of `text`, which has single spaces between its words.
    fn vectors<'a>(&self, text: &'a str) -> Vectors<'a> {
        let rows = self.rows.max(1) as f64;
        let weights = std::array::from_fn(|order| {
            let weight = |(run, count): (&'a str, u64)| {
                let frequency = self.frequencies.get(run).copied().unwrap_or(1);
                (run, count as f64 * (rows.ln() - (frequency as f64).ln()))
            };
            counted_runs(text, order + 1)
                .into_iter()
                .map(weight)
                .collect::<Vec<_>>()
        });
        let norm = |weights: &Vec<(&str, f64)>| weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
        Vectors {
            norms: weights.each_ref().map(norm),
            weights,
            length: counted_runs(text, 2).values().sum::<u64>() as f64,
        }
    }
}

impl Vectors<'_> {
    /// The mean over the lengths of runs of the cosine between both vectors. `clip` is given the weights of a run in
    /// this text and in `reference`, and says what to take for the former.
    fn cosines(&self, reference: &Vectors, clip: impl Fn(f64, f64) -> f64) -> f64 {
        let cosine = |order: usize| {
            let known = &reference.weights[order];
            let product = |&(run, weight): &(&str, f64)| {
                let place = known.binary_search_by(|(other, _)| (*other).cmp(run)).ok();
                place.map_or(0.0, |place| clip(weight, known[place].1) * known[place].1)
            };
            let norms = self.norms[order] * reference.norms[order];
            match norms > 0.0 {
                true => self.weights[order].iter().map(product).sum::<f64>() / norms,
                false => 0.0,
            }
        };
        (0..ORDERS).map(cosine).sum::<f64>() / ORDERS as f64
    }
}

/// The runs of one to four words in any of `references`, each once.
fn runs(references: &[impl AsRef<str>]) -> BTreeSet<String> {
    let texts = references.iter().map(|text| joined(text.as_ref()));
    let of = |text: &str| -> Vec<String> {
        let counts = (1..=ORDERS).flat_map(|order| counted_runs(text, order));
        counts.map(|(run, _)| run.to_string()).collect()
    };
    texts.flat_map(|text| of(&text)).collect()
}

fn joined(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::golden::{close, golden, hostile, number, text, texts};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scores_are_those_of_pycocoevalcap() {
        let file = golden("captions");
        let rows = file["rows"].as_array().unwrap();
        let references: Vec<Vec<String>> = rows.iter().map(|row| texts(&row["reference_words"])).collect();
        let cider = Cider::new(references.iter().map(Vec::as_slice));
        let (mut plain, mut clipped) = (0.0, 0.0);
        for (row, references) in rows.iter().zip(&references) {
            let hypothesis = text(&row["hypothesis_words"]);
            close(cider.cider(hypothesis, references), number(&row["cider"]));
            close(cider.cider_d(hypothesis, references), number(&row["cider_d"]));
            plain += cider.cider(hypothesis, references) / rows.len() as f64;
            clipped += cider.cider_d(hypothesis, references) / rows.len() as f64;
        }
        close(plain, number(&file["cider"]));
        close(clipped, number(&file["cider_d"]));
    }

    #[test]
    fn repeating_a_word_helps_only_without_clipping() {
        let rows = [
            ["a red cat sits here".to_string()],
            ["a blue dog runs there".to_string()],
        ];
        let cider = Cider::new(rows.iter().map(|row| row.as_slice()));
        let (once, often) = ("red fish swims deep down", "red red red red down");
        assert!(cider.cider(often, &rows[0]) > 1.5 * cider.cider(once, &rows[0]));
        assert!(cider.cider_d(often, &rows[0]) < 1.01 * cider.cider_d(once, &rows[0]));
        assert_eq!(cider.cider("a", &Vec::<String>::new()), 0.0);
    }

    proptest! {
        #[test]
        fn scores_lie_between_zero_and_ten(rows in prop::collection::vec(prop::collection::vec(hostile(), 0..3), 0..4), other in hostile()) {
            let cider = Cider::new(rows.iter().map(Vec::as_slice));
            let turned = Cider::new(rows.iter().rev().map(Vec::as_slice));
            for references in &rows {
                for hypothesis in references.iter().chain([&other]) {
                    let score = cider.cider_d(hypothesis, references);
                    prop_assert!((-1e-9..10.0 + 1e-9).contains(&score), "{score}");
                    prop_assert!((-1e-9..10.0 + 1e-9).contains(&cider.cider(hypothesis, references)));
                    prop_assert_eq!(score.to_bits(), turned.cider_d(hypothesis, references).to_bits());
                    let best = cider.cider_d(hypothesis, &[hypothesis]);
                    prop_assert!(cider.cider_d(&other, &[hypothesis]) <= best + 1e-9);
                }
            }
        }
    }
}
