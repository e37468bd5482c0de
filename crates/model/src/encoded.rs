//! A batch after its encoders and the fusion: what the tasks read.

use crate::encoder::EncodedInput;
use crate::source::Source;
use crate::tokens::{Tokens, plain};
use burn::tensor::{Int, Tensor};
use sensorium_data::{Batch, Collated, InputBatch, Targets};
use std::collections::BTreeMap;

/// The tokens of the rows that outputs answer.
pub struct Encoded<'a> {
    pub batch: &'a Batch,
    /// The places in the batch of the rows that each output answers, in ascending order.
    pub(crate) rows: BTreeMap<String, Vec<usize>>,
    /// Those inputs that an output reads by themselves.
    pub(crate) inputs: BTreeMap<String, EncodedInput>,
    /// Present where an output reads it.
    pub(crate) fused: Option<Fused>,
}

/// The joined tokens of some rows.
pub(crate) struct Fused {
    pub tokens: Tokens,
    /// Their places in the batch, in ascending order.
    pub rows: Vec<usize>,
}

/// What one task reads of an encoded batch.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub encoded: &'a Encoded<'a>,
    pub source: &'a Source,
    /// The places in the batch of the rows that are read.
    pub rows: &'a [usize],
    /// What the output should answer in these rows; a prediction has no values, and texts only where it chooses from them.
    pub targets: Option<&'a Targets>,
}

/// The tiles of pictures.
pub struct Grids {
    /// How many each sequence of tokens has room for, the whole picture among them.
    pub most: usize,
    /// Their rows and columns, one of one where a picture is read whole; none in rows without a picture.
    pub of_rows: Vec<Option<[usize; 2]>>,
}

impl Encoded<'_> {
    /// The places in the batch of the rows that an output answers.
    pub fn rows(&self, output: &str) -> &[usize] {
        &self.rows[output]
    }

    /// The tokens of a source, one sequence for each of `rows`.
    ///
    /// # Panics
    /// When no output of the model reads `source` in these rows.
    pub fn tokens(&self, source: &Source, rows: &[usize]) -> Tokens {
        match source {
            Source::Fusion => self.fused().at(rows),
            Source::Input(name) => self.input(name).at(rows).tokens(),
        }
    }

    fn fused(&self) -> &Fused {
        self.fused.as_ref().expect("a model with this source has a fusion")
    }

    /// One input by itself.
    ///
    /// # Panics
    /// When no output of the model reads it alone.
    pub(crate) fn input(&self, name: &str) -> &EncodedInput {
        &self.inputs[name]
    }
}

impl Fused {
    fn at(&self, rows: &[usize]) -> Tokens {
        if self.rows == rows {
            return self.tokens.clone();
        }
        let place = |row: &usize| self.rows.binary_search(row).expect("a row that is read was fused") as i64;
        let places: Vec<i64> = rows.iter().map(place).collect();
        let device = plain(&self.tokens.embeddings.device());
        self.tokens
            .clone()
            .select(Tensor::<1, Int>::from_ints(places.as_slice(), &device))
    }
}

impl Reading<'_> {
    /// The tokens that the task reads, one sequence for each row.
    pub fn tokens(&self) -> Tokens {
        self.encoded.tokens(self.source, self.rows)
    }

    /// The same, of which those are padding that stand for an input that a row does not have.
    pub fn present_tokens(&self) -> Tokens {
        let tokens = self.tokens();
        let Source::Input(name) = self.source else {
            return tokens;
        };
        let present = self.encoded.input(name).at(self.rows).present();
        let present = present.expand(tokens.mask.dims());
        Tokens {
            mask: tokens.mask.bool_and(present),
            ..tokens
        }
    }

    /// One vector for each row, [rows, width].
    pub fn pooled(&self) -> Tensor<2> {
        match self.source {
            Source::Fusion => self.tokens().pooled(),
            Source::Input(name) => self.encoded.input(name).at(self.rows).pooled(),
        }
    }

    /// The tokens of the text that each row has as the input `input`, as it stands; none in rows that have none.
    ///
    /// # Panics
    /// When the input is no text.
    pub fn text(&self, input: &str) -> Vec<Vec<u32>> {
        let InputBatch { media, medium_of_row } = &self.encoded.batch.inputs[input];
        let Some(media) = media else {
            return vec![Vec::new(); self.rows.len()];
        };
        let Collated::Text { shape, tokens, lengths } = media else {
            panic!("`{input}` is read as a text");
        };
        let text = |medium: usize| {
            let tokens = &tokens[medium * shape[1]..][..lengths[medium]];
            tokens.iter().map(|&token| token as u32).collect()
        };
        let rows = self.rows.iter().map(|&row| medium_of_row[row]);
        rows.map(|medium| medium.map(text).unwrap_or_default()).collect()
    }

    /// What tiles the picture of each row is read in.
    pub fn grids(&self) -> Grids {
        let Source::Input(name) = self.source else {
            return Grids {
                most: 1,
                of_rows: vec![Some([1; 2]); self.rows.len()],
            };
        };
        let InputBatch { media, medium_of_row } = &self.encoded.batch.inputs[name];
        let media_of_rows = self.rows.iter().map(|&row| medium_of_row[row]);
        match media {
            Some(Collated::Tiles { shape, grids, .. }) => Grids {
                most: shape[1],
                of_rows: media_of_rows.map(|medium| medium.map(|medium| grids[medium])).collect(),
            },
            _ => Grids {
                most: 1,
                of_rows: media_of_rows.map(|medium| medium.map(|_| [1; 2])).collect(),
            },
        }
    }

    /// The numbers of the rows in the manifest.
    pub fn numbers(&self) -> Vec<usize> {
        self.rows.iter().map(|&row| self.encoded.batch.rows[row]).collect()
    }
}
