//! Inputs in a common space: how soon each finds its counterparts among all media of another input.
//!
//! For each ordered pair of inputs A and B a row's A is compared with every distinct medium of B in the split. A medium is
//! right where one of its rows shares the query's medium, or has the same value in the output's column. In a random order
//! of n candidates of which r are right, recall@k is expected to be 1 − C(n−r, k) / C(n, k), which is k/n for one right
//! candidate, and the median rank about n/2; the shuffled controls come out there.

use super::Measure;
use crate::metrics::{Metrics, rank_metrics};
use crate::score::ScoredRow;
use burn::tensor::{Device, Tensor, TensorData};
use sensorium_data::Value;
use sensorium_model::checkpoint::to_vec;
use sensorium_model::on_compute_threads;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Queries that are compared at once.
const TOGETHER: usize = 512;

/// The metrics that are also given as the mean over all directions; what cannot be searched for in a split adds nothing.
const MEANS: [&str; 4] = ["recall@1", "recall@5", "recall@10", "mrr"];

/// The rank of each row's best right candidate in each direction. A row without the input, or without a right candidate,
/// has none.
pub struct Retrieved(Vec<(String, Vec<Option<usize>>)>);

impl Retrieved {
    pub fn new(inputs: &[&str], output: &str, rows: &[ScoredRow]) -> Self {
        let sides: Vec<Side> = inputs.iter().map(|input| Side::new(input, output, rows)).collect();
        let directions = sides.iter().flat_map(|from| {
            let others = sides.iter().filter(|to| to.input != from.input);
            others.map(|to| (format!("{}_to_{}", from.input, to.input), ranks(from, to, output, rows)))
        });
        Self(on_compute_threads(|| directions.collect()))
    }
}

impl Measure for Retrieved {
    fn metrics(&self, weights: &[u32]) -> Metrics {
        let mut metrics: Metrics = MEANS.map(|name| (name.to_string(), 0.0)).into();
        for (direction, ranks) in &self.0 {
            let drawn = ranks.iter().zip(weights);
            let drawn =
                drawn.flat_map(|(rank, &weight)| rank.iter().flat_map(move |&rank| vec![rank; weight as usize]));
            let drawn: Vec<usize> = drawn.collect();
            if drawn.is_empty() {
                continue;
            }
            let found = rank_metrics(&drawn);
            for name in MEANS {
                *metrics.entry(name.to_string()).or_default() += found[name] / self.0.len() as f64;
            }
            metrics.extend(
                found
                    .iter()
                    .map(|(name, value)| (format!("{direction}.{name}"), *value)),
            );
        }
        metrics
    }
}

/// The media of one input.
struct Side<'a> {
    input: &'a str,
    /// The medium of each row.
    of_row: Vec<Option<usize>>,
    /// The embedding of each distinct medium, as its first row has it.
    embeddings: Vec<&'a [f32]>,
    /// The rows of each medium.
    rows: Vec<Vec<usize>>,
}

impl<'a> Side<'a> {
    fn new(input: &'a str, output: &str, rows: &'a [ScoredRow]) -> Self {
        let mut places: HashMap<usize, usize> = HashMap::new();
        let mut side = Self {
            input,
            of_row: vec![None; rows.len()],
            embeddings: Vec::new(),
            rows: Vec::new(),
        };
        for (place, row) in rows.iter().enumerate() {
            let embedding = row.embeddings.get(output).and_then(|all| all.get(input));
            let (Some(embedding), Some(medium)) = (embedding, row.media.get(input)) else {
                continue;
            };
            let medium = *places.entry(*medium).or_insert_with(|| {
                side.embeddings.push(embedding);
                side.rows.push(Vec::new());
                side.rows.len() - 1
            });
            side.of_row[place] = Some(medium);
            side.rows[medium].push(place);
        }
        side
    }

    /// [media, width]
    fn matrix(&self) -> Tensor<2> {
        let width = self.embeddings.first().map_or(0, |embedding| embedding.len());
        let values = TensorData::new(self.embeddings.concat(), [self.embeddings.len(), width]);
        Tensor::from_data(values, &Device::flex())
    }
}

/// The rank of the best right medium of `to` for each row's medium of `from`.
fn ranks(from: &Side, to: &Side, output: &str, rows: &[ScoredRow]) -> Vec<Option<usize>> {
    let mut ranks = vec![None; rows.len()];
    if from.rows.is_empty() || to.rows.is_empty() {
        return ranks;
    }
    let labels = labels(to, output, rows);
    let (queries, candidates) = (from.matrix(), to.matrix().transpose());
    for start in (0..from.rows.len()).step_by(TOGETHER) {
        let count = TOGETHER.min(from.rows.len() - start);
        let scores = to_vec(queries.clone().narrow(0, start, count).matmul(candidates.clone()));
        for (place, scores) in scores.chunks(to.rows.len()).enumerate() {
            let asking = &from.rows[start + place];
            let shared: HashSet<usize> = asking.iter().filter_map(|&row| to.of_row[row]).collect();
            for &row in asking {
                let mut right = shared.clone();
                right.extend(
                    label(&rows[row], output)
                        .and_then(|label| labels.get(&label))
                        .into_iter()
                        .flatten(),
                );
                ranks[row] = best_rank(scores, &right);
            }
        }
    }
    ranks
}

/// The value of the output's column, where it has one.
fn label(row: &ScoredRow, output: &str) -> Option<String> {
    let value = row.targets.get(output).filter(|value| **value != Value::Absent)?;
    Some(format!("{value:?}"))
}

/// The media of each value of the output's column.
fn labels(side: &Side, output: &str, rows: &[ScoredRow]) -> BTreeMap<String, HashSet<usize>> {
    let mut labels: BTreeMap<String, HashSet<usize>> = BTreeMap::new();
    for (row, medium) in rows.iter().zip(&side.of_row) {
        if let (Some(label), Some(medium)) = (label(row, output), medium) {
            labels.entry(label).or_default().insert(*medium);
        }
    }
    labels
}

/// The rank, from one, of the best of the `right` candidates. Wrong ones with the same score stand before it, as do all
/// where its score is no number.
fn best_rank(scores: &[f32], right: &HashSet<usize>) -> Option<usize> {
    let known = |score: f32| if score.is_nan() { f32::NEG_INFINITY } else { score };
    let best = right.iter().map(|&place| known(scores[place])).reduce(f32::max)?;
    let before = |(place, score): &(usize, &f32)| !right.contains(place) && known(**score) >= best;
    Some(1 + scores.iter().enumerate().filter(before).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of (picture, its embedding, text, its embedding, label).
    type Given = (
        Option<(usize, [f32; 2])>,
        Option<(usize, [f32; 2])>,
        Option<&'static str>,
    );

    fn scored((place, (image, text, label)): (usize, &Given)) -> ScoredRow {
        let mut row = ScoredRow::empty(place);
        let label = label.map_or(Value::Absent, |label| Value::Text(label.into()));
        row.targets.insert("space".into(), label);
        let mut embeddings = BTreeMap::new();
        for (name, medium) in [("image", image), ("text", text)] {
            if let Some((number, embedding)) = medium {
                row.media.insert(name.into(), *number);
                embeddings.insert(name.to_string(), embedding.to_vec());
            }
        }
        row.embeddings.insert("space".into(), embeddings);
        row
    }

    fn check(given: &[Given], weights: &[u32], expected: &[(&str, f64)]) {
        let rows: Vec<ScoredRow> = given.iter().enumerate().map(scored).collect();
        let metrics = Retrieved::new(&["image", "text"], "space", &rows).metrics(weights);
        for (name, expected) in expected {
            assert!((metrics[*name] - expected).abs() < 1e-9, "{name}: {metrics:?}");
        }
    }

    const EAST: [f32; 2] = [1.0, 0.0];
    const NORTH: [f32; 2] = [0.0, 1.0];
    const BETWEEN: [f32; 2] = [0.8, 0.6];

    #[test]
    fn each_direction_ranks_the_distinct_media_of_the_other_input() {
        // The first picture finds its text at once, the second one behind the first one's.
        let rows: [Given; 3] = [
            (Some((0, EAST)), Some((0, EAST)), None),
            (Some((1, BETWEEN)), Some((1, NORTH)), None),
            (None, Some((2, [-1.0, 0.0])), None),
        ];
        let expected = [
            ("image_to_text.recall@1", 0.5),
            ("image_to_text.mrr", 0.75),
            ("image_to_text.median_rank", 1.5),
            ("text_to_image.recall@1", 1.0),
            ("recall@1", 0.75),
            ("mrr", 0.875),
            ("recall@5", 1.0),
        ];
        check(&rows, &[1; 3], &expected);
        check(
            &rows,
            &[0, 2, 5],
            &[("image_to_text.recall@1", 0.0), ("text_to_image.mrr", 1.0)],
        );
    }

    #[test]
    fn what_shares_a_medium_or_a_label_is_right() {
        let shared: [Given; 2] = [
            (Some((0, EAST)), Some((0, NORTH)), None),
            (Some((0, EAST)), Some((1, EAST)), None),
        ];
        check(
            &shared,
            &[1; 2],
            &[("image_to_text.recall@1", 1.0), ("text_to_image.mrr", 1.0)],
        );
        let labelled = |label: [&'static str; 2]| -> [Given; 2] {
            [
                (Some((0, EAST)), Some((0, NORTH)), Some(label[0])),
                (Some((1, NORTH)), Some((1, EAST)), Some(label[1])),
            ]
        };
        check(&labelled(["a", "a"]), &[1; 2], &[("recall@1", 1.0)]);
        check(&labelled(["a", "b"]), &[1; 2], &[("recall@1", 0.0), ("mrr", 0.5)]);
    }

    #[test]
    fn ties_count_against_the_query_and_nothing_measured_is_zero() {
        let same: [Given; 2] = [
            (Some((0, EAST)), Some((0, EAST)), None),
            (Some((1, EAST)), Some((1, EAST)), None),
        ];
        check(&same, &[1; 2], &[("recall@1", 0.0), ("mrr", 0.5)]);
        check(
            &[(Some((0, EAST)), None, None)],
            &[1],
            &[("recall@1", 0.0), ("mrr", 0.0)],
        );
        assert_eq!(best_rank(&[f32::NAN, 0.0], &HashSet::from([0])), Some(2));
    }
}
