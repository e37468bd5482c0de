//! Inputs in one common space, in which what belongs together lies close: contrastive learning over pairs of inputs.

use super::{Answer, Decoded, Losses, Prediction, spread};
use crate::checkpoint::to_vec;
use crate::encoded::Reading;
use crate::error::{ModelError, Result};
use crate::init::Init;
use crate::layers::{Linear, Named};
use crate::tokens::plain;
use burn::module::{Module, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use sensorium_data::{Batch, Value};
use sensorium_kernels::softplus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The largest factor of the cosines, as CLIP has it: beyond it a batch hangs on its hardest pair alone. SigLIP has none.
const MAXIMUM_SCALE: f64 = 100.0;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AlignConfig {
    /// The inputs to compare with each other, two or more; all of them by default.
    #[schemars(length(min = 2))]
    pub inputs: Option<Vec<String>>,
    /// The width of the common space.
    #[schemars(range(min = 1, max = 8192))]
    pub width: usize,
    pub loss: AlignLoss,
}

impl Default for AlignConfig {
    fn default() -> Self {
        Self {
            inputs: None,
            width: 128,
            loss: AlignLoss::default(),
        }
    }
}

/// What rows cost that lie apart though they belong together, or close though they do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AlignLoss {
    /// The cross entropy of finding one's counterpart among those of the batch, in both directions (CLIP, Radford et al.
    /// 2021).
    #[default]
    InfoNce,
    /// One logistic decision for each two rows of the batch (SigLIP, Zhai et al. 2023).
    Sigmoid,
}

/// A row's embedding of an input is the linear projection of the input's pooled encoding, of length one.
///
/// Two rows belong together where they share a medium of either input of a pair, or have the same value in the output's
/// column. Rows that lack an input of a pair are left out of it.
#[derive(Module, Debug)]
pub struct Align {
    projections: Named<Linear>,
    /// The logarithm of the factor of the cosines, [1].
    log_scale: Param<Tensor<1>>,
    /// Added to the logits of the sigmoid loss, [1].
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    loss: AlignLoss,
}

/// The embeddings of an input, [rows, width], and the medium of each row that has one.
struct Compared<'a> {
    name: &'a str,
    media: Vec<Option<usize>>,
    vectors: Tensor<2>,
}

impl Align {
    /// `widths` are those of the encoded inputs.
    pub fn new(config: &AlignConfig, widths: &BTreeMap<&str, usize>, init: &Init) -> Result<Self> {
        let names = config.inputs.as_deref().unwrap_or_default();
        let repeated = names
            .iter()
            .enumerate()
            .any(|(place, name)| names[..place].contains(name));
        if names.len() < 2 || repeated {
            let found = names.join(", ");
            let message = format!("align compares two or more different inputs, found [{found}]");
            return Err(ModelError::config("inputs", message));
        }
        let project = |name: &String| {
            let init = init.at("projections").at(name);
            (name.clone(), Linear::new(widths[name.as_str()], config.width, &init))
        };
        // Both papers' first values.
        let (scale, bias) = match config.loss {
            AlignLoss::InfoNce => (1.0 / 0.07, None),
            AlignLoss::Sigmoid => (10.0f64, Some(init.constant([1], -10.0))),
        };
        Ok(Self {
            projections: names.iter().map(project).collect(),
            log_scale: init.constant([1], scale.ln() as f32),
            bias,
            loss: config.loss,
        })
    }

    /// The inputs that are compared.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.projections.iter().map(|(name, _)| name)
    }

    /// The width of the common space.
    pub fn width(&self) -> usize {
        let mut projections = self.projections.iter();
        projections
            .next()
            .map_or(0, |(_, projection)| projection.output_width())
    }

    /// A row has one target for each pair of inputs that it has; `targets` are the values of the output's column.
    pub fn losses(&self, reading: Reading, targets: &[Value]) -> Losses {
        let compared = self.compared(reading);
        let rows = targets.len();
        let mut counts = vec![0; rows];
        let mut total: Option<Tensor<1>> = None;
        for (first, second) in pairs(&compared) {
            let both = |row: &usize| first.media[*row].is_some() && second.media[*row].is_some();
            let common: Vec<usize> = (0..rows).filter(both).collect();
            if common.is_empty() {
                continue;
            }
            let together = |a: usize, b: usize| {
                let label = targets[a] != Value::Absent && targets[a] == targets[b];
                label || first.media[a] == first.media[b] || second.media[a] == second.media[b]
            };
            let cosines = first.at(&common).matmul(second.at(&common).transpose());
            let positives = positives(&common, together, &plain(&cosines.device()));
            let losses = spread(self.pair_losses(cosines, positives), &common, rows);
            total = Some(match total {
                Some(total) => total + losses,
                None => losses,
            });
            common.iter().for_each(|&row| counts[row] += 1);
        }
        Losses {
            rows: total.expect("a row that is learnt from has two of the inputs"),
            counts,
        }
    }

    /// Whether a row of a batch has two of the inputs, so that there is something to compare.
    pub fn compares(&self, batch: &Batch, row: usize) -> bool {
        let present = |name: &&str| batch.inputs[*name].medium_of_row[row].is_some();
        self.inputs().filter(present).count() > 1
    }

    /// The loss of each row, [rows], from the cosines and from which rows are positives of each other, [rows, rows].
    fn pair_losses(&self, cosines: Tensor<2>, positives: Tensor<2>) -> Tensor<1> {
        let [rows, _] = cosines.dims();
        let logits = cosines * self.scale().reshape([1, 1]);
        let losses = match &self.bias {
            None => {
                let shares = positives.clone() / positives.sum_dim(1);
                let found = |logits: Tensor<2>| (log_softmax(logits, 1) * shares.clone()).sum_dim(1);
                // Belonging together goes both ways, so that the shares of a column are those of its row.
                (found(logits.clone()) + found(logits.transpose())) * -0.5
            }
            Some(bias) => {
                let logits = logits + bias.val().reshape([1, 1]);
                softplus(logits * (positives * -2.0 + 1.0)).sum_dim(1)
            }
        };
        losses.reshape([rows])
    }

    /// Of the cross entropy at most [`MAXIMUM_SCALE`], but with a gradient beyond, so that it can return.
    fn scale(&self) -> Tensor<1> {
        let log_scale = self.log_scale.val();
        if self.loss == AlignLoss::Sigmoid {
            return log_scale.exp();
        }
        let excess = log_scale.clone().detach() - MAXIMUM_SCALE.ln() as f32;
        (log_scale - excess.clamp_min(0.0)).exp()
    }

    /// What cosines come to in the loss: as logarithms of shares among others, or as logits of decisions.
    pub fn logits(&self, cosines: &[f64]) -> Vec<f64> {
        let number = |tensor| f64::from(to_vec::<1>(tensor)[0]);
        let bias = self.bias.as_ref().map_or(0.0, |bias| number(bias.val()));
        let scale = number(self.scale());
        cosines.iter().map(|cosine| cosine * scale + bias).collect()
    }

    /// What the query and each of some media with these cosines have to do with one another: its share among them, or of a space
    /// that was learnt by decisions the probability that they belong together.
    pub fn probabilities(&self, cosines: &[f64]) -> Vec<f64> {
        let logits = self.logits(cosines);
        if self.loss == AlignLoss::Sigmoid {
            return logits.into_iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect();
        }
        let largest = logits.iter().copied().fold(f64::MIN, f64::max);
        let shares: Vec<f64> = logits.into_iter().map(|logit| (logit - largest).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(|share| share / sum).collect()
    }

    /// The embeddings of each input that a row has, and as the answer the mean cosine of its pairs, zero where it has none.
    pub fn decode(&self, reading: Reading) -> Vec<Decoded> {
        let compared = self.compared(reading);
        let rows = compared[0].media.len();
        let mut embeddings = vec![BTreeMap::new(); rows];
        for Compared { name, media, vectors } in compared {
            let [_, width] = vectors.dims();
            let values = to_vec(vectors);
            for (row, vector) in values
                .chunks(width)
                .enumerate()
                .filter(|(row, _)| media[*row].is_some())
            {
                embeddings[row].insert(name.to_string(), vector.to_vec());
            }
        }
        embeddings.into_iter().map(decoded).collect()
    }

    fn compared<'a>(&'a self, reading: Reading<'a>) -> Vec<Compared<'a>> {
        let compared = |(name, projection): (&'a str, &Linear)| {
            let vectors = projection.forward(reading.encoded.input(name).at(reading.rows).pooled());
            let media = &reading.encoded.batch.inputs[name].medium_of_row;
            Compared {
                name,
                media: reading.rows.iter().map(|&row| media[row]).collect(),
                vectors: normalised(vectors),
            }
        };
        self.projections.iter().map(compared).collect()
    }
}

impl Compared<'_> {
    /// The embeddings of some rows, [rows, width].
    fn at(&self, rows: &[usize]) -> Tensor<2> {
        let index: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let index = Tensor::<1, Int>::from_ints(index.as_slice(), &plain(&self.vectors.device()));
        self.vectors.clone().select(0, index)
    }
}

/// Vectors [rows, width] of length one.
pub(super) fn normalised(vectors: Tensor<2>) -> Tensor<2> {
    let squares = (vectors.clone() * vectors.clone()).sum_dim(1);
    vectors / (squares + 1e-12).sqrt()
}

/// Each two different items.
fn pairs<T>(items: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let rest = |(place, first)| items[place + 1..].iter().map(move |second| (first, second));
    items.iter().enumerate().flat_map(rest)
}

/// One where two of the rows belong `together`, zero elsewhere, [rows, rows].
fn positives(rows: &[usize], together: impl Fn(usize, usize) -> bool, device: &Device) -> Tensor<2> {
    let one = |a: usize| rows.iter().map(move |&b| (a, b));
    let values = rows.iter().flat_map(|&a| one(a));
    let values: Vec<f32> = values.map(|(a, b)| f32::from(u8::from(together(a, b)))).collect();
    Tensor::from_data(TensorData::new(values, [rows.len(), rows.len()]), device)
}

fn decoded(embeddings: BTreeMap<String, Vec<f32>>) -> Decoded {
    let vectors: Vec<&Vec<f32>> = embeddings.values().collect();
    let cosine = |(a, b): (&&Vec<f32>, &&Vec<f32>)| -> f64 {
        let products = a.iter().zip(b.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let cosines: Vec<f64> = pairs(&vectors).map(cosine).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len().max(1) as f64;
    Decoded {
        unaided: None,
        prediction: Prediction::new(Answer::Number(mean), None),
        embeddings,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn align(loss: AlignLoss, scale: f64, bias: f32) -> Align {
        let config = AlignConfig {
            inputs: Some(vec!["a".into(), "b".into()]),
            width: 2,
            loss,
        };
        let init = Init::new(1, &Device::flex());
        let mut align = Align::new(&config, &BTreeMap::from([("a", 3), ("b", 2)]), &init).unwrap();
        align.log_scale = init.constant([1], scale.ln() as f32);
        align.bias = align.bias.map(|_| init.constant([1], bias));
        align
    }

    fn matrix<const N: usize>(rows: [[f32; N]; N]) -> Tensor<2> {
        let values = rows.concat();
        Tensor::from_data(TensorData::new(values, [N, N]), &Device::flex())
    }

    fn check(align: &Align, cosines: [[f32; 2]; 2], positives: [[f32; 2]; 2], expected: [f64; 2]) {
        let found = to_vec(align.pair_losses(matrix(cosines), matrix(positives)));
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }

    const COSINES: [[f32; 2]; 2] = [[0.5, 0.25], [-0.5, 0.0]];
    const APART: [[f32; 2]; 2] = [[1.0, 0.0], [0.0, 1.0]];

    /// With a scale of two the logits are 1, ½ and -1, 0: the mean of -ln softmax along the rows and along the columns.
    #[test]
    fn info_nce_is_the_cross_entropy_of_both_directions() {
        let two = align(AlignLoss::InfoNce, 2.0, 0.0);
        let miss = |wrong: f64, right: f64| (1.0 + (wrong - right).exp()).ln();
        let first = (miss(0.5, 1.0) + miss(-1.0, 1.0)) / 2.0;
        let second = (miss(-1.0, 0.0) + miss(0.5, 0.0)) / 2.0;
        check(&two, COSINES, APART, [first, second]);
        // Where all belong together each finds half of its counterparts in each place.
        let half = |a: f64, b: f64| (miss(a, b) + miss(b, a)) / 2.0;
        let expected = [half(0.5, 1.0) + half(-1.0, 1.0), half(-1.0, 0.0) + half(0.5, 0.0)];
        check(&two, COSINES, [[1.0; 2]; 2], expected.map(|sum| sum / 2.0));
    }

    #[test]
    fn the_sigmoid_loss_decides_for_each_two_rows() {
        let soft = |x: f64| (1.0 + x.exp()).ln();
        let two = align(AlignLoss::Sigmoid, 2.0, -0.5);
        check(&two, COSINES, APART, [soft(-0.5) + soft(0.0), soft(-1.5) + soft(0.5)]);
    }

    #[test]
    fn the_scale_ends_at_a_hundred() {
        for (given, expected) in [(3.0, 3.0), (99.0, 99.0), (400.0, 100.0)] {
            let found = to_vec(align(AlignLoss::InfoNce, given, 0.0).scale())[0];
            assert!((found - expected).abs() < 1e-3, "{given}: {found}");
            let found = f64::from(to_vec(align(AlignLoss::Sigmoid, given, 0.0).scale())[0]);
            assert!((found / given - 1.0).abs() < 1e-5, "{given}: {found}");
        }
    }

    #[test]
    fn probabilities_are_shares_or_decisions() {
        let check = |loss, expected: [f64; 2]| {
            let found = align(loss, 2.0, -0.5).probabilities(&[0.5, 0.0]);
            let near = found
                .iter()
                .zip(expected)
                .all(|(found, expected)| (found - expected).abs() < 1e-6);
            assert!(near && found.len() == 2, "{loss:?}: {found:?}, not {expected:?}");
        };
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        check(AlignLoss::InfoNce, [logistic(1.0), logistic(-1.0)]);
        check(AlignLoss::Sigmoid, [logistic(0.5), logistic(-0.5)]);
    }

    #[test]
    fn one_input_is_not_enough() {
        let build = |names: &[&str]| {
            let config = AlignConfig {
                inputs: Some(names.iter().map(ToString::to_string).collect()),
                ..AlignConfig::default()
            };
            let widths = BTreeMap::from([("a", 3), ("b", 2)]);
            Align::new(&config, &widths, &Init::new(1, &Device::flex())).map(|_| ())
        };
        assert!(build(&["a", "b"]).is_ok());
        for names in [&["a"][..], &["a", "a"], &[]] {
            assert!(
                build(names).unwrap_err().to_string().contains("two or more"),
                "{names:?}"
            );
        }
    }
}
