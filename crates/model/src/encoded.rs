//! A batch after its encoders and the fusion: what the tasks read.

use crate::encoder::EncodedInput;
use crate::source::Source;
use crate::tokens::Tokens;
use burn::tensor::Tensor;
use sensorium_data::{Batch, Targets};
use std::collections::BTreeMap;

/// The tokens of every row of a batch.
pub struct Encoded<'a> {
    pub batch: &'a Batch,
    /// Those inputs that an output reads by themselves.
    pub(crate) inputs: BTreeMap<String, EncodedInput>,
    /// Present where an output reads it.
    pub(crate) fused: Option<Tokens>,
}

/// What one task reads of an encoded batch.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub encoded: &'a Encoded<'a>,
    pub source: &'a Source,
    /// What the output should answer; a prediction has no values, and texts only where it chooses from them.
    pub targets: Option<&'a Targets>,
}

impl Encoded<'_> {
    /// The tokens of a source, one sequence for each row.
    ///
    /// # Panics
    /// When no output of the model reads `source`.
    pub fn tokens(&self, source: &Source) -> Tokens {
        match source {
            Source::Fusion => self.fused.clone().expect("a model with this source has a fusion"),
            Source::Input(name) => self.input(name).clone().tokens(),
        }
    }

    /// One input by itself.
    ///
    /// # Panics
    /// When no output of the model reads it alone.
    pub(crate) fn input(&self, name: &str) -> &EncodedInput {
        &self.inputs[name]
    }
}

impl Reading<'_> {
    /// The tokens that the task reads, one sequence for each row.
    pub fn tokens(&self) -> Tokens {
        self.encoded.tokens(self.source)
    }

    /// One vector for each row, [rows, width].
    pub fn pooled(&self) -> Tensor<2> {
        match self.source {
            Source::Fusion => self.tokens().pooled(),
            Source::Input(name) => self.encoded.input(name).pooled(),
        }
    }
}
