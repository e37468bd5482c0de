//! The vector that an input is encoded to, by which its media are compared; nothing is learnt for it.

use super::align::normalised;
use super::{Answer, Decoded, Prediction};
use crate::checkpoint::to_vec;
use crate::encoded::Reading;
use burn::module::Module;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbedConfig {
    /// The one input that is embedded.
    pub inputs: [String; 1],
}

/// A row's embedding is the input's pooled encoding, of length one (Reimers and Gurevych 2019).
#[derive(Module, Debug)]
pub struct Embed {
    #[module(skip)]
    input: String,
    #[module(skip)]
    width: usize,
}

impl Embed {
    /// `widths` are those of the encoded inputs.
    pub fn new(config: &EmbedConfig, widths: &BTreeMap<&str, usize>) -> Self {
        let [input] = &config.inputs;
        Self {
            input: input.clone(),
            width: widths[input.as_str()],
        }
    }

    pub fn input(&self) -> &str {
        &self.input
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The embedding of each row, without numbers where a row has not the input.
    pub fn decode(&self, reading: Reading) -> Vec<Decoded> {
        let input = reading.encoded.input(&self.input).at(reading.rows);
        let media = &reading.encoded.batch.inputs[&self.input].medium_of_row;
        let vectors = to_vec(normalised(input.pooled()));
        let rows = vectors.chunks(self.width).zip(reading.rows);
        rows.map(|(vector, &row)| self.decoded(media[row].map(|_| vector.to_vec())))
            .collect()
    }

    fn decoded(&self, vector: Option<Vec<f32>>) -> Decoded {
        let answer = Answer::Vector(vector.clone().unwrap_or_default());
        let named = |vector| (self.input.clone(), vector);
        Decoded {
            prediction: Prediction::new(answer, None),
            embeddings: vector.map(named).into_iter().collect(),
            unaided: None,
        }
    }
}
