//! The right one among a row's own candidates: visual dialogue, multiple choice.

use super::{Answer, Decoded, Head, HeadConfig, Losses, Prediction};
use crate::checkpoint::to_vec;
use crate::decoder::Vocabulary;
use crate::encoded::Reading;
use crate::init::Init;
use crate::layers::{Cell, Embedding, Rnn};
use crate::pass::Pass;
use crate::tokens::{Layout, Tokens, plain};
use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::processors::TextConfig;
use sensorium_data::{TargetTexts, Targets, relevances};
use serde::{Deserialize, Serialize};

/// The score of what is no candidate of a row: its probability is zero in single precision.
const NO_CANDIDATE: f32 = -1e9;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RankConfig {
    /// The column with each row's list of candidates. The output's own column holds the right one's text, its index counted
    /// from zero, or a list of numbers that say how right each candidate is.
    pub candidates: String,
    #[serde(flatten)]
    pub text: TextConfig,
    #[serde(flatten)]
    pub head: HeadConfig,
    /// What makes one vector of a candidate.
    pub encoder: CandidateEncoderConfig,
}

impl Default for RankConfig {
    fn default() -> Self {
        Self {
            candidates: "candidates".into(),
            text: TextConfig::default(),
            head: HeadConfig::default(),
            encoder: CandidateEncoderConfig::default(),
        }
    }
}

/// How the tokens of a candidate become one vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CandidateEncoderConfig {
    /// The last state of a gated recurrent unit.
    Gru(CandidateWidth),
    /// The mean of the tokens, in whatever order.
    Mean(CandidateWidth),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CandidateWidth {
    /// The width of a token and of the vector.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
}

impl Default for CandidateWidth {
    fn default() -> Self {
        Self { width: 128 }
    }
}

impl Default for CandidateEncoderConfig {
    fn default() -> Self {
        Self::Gru(CandidateWidth::default())
    }
}

/// The score of a candidate is the scaled product of its vector with what the head makes of the row.
#[derive(Module, Debug)]
pub struct Rank {
    head: Head,
    embedding: Embedding,
    /// Absent where a candidate is the mean of its tokens.
    recurrent: Option<Rnn>,
    #[module(skip)]
    vocabulary: Vocabulary,
    #[module(skip)]
    width: usize,
}

impl Rank {
    /// `width` is that of the source.
    pub fn new(config: &RankConfig, vocabulary: Vocabulary, width: usize, init: &Init) -> Self {
        let (inner, recurrent) = match &config.encoder {
            CandidateEncoderConfig::Gru(config) => {
                let rnn = Rnn::new(Cell::Gru, config.width, config.width, false, &init.at("recurrent"));
                (config.width, Some(rnn))
            }
            CandidateEncoderConfig::Mean(config) => (config.width, None),
        };
        Self {
            head: Head::new(&config.head, width, inner, &init.at("head")),
            embedding: Embedding::new(vocabulary.size, inner, &init.at("embedding")),
            recurrent,
            vocabulary,
            width: inner,
        }
    }

    /// The cross entropy of each row's right candidate, or of its relevances made to sum to one. A row without a target
    /// has no loss; one whose target is none of its candidates is refused where it is read.
    pub fn losses(&self, summary: Tensor<2>, targets: &Targets, pass: &Pass) -> Losses {
        let texts = targets.texts.as_ref().expect("candidates are read for this task");
        let shares = Shares::of(targets, texts);
        let [rows, _] = summary.dims();
        let device = plain(&summary.device());
        let found = log_softmax(self.scores(summary, texts, pass), 1);
        let expected = TensorData::new(shares.values, [rows, texts.tokens.len()]);
        let expected = Tensor::<2>::from_data(expected, &device);
        Losses {
            rows: (found * expected).sum_dim(1).reshape([rows]) * -1.0,
            counts: shares.counts,
        }
    }

    /// The scores of all candidates of the batch for each row, [rows, candidates]; very low for those that are not its own.
    fn scores(&self, summary: Tensor<2>, texts: &TargetTexts, pass: &Pass) -> Tensor<2> {
        let [rows, _] = summary.dims();
        let device = plain(&summary.device());
        let candidates = self.candidates(texts, &device);
        let query = self.head.forward(summary, pass);
        let scores = query.matmul(candidates.transpose()) * (1.0 / (self.width as f64).sqrt());
        let count = texts.tokens.len();
        let mut others = vec![NO_CANDIDATE; rows * count];
        for (row, places) in texts.of_row.iter().enumerate() {
            places.iter().for_each(|&place| others[row * count + place] = 0.0);
        }
        scores + Tensor::from_data(TensorData::new(others, [rows, count]), &device)
    }

    /// The vector of each distinct candidate, [candidates, width]; an end stands behind its tokens, so that none is empty.
    fn candidates(&self, texts: &TargetTexts, device: &Device) -> Tensor<2> {
        let longest = texts.tokens.iter().map(|tokens| tokens.len() + 1).max().unwrap_or(1);
        let count = texts.tokens.len();
        let end = i64::from(self.vocabulary.end);
        let mut tokens = vec![end; count * longest];
        let mut mask = vec![false; count * longest];
        for (place, text) in texts.tokens.iter().enumerate() {
            let start = place * longest;
            mask[start..=start + text.len()].fill(true);
            for (slot, &token) in tokens[start..].iter_mut().zip(text) {
                *slot = i64::from(token);
            }
        }
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [count, longest]), device);
        let mask = Tensor::from_data(TensorData::new(mask, [count, longest]), device);
        let tokens = Tokens::new(self.embedding.forward(tokens), mask, Layout::Sequence);
        match &self.recurrent {
            Some(recurrent) => recurrent.forward(tokens).pooled(),
            None => tokens.pooled(),
        }
    }

    /// Each row's candidates by their probability; an empty list where it has none.
    pub fn decode(&self, reading: Reading) -> Vec<Decoded> {
        let summary = reading.pooled();
        let rows = summary.dims()[0];
        let texts = reading.targets.and_then(|targets| targets.texts.as_ref());
        let Some(texts) = texts.filter(|texts| !texts.tokens.is_empty()) else {
            return vec![Prediction::new(Answer::List(Vec::new()), None).into(); rows];
        };
        let scores = to_vec(self.scores(summary, texts, &Pass::evaluation()));
        let scores = scores.chunks(texts.tokens.len());
        let prediction = |(places, scores): (&Vec<usize>, &[f32])| ranking(texts, places, scores).into();
        texts.of_row.iter().zip(scores).map(prediction).collect()
    }
}

/// What each candidate of the batch should get of each row's probability.
struct Shares {
    /// [rows, candidates]
    values: Vec<f32>,
    counts: Vec<usize>,
}

impl Shares {
    fn of(targets: &Targets, texts: &TargetTexts) -> Self {
        let count = texts.tokens.len();
        let mut values = vec![0.0; texts.of_row.len() * count];
        let mut counts = vec![0; texts.of_row.len()];
        for (row, places) in texts.of_row.iter().enumerate() {
            let candidates: Vec<&str> = places.iter().map(|&place| texts.texts[place].as_str()).collect();
            let Ok(Some(found)) = relevances(&targets.values[row], &candidates) else {
                continue;
            };
            let sum: f64 = found.iter().sum();
            for (&place, one) in places.iter().zip(found) {
                values[row * count + place] += (one / sum) as f32;
            }
            counts[row] = 1;
        }
        Self { values, counts }
    }
}

/// The candidates at `places`, each once, by the softmax of their scores; in double precision, so that small
/// probabilities are not all zero. Equal ones keep the order of the row.
fn ranking(texts: &TargetTexts, places: &[usize], scores: &[f32]) -> Prediction {
    let mut own: Vec<usize> = Vec::with_capacity(places.len());
    for &place in places {
        if !own.contains(&place) {
            own.push(place);
        }
    }
    let best = own
        .iter()
        .map(|&place| f64::from(scores[place]))
        .fold(f64::MIN, f64::max);
    let weights: Vec<f64> = own
        .iter()
        .map(|&place| (f64::from(scores[place]) - best).exp())
        .collect();
    let sum: f64 = weights.iter().sum();
    let names: Vec<String> = own.iter().map(|&place| texts.texts[place].clone()).collect();
    let probabilities: Vec<f64> = weights.iter().map(|weight| weight / sum).collect();
    let top = Prediction::ranked(&names, &probabilities);
    let order = top.iter().map(|one| one.value.clone()).collect();
    Prediction {
        top: top.clone(),
        ..Prediction::new(Answer::List(order), top.first().map(|one| one.probability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sensorium_data::Value;

    fn texts() -> TargetTexts {
        TargetTexts {
            tokens: vec![vec![1], vec![2, 3], vec![]],
            texts: ["no", "a cat", ""].map(String::from).to_vec(),
            of_row: vec![vec![0, 1], vec![1, 2, 1], vec![], vec![2, 0]],
        }
    }

    fn rank(config: CandidateEncoderConfig) -> Rank {
        let config = RankConfig {
            encoder: config,
            ..RankConfig::default()
        };
        Rank::new(
            &config,
            Vocabulary::new(4, None, None),
            5,
            &Init::new(1, &Device::flex()),
        )
    }

    fn summary() -> Tensor<2> {
        let values: Vec<f32> = (0..20).map(|place| (place as f32).sin()).collect();
        Tensor::from_data(TensorData::new(values, [4, 5]), &Device::flex())
    }

    fn check(config: CandidateEncoderConfig) {
        let rank = rank(config);
        let list = |values: &[f64]| Value::List(values.iter().map(|value| Value::Number(*value)).collect());
        let targets = Targets {
            values: vec![
                Value::Text("a cat".into()),
                list(&[1.0, 2.0, 1.0]),
                Value::Absent,
                Value::Number(0.0),
            ],
            texts: Some(texts()),
        };
        let scores = to_vec(rank.scores(summary(), &texts(), &Pass::evaluation()));
        let losses = rank.losses(summary(), &targets, &Pass::evaluation());
        assert_eq!(losses.counts, [1, 1, 0, 1]);
        let score = |row: usize, place: usize| f64::from(scores[row * 3 + place]);
        let all = |row: usize, places: &[usize]| places.iter().map(|&place| score(row, place).exp()).sum::<f64>().ln();
        let second = all(1, &[1, 2]) - (score(1, 1) + score(1, 2)) / 2.0;
        let expected = [
            all(0, &[0, 1]) - score(0, 1),
            second,
            0.0,
            all(3, &[0, 2]) - score(3, 2),
        ];
        for (found, expected) in to_vec(losses.rows).into_iter().zip(expected) {
            assert!((f64::from(found) - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    #[test]
    fn the_loss_is_the_cross_entropy_over_a_rows_own_candidates() {
        check(CandidateEncoderConfig::Gru(CandidateWidth { width: 6 }));
        check(CandidateEncoderConfig::Mean(CandidateWidth { width: 6 }));
    }

    #[test]
    fn a_ranking_holds_each_candidate_once_and_the_best_first() {
        let found = ranking(&texts(), &[1, 2, 1], &[9.0, -80.0, 20.0]);
        assert_eq!(found.value, Answer::List(vec!["".into(), "a cat".into()]));
        assert!(found.top[1].probability > 0.0 && found.probability == Some(found.top[0].probability));
        let tied = ranking(&texts(), &[1, 0], &[1.0, 1.0, 5.0]);
        assert_eq!(tied.value, Answer::List(vec!["a cat".into(), "no".into()]));
        assert_eq!(
            ranking(&texts(), &[], &[0.0; 3]),
            Prediction::new(Answer::List(vec![]), None)
        );
    }
}
